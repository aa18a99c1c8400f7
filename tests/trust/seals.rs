//! Who wrote a record, and when: what no server signed and what runs backwards changes nothing.

use bytes::Bytes;
use ed25519_dalek::SigningKey;
use huidu_core::{
    ahead,
    catalogue::Catalogue,
    digest::Digest,
    event::Event,
    key::Signer as _,
    keyring::{Keyring, Trust},
    record::{Found, Record},
    revision::Revision,
    rules::Rules,
    validity::{Invalid, Verdict, judge},
    version::Review,
};

use crate::{
    signed::{keyring, quorum, signed},
    world::*,
};

fn key(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

/// A bank whose keyring lists log key 41, and what Sven would write next.
fn bank() -> (Catalogue, Record) {
    let mut world = World::new(Review::Required);
    world.ok(
        "sec",
        crate::signed::put_keyring(&keyring(Trust::Prod), &[1, 2]),
    );
    world.submit("ping", "1.0.0", &[]);
    let step = world.log.last().unwrap().clone();
    world.ok("sven", kill("1.0.0"));
    let killed = world.log.last().unwrap();
    let mut catalogue = Catalogue::default();
    let before = &world.log[..world.log.len() - 1];
    for (at, step) in before.iter().enumerate() {
        catalogue.apply(Revision::new(at as u64 + 1), step.at, &step.events);
    }
    let record = Record {
        v: Rules::Two,
        rev: catalogue.revision.next(),
        prev: Digest::of(b"before"),
        op: "01ARZ3NDEKTSV4RRFFQ69G5FAV".parse().unwrap(),
        ask: None,
        put: "01ARZ3NDEKTSV4RRFFQ69G5FAW".parse().unwrap(),
        node: "node-a".into(),
        at: step.at,
        actor: killed.actor.clone(),
        approvals: Vec::new(),
        why: None,
        events: killed.events.clone(),
        void: None,
        ck: None,
    };
    (catalogue, record)
}

fn told(catalogue: &Catalogue, bytes: &Bytes) -> Verdict {
    judge(catalogue, &Found::read(bytes))
}

fn sealed(record: &Record, seed: u8) -> Bytes {
    record.seal(&key(seed)).unwrap()
}

#[test]
fn once_a_keyring_is_in_force_only_servers_write() {
    let (catalogue, record) = bank();
    let unsigned = Verdict::Nobody(Invalid::Unsigned);
    assert_eq!(told(&catalogue, &sealed(&record, 41)), Verdict::Counts);
    assert_eq!(
        told(&catalogue, &record.encode().unwrap()),
        unsigned,
        "unsigned"
    );
    for seed in [1, 11, 21, 31, 99] {
        assert_eq!(
            told(&catalogue, &sealed(&record, seed)),
            unsigned,
            "by key {seed}"
        );
    }
    // Signed about something else.
    let mut other = record.clone();
    other.why = Some("it had to be".into());
    let honest = sealed(&record, 41);
    let seal = honest.split(|byte| *byte == b'\n').nth(1).unwrap();
    let mixed = [&other.encode().unwrap()[..], b"\n", seal, b"\n"].concat();
    assert_eq!(told(&catalogue, &mixed.into()), unsigned);
    let mut void = record.clone();
    (void.events, void.void) = (Vec::new(), Some(record.op));
    assert_eq!(
        told(&catalogue, &void.encode().unwrap()),
        unsigned,
        "a want voided by nobody"
    );
    assert_eq!(told(&catalogue, &sealed(&void, 41)), Verdict::Counts);
}

/// A record of the first form is the way back to when nobody signed; it is closed by the first that is signed.
#[test]
fn nothing_of_the_old_form_counts_behind_the_new() {
    let (mut catalogue, record) = bank();
    let mut old = record.clone();
    old.v = Rules::One;
    old.rev = old.rev.next();
    assert_eq!(
        told(&catalogue, &old.encode().unwrap()),
        Verdict::Counts,
        "nothing newer was there"
    );
    record.make_true(&mut catalogue);
    old.events = vec![Event::Unkilled {
        app: app(),
        version: Some(number("1.0.0")),
        reason: "sorry".into(),
    }];
    old.actor = huidu_core::event::Actor {
        id: "maya".into(),
        role: role("maya"),
    };
    let verdict = told(&catalogue, &old.encode().unwrap());
    assert_eq!(verdict, Verdict::Nobody(Invalid::Form { form: 1 }));
}

#[test]
fn time_runs_forwards() {
    let (mut catalogue, mut record) = bank();
    record.at = record.at.plus_ms(10_000);
    record.make_true(&mut catalogue);
    let revoked = |at| {
        let mut next = record.clone();
        (next.rev, next.at) = (record.rev.next(), at);
        next.events = vec![Event::PermissionRevoked {
            app: app(),
            permission: "camera".parse().unwrap(),
            reason: "leaks".into(),
        }];
        sealed(&next, 41)
    };
    assert_eq!(
        told(&catalogue, &revoked(record.at)),
        Verdict::Counts,
        "at the same moment"
    );
    let before = told(&catalogue, &revoked(NOON));
    assert!(
        matches!(before, Verdict::Void(Invalid::Time { .. })),
        "{before:?}"
    );
}

/// A server whose clock ran far ahead takes the ledger's time with it; the root sets it back.
#[test]
fn the_root_sets_time_back() {
    let (mut catalogue, mut record) = bank();
    record.at = record.at.plus_ms(50 * 365 * 86_400_000);
    record.make_true(&mut catalogue);
    let mut next = keyring(Trust::Prod);
    next.version = 2;
    let mut put = record.clone();
    put.at = NOON.plus_ms(1);
    put.actor = huidu_core::event::Actor {
        id: "sec".into(),
        role: role("sec"),
    };
    put.events = vec![Event::KeyringPut {
        envelope: signed(&next, &[1, 2]),
    }];
    assert_eq!(told(&catalogue, &sealed(&put, 41)), Verdict::Counts);
    put.make_true(&mut catalogue);
    assert_eq!(catalogue.written_at(), put.at);
}

/// A keyring comes into force by a server that can go on under it, so none ever leaves all of them without a voice.
#[test]
fn a_keyring_is_put_by_a_server_that_it_lists() {
    let (catalogue, record) = bank();
    let put = |change: &dyn Fn(&mut Keyring)| {
        let mut next = keyring(Trust::Prod);
        next.version = 2;
        change(&mut next);
        let mut put = record.clone();
        put.actor = huidu_core::event::Actor {
            id: "sec".into(),
            role: role("sec"),
        };
        put.events = vec![Event::KeyringPut {
            envelope: signed(&next, &[1, 2]),
        }];
        put
    };
    let rotates = put(&|next: &mut Keyring| {
        let new = key(42).public_key();
        next.keys.insert(new.id(), new);
        next.roles.log = quorum(1, &[42]);
    });
    assert_eq!(
        told(&catalogue, &sealed(&rotates, 42)),
        Verdict::Counts,
        "by the new key"
    );
    let old = told(&catalogue, &sealed(&rotates, 41));
    assert_eq!(
        old,
        Verdict::Nobody(Invalid::Unsigned),
        "the old one could not go on"
    );
    let stays = put(&|_| {});
    assert_eq!(told(&catalogue, &sealed(&stays, 41)), Verdict::Counts);
}

/// Whoever brings a keyring of their own with the record is no server by its word: not even a fork comes of it.
#[test]
fn a_keyring_that_does_not_follow_vouches_for_nobody() {
    let (catalogue, record) = bank();
    let mut mine = keyring(Trust::Prod);
    mine.version = 2;
    let thief = key(66).public_key();
    mine.keys.insert(thief.id(), thief);
    (mine.roles.root, mine.roles.log) = (quorum(1, &[66]), quorum(1, &[66]));
    let mut put = record;
    put.actor = huidu_core::event::Actor {
        id: "sec".into(),
        role: role("sec"),
    };
    put.events = vec![Event::KeyringPut {
        envelope: signed(&mine, &[66]),
    }];
    let verdict = told(&catalogue, &sealed(&put, 66));
    assert!(
        matches!(verdict, Verdict::Nobody(Invalid::Refused { .. })),
        "{verdict:?}"
    );
    let signed_by_server = told(&catalogue, &sealed(&put, 41));
    assert_eq!(
        signed_by_server,
        Verdict::Nobody(Invalid::Unsigned),
        "which it does not list"
    );
}

/// A later build's keyring that takes the log keys of today away is not passed over: what follows would be nobody's.
#[test]
fn a_later_builds_rotation_is_not_passed_over() {
    let (mut catalogue, record) = bank();
    record.make_true(&mut catalogue);
    let mut next = keyring(Trust::Prod);
    next.version = 2;
    let new = key(42).public_key();
    next.keys.insert(new.id(), new);
    next.roles.log = quorum(1, &[42]);
    let mut put = record;
    let line = |put: &Record| {
        let text = String::from_utf8(put.encode().unwrap().to_vec()).unwrap();
        text.replacen("\"v\":2", "\"v\":9,\"new\":true", 1)
    };
    for (seeds, verdict) in [
        (&[1, 2][..], Verdict::Unreadable),
        (&[1][..], Verdict::Nobody(Invalid::Unsigned)),
    ] {
        put.events = vec![Event::KeyringPut {
            envelope: signed(&next, seeds),
        }];
        assert_eq!(
            told(&catalogue, &sealed_text(&line(&put), 42)),
            verdict,
            "{seeds:?}"
        );
    }
}

#[test]
fn what_cannot_be_read_is_nobodys_or_a_later_builds() {
    let (mut catalogue, record) = bank();
    record.make_true(&mut catalogue);
    let junk = told(&catalogue, &Bytes::from_static(b"\x00\xff{"));
    assert!(
        matches!(junk, Verdict::Nobody(Invalid::Garbage { .. })),
        "{junk:?}"
    );
    let text = String::from_utf8(record.encode().unwrap().to_vec()).unwrap();
    let later = text.replacen("\"v\":2", "\"v\":9,\"new\":true", 1);
    let unsigned = told(&catalogue, &later.clone().into());
    assert_eq!(
        unsigned,
        Verdict::Nobody(Invalid::Unsigned),
        "anybody may claim to be from the future"
    );
    let signed = sealed_text(&later, 41);
    assert_eq!(told(&catalogue, &signed), Verdict::Unreadable);
}

fn sealed_text(line: &str, seed: u8) -> Bytes {
    let message = huidu_core::envelope::pae(huidu_core::record::MEDIA_TYPE, line.as_bytes());
    let signature = key(seed).sign(&message).unwrap();
    let seal = data_encoding::BASE64.encode(&signature);
    format!("{line}\n{} {seal}\n", key(seed).public_key().id()).into()
}

/// What stops is recognised by its own few fields in a record of any form, and nothing else is.
#[test]
fn stops_are_recognised_in_what_cannot_be_read() {
    let (mut catalogue, record) = bank();
    let mut era = record.clone();
    (era.events, era.void) = (Vec::new(), Some(record.op));
    era.make_true(&mut catalogue);
    let slot = record.rev.next();
    let mut ahead_of = record.clone();
    ahead_of.rev = slot;
    let text = String::from_utf8(ahead_of.encode().unwrap().to_vec()).unwrap();
    let later = text.replacen("\"v\":2", "\"v\":9,\"new\":true", 1);
    let stops = |bytes: Bytes| ahead::stops(&catalogue, slot, &record.prev, &Found::read(&bytes));
    let found = stops(sealed_text(&later, 41));
    assert_eq!(found.len(), 1, "{found:?}");
    let stopped = ahead::stopped(&catalogue, &found);
    assert!(
        stopped.apps[&app()].versions[&number("1.0.0")]
            .life
            .is_killed()
    );
    assert_eq!(
        stopped.apps[&app()].revision,
        slot,
        "devices see that it is news"
    );
    // By nobody, by a role that stops nothing, of something else, in another place: nothing.
    assert_eq!(stops(later.clone().into()), vec![]);
    assert_eq!(stops(sealed_text(&later, 31)), vec![]);
    for (from, to) in [
        ("\"sven\"", "\"nobody\""),
        (
            "\"id\":\"sven\",\"role\":\"sre\"",
            "\"id\":\"rui\",\"role\":\"reviewer\"",
        ),
        ("\"killed\"", "\"unkilled\""),
        ("\"prev\":\"", "\"prev\":\"00\",\"was\":\""),
        (&format!("\"rev\":{slot}"), "\"rev\":1"),
    ] {
        assert!(later.contains(from), "{from} in {later}");
        let other = later.replacen(from, to, 1);
        assert_eq!(stops(sealed_text(&other, 41)), vec![], "{to}");
    }
}
