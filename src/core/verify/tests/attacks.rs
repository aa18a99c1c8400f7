//! One thief for every check. Each answer differs from an honest one in a single point; the verifier
//! doubts it for that very reason, and a verifier without that one check believes it: so every check is
//! needed, and this table would notice if one were lost.

use std::collections::BTreeSet;

use super::world::{
    APP, ASOF_MS, AUD, Blind, Case, CountsNames, KEYRING_END_S, RELEASE, THIEF, TODAY_S, app,
    archive, enveloped, keyring, kid, signature, signed,
};
use crate::{
    binding::{Cohort, Whom},
    digest::Digest,
    judge::{Check, Strict},
    keyring::Keyring,
    limits,
    manifest::{self, FORM, Kill, KillList, OnStale, Reason, RevokedPermission},
    policy::Standing,
    revision::Revision,
    seal,
    time::Timestamp,
    verify::{Challenge, Doubt, KillsAnswer, Need, Start, Verdict},
};

struct Attack {
    name: &'static str,
    check: Check,
    doubt: Doubt,
    thief: fn(&mut Case),
}

const fn attack(name: &'static str, check: Check, doubt: Doubt, thief: fn(&mut Case)) -> Attack {
    Attack {
        name,
        check,
        doubt,
        thief,
    }
}

fn challenge(seed: u8) -> Challenge {
    Challenge {
        nonce: [seed; 32],
        request: Digest::of(b"GET /v1/apps/pingan/travel"),
    }
}

/// Whom a cohort of everybody but the bearer would admit.
fn others(case: &Case) -> Whom {
    let salt = crate::bucket::Salt::new("travel.main").unwrap();
    let mine = crate::bucket::fine(salt.as_str(), case.unit).get();
    Whom {
        cohorts: vec![Cohort {
            salt,
            fine: vec![(0, mine), (mine + 1, limits::JSON_INTEGER)],
        }],
        ..Whom::default()
    }
}

#[rustfmt::skip]
const STAMPS: &[Attack] = &[
    attack("a stamp signed by a key of the thief's", Check::StampSigned, Doubt::Signature,
        |case| case.stamped_by = vec![THIEF[0]]),
    attack("a stamp signed by a key that signs other things", Check::StampSigned, Doubt::Signature,
        |case| case.stamped_by = vec![RELEASE[0]]),
    attack("a stolen online key gives itself a longer lease", Check::Lease, Doubt::Lease,
        |case| case.lease_ms = 900_001),
    attack("another body under an honest stamp", Check::Body, Doubt::Body,
        |case| case.body = Some(Digest::of(b"what was signed"))),
    attack("the answer about another app", Check::Scope, Doubt::Scope,
        |case| case.scope = Some(seal::scope(AUD, "pingan/pay"))),
    attack("the answer of another installation", Check::Scope, Doubt::Scope,
        |case| case.scope = Some(seal::scope("bank/test", APP))),
    attack("an answer to somebody's request shown to all", Check::Mode, Doubt::Challenge,
        |case| case.is_challenge = true),
    attack("an answer for all where one's own was asked for", Check::Mode, Doubt::Challenge,
        |case| case.challenge = Some(challenge(1))),
    attack("an answer to an earlier request", Check::Challenge, Doubt::Challenge, |case| {
        case.challenge = Some(challenge(1));
        case.is_challenge = true;
        let before = challenge(2);
        case.scope = Some(seal::challenge(&before.nonce, &before.request));
    }),
    attack("a stamp of a time the keyring does not reach", Check::Future, Doubt::Future,
        |case| case.asof_ms = KEYRING_END_S * 1_000),
    attack("an honest answer held back until it is too old", Check::Fresh, Doubt::Freeze,
        |case| case.later(600_000 + 300_000)),
    attack("an honest answer after the keyring's end", Check::KeyringExpired, Doubt::KeyringExpired, |case| {
        case.asof_ms = KEYRING_END_S * 1_000 - 1;
        case.now.wall = Timestamp::from_unix_ms(KEYRING_END_S * 1_000);
    }),
    attack("a body that speaks for another installation", Check::Audience, Doubt::Scope,
        |case| case.manifest.aud = "bank/test".into()),
    attack("a body that speaks of another app, with its papers", Check::App, Doubt::Scope, |case| {
        case.manifest.app = app("pingan/pay");
        case.release.app = app("pingan/pay");
        case.policy.app = app("pingan/pay");
    }),
    attack("a stamp of another revision than the body's", Check::Revision, Doubt::Form,
        |case| case.rev = 8),
    attack("a revision that nothing honest could ever follow", Check::FastForward, Doubt::FastForward,
        |case| case.at_rev(limits::REVISION_STEP + 8)),
    attack("an older revision", Check::Older, Doubt::StaleNode, |case| {
        case.state = Case::next(case.state.clone(), 9).heard();
        case.at_rev(8);
    }),
    attack("the same revision with another body, true earlier", Check::Equivocal, Doubt::Equivocation, |case| {
        case.state = Case::next(case.state.clone(), 9).heard();
        case.at_rev(9);
        case.manifest.force = true;
    }),
    attack("what is for other platforms", Check::Whom, Doubt::NotForMe, |case| {
        case.manifest.binding.whom = Some(Whom { platforms: vec!["ios".parse().unwrap()], ..Whom::default() });
    }),
    attack("what is for another cohort", Check::Whom, Doubt::NotForMe,
        |case| case.manifest.binding.whom = Some(others(case))),
    attack("what is for no end of cohorts", Check::Whom, Doubt::NotForMe, |case| {
        let salt = crate::bucket::Salt::new("travel.main").unwrap();
        let all = Cohort { salt, fine: vec![(0, limits::JSON_INTEGER); limits::COHORT_RANGES + 1] };
        case.manifest.binding.whom = Some(Whom { cohorts: vec![all], ..Whom::default() });
    }),
];

