//! The bus on a real Redis: the whole contract, and a server that is killed in the middle.

use std::time::Duration;

use huidu::{
    backoff::Backoff,
    bus::{
        Bus as _, Hint, Wake, contract,
        counts::{Before, RedisCounts},
        redis::{RedisBus, RedisSettings},
        turns::RedisTurns,
    },
};
use huidu_core::{feedback::Life, revision::Revision};

use crate::support::components::Redis;

fn bus(redis: &Redis, seed: u64) -> RedisBus {
    let settings = RedisSettings {
        url: redis.url(),
        channel: "huidu:hints:bank/test".into(),
        timeout: Duration::from_secs(2),
        ping_every: Duration::from_millis(200),
        backoff: Backoff::new(Duration::from_millis(20), Duration::from_millis(200), seed),
    };
    RedisBus::start(settings).unwrap()
}

const fn hint(rev: u64) -> Hint {
    Hint {
        rev: Revision::new(rev),
        urgent: true,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_bus_on_redis_keeps_the_contract() {
    let redis = Redis::start();
    let (one, other) = (bus(&redis, 1), bus(&redis, 2));
    contract::all(&one, &other).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subscriber_survives_a_killed_redis_and_knows_that_hints_were_lost() {
    let mut redis = Redis::start();
    let (sender, node) = (bus(&redis, 3), bus(&redis, 4));
    contract::becomes_healthy(&sender).await;
    contract::becomes_healthy(&node).await;
    let mut wakes = node.subscribe();
    contract::heard(&sender, &mut wakes, hint(1)).await;

    redis.kill();
    contract::until("both notice", || !sender.healthy() && !node.healthy()).await;
    let promise = "a disconnection is a reason to look";
    while contract::next(promise, &mut wakes).await != Wake::Reconnected {}
    let failed = sender.counts().failed;
    sender.publish(hint(2));
    contract::until("a hint into the void is counted", || {
        sender.counts().failed > failed
    })
    .await;

    redis.start_again();
    let promise = "coming back is a reason to look, and comes before any hint";
    assert_eq!(
        contract::next(promise, &mut wakes).await,
        Wake::Reconnected,
        "{promise}"
    );
    assert_eq!(contract::heard(&sender, &mut wakes, hint(3)).await, hint(3));
    assert!(
        node.healthy() && node.counts().connected == 2,
        "{:?}",
        node.counts()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_hint_is_counted_and_changes_nothing() {
    let redis = Redis::start();
    let node = bus(&redis, 5);
    contract::becomes_healthy(&node).await;
    let mut wakes = node.subscribe();
    let client = redis::Client::open(redis.url()).unwrap();
    let mut hostile = client.get_multiplexed_async_connection().await.unwrap();
    for text in ["", "kill everything", "01", &"9".repeat(100_000)] {
        let mut publish = redis::cmd("PUBLISH");
        publish
            .arg("huidu:hints:bank/test")
            .arg(text)
            .exec_async(&mut hostile)
            .await
            .unwrap();
    }
    contract::until("all four are counted", || node.counts().malformed == 4).await;
    contract::heard(&node, &mut wakes, hint(9)).await;
    assert_eq!(node.counts().malformed, 4);
}

#[tokio::test]
async fn ids_are_claimed_once_sheets_are_heard_and_forgetting_is_noticed() {
    let mut redis = Redis::start();
    let counts = || RedisCounts::new(&redis.url(), "bank/test", Duration::from_secs(2)).unwrap();
    let (one, other) = (counts(), counts());
    let [a, b]: [Life; 2] = ["01jz0000000000000000000001", "01jz0000000000000000000002"]
        .map(|life| life.parse().unwrap());
    assert_eq!(one.claim(&a, &[1, 2]).await.unwrap(), [true, true]);
    // A claim whose answer was lost is made again.
    assert_eq!(one.claim(&a, &[2, 3]).await.unwrap(), [true, true]);
    assert_eq!(
        other.claim(&b, &[1, 4, u64::MAX]).await.unwrap(),
        [false, true, true]
    );
    assert_eq!(one.tell(&a, b"sheet 1").await.unwrap(), Before::Nothing);
    assert_eq!(one.tell(&a, b"sheet 2").await.unwrap(), Before::Numbers);
    assert_eq!(other.hear(&b).await.unwrap(), [b"sheet 1", b"sheet 2"]);
    assert!(
        one.hear(&a).await.unwrap().is_empty(),
        "a life does not hear itself"
    );
    redis.kill();
    assert!(one.claim(&a, &[5]).await.is_err() && one.tell(&a, b"sheet 3").await.is_err());
    assert!(other.hear(&b).await.is_err());
    redis.start_again();
    assert_eq!(one.tell(&a, b"sheet 3").await.unwrap(), Before::Nothing);
    assert_eq!(other.hear(&b).await.unwrap(), [b"sheet 3"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_turn_is_one_nodes_until_it_passes_it_on_or_is_silent_for_too_long() {
    let mut redis = Redis::start();
    let patience = Duration::from_secs(2);
    let node = || RedisTurns::new(&redis.url(), "bank/test", patience).unwrap();
    let (one, other) = (node(), node());
    let elsewhere = RedisTurns::new(&redis.url(), "bank/other", patience).unwrap();
    let (long, short) = (Duration::from_secs(600), Duration::from_millis(300));
    assert!(one.take("webhook:pager", "n1", long).await.unwrap());
    assert!(!other.take("webhook:pager", "n2", long).await.unwrap());
    // It is kept by asking again; every other thing, and every other installation, has its own.
    assert!(one.take("webhook:pager", "n1", long).await.unwrap());
    assert!(other.take("webhook:chat", "n2", long).await.unwrap());
    assert!(elsewhere.take("webhook:pager", "n2", long).await.unwrap());
    // Nobody gives up what is not theirs.
    other.pass("webhook:pager", "n2").await.unwrap();
    assert!(!other.take("webhook:pager", "n2", long).await.unwrap());
    one.pass("webhook:pager", "n1").await.unwrap();
    assert!(other.take("webhook:pager", "n2", short).await.unwrap());
    let since = std::time::Instant::now();
    while !one.take("webhook:pager", "n1", long).await.unwrap() {
        assert!(
            since.elapsed() < Duration::from_secs(30),
            "the turn does not end"
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(
        since.elapsed() >= Duration::from_millis(200),
        "it ended too early"
    );
    redis.kill();
    assert!(one.take("webhook:pager", "n1", long).await.is_err());
    redis.start_again();
    // It may have forgotten: then whoever asks first has it.
    let since = std::time::Instant::now();
    while one.take("webhook:pager", "n1", long).await.is_err() {
        assert!(
            since.elapsed() < Duration::from_secs(30),
            "it does not come back"
        );
    }
}
