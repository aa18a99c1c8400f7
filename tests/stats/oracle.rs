//! The core's statistics beside scipy and gbstats: the vectors that are kept, and cases nobody has seen before.

use std::{fs, path::Path, process::Command, time::SystemTime};

use huidu_core::stats::{
    alpha::Alpha,
    betting::{Bets, Tally},
    chance::chance,
    experiment::{Reading, read},
    normal, ratio,
    sample::Sample,
    sequence::Sequence,
    special,
};
use serde_json::Value;

fn top() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .unwrap()
}

/// What the core says of the same.
fn ours(function: &str, given: &[f64]) -> Vec<f64> {
    let alpha = |value: f64| Alpha::try_from(value).unwrap();
    match (function, given) {
        ("normal_below", &[x]) => vec![normal::below(x)],
        ("normal_ln_below", &[x]) => vec![normal::ln_below(x)],
        ("normal_quantile", &[p]) => vec![normal::quantile(p)],
        ("ln_gamma", &[x]) => vec![special::ln_gamma(x)],
        ("ln_beta", &[a, b]) => vec![special::ln_beta(a, b)],
        ("beta_below", &[a, b, x]) => vec![special::beta_below(a, b, x)],
        ("gamma_above", &[a, x]) => vec![special::gamma_above(a, x)],
        ("chi_square_above", &[x, freedom]) => vec![special::chi_square_above(x, freedom as u32)],
        ("interval", [arms @ .., a, planned, relative]) => {
            let how = Reading {
                alpha: alpha(*a),
                planned_units: *planned as u64,
            };
            let beside = read(&sample(&arms[..3]), &[sample(&arms[3..])], &how)
                .unwrap()
                .1[0];
            let interval = if *relative > 0.0 {
                beside.lift
            } else {
                beside.difference
            };
            interval.map_or(Vec::new(), |it| vec![it.estimate, it.low, it.high])
        }
        ("one_sided_evidence", &[difference, than, se, units, a, planned]) => {
            let sequence = Sequence::new(alpha(a), planned as u64);
            vec![sequence.ln_evidence_above(difference, than, se, units as u64)]
        }
        ("wealth", &[share, tolerated, first, second, neither]) => {
            let tally = Tally {
                first: first as u64,
                second: second as u64,
                neither: neither as u64,
            };
            vec![Bets::new(share, tolerated).unwrap().ln_wealth(&tally)]
        }
        ("ratio", both) => {
            let (counts, weights) = both.split_at(both.len() / 2);
            let counts: Vec<u64> = counts.iter().map(|count| *count as u64).collect();
            let weights: Vec<u32> = weights.iter().map(|weight| *weight as u32).collect();
            let ratio = ratio::check(&counts, &weights).unwrap();
            vec![ratio.chi_square, ratio.p, ratio.p_anytime]
        }
        ("chance_of_events", &[units, events, of, with]) => {
            chances(&sample(&[units, events, -1.0]), &sample(&[of, with, -1.0]))
        }
        ("chance_of_totals", arms) => chances(&sample(&arms[3..]), &sample(&arms[..3])),
        _ => panic!("`{function}` of {} numbers is not known", given.len()),
    }
}

fn sample(given: &[f64]) -> Sample {
    let (units, sum, squares) = (given[0] as u64, given[1], given[2]);
    if squares < 0.0 {
        Sample::Events {
            units,
            events: sum as u64,
        }
    } else {
        Sample::Totals {
            units,
            sum,
            squares,
        }
    }
}

fn chances(variant: &Sample, control: &Sample) -> Vec<f64> {
    let chance = chance(variant, control).unwrap();
    vec![chance.above, chance.loss_if_more, chance.loss_if_less]
}

/// How many cases were compared, and those in which the two differ.
fn compared(vectors: &Value) -> (usize, Vec<String>) {
    let cases = vectors["cases"].as_array().unwrap();
    let mut differ = Vec::new();
    for case in cases {
        let numbers =
            |key: &str| -> Vec<f64> { serde_json::from_value(case[key].clone()).unwrap() };
        let (ours, theirs) = (
            ours(case["function"].as_str().unwrap(), &numbers("given")),
            numbers("is"),
        );
        let within = numbers("within");
        let is_met = |(ours, theirs): (&f64, &f64)| {
            (ours - theirs).abs() <= within[0] * theirs.abs() + within[1]
        };
        if ours.len() != theirs.len() || !ours.iter().zip(&theirs).all(is_met) {
            differ.push(format!("{case}\n    ours: {ours:?}"));
        }
    }
    (cases.len(), differ)
}

fn kept() -> Value {
    serde_json::from_slice(&fs::read(top().join("tests/vectors/stats.json")).unwrap()).unwrap()
}

#[test]
fn the_kept_vectors_of_scipy_and_gbstats_are_met() {
    let (cases, differ) = compared(&kept());
    println!(
        "figure: kept cases of scipy and gbstats {cases} compared, different: {}",
        differ.len()
    );
    assert!(
        differ.is_empty(),
        "{} of {cases}:\n{}",
        differ.len(),
        differ.join("\n")
    );
    assert!(cases >= 250, "{cases}");
}

#[test]
fn cases_that_nobody_has_seen_before_are_met() {
    let since = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap();
    let seed = (since.as_nanos() % 1_000_000_000).to_string();
    let python = top().join("target/tools/stats/bin/python");
    let script = top().join("tests/stats/oracle.py");
    let asked = Command::new(python)
        .args([script.to_str().unwrap(), &seed, "40"])
        .output();
    let asked =
        asked.expect("scipy and gbstats are missing; install them with `tests/setup.sh test`");
    assert!(
        asked.status.success(),
        "seed {seed}: {}",
        String::from_utf8_lossy(&asked.stderr)
    );
    let (cases, differ) = compared(&serde_json::from_slice(&asked.stdout).unwrap());
    println!(
        "figure: random cases of scipy and gbstats {cases} compared, different: {} (seed {seed})",
        differ.len()
    );
    assert!(
        differ.is_empty(),
        "seed {seed}, {} of {cases}:\n{}",
        differ.len(),
        differ.join("\n")
    );
    assert!(cases >= 500, "{cases}");
}

#[test]
fn it_would_notice_a_number_that_is_wrong_in_the_fifth_digit() {
    let mut vectors = kept();
    let cases = vectors["cases"].as_array_mut().unwrap();
    let all = cases.len();
    for case in &mut *cases {
        let wrong = case["is"][0].as_f64().unwrap() * (1.0 + 1e-5) + 1e-7;
        case["is"][0] = wrong.into();
    }
    let (_, differ) = compared(&vectors);
    assert_eq!(differ.len(), all, "some wrong number was not noticed");
}