#[rustfmt::skip]
const OFFERS: &[Attack] = &[
    attack("what was killed, offered again as if nothing had been", Check::Killed, Doubt::Equivocation, |case| {
        let mut kill = case.clone();
        kill.manifest.state = manifest::State::Killed;
        case.state = kill.heard();
        case.asof_ms += 1;
    }),
    attack("no policy", Check::PolicyPresent, Doubt::NoPolicy, |case| case.policy_named = None),
    attack("the policy of another app", Check::PolicyApp, Doubt::Mix,
        |case| case.policy.app = app("pingan/pay")),
    attack("an older policy under a newer one's number", Check::PolicyVersion, Doubt::PolicyRollback,
        |case| case.policy.version = 2),
    attack("a policy that has ended", Check::PolicyExpired, Doubt::PolicyExpired,
        |case| case.policy.expires = TODAY_S),
    attack("an app that was delisted offline", Check::Delisted, Doubt::Policy,
        |case| case.policy.state = Standing::Delisted),
    attack("no release record", Check::ReleasePresent, Doubt::NoRelease,
        |case| case.release_named = Some(None)),
    attack("a version on trial, shown to a customer", Check::ReleasePresent, Doubt::NoRelease, Case::on_trial),
    attack("what is not on trial, without a record, shown to a test device", Check::ReleasePresent, Doubt::NoRelease, |case| {
        case.on_trial();
        case.test_device();
        case.manifest.reason = Reason::Stable;
    }),
    attack("a version on trial everywhere, shown to a test device", Check::Trial, Doubt::NoRelease, |case| {
        case.on_trial();
        case.test_device();
        case.manifest.binding.whom = None;
    }),
    attack("a version on trial in another sandbox, shown to a test device", Check::Whom, Doubt::NotForMe, |case| {
        case.on_trial();
        case.test_device();
        case.manifest.binding.whom = Some(Whom { hosts: vec!["other-test".parse().unwrap()], ..Whom::default() });
    }),
    attack("a version on trial with more than its app may ever have", Check::MostPermissions, Doubt::Permissions, |case| {
        case.on_trial();
        case.test_device();
        case.manifest.permissions = vec!["payments".parse().unwrap()];
    }),
    attack("a version on trial of an app that was delisted offline", Check::Delisted, Doubt::Policy, |case| {
        case.on_trial();
        case.test_device();
        case.policy.state = Standing::Delisted;
    }),
    attack("a version on trial that was taken back offline", Check::RevokedRelease, Doubt::Policy, |case| {
        case.on_trial();
        case.test_device();
        case.policy.revoked = vec![archive("travel 2.1.0")];
    }),
    attack("another record than the one named", Check::Address, Doubt::Mix,
        |case| case.release_named = Some(Some(archive("some record")))),
    attack("the record of another app", Check::ReleaseApp, Doubt::Mix,
        |case| case.release.app = app("pingan/pay")),
    attack("the record of another version", Check::ReleaseVersion, Doubt::Mix,
        |case| case.release.version = "2.0.0".parse().unwrap()),
    attack("an archive that nobody approved", Check::Bundle, Doubt::Mix, |case| {
        case.manifest.bundle.as_mut().unwrap().sha256 = archive("the thief's");
    }),
    attack("an archive longer than the one approved", Check::Bundle, Doubt::Mix, |case| {
        case.manifest.bundle.as_mut().unwrap().len += 1;
    }),
    attack("a release for other platforms", Check::Platform, Doubt::WrongDevice,
        |case| case.platform = "harmony"),
    attack("a release for other versions of the bank app", Check::HostVersion, Doubt::WrongDevice,
        |case| case.host_version = "7.9"),
    attack("a release whose time has not come", Check::NotBefore, Doubt::Season,
        |case| case.release.not_before = Some(TODAY_S + 60)),
    attack("a release whose time is over", Check::NotAfter, Doubt::Season,
        |case| case.release.not_after = Some(TODAY_S)),
    attack("a release below the floor", Check::Floor, Doubt::Policy,
        |case| case.policy.floor_seq = 6),
    attack("an archive that was taken back offline", Check::RevokedRelease, Doubt::Policy,
        |case| case.policy.revoked = vec![archive("travel 2.1.0")]),
    attack("a release with more than its app may ever have", Check::MostPermissions, Doubt::Permissions,
        |case| case.policy.max_permissions = vec!["camera".parse().unwrap()]),
    attack("permissions that nobody granted", Check::Permissions, Doubt::Permissions,
        |case| case.manifest.permissions.push("contacts".parse().unwrap())),
    attack("a release signed by one where two must", Check::Threshold, Doubt::Paper,
        |case| case.release_by = vec![RELEASE[0]]),
    attack("a release signed by one and by the thief", Check::Threshold, Doubt::Paper,
        |case| case.release_by = vec![RELEASE[0], THIEF[0]]),
    attack("a policy signed by those who sign releases", Check::Threshold, Doubt::Paper,
        |case| case.policy_by = RELEASE.to_vec()),
    attack("a release of another installation by the same people", Check::PaperAudience, Doubt::Paper,
        |case| case.release.aud = "bank/test".into()),
    attack("a policy of another installation by the same people", Check::PaperAudience, Doubt::Paper,
        |case| case.policy.aud = "bank/test".into()),
];

