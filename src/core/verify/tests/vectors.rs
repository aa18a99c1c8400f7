//! Every case of these tests as a document, so that a verifier in another language can be held against the
//! same ones: what a device knew, what came, and what this verifier made of it.

use serde_json::{Value, json};

use super::{
    attacks,
    world::{Case, RELEASE},
};
use crate::{judge::Strict, manifest, verify::Verdict};

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
