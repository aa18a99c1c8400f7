//! Notices that nobody should heed, and one that was heeded once already.

use super::*;

/// A notice as a node of this fleet would sign it.
fn notice(fleet: &Fleet, who: &str, role: Role) -> Notice {
    let node = fleet.node(0);
    let actor = Actor {
        id: who.into(),
        role,
    };
    let mut notice = Notice::of(&kill(None), node.new_op(), &actor).unwrap();
    notice.aud = "bank/dev".into();
    notice.at = node.now();
    notice.base = node.live().revision;
    notice.node = "a".into();
    notice
}

fn sealed(notice: &Notice, key: u8) -> Bytes {
    let key = SigningKey::from_bytes(&[key; 32]);
    notice.seal(&key).unwrap().bytes().clone()
}

/// Every forged or stale notice, and what each is called.
fn forgeries(fleet: &Fleet) -> Vec<(&'static str, Bytes)> {
    let honest = || notice(fleet, "sven", Role::Sre);
    let mut all = vec![
        ("another key", sealed(&honest(), 6)),
        ("the online key", sealed(&honest(), 7)),
        (
            "an auditor",
            sealed(&notice(fleet, "audrey", Role::Auditor), 5),
        ),
        (
            "a role that is not theirs",
            sealed(&notice(fleet, "audrey", Role::Sre), 5),
        ),
        ("nobody", sealed(&notice(fleet, "nobody", Role::Admin), 5)),
        ("not even JSON", Bytes::from_static(b"{")),
        ("nothing", Bytes::new()),
    ];
    let mut other = honest();
    other.aud = "bank/prod".into();
    all.push(("another installation", sealed(&other, 5)));
    let mut future = honest();
    future.base = Revision::new(1 << 40);
    all.push(("a far future", sealed(&future, 5)));
    let mut form = honest();
    form.v = 2;
    all.push(("another form", sealed(&form, 5)));
    let mut long = honest();
    long.reason = "x".repeat(huidu_core::limits::NOTICE_BYTES);
    all.push(("too long", sealed(&long, 5)));
    let whole = sealed(&honest(), 5);
    let line = whole.iter().position(|byte| *byte == b'\n').unwrap();
    all.push(("no signature", whole.slice(..line)));
    all.push(("a torn signature", whole.slice(..whole.len() - 4)));
    for at in (0..line).step_by(2) {
        let mut changed = whole.to_vec();
        changed[at] ^= 1;
        all.push(("a changed bit", changed.into()));
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn no_forged_notice_puts_anything_in_force_by_either_way() {
    let fleet = Fleet::with(true, false).await;
    let forged = forgeries(&fleet);
    let node = fleet.node(1);
    for (what, bytes) in &forged {
        fleet.bus.spread(bytes.clone());
        assert!(node.hear_kill(bytes.clone()).await.is_err(), "{what}");
    }
    // An honest one behind them has passed the same way, so all of them were looked at.
    let honest = notice(&fleet, "sven", Role::Sre);
    let mut other = notice(&fleet, "sven", Role::Sre);
    other.app = "pingan/coffee".parse().unwrap();
    fleet.bus.spread(sealed(&other, 5));
    until("the honest one is in force", || {
        told(&node, "pingan/coffee") == "killed"
    })
    .await;
    assert_eq!(fleet.told(), ["run"; 3]);
    println!("forged notices tried: {}, put in force: 0", forged.len());
    node.hear_kill(sealed(&honest, 5)).await.unwrap();
    assert_eq!(told(&node, APP), "killed");
}

#[tokio::test]
async fn the_same_forgery_passes_a_node_that_does_not_look_at_signatures() {
    plant(Some(Bug::UnsignedNoticeBelieved));
    let fleet = Fleet::start().await;
    plant(None);
    let node = fleet.node(1);
    let forged = sealed(&notice(&fleet, "sven", Role::Sre), 6);
    assert!(node.hear_kill(forged).await.is_ok());
    assert_eq!(told(&node, APP), "killed");
}

/// What a hostile bus can do with what it has seen: tell it again, after the app was brought back.
async fn replayed(planted: Option<Bug>) -> &'static str {
    plant(planted);
    let fleet = Fleet::with(false, false).await;
    plant(None);
    let mut heard = fleet.bus.notices();
    fleet.kill(0, None).await;
    let notice = heard.recv().await.unwrap();
    fleet.does(unkill()).await;
    fleet.follow().await;
    if fleet.told() != ["run"; 3] {
        return "killed";
    }
    let node = fleet.node(1);
    let answer = node.hear_kill(notice.clone()).await.unwrap();
    fleet.bus.spread(notice);
    let own = SigningKey::from_bytes(&[5; 32]).public_key();
    let text = String::from_utf8_lossy(&answer).into_owned();
    assert!(
        text.contains("\"node\":\"b\"") && text.contains(own.id().as_str()),
        "{text}"
    );
    told(&node, APP)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_notice_that_is_told_again_resurrects_nothing() {
    assert_eq!(replayed(None).await, "run");
}

#[tokio::test]
async fn the_same_replay_kills_where_nobody_asks_how_the_want_ended() {
    let unseen = Some(Bug::SettledKillUnseen);
    assert_eq!(replayed(unseen).await, "killed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_notice_as_old_as_what_is_remembered_is_not_heard() {
    let fleet = Fleet::start().await;
    let mut old = notice(&fleet, "sven", Role::Sre);
    old.base = Revision::new(1);
    let node = fleet.node(1);
    // It is heard while every want since then is remembered.
    let sealed_old = Sealed::read(&sealed(&old, 5)).unwrap();
    let own = SigningKey::from_bytes(&[5; 32]).public_key();
    let mut catalogue = node.catalogue().clone();
    assert_eq!(sealed_old.heed(&catalogue, Some(&own)), Ok(()));
    catalogue.revision = Revision::new(1 + huidu_core::limits::RECENT_OPS as u64 / 2);
    assert!(matches!(
        sealed_old.heed(&catalogue, Some(&own)),
        Err(Unheeded::Old { .. })
    ));
}