/// Checks of keyrings, whose thieves are in `keyrings`.
const OF_KEYRINGS: [Check; 7] = [
    Check::OldRoot,
    Check::NewRoot,
    Check::KeyringVersion,
    Check::KeyringTrust,
    Check::EpochFalls,
    Check::EpochKeys,
    Check::Development,
];

/// Every attack, carried out.
pub(super) fn cases() -> impl Iterator<Item = (&'static str, Case)> {
    STAMPS.iter().chain(OFFERS).map(|attack| {
        let mut case = Case::honest();
        (attack.thief)(&mut case);
        (attack.name, case)
    })
}

#[test]
fn every_thief_is_doubted_for_what_it_did() {
    let mut wrong = Vec::new();
    for attack in STAMPS.iter().chain(OFFERS) {
        let mut case = Case::honest();
        (attack.thief)(&mut case);
        let (after, verdict) = case.play(&Strict);
        if verdict != Verdict::Doubted(attack.doubt) {
            wrong.push(format!("{}: {verdict:?}", attack.name));
        }
        let offered = after.app(&case.asked).and_then(|app| app.offered.clone());
        let before = case.state.app(&case.asked);
        if offered != before.and_then(|app| app.offered.clone())
            || after.floor() != case.state.floor()
        {
            wrong.push(format!("{}: something was learned from it", attack.name));
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
    println!("{} thieves, accepted: 0", STAMPS.len() + OFFERS.len());
}

#[test]
fn without_its_check_every_thief_gets_in() {
    let mut wrong = Vec::new();
    for attack in STAMPS.iter().chain(OFFERS) {
        let mut case = Case::honest();
        (attack.thief)(&mut case);
        let (_, verdict) = case.play(&Blind(attack.check));
        if !matches!(verdict, Verdict::Run(_)) {
            wrong.push(format!("{}: {verdict:?}", attack.name));
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn there_is_a_thief_for_every_check() {
    let attacks = STAMPS.iter().chain(OFFERS).map(|attack| attack.check);
    let tried: BTreeSet<Check> = attacks.chain(OF_KEYRINGS).collect();
    let all: BTreeSet<Check> = Check::ALL.iter().copied().collect();
    assert_eq!(tried, all);
}

/// A keyring whose makers were careless: one person's key, listed twice. And a record signed by that person,
/// under both names.
pub(super) fn careless(case: &Case) -> (Keyring, Vec<u8>) {
    let mut keyring = keyring();
    let alias: crate::key::KeyId = "00000000000000aa".parse().unwrap();
    let twin = keyring.keys[&kid(RELEASE[0])].clone();
    keyring.keys.insert(alias.clone(), twin);
    keyring.roles.release.groups[0].kids.push(alias.clone());
    let mut envelope = enveloped(&case.release, &[RELEASE[0]]);
    envelope.join(&[signature(&envelope, RELEASE[0], alias)]);
    (keyring, envelope.to_bytes())
}

#[test]
fn one_key_under_two_names_is_one_voice() {
    let mut case = Case::honest();
    let (keyring, envelope) = careless(&case);
    case.state = crate::verify::State::new(
        keyring,
        crate::keyring::Guard::Production,
        Timestamp::from_unix_ms(ASOF_MS),
    );
    let play = |judge: &dyn Fn(&[u8]) -> Verdict| judge(&envelope);
    let hear = |release: &[u8]| {
        let (header, body, policy) = (case.header(), case.body_bytes(), case.policy_bytes());
        case.hear(&Strict, &header, &body, release, &policy).1
    };
    assert_eq!(play(&hear), Verdict::Doubted(Doubt::Paper));
    let careless = |release: &[u8]| {
        let (header, body, policy) = (case.header(), case.body_bytes(), case.policy_bytes());
        case.hear(&CountsNames, &header, &body, release, &policy).1
    };
    assert!(matches!(play(&careless), Verdict::Run(_)));
}

#[test]
fn one_signature_repeated_is_one_voice() {
    let case = Case::honest();
    let mut text = String::from_utf8(signed(&case.release, &[RELEASE[0]])).unwrap();
    let from = text.find("[{").unwrap() + 1;
    let one = text[from..text.rfind(']').unwrap()].to_owned();
    text.insert_str(from, &format!("{one},{one},"));
    let (header, body, policy) = (case.header(), case.body_bytes(), case.policy_bytes());
    let verdict = case
        .hear(&Strict, &header, &body, text.as_bytes(), &policy)
        .1;
    assert_eq!(verdict, Verdict::Doubted(Doubt::Paper));
}

#[test]
fn a_body_that_names_a_newer_keyring_leads_to_a_fetch_and_no_further() {
    let mut case = Case::honest();
    case.manifest.binding.keyring = Some(2);
    assert_eq!(case.play(&Strict).1, Verdict::Needs(Need::Keyring(2)));
    // Unsigned, it may still say so: what follows must be signed by the root.
    case.stamped_by = vec![THIEF[0]];
    assert_eq!(case.play(&Strict).1, Verdict::Needs(Need::Keyring(2)));
    // However far away: each go takes a step.
    case.manifest.binding.keyring = Some(limits::JSON_INTEGER);
    assert_eq!(case.play(&Strict).1, Verdict::Needs(Need::Keyring(2)));
    case.manifest.binding.keyring = Some(1);
    assert_eq!(case.play(&Strict).1, Verdict::Doubted(Doubt::Signature));
}

#[test]
fn what_is_no_answer_at_all_is_doubted() {
    let case = Case::honest();
    let (header, body) = (case.header(), case.body_bytes());
    let (release, policy) = (case.release_bytes(), case.policy_bytes());
    let hear = |header: &str, body: &[u8]| case.hear(&Strict, header, body, &release, &policy).1;
    let many = vec![header.as_str(); limits::SIGNATURES + 1].join(",");
    for (name, header) in [
        ("none", ""),
        ("another version", &header.replacen("v1", "v2", 1)),
        ("cut short", &header[..header.len() - 1]),
        ("extended", &format!("{header}A")),
        ("with a part more", &format!("{header}.AAAA")),
        ("with an empty one beside it", &format!("{header},")),
        ("far too many", &many),
    ] {
        assert_eq!(
            hear(header, &body),
            Verdict::Doubted(Doubt::Stamp),
            "{name}"
        );
    }
    let long = vec![b' '; limits::MANIFEST_BYTES + 1];
    for (name, body) in [
        ("empty", &b""[..]),
        ("cut short", &body[..body.len() - 1]),
        ("extended", &[&body[..], b" "].concat()),
        ("endless", &long),
    ] {
        assert_eq!(hear(&header, body), Verdict::Doubted(Doubt::Body), "{name}");
    }
}

#[test]
fn papers_that_are_no_papers_are_doubted() {
    let case = Case::honest();
    let (header, body) = (case.header(), case.body_bytes());
    let (release, policy) = (case.release_bytes(), case.policy_bytes());
    let text = String::from_utf8(release.clone()).unwrap();
    let endless = vec![b' '; limits::ENVELOPE_BYTES + 1];
    let twice = text.replacen('{', r#"{"payload":"","#, 1);
    let deep = format!("{}{}", "[".repeat(100), "]".repeat(100));
    let type_of = |word| text.replacen(".release.", word, 1).into_bytes();
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("empty", Vec::new()),
        ("cut short", release[..release.len() - 1].to_vec()),
        ("extended", [&release[..], b"{}"].concat()),
        ("endless", endless),
        ("a key twice", twice.into_bytes()),
        ("deeply nested", deep.into_bytes()),
        ("a policy in its place", policy.clone()),
        ("said to be a policy", type_of(".policy.")),
        ("said to be a keyring", type_of(".keyring.")),
        ("of no known type", type_of(".recipe.")),
    ];
    for (name, paper) in cases {
        let verdict = case.hear(&Strict, &header, &body, &paper, &policy).1;
        assert_eq!(verdict, Verdict::Doubted(Doubt::Paper), "{name}");
    }
}

/// A list of kills as the installation would send it.
pub(super) fn kills(rev: u64, asof_ms: u64, kills: Vec<Kill>) -> (String, Vec<u8>) {
    let list = KillList {
        v: FORM,
        aud: AUD.into(),
        rev: Revision::new(rev),
        keyring: None,
        kills,
        permissions: Vec::new(),
    };
    stamped_list(&list, asof_ms, seal::scope(AUD, seal::KILLS_SCOPE), 31)
}

fn stamped_list(list: &KillList, asof_ms: u64, scope: Digest, seed: u8) -> (String, Vec<u8>) {
    let body = serde_json::to_vec(list).unwrap();
    let stamp = seal::Stamp {
        revision: list.rev,
        asof: Timestamp::from_unix_ms(asof_ms),
        lease_ms: 60_000,
        body_len: u32::try_from(body.len()).unwrap(),
        body: Digest::of(&body),
        scope,
        challenge: false,
    };
    (stamp.sign(&super::world::key(seed)), body)
}

pub(super) fn killed(archive: Digest) -> Kill {
    Kill {
        app: app(APP),
        version: None,
        sha256: Some(archive),
        reason: "R-17".into(),
        since: Timestamp::from_unix_ms(ASOF_MS),
    }
}

#[test]
fn a_list_of_kills_stops_what_runs_and_nothing_old_brings_it_back() {
    let case = Case::honest();
    let state = case.heard().activated(&case.asked);
    assert!(matches!(
        state.start(&case.asked, case.now),
        Start::Run { .. }
    ));
    let (stamp, body) = kills(9, ASOF_MS + 500, vec![killed(archive("travel 2.1.0"))]);
    let answer = KillsAnswer {
        stamp: &stamp,
        body: &body,
    };
    let (state, verdict) = state.hear_kills(&answer, case.now);
    assert_eq!(verdict, Verdict::Stop);
    assert_eq!(state.start(&case.asked, case.now), Start::Nothing);

    // The answer from before, replayed.
    let mut replay = case.clone();
    replay.state = state.clone();
    let (state, verdict) = replay.play(&Strict);
    assert_eq!(verdict, Verdict::Doubted(Doubt::Killed));
    assert_eq!(state.start(&case.asked, case.now), Start::Nothing);
    // An older list without the kill, replayed.
    let (stamp, body) = kills(8, ASOF_MS + 600, Vec::new());
    let answer = KillsAnswer {
        stamp: &stamp,
        body: &body,
    };
    let (state, verdict) = state.hear_kills(&answer, case.now);
    assert_eq!(verdict, Verdict::Doubted(Doubt::StaleNode));
    // What comes after it brings it back.
    let next = Case::next(state, 10);
    assert!(matches!(next.play(&Strict).1, Verdict::Run(_)));
}

/// A list that takes `permission` back from the app.
pub(super) fn taking_back(rev: u64, asof_ms: u64, of: &str, permission: &str) -> (String, Vec<u8>) {
    let list = KillList {
        v: FORM,
        aud: AUD.into(),
        rev: Revision::new(rev),
        keyring: None,
        kills: Vec::new(),
        permissions: vec![RevokedPermission {
            app: app(of),
            permission: permission.parse().unwrap(),
            reason: "R-18".into(),
            since: Timestamp::from_unix_ms(ASOF_MS),
        }],
    };
    stamped_list(&list, asof_ms, seal::scope(AUD, seal::KILLS_SCOPE), 31)
}

/// What the app may use when it is started.
fn usable(state: &crate::verify::State, case: &Case) -> Vec<String> {
    match state.start(&case.asked, case.now) {
        Start::Run { permissions, .. } => permissions.iter().map(ToString::to_string).collect(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_permission_that_is_taken_back_is_gone_from_what_runs_and_from_what_is_offered() {
    let mut case = Case::honest();
    case.manifest.permissions = vec!["camera".parse().unwrap(), "location".parse().unwrap()];
    let state = case.heard().activated(&case.asked);
    assert_eq!(usable(&state, &case), ["camera", "location"]);
    let hear = |state: crate::verify::State, (stamp, body): (String, Vec<u8>)| {
        let (stamp, body) = (stamp.as_str(), body.as_slice());
        state.hear_kills(&KillsAnswer { stamp, body }, case.now)
    };
    // From another app, or something it never had: nothing changes here.
    for (of, what) in [("pingan/pay", "location"), (APP, "contacts")] {
        let list = taking_back(9, ASOF_MS + 500, of, what);
        let (state, verdict) = hear(state.clone(), list);
        assert_eq!(verdict, Verdict::Noted);
        assert_eq!(usable(&state, &case), ["camera", "location"]);
    }
    // By a thief it takes nothing back.
    let (stamp, body) = taking_back(9, ASOF_MS + 500, APP, "location");
    let forged = (stamp.replacen("AA", "AB", 1), body.clone());
    let (unmoved, verdict) = hear(state.clone(), forged);
    assert!(matches!(verdict, Verdict::Doubted(_)), "{verdict:?}");
    assert_eq!(usable(&unmoved, &case), ["camera", "location"]);
    let (state, verdict) = hear(state, (stamp, body));
    assert_eq!(verdict, Verdict::Noted);
    assert_eq!(usable(&state, &case), ["camera"]);
    // It is kept, and an answer that knows nothing of it does not give it back.
    let kept = serde_json::to_string(&state).unwrap();
    let mut again = case.clone();
    again.state = serde_json::from_str(&kept).unwrap();
    again.asof_ms += 1_000;
    let (state, verdict) = again.play(&Strict);
    let Verdict::Run(run) = verdict else {
        panic!("{verdict:?}");
    };
    assert_eq!(run.permissions, ["camera".parse().unwrap()]);
    let state = state.activated(&case.asked);
    assert_eq!(usable(&state, &case), ["camera"]);
    // Nor does an older list. A later one does: then it was given back.
    let (state, verdict) = hear(state, kills(8, ASOF_MS + 600, Vec::new()));
    assert_eq!(verdict, Verdict::Doubted(Doubt::StaleNode));
    assert_eq!(usable(&state, &case), ["camera"]);
    let (state, _) = hear(state, kills(10, ASOF_MS + 700, Vec::new()));
    let mut back = case.clone();
    back.state = state;
    back.asof_ms += 2_000;
    let state = back.heard().activated(&case.asked);
    assert_eq!(usable(&state, &case), ["camera", "location"]);
}

#[test]
fn a_forged_list_of_kills_is_doubted() {
    let case = Case::honest();
    let list = KillList {
        v: FORM,
        aud: AUD.into(),
        rev: Revision::new(9),
        keyring: None,
        kills: vec![killed(archive("travel 2.1.0"))],
        permissions: Vec::new(),
    };
    let of_kills = seal::scope(AUD, seal::KILLS_SCOPE);
    let elsewhere = KillList {
        aud: "bank/test".into(),
        ..list.clone()
    };
    let unknown = KillList {
        v: 2,
        ..list.clone()
    };
    for (name, (stamp, body), doubt) in [
        (
            "by a thief",
            stamped_list(&list, ASOF_MS, of_kills, THIEF[0]),
            Doubt::Signature,
        ),
        (
            "under an app's stamp",
            stamped_list(&list, ASOF_MS, seal::scope(AUD, APP), 31),
            Doubt::Scope,
        ),
        (
            "of elsewhere",
            stamped_list(&elsewhere, ASOF_MS, of_kills, 31),
            Doubt::Scope,
        ),
        (
            "of another form",
            stamped_list(&unknown, ASOF_MS, of_kills, 31),
            Doubt::Form,
        ),
        (
            "held back",
            stamped_list(&list, ASOF_MS - 400_000, of_kills, 31),
            Doubt::Freeze,
        ),
    ] {
        let answer = KillsAnswer {
            stamp: &stamp,
            body: &body,
        };
        let (after, verdict) = case.state.clone().hear_kills(&answer, case.now);
        assert_eq!(verdict, Verdict::Doubted(doubt), "{name}");
        assert_eq!(after, case.state, "{name}");
    }
    // And an app's answer is no list of kills.
    let (stamp, body) = (case.header(), case.body_bytes());
    let answer = KillsAnswer {
        stamp: &stamp,
        body: &body,
    };
    let verdict = case.state.clone().hear_kills(&answer, case.now).1;
    assert_eq!(verdict, Verdict::Doubted(Doubt::Scope));
}

#[test]
fn a_thief_with_the_online_key_cannot_freeze_an_app_that_must_not_be_stale() {
    let mut case = Case::honest();
    case.policy.on_stale = OnStale::Block;
    let mut state = case.heard().activated(&case.asked);
    // It signs the same old news for as long as it likes: an `asof` that was seen extends nothing, and a
    // later one would have to be a lie that the root's own limit cuts short.
    for step in 1..=20 {
        let mut again = case.clone();
        again.state = state;
        again.later(step * 60_000);
        let (after, _) = again.play(&Strict);
        state = after;
    }
    let mut late = case.now;
    late.mono_ms += u64::from(case.lease_ms) - 1;
    assert!(matches!(state.start(&case.asked, late), Start::Run { .. }));
    late.mono_ms += 1;
    assert_eq!(state.start(&case.asked, late), Start::Stale);
}
