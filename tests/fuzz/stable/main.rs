//! The fuzz harnesses on a stable toolchain: every seed of the corpus, then seeds changed at random.
//!
//! Without a measure of coverage this finds less than libFuzzer does. It runs with every `make test`, a
//! bounded number of cases; with `FUZZ_SECONDS` set it runs that long per target, which is what
//! tests/fuzz/run.sh falls back to where no nightly toolchain can be had.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test that says how much it ran"
)]

#[path = "../harness/mod.rs"]
#[allow(unreachable_pub, reason = "the fuzz targets are crates of their own")]
mod harness;

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use proptest::{
    collection::vec,
    prelude::*,
    sample::{Index, select},
    test_runner::{TestError, TestRunner},
};

use huidu::archive;

/// Cases per target with every run of the tests.
const CASES: u32 = 256;

/// One change of a seed.
#[derive(Debug, Clone)]
enum Edit {
    Set(Index, u8),
    Flip(Index, u8),
    Insert(Index, Vec<u8>),
    Remove(Index, usize),
    /// A piece of the input again, elsewhere.
    Copy(Index, Index, usize),
    /// A piece of another seed.
    Splice(Index, Index, Index, usize),
}

fn edit() -> impl Strategy<Value = Edit> {
    const WORDS: &[&[u8]] = &[
        b"\"",
        b"\\",
        b"{",
        b"}",
        b"[",
        b"]",
        b",",
        b":",
        b"=",
        b"&",
        b"%",
        b"%00",
        b"%e4",
        b"\n",
        b"..",
        b"/",
        b"-1",
        b"0",
        b"18446744073709551615",
        b"1e999",
        b"null",
        b"true",
        b"\0",
        b"\xff",
        "页".as_bytes(),
        b"\xe2\x80\xae",
        b">=",
        b"*",
    ];
    prop_oneof![
        (any::<Index>(), any::<u8>()).prop_map(|(at, byte)| Edit::Set(at, byte)),
        (any::<Index>(), 0..8_u8).prop_map(|(at, bit)| Edit::Flip(at, bit)),
        (any::<Index>(), select(WORDS)).prop_map(|(at, word)| Edit::Insert(at, word.to_vec())),
        (any::<Index>(), vec(any::<u8>(), 1..9)).prop_map(|(at, bytes)| Edit::Insert(at, bytes)),
        (any::<Index>(), 1..65_usize).prop_map(|(at, count)| Edit::Remove(at, count)),
        (any::<Index>(), any::<Index>(), 1..129_usize)
            .prop_map(|(from, to, count)| Edit::Copy(from, to, count)),
        (any::<Index>(), any::<Index>(), any::<Index>(), 1..513_usize)
            .prop_map(|(seed, from, to, count)| Edit::Splice(seed, from, to, count)),
    ]
}

fn apply(bytes: &mut Vec<u8>, edit: &Edit, seeds: &[Vec<u8>]) {
    let at = |index: &Index, bytes: &[u8]| index.index(bytes.len() + 1);
    let piece = |from: usize, count: usize, bytes: &[u8]| {
        bytes[from..(from + count).min(bytes.len())].to_vec()
    };
    let insert = |bytes: &mut Vec<u8>, at: usize, what: Vec<u8>| drop(bytes.splice(at..at, what));
    match edit {
        Edit::Set(index, byte) => {
            let at = index.index(bytes.len().max(1));
            if let Some(here) = bytes.get_mut(at) {
                *here = *byte;
            }
        }
        Edit::Flip(index, bit) => {
            let at = index.index(bytes.len().max(1));
            if let Some(here) = bytes.get_mut(at) {
                *here ^= 1 << bit;
            }
        }
        Edit::Insert(index, what) => insert(bytes, at(index, bytes), what.clone()),
        Edit::Remove(index, count) => {
            let from = at(index, bytes);
            bytes.drain(from..(from + count).min(bytes.len()));
        }
        Edit::Copy(from, to, count) => {
            let what = piece(at(from, bytes), *count, bytes);
            insert(bytes, at(to, bytes), what);
        }
        Edit::Splice(seed, from, to, count) => {
            let other = &seeds[seed.index(seeds.len())];
            let what = piece(at(from, other), *count, other);
            insert(bytes, at(to, bytes), what);
        }
    }
}

/// The kept inputs of a target, by name.
fn seeds(target: &str) -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fuzz/corpus")
        .join(target);
    let files = fs::read_dir(&folder)
        .unwrap()
        .map(|file| file.unwrap().path());
    let mut seeds: Vec<_> = files
        .map(|path| (path.display().to_string(), fs::read(&path).unwrap()))
        .collect();
    seeds.sort();
    assert!(
        seeds.len() >= 3,
        "{} holds {} seeds",
        folder.display(),
        seeds.len()
    );
    seeds
}

fn run(target: &str) {
    let (_, harness) = harness::TARGETS
        .iter()
        .find(|(name, _)| *name == target)
        .unwrap();
    let named = seeds(target);
    for (name, seed) in &named {
        println!("{name}");
        harness(seed);
    }
    let seeds: Vec<Vec<u8>> = named.into_iter().map(|(_, seed)| seed).collect();
    let length: Option<Duration> = std::env::var("FUZZ_SECONDS")
        .ok()
        .map(|text| Duration::from_secs(text.parse().unwrap()));
    let config = ProptestConfig {
        cases: CASES,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let inputs = (any::<Index>(), vec(edit(), 0..12));
    let inputs = inputs.prop_map(|(seed, edits)| {
        let mut bytes = seeds[seed.index(seeds.len())].clone();
        edits
            .iter()
            .for_each(|edit| apply(&mut bytes, edit, &seeds));
        bytes
    });
    let begun = Instant::now();
    let mut runs = seeds.len();
    loop {
        let seen = TestRunner::new(config.clone()).run(&inputs, |bytes| {
            harness(&bytes);
            Ok(())
        });
        if let Err(TestError::Fail(why, bytes)) = seen {
            panic!("{why}\non {}", bytes.escape_ascii());
        }
        seen.unwrap();
        runs += CASES as usize;
        if length.is_none_or(|length| begun.elapsed() >= length) {
            break;
        }
    }
    println!(
        "fuzz: {target}: {runs} runs in {} s (proptest)",
        begun.elapsed().as_secs()
    );
}

macro_rules! targets {
    ($($target:ident),*) => {$(
        #[test]
        fn $target() {
            run(stringify!($target));
        }
    )*

    #[test]
    fn every_target_has_a_test_a_binary_and_a_corpus() {
        let tested = [$(stringify!($target)),*];
        let named: Vec<&str> = harness::TARGETS.iter().map(|(name, _)| *name).collect();
        assert_eq!(named, tested);
        let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz");
        for target in tested {
            assert!(here.join(format!("targets/{target}.rs")).is_file(), "{target}");
        }
        assert_eq!(fs::read_dir(here.join("targets")).unwrap().count(), tested.len());
        assert_eq!(fs::read_dir(here.join("corpus")).unwrap().count(), tested.len());
    }};
}

targets!(
    poll, rulefile, record, archive, stamp, range, verify, paper, feedback
);
