//! The chain of keyrings against those who would join it.

use super::world::{
    AUD, Blind, Case, ONLINE, POLICY, RELEASE, ROOT, THIEF, enveloped, key, keyring, kid, signed,
    two_groups, with_role,
};
use crate::{
    judge::{Check, Strict},
    key::Signer as _,
    keyring::{Guard, Keyring, Quorum, Role, Trust},
    paper::PaperError,
    verify::{Doubt, Verdict},
};

/// The honest keyring that follows the first.
fn second() -> Keyring {
    let mut next = keyring();
    next.version = 2;
    next
}

/// Something done to a keyring.
type Change = fn(&mut Keyring);

/// What a chain does with an envelope, and what it would do without `check`.
fn both(envelope: &[u8], check: Check) -> (Result<u64, PaperError>, Result<u64, PaperError>) {
    let first = keyring();
    let version = |next: Result<Keyring, PaperError>| next.map(|next| next.version);
    (
        version(first.follow(envelope)),
        version(first.follow_with(&Blind(check), envelope)),
    )
}

#[test]
fn a_chain_takes_what_both_roots_signed_and_nothing_else() {
    let roots = &ROOT[..2];
    let mut trust = second();
    trust.trust = Trust::Dev;
    let mut falls = second();
    falls.online.epoch = 0;
    let mut epoch = second();
    epoch.online.epoch = 2;
    let mut elsewhere = second();
    elsewhere.aud = "bank/test".into();
    let mut skips = second();
    skips.version = 3;
    let thief = with_role(second(), Role::Root, 2, &THIEF);
    for (name, envelope, check) in [
        (
            "by too few of the old root",
            signed(&second(), &ROOT[..1]),
            Check::OldRoot,
        ),
        (
            "by its own root alone",
            signed(&thief, &THIEF),
            Check::OldRoot,
        ),
        (
            "by the old root alone",
            signed(&thief, roots),
            Check::NewRoot,
        ),
        (
            "of another installation",
            signed(&elsewhere, roots),
            Check::PaperAudience,
        ),
        (
            "with a version left out",
            signed(&skips, roots),
            Check::KeyringVersion,
        ),
        (
            "the same again",
            signed(&keyring(), roots),
            Check::KeyringVersion,
        ),
        (
            "for developers from now on",
            signed(&trust, roots),
            Check::KeyringTrust,
        ),
        (
            "of an epoch before",
            signed(&falls, roots),
            Check::EpochFalls,
        ),
        (
            "of a new epoch with an old key",
            signed(&epoch, roots),
            Check::EpochKeys,
        ),
    ] {
        let (strict, blind) = both(&envelope, check);
        assert!(strict.is_err(), "{name}");
        // A root that is too few by its own word as well is refused by either check.
        let other = if check == Check::OldRoot {
            Check::NewRoot
        } else {
            check
        };
        assert!(
            blind.is_ok() || both(&envelope, other).1.is_err(),
            "{name}: {blind:?}"
        );
    }
    assert_eq!(both(&signed(&second(), roots), Check::OldRoot).0, Ok(2));
    let moved = with_role(second(), Role::Root, 2, &[4, 5, 6]);
    let envelope = signed(&moved, &[1, 2, 4, 5]);
    assert_eq!(both(&envelope, Check::OldRoot).0, Ok(2));
}

#[test]
fn each_check_of_the_chain_is_needed() {
    let roots = &ROOT[..2];
    let thief = with_role(second(), Role::Root, 2, &THIEF);
    let mut trust = second();
    trust.trust = Trust::Dev;
    let mut falls = second();
    falls.online.epoch = 0;
    let mut epoch = second();
    epoch.online.epoch = 2;
    let mut skips = second();
    skips.version = 3;
    for (check, envelope) in [
        (Check::OldRoot, signed(&thief, &THIEF)),
        (Check::NewRoot, signed(&thief, roots)),
        (Check::KeyringVersion, signed(&skips, roots)),
        (Check::KeyringTrust, signed(&trust, roots)),
        (Check::EpochFalls, signed(&falls, roots)),
        (Check::EpochKeys, signed(&epoch, roots)),
    ] {
        let (strict, blind) = both(&envelope, check);
        assert!(strict.is_err(), "{check:?}");
        assert!(blind.is_ok(), "{check:?}: {blind:?}");
    }
}

