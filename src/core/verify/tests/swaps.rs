//! Every field of everything that reaches a device, taken from honest things of other apps, installations,
//! epochs and revisions: each part is signed by those who may, and no mixture of them runs.
//!
//! A mixture is the honest case with one part, or two, replaced. Of the document parts each single field is
//! taken from its counterpart elsewhere and signed anew by whoever signs such documents there: that is what
//! somebody can do who may sign for another app or another installation, and for this one must not.

use serde_json::Value;

use super::world::{AUD, Blind, Case, ONLINE, app, archive, key, keyring, with_role};
use crate::{
    envelope::{Envelope, Kind},
    judge::{Check, Judge, Strict},
    keyring::Role,
    revision::Revision,
    seal::Stamp,
    time::Timestamp,
    verify::{Answer, Papers, State, Verdict},
};

/// Everything one poll brings, each part as bytes.
#[derive(Clone)]
struct Parts {
    header: String,
    body: Vec<u8>,
    release: Vec<u8>,
    policy: Vec<u8>,
}

fn parts(case: &Case) -> Parts {
    Parts {
        header: case.header(),
        body: case.body_bytes(),
        release: case.release_bytes(),
        policy: case.policy_bytes(),
    }
}

/// Something honest elsewhere.
type Elsewhere = fn(&mut Case);

/// Other places and times. At each everything is as it should be.
const ELSEWHERE: [(&str, Elsewhere); 9] = [
    ("another app", |case| {
        case.asked = app("pingan/pay");
        case.manifest.app = app("pingan/pay");
        case.release.app = app("pingan/pay");
        case.policy.app = app("pingan/pay");
        case.release.bundle.sha256 = archive("pay 2.1.0");
        case.manifest.bundle.as_mut().unwrap().sha256 = archive("pay 2.1.0");
        case.policy.max_permissions = permissions(&["camera", "contacts", "location", "payments"]);
        case.release.permissions = permissions(&["camera", "contacts", "payments"]);
        case.manifest.permissions = permissions(&["camera", "payments"]);
        case.policy.version = 9;
        case.policy_named = Some(9);
        case.release.seq = 50;
        case.policy.floor_seq = 0;
    }),
    ("another tenant", |case| {
        case.asked = app("icbc/travel");
        case.manifest.app = app("icbc/travel");
        case.release.app = app("icbc/travel");
        case.policy.app = app("icbc/travel");
        case.release.bundle.sha256 = archive("icbc 2.1.0");
        case.manifest.bundle.as_mut().unwrap().sha256 = archive("icbc 2.1.0");
    }),
    ("another installation", |case| {
        case.manifest.aud = "bank/test".into();
        case.release.aud = "bank/test".into();
        case.policy.aud = "bank/test".into();
        case.scope = Some(crate::seal::scope("bank/test", case.asked.as_str()));
        case.release.bundle.sha256 = archive("untested");
        case.manifest.bundle.as_mut().unwrap().sha256 = archive("untested");
        case.release.permissions = permissions(&["camera", "contacts", "location"]);
        case.manifest.permissions = permissions(&["camera", "contacts"]);
    }),
    ("the epoch before", |case| {
        case.stamped_by = vec![32];
        case.at_rev(6);
    }),
    ("the revision before", |case| {
        case.at_rev(6);
        case.asof_ms -= 1_000;
        case.release.version = "2.0.0".parse().unwrap();
        case.manifest.version = Some("2.0.0".parse().unwrap());
        case.release.bundle.sha256 = archive("travel 2.0.0");
        case.manifest.bundle.as_mut().unwrap().sha256 = archive("travel 2.0.0");
        case.release.seq = 4;
    }),
    ("a release below the floor", |case| {
        case.at_rev(3);
        case.asof_ms -= 3_000;
        case.release.version = "1.0.0".parse().unwrap();
        case.manifest.version = Some("1.0.0".parse().unwrap());
        case.release.bundle.sha256 = archive("travel 1.0.0");
        case.manifest.bundle.as_mut().unwrap().sha256 = archive("travel 1.0.0");
        case.release.seq = 1;
        case.policy.version = 1;
        case.policy_named = Some(1);
        case.policy.floor_seq = 0;
    }),
    ("a release that was taken back", |case| {
        case.at_rev(4);
        case.asof_ms -= 2_000;
        case.release.version = "1.9.0".parse().unwrap();
        case.manifest.version = Some("1.9.0".parse().unwrap());
        case.release.bundle.sha256 = archive("travel 1.9.0");
        case.manifest.bundle.as_mut().unwrap().sha256 = archive("travel 1.9.0");
        case.policy.version = 2;
        case.policy_named = Some(2);
        case.policy.revoked = Vec::new();
    }),
    ("another platform", |case| {
        case.platform = "harmony";
        case.release.platforms = vec!["harmony".parse().unwrap()];
        case.release.version = "2.1.1".parse().unwrap();
        case.manifest.version = Some("2.1.1".parse().unwrap());
        case.release.bundle.sha256 = archive("travel for harmony");
        case.manifest.bundle.as_mut().unwrap().sha256 = archive("travel for harmony");
        case.release.seq = 6;
    }),
    ("the answer to a challenge", |case| {
        case.is_challenge = true;
        case.challenge = Some(crate::verify::Challenge {
            nonce: [9; 32],
            request: crate::digest::Digest::of(b"GET"),
        });
        case.release.seq = 7;
        case.release.version = "2.2.0".parse().unwrap();
        case.manifest.version = Some("2.2.0".parse().unwrap());
        case.release.bundle.sha256 = archive("travel 2.2.0");
        case.manifest.bundle.as_mut().unwrap().sha256 = archive("travel 2.2.0");
    }),
];

