//! Every case of these tests as a document, so that a verifier in another language can be held against the
//! same ones: what a device knew, what came, and what this verifier made of it.

use serde_json::{Value, json};

use super::{
    attacks, keyrings,
    world::{ASOF_MS, Case, POLICY, RELEASE, archive, key, keyring, policy, signed},
};
use crate::{
    bucket,
    digest::Digest,
    envelope::{self, Kind},
    judge::Strict,
    key::Signer as _,
    keyring::{Guard, Keyring, Trust},
    manifest::{self, OnStale},
    paper::PaperError,
    revision::Revision,
    seal::{self, Stamp},
    time::Timestamp,
    verify::{KillsAnswer, Need, Now, Start, State, Verdict},
};

const COMMITTED: &str = include_str!("../../../../tests/vectors/verify.json");

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap()
}

fn vector(name: &str, case: &Case) -> Value {
    let challenge = case.challenge.map(|challenge| {
        json!({ "nonce": data_encoding::HEXLOWER.encode(&challenge.nonce), "request": challenge.request })
    });
    let (_, verdict) = case.play(&Strict);
    let verdict = match verdict {
        Verdict::Run(run) => json!({ "run": run.permissions }),
        Verdict::Stop => json!("stop"),
        Verdict::Nothing => json!("nothing"),
        Verdict::Doubted(doubt) => json!({ "doubted": doubt.code() }),
        Verdict::Needs(Need::Keyring(_)) => json!({ "needs": "keyring" }),
        other => panic!("{name}: {other:?}"),
    };
    json!({
        "name": name,
        "state": case.state,
        "bearer": {
            "unit": case.unit,
            "platform": case.platform,
            "host": case.bearer().host,
            "host_version": case.host_version,
        },
        "now": case.now,
        "app": case.asked,
        "stamp": case.header(),
        "body": case.sends_body.then(|| text(case.body_bytes())),
        "challenge": challenge,
        "release": text(case.release_bytes()),
        "policy": text(case.policy_bytes()),
        "verdict": verdict,
    })
}

/// A test device, a developer's device, a lagging node, two histories, a careless keyring.
fn trials() -> Vec<Value> {
    let mut tried = Case::honest();
    tried.on_trial();
    tried.test_device();
    let mut dev = Case::honest();
    let mut ring = keyring();
    ring.trust = Trust::Dev;
    dev.state = State::new(ring, Guard::Development, Timestamp::from_unix_ms(ASOF_MS));
    (dev.release_named, dev.policy_named) = (Some(None), None);
    let heard = Case::next(Case::honest().state, 9).heard();
    let mut beside = Case::next(heard.clone(), 9);
    beside.manifest.force = true;
    beside.asof_ms += 5;
    let mut late_kill = Case::next(heard.clone().activated(&beside.asked), 9);
    late_kill.manifest.state = manifest::State::Killed;
    late_kill.asof_ms -= 5;
    let mut behind = Case::honest();
    behind.manifest.binding.keyring = Some(1_000);
    let mut careless = Case::honest();
    let (ring, envelope) = attacks::careless(&careless);
    careless.state = State::new(ring, Guard::Production, Timestamp::from_unix_ms(ASOF_MS));
    let mut twice = vector("one key under two names", &careless);
    twice["release"] = json!(text(envelope));
    twice["verdict"] = json!({ "doubted": "paper" });
    vec![
        vector("a version on trial on a test device", &tried),
        vector("no papers between developers", &dev),
        vector("another answer of one revision, true later", &beside),
        vector("a kill of one revision, true earlier", &late_kill),
        vector("a thousand keyrings behind", &behind),
        twice,
    ]
}

/// Chains, honest and not.
fn of_keyrings() -> Vec<Value> {
    let follow = |name: &str, known: &Keyring, envelope: Vec<u8>| {
        let born = Timestamp::from_unix_ms(ASOF_MS);
        let state = State::new(known.clone(), Guard::Production, born);
        let (_, followed) = state.clone().follow(&envelope);
        let verdict = match followed {
            Ok(version) => json!({ "followed": version }),
            Err(error) => json!({ "refused": match error {
                PaperError::Threshold { .. } => "threshold",
                PaperError::Audience { .. } => "audience",
                PaperError::Sequence { .. } => "sequence",
                PaperError::Trust { .. } => "trust",
                PaperError::Epoch { .. } => "epoch",
                _ => "form",
            } }),
        };
        let envelope = String::from_utf8_lossy(&envelope).into_owned();
        json!({ "kind": "follow", "name": name, "state": state, "envelope": envelope, "verdict": verdict })
    };
    let mut all: Vec<Value> = (1..12)
        .map(|version| {
            let name = format!("from keyring {version} to the next");
            follow(
                &name,
                &keyrings::link(version),
                keyrings::linked(version + 1),
            )
        })
        .collect();
    let first = keyrings::link(1);
    all.push(follow("one left out", &first, keyrings::linked(3)));
    all.push(follow("the same again", &first, keyrings::linked(1)));
    for (name, envelope) in keyrings::bad() {
        all.push(follow(name, &keyring(), envelope));
    }
    all
}