#[test]
fn a_customers_device_is_not_born_with_a_developers_keyring() {
    let mut dev = keyring();
    dev.trust = Trust::Dev;
    let envelope = signed(&dev, &ROOT);
    let born = |guard| Keyring::born(&envelope, AUD, guard);
    assert!(matches!(
        born(Guard::Production),
        Err(PaperError::Trust { .. })
    ));
    assert_eq!(born(Guard::Development), Ok(dev.clone()));
    let blind = Keyring::born_with(
        &Blind(Check::Development),
        &envelope,
        AUD,
        Guard::Production,
    );
    assert_eq!(blind, Ok(dev));
    let honest = signed(&keyring(), &ROOT);
    assert_eq!(
        Keyring::born(&honest, AUD, Guard::Production),
        Ok(keyring())
    );
    assert!(Keyring::born(&honest, "bank/test", Guard::Production).is_err());
    let few = signed(&keyring(), &ROOT[..1]);
    assert!(Keyring::born(&few, AUD, Guard::Production).is_err());
}

#[test]
fn a_keyring_that_nobody_or_everybody_could_satisfy_is_none() {
    let read = |keyring: &Keyring| Keyring::born(&signed(keyring, &ROOT), AUD, Guard::Production);
    let changes: [(&str, Change); 8] = [
        ("no threshold", |ring| {
            ring.roles.release.groups[0].threshold = 0;
        }),
        ("more than there are", |ring| {
            ring.roles.policy.groups[0].threshold = 3;
        }),
        ("no group", |ring| ring.roles.online.groups.clear()),
        ("a key that is not listed", |ring| {
            ring.roles.log = Quorum::of(1, vec![kid(99)]);
        }),
        ("no lease", |ring| ring.online.max_lease_ms = 0),
        ("a lease of weeks", |ring| {
            ring.online.max_lease_ms = u32::MAX;
        }),
        ("version 0", |ring| ring.version = 0),
        ("another form", |ring| ring.v = 2),
    ];
    for (name, change) in changes {
        let mut keyring = keyring();
        change(&mut keyring);
        assert!(read(&keyring).is_err(), "{name}");
    }
    // One key under two names cannot make a threshold of two.
    let mut twins = keyring();
    twins
        .keys
        .insert("00000000000000aa".parse().unwrap(), key(31).public_key());
    twins.roles.online = Quorum::of(2, vec![kid(31), "00000000000000aa".parse().unwrap()]);
    assert!(read(&twins).is_err());
}

/// Every subset of `from`.
fn subsets(from: &[u8]) -> impl Iterator<Item = Vec<u8>> + '_ {
    (0..1_u32 << from.len()).map(|bits| {
        let chosen = from.iter().enumerate();
        chosen
            .filter(|(at, _)| bits & 1 << at != 0)
            .map(|(_, seed)| *seed)
            .collect()
    })
}

#[test]
fn no_set_of_signatures_below_the_threshold_counts() {
    let (mut tried, mut accepted) = (0, 0);
    let everybody = [&RELEASE[..], &POLICY, &ONLINE, &THIEF].concat();
    for who in subsets(&everybody) {
        let reached = who.iter().filter(|seed| RELEASE.contains(seed)).count() >= 2;
        let mut case = Case::honest();
        case.release_by.clone_from(&who);
        let verdict = case.play(&Strict).1;
        tried += 1;
        if reached {
            assert!(matches!(verdict, Verdict::Run(_)), "{who:?}: {verdict:?}");
        } else {
            assert_eq!(verdict, Verdict::Doubted(Doubt::Paper), "{who:?}");
            accepted += usize::from(matches!(verdict, Verdict::Run(_)));
        }
    }
    println!("{tried} sets of signatures, accepted below the threshold: {accepted}");
}