fn permissions(names: &[&str]) -> Vec<crate::name::Permission> {
    names.iter().map(|name| name.parse().unwrap()).collect()
}

/// Honest cases: here, and everywhere else. Key 32 was the online key of the epoch before.
fn world() -> (Case, Vec<(&'static str, Case)>) {
    let elsewhere = ELSEWHERE.iter().map(|(name, there)| {
        let mut case = Case::honest();
        there(&mut case);
        (*name, case)
    });
    (Case::honest(), elsewhere.collect())
}

/// What a device of here that asked here makes of them.
struct Device {
    case: Case,
}

/// What may run, and with no more than which permissions.
struct Allowed {
    bundles: Vec<crate::digest::Digest>,
    permissions: Vec<crate::name::Permission>,
}

impl Device {
    /// It has heard revision 7 already, so that what is older is older.
    fn new(honest: &Case) -> Self {
        let mut case = honest.clone();
        case.state = honest.heard();
        Self { case }
    }

    /// True when something runs that nobody signed for here.
    fn is_fooled(
        &self,
        judge: &impl Judge,
        parts: &Parts,
        state: &State,
        allowed: &Allowed,
    ) -> bool {
        let case = &self.case;
        let answer = Answer {
            app: &case.asked,
            stamp: &parts.header,
            body: Some(&parts.body),
            challenge: None,
        };
        let papers = Papers {
            release: Some(&parts.release),
            policy: Some(&parts.policy),
        };
        let known = state.clone();
        let (after, verdict) = known.hear_with(judge, &case.bearer(), &answer, &papers, case.now);
        match verdict {
            Verdict::Run(run) => {
                let bundle = run.manifest.bundle.as_ref().map(|bundle| bundle.sha256);
                let named = bundle.is_some_and(|bundle| allowed.bundles.contains(&bundle));
                let here = run.manifest.aud == AUD && run.manifest.app == self.case.asked;
                let within = (run.permissions.iter()).all(|one| allowed.permissions.contains(one));
                !named || !here || !within
            }
            Verdict::Doubted(_) => after.floor() != state.floor(),
            _ => false,
        }
    }
}

/// Every place in a document: what to go through to get there.
fn places(document: &Value, at: &[String], all: &mut Vec<Vec<String>>) {
    if !at.is_empty() {
        all.push(at.to_vec());
    }
    if let Value::Object(fields) = document {
        for (name, inner) in fields {
            places(inner, &[at, std::slice::from_ref(name)].concat(), all);
        }
    }
}

fn get<'a>(document: &'a Value, place: &[String]) -> Option<&'a Value> {
    place
        .iter()
        .try_fold(document, |inner, name| inner.get(name))
}

fn set(document: &mut Value, place: &[String], value: Option<&Value>) {
    let Some((last, way)) = place.split_last() else {
        return;
    };
    let inner = way
        .iter()
        .try_fold(document, |inner, name| inner.get_mut(name));
    if let Some(Value::Object(fields)) = inner {
        match value {
            Some(value) => drop(fields.insert(last.clone(), value.clone())),
            None => drop(fields.remove(last)),
        }
    }
}

/// `document` with every field, and every two, as they are in `other`, or gone.
fn with_fields_of(document: &Value, other: &Value) -> Vec<Value> {
    let mut all = Vec::new();
    places(document, &[], &mut all);
    places(other, &[], &mut all);
    all.sort();
    all.dedup();
    all.retain(|place| get(document, place) != get(other, place));
    let mut mixed = Vec::new();
    for (at, first) in all.iter().enumerate() {
        let mut one = document.clone();
        set(&mut one, first, get(other, first));
        for second in &all[at + 1..] {
            let mut two = one.clone();
            set(&mut two, second, get(other, second));
            mixed.push(two);
        }
        mixed.push(one);
    }
    mixed
}

