//! Every byte of everything that reaches a device, changed in every bit: nothing of it runs.

use super::world::Case;
use crate::{judge::Strict, verify::Verdict};

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
