//! The verifier on the honest case of the golden vectors, with parts of it replaced or changed: nothing but
//! the honest answer ever runs, a doubt teaches nothing, and what a device then knows is written and read back.
//!
//! The first byte says what the rest is: `h` a header, `b` a body, `r` a release record, `p` a policy, each
//! in place of the honest one; `n` a policy that came by itself, `y` a keyring; `k` a list of kills and its
//! stamp, `0x00` between; `m` changes of three bytes each (part, place, value); anything else all four parts
//! with `0x00` between.

use std::sync::LazyLock;

use huidu_core::{
    binding::Bearer,
    manifest::Manifest,
    name::{AppId, Permission},
    verify::{Answer, Doubt, KillsAnswer, Now, Papers, State, Verdict},
};
use serde::Deserialize;

const VECTORS: &str = include_str!("../../vectors/verify.json");

#[derive(Deserialize)]
struct Case {
    state: State,
    bearer: Named,
    now: Now,
    app: AppId,
    stamp: String,
    body: String,
    release: String,
    policy: String,
    verdict: Runs,
}

#[derive(Deserialize)]
struct Named {
    unit: String,
    platform: String,
    host: String,
    host_version: String,
}

#[derive(Deserialize)]
struct Runs {
    run: Vec<Permission>,
}

struct Honest {
    case: Case,
    manifest: Manifest,
}

static HONEST: LazyLock<Honest> = LazyLock::new(|| {
    let all: Vec<serde_json::Value> = serde_json::from_str(VECTORS).expect("golden");
    let case = serde_json::from_value(all[0].clone());
    let case: Case = case.expect("the first is the honest one");
    let manifest = serde_json::from_str(&case.body).expect("its body is a manifest");
    Honest { case, manifest }
});

/// The four parts of an answer.
type Parts = [Vec<u8>; 4];

pub fn run(data: &[u8]) {
    let case = &HONEST.case;
    let honest = [&case.stamp, &case.body, &case.release, &case.policy];
    let mut parts: Parts = honest.map(|part| part.as_bytes().to_vec());
    let Some((first, rest)) = data.split_first() else {
        return answer(&parts);
    };
    match first {
        b'h' => parts[0] = rest.to_vec(),
        b'b' => parts[1] = rest.to_vec(),
        b'r' => parts[2] = rest.to_vec(),
        b'p' => parts[3] = rest.to_vec(),
        b'n' => return policy(rest),
        b'y' => return keyring(rest),
        b'k' => return kills(rest),
        b'm' => {
            for change in rest.chunks_exact(3) {
                let part = &mut parts[usize::from(change[0]) % 4];
                // The place counts in whole parts of 256, so that three bytes reach everywhere.
                let at = usize::from(change[1]) * part.len() / 256 + usize::from(change[0] / 4);
                if let Some(byte) = part.get_mut(at) {
                    *byte = change[2];
                }
            }
        }
        _ => {
            for (part, given) in parts.iter_mut().zip(rest.split(|byte| *byte == 0)) {
                *part = given.to_vec();
            }
        }
    }
    answer(&parts);
}

/// What is known after it is what was known before, but for what was believed.
fn kept(before: &State, after: &State, doubted: bool) {
    assert_eq!(after.keyring(), before.keyring());
    assert!(after.floor() >= before.floor());
    if doubted {
        assert_eq!(after.floor(), before.floor(), "a doubt moved the clock");
    }
    let text = serde_json::to_string(after).expect("a state has a written form");
    let read: State = serde_json::from_str(&text).expect("a device reads what it wrote");
    assert_eq!(read, *after);
}

fn answer(parts: &Parts) {
    let Honest { case, manifest } = &*HONEST;
    let [stamp, body, release, policy] = parts;
    let Ok(stamp) = std::str::from_utf8(stamp) else {
        return;
    };
    let bearer = Bearer {
        unit: &case.bearer.unit,
        platform: &case.bearer.platform,
        host: &case.bearer.host,
        host_version: &case.bearer.host_version,
    };
    let answer = Answer {
        app: &case.app,
        stamp,
        body: Some(body),
        challenge: None,
    };
    let papers = Papers {
        release: Some(release),
        policy: Some(policy),
    };
    for papers in [Papers::default(), papers] {
        let (after, verdict) = case.state.clone().hear(&bearer, &answer, &papers, case.now);
        match &verdict {
            Verdict::Run(run) => {
                assert_eq!(run.manifest, *manifest, "a forged answer runs");
                assert_eq!(run.permissions, case.verdict.run);
            }
            Verdict::Doubted(doubt) => assert!(Doubt::ALL.contains(doubt)),
            Verdict::Needs(_) => {}
            other => panic!("nobody signed for {other:?}"),
        }
        kept(&case.state, &after, !matches!(verdict, Verdict::Run(_)));
        // Whatever was made of it, the same again makes the same of it.
        let (twice, again) = after.clone().hear(&bearer, &answer, &papers, case.now);
        let is_run = |verdict: &Verdict| matches!(verdict, Verdict::Run(_));
        assert_eq!(is_run(&verdict), is_run(&again));
        assert_eq!(twice.floor(), after.floor());
    }
}

fn policy(bytes: &[u8]) {
    let case = &HONEST.case;
    let (after, verdict) = case.state.clone().hear_policy(&case.app, bytes);
    kept(&case.state, &after, true);
    match verdict {
        Verdict::Doubted(_) => assert_eq!(after, case.state),
        Verdict::Noted => {
            let known = after.app(&case.app).and_then(|app| app.policy.as_ref());
            let address = |bytes: &[u8]| {
                let envelope = huidu_core::envelope::Envelope::parse(bytes);
                envelope.expect("it was read").address()
            };
            assert!(known.is_some());
            assert_eq!(address(bytes), address(case.policy.as_bytes()));
        }
        other => panic!("nobody signed for {other:?}"),
    }
}

fn keyring(bytes: &[u8]) {
    let case = &HONEST.case;
    let (after, followed) = case.state.clone().follow(bytes);
    match followed {
        Ok(version) => {
            assert_eq!(version, case.state.keyring().version + 1);
            assert_eq!(after.keyring().aud, case.state.keyring().aud);
        }
        Err(error) => {
            assert!(!error.to_string().is_empty());
            assert_eq!(after, case.state);
        }
    }
}

fn kills(bytes: &[u8]) {
    let case = &HONEST.case;
    let at = bytes.iter().position(|byte| *byte == 0);
    let (stamp, body) = bytes.split_at(at.unwrap_or(bytes.len()));
    let Ok(stamp) = std::str::from_utf8(stamp) else {
        return;
    };
    for stamp in [stamp, &case.stamp] {
        let answer = KillsAnswer {
            stamp,
            body: body.get(1..).unwrap_or_default(),
        };
        let (after, verdict) = case.state.clone().hear_kills(&answer, case.now);
        let is_open = matches!(verdict, Verdict::Doubted(_) | Verdict::Needs(_));
        assert!(is_open, "nobody signed for {verdict:?}");
        assert_eq!(after, case.state);
    }
}
