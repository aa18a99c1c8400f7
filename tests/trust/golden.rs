//! The golden ledgers: bytes that are in ledgers out there. Each of their records counts for ever, by the rules
//! of the day it was written, and leads to the same state.
//!
//! A test here that fails says that an update would make a bank's history void. Nothing in the files is changed,
//! ever: other rules get another number, and another file.

use bytes::Bytes;
use ed25519_dalek::SigningKey;
use huidu_core::{
    catalogue::Catalogue,
    digest::Digest,
    fingerprint::Fingerprints,
    record::{Found, GENESIS, Record},
    revision::Revision,
    rules::Rules,
    validity::{Verdict, judge},
};

use crate::{experiments, history, ramps, world::World};

/// The records of a world, chained, and signed where that is the form.
fn records(world: &World, rules: Rules) -> Vec<Bytes> {
    let key = SigningKey::from_bytes(&[41; 32]);
    let mut prev = GENESIS;
    let mut all = Vec::new();
    for (at, step) in world.log.iter().enumerate() {
        let ulid = format!("{:026}", at + 1);
        let record = Record {
            v: rules,
            rev: Revision::new(at as u64 + 1),
            prev,
            op: ulid.parse().unwrap(),
            ask: None,
            put: ulid.parse().unwrap(),
            node: "node-a".into(),
            at: step.at,
            actor: step.actor.clone(),
            approvals: Vec::new(),
            why: None,
            events: step.events.clone(),
            void: None,
            ck: None,
        };
        let bytes = match rules {
            Rules::One => record.encode().unwrap(),
            Rules::Two => record.seal(&key).unwrap(),
        };
        prev = Digest::of(&bytes);
        all.push(bytes);
    }
    all
}

/// Records as they lie in a file: one of the first form is a line, one of the second two.
fn read(rules: Rules) -> Vec<Bytes> {
    let text = match rules {
        Rules::One => include_str!("../vectors/ledger-1.txt"),
        Rules::Two => include_str!("../vectors/ledger-2.txt"),
    };
    match rules {
        Rules::One => (text.lines())
            .map(|line| Bytes::from(line.to_owned()))
            .collect(),
        Rules::Two => of_pairs(text),
    }
}

/// Records of the second form: one is two lines.
fn of_pairs(text: &str) -> Vec<Bytes> {
    let lines: Vec<&str> = text.lines().collect();
    lines
        .chunks(2)
        .map(|pair| format!("{}\n{}\n", pair[0], pair[1]).into())
        .collect()
}

/// What the records lead to; every one of them counts.
fn fold(records: &[Bytes]) -> Catalogue {
    let (mut catalogue, mut prev) = (Catalogue::default(), GENESIS);
    for (at, bytes) in records.iter().enumerate() {
        let found = Found::read(bytes);
        assert_eq!(
            judge(&catalogue, &found),
            Verdict::Counts,
            "record {}",
            at + 1
        );
        let record = found.into_record().unwrap();
        assert_eq!((record.rev.get(), record.prev), (at as u64 + 1, prev));
        prev = Digest::of(bytes);
        record.make_true(&mut catalogue);
    }
    catalogue
}

fn state(catalogue: &Catalogue) -> String {
    Digest::of(&serde_json::to_vec(catalogue).unwrap()).to_hex()
}

#[test]
fn every_record_of_the_first_form_counts_for_ever() {
    let records = read(Rules::One);
    assert_eq!(records.len(), 107);
    let led_to = "4ae1ff7e6de5d4862982bf5f4a2c9325fe73d4fa99b1ce779e0cbdce3e18723b";
    assert_eq!(state(&fold(&records)), led_to);
}

#[test]
fn every_record_of_the_second_form_counts_for_ever() {
    let records = read(Rules::Two);
    assert_eq!(records.len(), 120);
    let led_to = "993fd633af0d2ae3ffa8e73428bf4af9f5e983765976e994006af6ec5692ef8a";
    assert_eq!(state(&fold(&records)), led_to);
}

/// The lives of three ramps, as they are written since there are ramps.
#[test]
fn every_record_of_a_ramp_counts_for_ever() {
    // What is written today counts as well; `--no-capture` shows it.
    let today = records(&ramps::history(), Rules::Two);
    fold(&today);
    println!("{}", String::from_utf8_lossy(&today.concat()));
    let golden = of_pairs(include_str!("../vectors/ramps-2.txt"));
    assert_eq!(golden.len(), 43);
    let led_to = "3abfeb3e58e0ad9a4b6b0693faa73c7bc488f5f65277c39819932bd9ca502bb5";
    assert_eq!(state(&fold(&golden)), led_to);
}

/// The lives of two experiments, as they are written since there are experiments.
#[test]
fn every_record_of_an_experiment_counts_for_ever() {
    let today = records(&experiments::history(), Rules::Two);
    fold(&today);
    println!("{}", String::from_utf8_lossy(&today.concat()));
    let golden = of_pairs(include_str!("../vectors/experiments-2.txt"));
    assert_eq!(golden.len(), today.len());
    let led_to = "3d62308b75bce0f73af94c4d99c9bf4167fe7ab168d695c686ab4d36f9e1dce6";
    assert_eq!(state(&fold(&golden)), led_to);
}

/// Nodes of different versions that came to the same say so in the same digits. One that does not, in a later
/// version, makes fingerprints another way, and gets another number for it.
#[test]
fn what_golden_ledgers_lead_to_has_one_fingerprint_in_all_versions() {
    for (rules, known) in [
        (
            Rules::One,
            "5f528df0f36aab8256cb7bc8192f823625df20b62c91f15c2a204d57c00a22b4",
        ),
        (
            Rules::Two,
            "3d1e1724c60280847894d5db856f18549f00daf8eae0469bd8e94fcd4f6db1dd",
        ),
    ] {
        let state = Fingerprints::default().of(&fold(&read(rules))).unwrap();
        assert_eq!((state.way, state.hash.to_string().as_str()), (1, known));
    }
}

/// What is written today counts as well; with `--no-capture` it is shown as the file of the next number would be.
#[test]
fn every_kind_of_event_is_in_the_golden_ledger() {
    let world = history::history();
    assert_eq!(history::tags(&world).len(), 43);
    let records = records(&world, Rules::NEWEST);
    fold(&records);
    println!("{}", String::from_utf8_lossy(&records.concat()));
}

/// Where a bank goes on with a newer huidu, what it wrote before counts, and nothing of the old form behind it.
#[test]
fn forms_follow_one_another_and_never_the_other_way_round() {
    let first = read(Rules::One);
    let mut catalogue = fold(&first[..20]);
    let found = Found::read(&first[20]);
    assert_eq!(judge(&catalogue, &found), Verdict::Counts);
    let mut second = found.into_record().unwrap();
    second.v = Rules::Two;
    let key = SigningKey::from_bytes(&[41; 32]);
    let sealed = Found::read(&second.seal(&key).unwrap());
    assert_eq!(judge(&catalogue, &sealed), Verdict::Counts);
    sealed.record().unwrap().make_true(&mut catalogue);
    let late = judge(&catalogue, &Found::read(&first[21]));
    assert!(matches!(late, Verdict::Nobody(_)), "{late:?}");
}
