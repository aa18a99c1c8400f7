//! Every byte of everything that reaches a device, changed in every bit: nothing of it runs.

use super::{
    attacks::{killed, kills},
    world::{ASOF_MS, Case, ROOT, archive, keyring, signed},
};
use crate::{
    digest::Digest,
    judge::Strict,
    verify::{Challenge, KillsAnswer, Verdict},
};

/// How many changed copies of `bytes` still run.
fn accepted(bytes: &[u8], runs: impl Fn(&[u8]) -> bool) -> (usize, Vec<String>) {
    let mut accepted = Vec::new();
    assert!(runs(bytes), "unchanged it runs");
    for at in 0..bytes.len() {
        for bit in 0..8 {
            let mut changed = bytes.to_vec();
            changed[at] ^= 1 << bit;
            if runs(&changed) {
                accepted.push(format!("byte {at} bit {bit}"));
            }
        }
    }
    (bytes.len() * 8, accepted)
}

#[test]
fn no_changed_bit_of_an_answer_runs() {
    let case = Case::honest();
    let (header, body) = (case.header(), case.body_bytes());
    let (release, policy) = (case.release_bytes(), case.policy_bytes());
    let hear = |header: &[u8], body: &[u8], release: &[u8], policy: &[u8]| {
        let Ok(header) = std::str::from_utf8(header) else {
            return false;
        };
        let verdict = case.hear(&Strict, header, body, release, policy).1;
        matches!(verdict, Verdict::Run(_))
    };
    let mut all = 0;
    for (name, (tried, accepted)) in [
        (
            "stamp",
            accepted(header.as_bytes(), |one| hear(one, &body, &release, &policy)),
        ),
        (
            "body",
            accepted(&body, |one| hear(header.as_bytes(), one, &release, &policy)),
        ),
        (
            "release record",
            accepted(&release, |one| hear(header.as_bytes(), &body, one, &policy)),
        ),
        (
            "policy",
            accepted(&policy, |one| hear(header.as_bytes(), &body, &release, one)),
        ),
    ] {
        assert_eq!(accepted, Vec::<String>::new(), "{name}");
        println!("{name}: {tried} changed bits, accepted: 0");
        all += tried;
    }
    println!("changed bits tried: {all}, accepted: 0");
}

/// Two guises that an answer may come in besides: nothing new, and an answer to one request alone.
#[test]
fn no_changed_bit_of_a_304_or_of_an_answer_to_a_challenge_runs() {
    let mut unchanged = Case::honest();
    unchanged.state = Case::honest().heard();
    unchanged.sends_body = false;
    let mut challenged = Case::honest();
    challenged.is_challenge = true;
    challenged.challenge = Some(Challenge {
        nonce: [9; 32],
        request: Digest::of(b"GET"),
    });
    let mut all = 0;
    for (name, case) in [("304", &unchanged), ("challenge", &challenged)] {
        let (header, body) = (case.header(), case.body_bytes());
        let (release, policy) = (case.release_bytes(), case.policy_bytes());
        let hear = |header: &[u8], body: &[u8]| {
            let Ok(header) = std::str::from_utf8(header) else {
                return false;
            };
            let verdict = case.hear(&Strict, header, body, &release, &policy).1;
            matches!(verdict, Verdict::Run(_))
        };
        let (tried, found) = accepted(header.as_bytes(), |one| hear(one, &body));
        assert_eq!(found, Vec::<String>::new(), "{name}");
        all += tried;
        if case.sends_body {
            let (tried, found) = accepted(&body, |one| hear(header.as_bytes(), one));
            assert_eq!(found, Vec::<String>::new(), "{name}");
            all += tried;
        }
        let asked = case
            .challenge
            .map(|asked| [&asked.nonce[..], asked.request.as_bytes()].concat());
        if let Some(asked) = asked {
            let (tried, found) = accepted(&asked, |one| {
                let mut other = case.clone();
                other.challenge = Some(Challenge {
                    nonce: one[..32].try_into().unwrap(),
                    request: Digest::from_bytes(one[32..].try_into().unwrap()),
                });
                let heard = other.hear(&Strict, &header, &body, &release, &policy).1;
                matches!(heard, Verdict::Run(_))
            });
            assert_eq!(found, Vec::<String>::new(), "{name}");
            all += tried;
        }
    }
    println!("changed bits of a 304 and of an answer to a challenge: {all}, accepted: 0");
}

#[test]
fn no_changed_bit_of_a_keyring_is_followed() {
    let mut next = keyring();
    next.version = 2;
    let envelope = signed(&next, &ROOT[..2]);
    let (tried, found) = accepted(&envelope, |one| keyring().follow(one).is_ok());
    assert_eq!(found, Vec::<String>::new());
    println!("changed bits of a keyring: {tried}, accepted: 0");
}

#[test]
fn no_changed_bit_of_a_list_of_kills_is_noted() {
    let known = Case::honest().heard().activated(&Case::honest().asked);
    let now = Case::honest().now;
    let (stamp, body) = kills(9, ASOF_MS + 500, vec![killed(archive("travel 2.1.0"))]);
    let hear = |stamp: &[u8], body: &[u8]| {
        let Ok(stamp) = std::str::from_utf8(stamp) else {
            return false;
        };
        let (after, verdict) = known.clone().hear_kills(&KillsAnswer { stamp, body }, now);
        assert!(
            matches!(verdict, Verdict::Stop | Verdict::Doubted(_)),
            "{verdict:?}"
        );
        assert!(matches!(verdict, Verdict::Stop) || after == known);
        matches!(verdict, Verdict::Stop)
    };
    let (stamps, found) = accepted(stamp.as_bytes(), |one| hear(one, &body));
    assert_eq!(found, Vec::<String>::new(), "stamp");
    let (bodies, found) = accepted(&body, |one| hear(stamp.as_bytes(), one));
    assert_eq!(found, Vec::<String>::new(), "body");
    println!(
        "changed bits of a list of kills: {}, accepted: 0",
        stamps + bodies
    );
}

#[test]
fn the_same_search_finds_a_verifier_that_does_not_look_at_the_body() {
    use super::world::Blind;
    use crate::judge::Check;

    let case = Case::honest();
    let (header, body) = (case.header(), case.body_bytes());
    let (release, policy) = (case.release_bytes(), case.policy_bytes());
    let (_, found) = accepted(&body, |one| {
        let verdict = case
            .hear(&Blind(Check::Body), &header, one, &release, &policy)
            .1;
        matches!(verdict, Verdict::Run(_))
    });
    assert!(!found.is_empty());
}
