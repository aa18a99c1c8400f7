//! The contract of [`Bus`]: the suite that *is* the definition of the trait.
//!
//! Every bus passes all of it, the one on Redis against a real server by integration tests (which is why
//! the suite is no test module itself). A failed clause panics with a sentence. Nothing outside tests
//! ever calls it. A bus may lose hints, so a clause publishes until one is seen, within [`PATIENCE`].

use std::{future::Future, time::Duration};

use huidu_core::revision::Revision;
use tokio::time::{Instant, timeout};

use super::{Bus, Hint, WAKES, Wake, Wakes};

/// How long a clause waits for what it promises.
pub const PATIENCE: Duration = Duration::from_secs(20);
/// Between two looks at a condition.
const PAUSE: Duration = Duration::from_millis(20);

/// Runs every clause between two ends of one bus, which may be the same.
pub async fn all(one: &dyn Bus, other: &dyn Bus) {
    becomes_healthy(one).await;
    becomes_healthy(other).await;
    a_subscription_begins_with_a_reason_to_look(one).await;
    hints_reach_every_subscriber_also_their_own_sender(one, other).await;
    urgency_travels_with_the_hint(one, other).await;
    who_lags_behind_is_told_to_look(one, other).await;
    publishing_returns_at_once_and_is_counted(one);
}

/// Waits until hints come and go.
pub async fn becomes_healthy(bus: &dyn Bus) {
    until("the bus becomes healthy", || bus.healthy()).await;
}

/// Waits until `condition`.
pub async fn until(promise: &str, mut condition: impl FnMut() -> bool) {
    let started = Instant::now();
    while !condition() {
        assert!(
            started.elapsed() < PATIENCE,
            "{promise}: not within {PATIENCE:?}"
        );
        tokio::time::sleep(PAUSE).await;
    }
}

/// Publishes hints of `rev` until `wakes` brings one; answers it.
pub async fn heard(sender: &dyn Bus, wakes: &mut Wakes, hint: Hint) -> Hint {
    let started = Instant::now();
    loop {
        assert!(
            started.elapsed() < PATIENCE,
            "{hint} is heard within {PATIENCE:?}"
        );
        sender.publish(hint);
        while let Ok(wake) = timeout(Duration::from_millis(200), wakes.recv()).await {
            if let Some(Wake::Hint(heard)) = wake
                && heard.rev == hint.rev
            {
                return heard;
            }
        }
    }
}

/// Waits for the next wake.
pub async fn next(promise: &str, wakes: &mut Wakes) -> Wake {
    match within(promise, wakes.recv()).await {
        Some(wake) => wake,
        None => panic!("{promise}: the bus is gone"),
    }
}

async fn within<T>(promise: &str, future: impl Future<Output = T>) -> T {
    match timeout(PATIENCE, future).await {
        Ok(value) => value,
        Err(_) => panic!("{promise}: not within {PATIENCE:?}"),
    }
}

const fn hint(rev: u64, urgent: bool) -> Hint {
    Hint {
        rev: Revision::new(rev),
        urgent,
    }
}

async fn a_subscription_begins_with_a_reason_to_look(bus: &dyn Bus) {
    for _ in 0..2 {
        let promise = "a subscription begins with `Reconnected`";
        assert_eq!(
            next(promise, &mut bus.subscribe()).await,
            Wake::Reconnected,
            "{promise}"
        );
    }
}

async fn hints_reach_every_subscriber_also_their_own_sender(one: &dyn Bus, other: &dyn Bus) {
    let (mut here, mut again, mut there) = (one.subscribe(), one.subscribe(), other.subscribe());
    heard(one, &mut there, hint(1, false)).await;
    heard(one, &mut here, hint(2, false)).await;
    heard(one, &mut again, hint(3, false)).await;
}

async fn urgency_travels_with_the_hint(one: &dyn Bus, other: &dyn Bus) {
    let mut there = other.subscribe();
    for (rev, urgent) in [(10, true), (11, false)] {
        let heard = heard(one, &mut there, hint(rev, urgent)).await;
        assert_eq!(heard.urgent, urgent, "a hint arrives as it was sent");
    }
}

/// A subscriber that does not listen loses hints, and knows.
async fn who_lags_behind_is_told_to_look(one: &dyn Bus, other: &dyn Bus) {
    let (mut lagging, mut witness) = (other.subscribe(), other.subscribe());
    for wakes in [&mut lagging, &mut witness] {
        let promise = "a subscription begins with `Reconnected`";
        assert_eq!(next(promise, wakes).await, Wake::Reconnected, "{promise}");
    }
    let rounds = WAKES as u64 + 10;
    for rev in 100..100 + rounds {
        heard(one, &mut witness, hint(rev, false)).await;
    }
    let promise = "who has lost hints is told to look";
    assert_eq!(
        next(promise, &mut lagging).await,
        Wake::Reconnected,
        "{promise}"
    );
}

fn publishing_returns_at_once_and_is_counted(bus: &dyn Bus) {
    let before = bus.counts().published;
    for rev in 0..10_000 {
        bus.publish(hint(rev, false));
    }
    let counts = bus.counts();
    assert_eq!(
        counts.published - before,
        10_000,
        "every publication is counted"
    );
    assert!(
        counts.failed <= counts.published,
        "only what was published can fail"
    );
}