#[test]
fn every_group_of_a_role_must_reach_its_threshold() {
    let mut keyring = with_role(keyring(), Role::Release, 1, &[11, 12, 51, 52]);
    *keyring.quorum_mut(Role::Release) = two_groups(&[11, 12], &[51, 52]);
    for who in subsets(&[11, 12, 51, 52]) {
        let reached = who.iter().any(|seed| *seed < 50) && who.iter().any(|seed| *seed > 50);
        let envelope = enveloped(&super::world::release(), &who);
        let signed =
            keyring.check_signed(Role::Release, &envelope.message(), envelope.signatures());
        assert_eq!(signed.is_ok(), reached, "{who:?}");
    }
}

#[test]
fn a_new_epoch_takes_back_whatever_a_stolen_online_key_said() {
    // The thief pushes the device to a far revision and a far time.
    let mut stolen = Case::honest();
    stolen.at_rev(crate::limits::REVISION_STEP);
    stolen.asof_ms += 20 * 86_400_000;
    let state = stolen.heard().activated(&stolen.asked);
    let honest = Case::next(state.clone(), 8);
    assert_eq!(honest.play(&Strict).1, Verdict::Doubted(Doubt::Freeze));

    let mut next = with_role(second(), Role::Online, 1, &[32]);
    next.online.epoch = 2;
    let (state, followed) = state.follow(&signed(&next, &ROOT[1..]));
    assert_eq!(followed, Ok(2));
    let mut healed = Case::next(state, 8);
    healed.stamped_by = vec![32];
    let (state, verdict) = healed.play(&Strict);
    assert!(matches!(verdict, Verdict::Run(_)), "{verdict:?}");
    // And the stolen key is worth nothing any more.
    let mut again = stolen;
    again.state = state;
    assert_eq!(again.play(&Strict).1, Verdict::Doubted(Doubt::Signature));
}

#[test]
fn records_of_reviewers_who_count_no_more_are_asked_for_again() {
    let case = Case::honest();
    let state = case.heard();
    let next = with_role(second(), Role::Release, 2, &[13, 14]);
    let (state, followed) = state.follow(&signed(&next, &ROOT));
    assert_eq!(followed, Ok(2));
    let mut again = Case::next(state, 8);
    assert_eq!(again.play(&Strict).1, Verdict::Doubted(Doubt::Paper));
    again.release_by = vec![13, 14];
    assert!(matches!(again.play(&Strict).1, Verdict::Run(_)));
}

/// Keyring `version` of a chain whose root is new each time, and whose online keys are, every tenth time.
pub(super) fn link(version: u8) -> Keyring {
    let seeds = |version: u8| [100 + version, 101 + version];
    let mut ring = with_role(keyring(), Role::Root, 2, &seeds(version));
    ring.version = version.into();
    if version > 9 {
        ring = with_role(ring, Role::Online, 1, &[60 + version / 10]);
        ring.online.epoch = u64::from(version / 10) + 1;
    }
    ring
}

/// Its envelope, as the root before and its own signed it.
pub(super) fn linked(version: u8) -> Vec<u8> {
    let roots: Vec<u8> = match version {
        1 => vec![101, 102],
        // A root shares one key with the root before it: two of each are three.
        _ => vec![99 + version, 100 + version, 101 + version],
    };
    signed(&link(version), &roots)
}