/// Lists of kills, heard by a device on which the app runs.
fn of_kills() -> Vec<Value> {
    let case = Case::honest();
    let running = case.heard().activated(&case.asked);
    let hear = |name: &str, state: &State, (stamp, body): (String, Vec<u8>)| {
        let answer = KillsAnswer {
            stamp: &stamp,
            body: &body,
        };
        let (after, verdict) = state.clone().hear_kills(&answer, case.now);
        let verdict = match verdict {
            Verdict::Stop => json!("stop"),
            Verdict::Noted => json!("noted"),
            Verdict::Doubted(doubt) => json!({ "doubted": doubt.code() }),
            other => panic!("{name}: {other:?}"),
        };
        let vector = json!({
            "kind": "kills", "name": name, "state": state, "now": case.now,
            "stamp": stamp, "body": text(body), "verdict": verdict,
        });
        (vector, after)
    };
    let later = ASOF_MS + 500;
    let kill = || attacks::kills(9, later, vec![attacks::killed(archive("travel 2.1.0"))]);
    let other = attacks::kills(9, later, vec![attacks::killed(archive("travel 1.0.0"))]);
    let (stamp, _) = kill();
    let (_, empty) = attacks::kills(9, later, Vec::new());
    let (first, after) = hear("a list that stops what runs", &running, kill());
    let taken = attacks::taking_back(9, later, "pingan/travel", "camera");
    let mut all = vec![first];
    for (name, state, list) in [
        ("a list that stops something else", &running, other),
        ("a list that takes a permission back", &running, taken),
        (
            "an older list, replayed",
            &after,
            attacks::kills(8, later + 100, Vec::new()),
        ),
        (
            "another list of the same revision",
            &after,
            attacks::kills(9, later + 100, Vec::new()),
        ),
        (
            "the stamp of one list under another",
            &running,
            (stamp, empty),
        ),
        (
            "a list held back",
            &running,
            attacks::kills(9, ASOF_MS - 400_000, Vec::new()),
        ),
        (
            "an app's answer as a list",
            &running,
            (case.header(), case.body_bytes()),
        ),
    ] {
        all.push(hear(name, state, list).0);
    }
    all
}

/// What may be started without asking anybody.
fn starts() -> Vec<Value> {
    let free = Case::honest();
    let mut block = Case::honest();
    block.policy.on_stale = OnStale::Block;
    block.policy.stale_grace_s = 60;
    let (runs, blocks) = (
        free.heard().activated(&free.asked),
        block.heard().activated(&block.asked),
    );
    let mut kill = Case::next(runs.clone(), 8);
    kill.manifest.state = manifest::State::Killed;
    let mut last = policy();
    (last.version, last.floor_seq) = (4, 9);
    let (floor, _) = (runs.clone()).hear_policy(&free.asked, &signed(&last, &POLICY));
    let (stamp, body) = attacks::taking_back(9, ASOF_MS + 500, "pingan/travel", "camera");
    let list = KillsAnswer {
        stamp: &stamp,
        body: &body,
    };
    let (less, _) = runs.clone().hear_kills(&list, free.now);
    let at = |mono_ms: u64, boot: u64, wall_ms: i64| {
        let wall = (ASOF_MS + 1_000).saturating_add_signed(wall_ms);
        Now {
            wall: Timestamp::from_unix_ms(wall),
            mono_ms: free.now.mono_ms + mono_ms,
            boot,
        }
    };
    let day = 86_400_000;
    let cases = [
        ("nothing is installed", &free.state, at(0, 1, 0)),
        ("at once", &blocks, at(0, 1, 0)),
        (
            "in the last millisecond of the lease",
            &blocks,
            at(599_999, 1, 0),
        ),
        ("in the grace after it", &blocks, at(600_000, 1, 0)),
        ("after the grace", &blocks, at(660_000, 1, 0)),
        (
            "after the grace, with the clock set back",
            &blocks,
            at(660_000, 1, -day),
        ),
        (
            "within it, with the clock set forward",
            &blocks,
            at(10, 1, day),
        ),
        ("after a restart, by the clock", &blocks, at(0, 2, 10_000)),
        ("after a restart, too late", &blocks, at(0, 2, 700_000)),
        (
            "after a restart, with the clock set back",
            &blocks,
            at(0, 2, -day),
        ),
        (
            "long after, where it may go on",
            &runs,
            at(6_000_000_000, 1, 0),
        ),
        ("after a kill", &kill.heard(), at(0, 1, 0)),
        ("below a floor that was raised", &floor, at(0, 1, 0)),
        ("without what was taken back", &less, at(0, 1, 0)),
    ];
    let start = |(name, state, now): (&str, &State, Now)| {
        let verdict = match state.start(&free.asked, now) {
            Start::Run {
                permissions,
                is_fresh,
                ..
            } => json!({ "start": permissions, "fresh": is_fresh }),
            Start::Nothing => json!("nothing"),
            Start::Stale => json!("stale"),
            Start::Forbidden => json!("forbidden"),
        };
        json!({ "kind": "start", "name": name, "state": state, "app": free.asked, "now": now, "verdict": verdict })
    };
    cases.into_iter().map(start).collect()
}