fn document(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap()
}

fn payload(envelope: &[u8]) -> Value {
    document(Envelope::parse(envelope).unwrap().payload())
}

/// `payload` in the envelope of `kind`, with the signatures that `from` carries over its own.
fn under(kind: Kind, payload: &Value, from: &[u8]) -> Vec<u8> {
    let mut envelope = Envelope::new(kind, payload.to_string().into_bytes());
    envelope.join(Envelope::parse(from).unwrap().signatures());
    envelope.to_bytes()
}

/// The stamps that can be made of two honest ones: each field of one with those of the other, under either's
/// signatures. Whoever has no key cannot sign a mixture.
fn stamps(here: &str, there: &str) -> Vec<String> {
    const FIELDS: [(usize, usize); 9] = [
        (0, 4),
        (4, 5),
        (5, 8),
        (8, 16),
        (16, 24),
        (24, 28),
        (28, 32),
        (32, 64),
        (64, 96),
    ];
    let raw = |header: &str| {
        let part = header.split('.').nth(2).unwrap();
        data_encoding::BASE64URL_NOPAD
            .decode(part.as_bytes())
            .unwrap()
    };
    let (ours, theirs) = (raw(here), raw(there));
    let mut all = Vec::new();
    for chosen in 0..1_u32 << FIELDS.len() {
        let mut mixed = ours.clone();
        for (_, (from, to)) in FIELDS
            .iter()
            .enumerate()
            .filter(|(at, _)| chosen & 1 << at != 0)
        {
            mixed[*from..*to].copy_from_slice(&theirs[*from..*to]);
        }
        for signed in [here, there] {
            let mut fields: Vec<&str> = signed.split('.').collect();
            let text = data_encoding::BASE64URL_NOPAD.encode(&mixed);
            fields[2] = &text;
            all.push(fields.join("."));
        }
    }
    all.sort();
    all.dedup();
    all
}

/// Every mixture of here and `there`.
fn mixtures(here: &Parts, there: &Parts, bodies: &[Vec<u8>]) -> Vec<Parts> {
    let mut all = Vec::new();
    // Whole parts, in every combination.
    for chosen in 1..16_u32 {
        let pick = |at: u32| if chosen & 1 << at == 0 { here } else { there };
        all.push(Parts {
            header: pick(0).header.clone(),
            body: pick(1).body.clone(),
            release: pick(2).release.clone(),
            policy: pick(3).policy.clone(),
        });
    }
    // Single fields of a stamp, with the body of anywhere.
    for header in stamps(&here.header, &there.header) {
        for body in bodies {
            for papers in [here, there] {
                let (header, body) = (header.clone(), body.clone());
                all.push(Parts {
                    header,
                    body,
                    ..papers.clone()
                });
            }
        }
    }
    // Single fields of the body, under either stamp and with either papers.
    let mixed = with_fields_of(&document(&here.body), &document(&there.body));
    for body in mixed.iter().map(|body| body.to_string().into_bytes()) {
        for (stamped, papers) in [(here, here), (here, there), (there, here), (there, there)] {
            let (header, body) = (stamped.header.clone(), body.clone());
            all.push(Parts {
                header,
                body,
                ..papers.clone()
            });
        }
    }
    // Single fields of a paper, under the signatures of either, where it is asked for again.
    let (ours, theirs) = (payload(&here.release), payload(&there.release));
    for mixed in with_fields_of(&ours, &theirs) {
        for from in [&here.release, &there.release] {
            for answer in [here, there] {
                let release = under(Kind::Release, &mixed, from);
                all.push(Parts {
                    release,
                    ..answer.clone()
                });
            }
        }
    }
    let (ours, theirs) = (payload(&here.policy), payload(&there.policy));
    for mixed in with_fields_of(&ours, &theirs) {
        for from in [&here.policy, &there.policy] {
            for answer in [here, there] {
                let policy = under(Kind::Policy, &mixed, from);
                all.push(Parts {
                    policy,
                    ..answer.clone()
                });
            }
        }
    }
    all
}