/// What must not follow the first keyring.
pub(super) fn bad() -> Vec<(&'static str, Vec<u8>)> {
    let roots = &ROOT[..2];
    let changed = |change: Change| {
        let mut next = second();
        change(&mut next);
        next
    };
    let thief = with_role(second(), Role::Root, 2, &THIEF);
    let honest = signed(&second(), roots);
    let mut twice = enveloped(&second(), &ROOT[..1]);
    let alias = "00000000000000aa".parse().unwrap();
    twice.join(&[super::world::signature(&twice, ROOT[0], alias)]);
    vec![
        ("by too few of the old root", signed(&second(), &ROOT[..1])),
        ("by one of the old root under two names", twice.to_bytes()),
        ("by its own root alone", signed(&thief, &THIEF)),
        ("by the old root alone", signed(&thief, roots)),
        (
            "of elsewhere",
            signed(&changed(|ring| ring.aud = "bank/test".into()), roots),
        ),
        (
            "for developers from now on",
            signed(&changed(|ring| ring.trust = Trust::Dev), roots),
        ),
        (
            "of an epoch before",
            signed(&changed(|ring| ring.online.epoch = 0), roots),
        ),
        (
            "of a new epoch with an old key",
            signed(&changed(|ring| ring.online.epoch = 2), roots),
        ),
        (
            "with no threshold",
            signed(
                &changed(|ring| ring.roles.log.groups[0].threshold = 0),
                roots,
            ),
        ),
        (
            "with a threshold nobody reaches",
            signed(
                &changed(|ring| ring.roles.log.groups[0].threshold = 2),
                roots,
            ),
        ),
        (
            "without a group",
            signed(&changed(|ring| ring.roles.log.groups.clear()), roots),
        ),
        (
            "that gives no lease",
            signed(&changed(|ring| ring.online.max_lease_ms = 0), roots),
        ),
        (
            "of another form",
            signed(&changed(|ring| ring.v = 2), roots),
        ),
        ("empty", Vec::new()),
        ("cut short", honest[..honest.len() - 1].to_vec()),
        ("extended", [&honest[..], b"{}"].concat()),
        (
            "a record in its place",
            signed(&super::world::release(), roots),
        ),
    ]
}

#[test]
fn what_must_not_follow_does_not() {
    for (name, envelope) in bad() {
        assert!(keyring().follow(&envelope).is_err(), "{name}");
    }
}

#[test]
fn fifty_keyrings_are_walked_one_by_one_and_none_can_be_left_out() {
    let chain: Vec<Vec<u8>> = (1..=50).map(linked).collect();
    let born = Keyring::born(&chain[0], AUD, Guard::Production).unwrap();
    let mut known = vec![born];
    for (at, envelope) in chain.iter().enumerate().skip(1) {
        let before = &known[at - 1];
        known.push(before.follow(envelope).unwrap());
        assert_eq!(known[at].version, at as u64 + 1);
    }
    let mut refused = 0;
    for (at, before) in known.iter().enumerate() {
        for (to, envelope) in chain.iter().enumerate().filter(|(to, _)| *to != at + 1) {
            assert!(
                before.follow(envelope).is_err(),
                "from {} to {}",
                at + 1,
                to + 1
            );
            refused += 1;
        }
    }
    println!("figure: keyrings out of their turn {refused} refused, followed: 0");
}

#[test]
fn a_device_however_far_behind_is_told_the_next_step() {
    let born = Keyring::born(&linked(1), AUD, Guard::Production).unwrap();
    let mut case = Case::honest();
    case.state = crate::verify::State::new(born, Guard::Production, crate::time::Timestamp::EPOCH);
    case.manifest.binding.keyring = Some(71);
    case.stamped_by = vec![67];
    for version in 1..=70 {
        let verdict = case.play(&Strict).1;
        let next = crate::verify::Need::Keyring(u64::from(version) + 1);
        assert_eq!(verdict, Verdict::Needs(next));
        let (state, followed) = case.state.clone().follow(&linked(version + 1));
        assert_eq!(followed, Ok(u64::from(version) + 1));
        case.state = state;
    }
    assert!(matches!(case.play(&Strict).1, Verdict::Run(_)));
}