/// The stamp of the documents, and what is hashed of texts.
fn encodings() -> Vec<Value> {
    let key = key(7);
    let body =
        r#"{"v":1,"aud":"bank/prod","app":"loan","rev":42,"state":"killed","reason":"R-17"}"#;
    let stamp = Stamp {
        revision: Revision::new(42),
        asof: Timestamp::from_unix_ms(1_767_225_600_000),
        lease_ms: 60_000,
        body_len: 80,
        body: Digest::of(body.as_bytes()),
        scope: seal::scope("bank/prod", "loan"),
        challenge: false,
    };
    let signed = envelope::pae(seal::STAMP_TYPE, &stamp.encode());
    let mut all = vec![json!({
        "kind": "stamp", "name": "the stamp of the documents", "aud": "bank/prod", "app": "loan",
        "pub": key.public_key().to_hex(), "body": body, "stamp": stamp.sign(&key),
        "verdict": {
            "kid": key.public_key().id(), "pae": Digest::of(&signed), "rev": 42,
            "asof": 1_767_225_600_000_u64, "lease": 60_000,
        },
    })];
    let units = [
        "",
        "a",
        "ab",
        "abc",
        "abcd",
        "abcde",
        "d-1042",
        "用户一",
        "é",
        "cust-00000001",
    ];
    for (at, unit) in units.into_iter().enumerate() {
        for salt in ["g", "travel.main", "灰度"] {
            let kind = [Kind::Keyring, Kind::Release, Kind::Policy][at % 3];
            let total = [1, 2, 10_000][at % 3];
            all.push(json!({
                "kind": "encoding", "name": format!("`{salt}` and `{unit}`"), "salt": salt, "unit": unit,
                "total": total, "type": kind.media_type(), "payload": unit,
                "verdict": {
                    "pae": Digest::of(&envelope::pae(kind.media_type(), unit.as_bytes())),
                    "position": bucket::position_hash(salt, unit),
                    "fine": bucket::fine(salt, unit).get(),
                    "ticket": bucket::ticket(salt, unit, total),
                },
            }));
        }
    }
    all
}

fn vectors() -> String {
    let mut all = vec![vector("everything as it should be", &Case::honest())];
    let mut state = Case::honest().heard().activated(&Case::honest().asked);
    let mut again = Case::next(state.clone(), 7);
    again.sends_body = false;
    all.push(vector("nothing new", &again));
    let mut kill = Case::next(state.clone(), 8);
    kill.manifest.state = manifest::State::Killed;
    all.push(vector("a kill of everything", &kill));
    state = kill.heard();
    all.push(vector(
        "back again at a later revision",
        &Case::next(state, 9),
    ));
    let mut none = Case::honest();
    none.manifest.state = manifest::State::None;
    all.push(vector("nothing to offer", &none));
    for who in [&RELEASE[..2], &RELEASE[1..], &RELEASE, &RELEASE[..1], &[]] {
        let mut case = Case::honest();
        case.release_by = who.to_vec();
        all.push(vector(&format!("a record signed by {who:?}"), &case));
    }
    for (name, case) in attacks::cases() {
        all.push(vector(name, &case));
    }
    all.extend(trials());
    all.extend(of_keyrings());
    all.extend(of_kills());
    all.extend(starts());
    all.extend(encodings());
    let lines: Vec<String> = all.iter().map(ToString::to_string).collect();
    format!("[\n{}\n]\n", lines.join(",\n"))
}

#[test]
fn the_committed_vectors_are_those_of_these_tests() {
    let vectors = vectors();
    if vectors != COMMITTED {
        // The core writes no files, not even here: `make bless` takes them from standard output.
        println!("{vectors}");
        panic!(
            "tests/vectors/verify.json has drifted; run `make bless` and look at the difference"
        );
    }
}