/// Answers of whoever holds the online key of here and may name whatever was signed anywhere: each field of
/// the body of any two places, signed anew.
fn resigned(here: &Case, one: &Case, other: &Case) -> Vec<(String, Vec<u8>)> {
    let bodies = with_fields_of(&document(&one.body_bytes()), &document(&other.body_bytes()));
    let stamp = |body: &Value| {
        let bytes = body.to_string().into_bytes();
        let rev = body.get("rev").and_then(Value::as_u64).unwrap_or(0).max(8);
        let stamp = Stamp {
            revision: Revision::new(rev),
            asof: Timestamp::from_unix_ms(here.asof_ms + 500),
            lease_ms: here.lease_ms,
            body_len: u32::try_from(bytes.len()).unwrap(),
            body: crate::digest::Digest::of(&bytes),
            scope: crate::seal::scope(AUD, here.asked.as_str()),
            challenge: false,
        };
        (stamp.sign(&key(ONLINE[0])), bytes)
    };
    let mut all: Vec<_> = bodies.iter().map(stamp).collect();
    for mut body in bodies {
        // And as of the next revision, which is not refused for its age.
        set(&mut body, &["rev".into()], Some(&8.into()));
        all.push(stamp(&body));
    }
    all
}

/// How many mixtures were tried, and the first `most` of those that were believed.
fn search(judge: &impl Judge, most: usize) -> (usize, Vec<String>) {
    let (honest, elsewhere) = world();
    let device = Device::new(&honest);
    let here = parts(&honest);
    let heard = std::slice::from_ref(&device.case.state);
    // A device that never heard anything believes what was honest here a moment ago, so of mixtures with that
    // it is no judge.
    let either = [honest.state.clone(), device.case.state.clone()];
    let (mut tried, mut fooled) = (0, Vec::new());
    let mut look = |name: &str, mixed: &Parts, states: &[State], allowed: &Allowed| {
        for state in states {
            tried += 1;
            if device.is_fooled(judge, mixed, state, allowed) {
                fooled.push(name.to_owned());
            }
        }
        fooled.len() < most
    };
    let alone = Allowed {
        bundles: vec![archive("travel 2.1.0")],
        permissions: honest.manifest.permissions.clone(),
    };
    let all: Vec<_> = (elsewhere.iter().cloned())
        .chain([("here", honest.clone())])
        .map(|(name, case)| {
            // What was honest here before is that only for whoever heard nothing since.
            let before = case.manifest.rev.get() < 7 && case.stamped_by == ONLINE;
            (name, parts(&case), before)
        })
        .collect();
    let bodies: Vec<_> = all.iter().map(|(_, parts, _)| parts.body.clone()).collect();
    for (name, one, before) in &all {
        for (beside, other, too) in &all {
            let states = if *before || *too { heard } else { &either[..] };
            if name != beside {
                for mixed in mixtures(one, other, &bodies) {
                    if !look(name, &mixed, states, &alone) {
                        return (tried, fooled);
                    }
                }
            }
        }
    }
    // Whoever has the online key chooses among what was signed for here: that much it may.
    let chosen = Allowed {
        bundles: ["travel 2.1.0", "travel 2.0.0", "travel 2.2.0"]
            .map(archive)
            .into(),
        permissions: honest.release.permissions.clone(),
    };
    for (name, one) in &elsewhere {
        for (beside, other) in elsewhere.iter().chain([&("here", honest.clone())]) {
            if name == beside {
                continue;
            }
            let papers = [parts(one), parts(other), here.clone()];
            for (header, body) in resigned(&honest, one, other) {
                for (records, policies) in [(0, 0), (1, 1), (0, 2), (2, 0)] {
                    let (header, body) = (header.clone(), body.clone());
                    let release = papers[records].release.clone();
                    let policy = papers[policies].policy.clone();
                    let mixed = Parts {
                        header,
                        body,
                        release,
                        policy,
                    };
                    if !look(name, &mixed, heard, &chosen) {
                        return (tried, fooled);
                    }
                }
            }
        }
    }
    (tried, fooled)
}

#[test]
fn no_mixture_of_honest_things_runs_what_was_not_signed_for_here() {
    for (name, case) in world().1 {
        // Each is honest where it belongs; the world it belongs to has its own audience and online key.
        let mut there = case.clone();
        let mut ring = with_role(keyring(), Role::Online, 1, &case.stamped_by);
        ring.aud.clone_from(&case.manifest.aud);
        there.state = State::new(ring, crate::keyring::Guard::Production, Timestamp::EPOCH);
        let verdict = there.play(&Strict).1;
        assert!(matches!(verdict, Verdict::Run(_)), "{name}: {verdict:?}");
    }
    let (tried, fooled) = search(&Strict, 10);
    assert_eq!(fooled, Vec::<String>::new());
    println!("figure: swapped fields {tried} tried, accepted: 0");
    assert!(tried > 80_000, "{tried}");
}

#[test]
fn the_same_search_finds_verifiers_that_do_not_look() {
    for check in [Check::Bundle, Check::Body] {
        let (tried, fooled) = search(&Blind(check), 1);
        assert!(!fooled.is_empty(), "blind to {check:?}, {tried} tried");
    }
}
