//! What people sign: strict JSON has one meaning, an envelope that is read is written and read back the same,
//! a paper that is read says what its bytes say, and nobody forges a keyring, a record or a policy.

use std::sync::LazyLock;

use huidu_core::{
    envelope::Envelope,
    json,
    keyring::{Guard, Keyring},
    limits,
    paper::{self, Paper},
    policy::Policy,
    release::Release,
    verify::State,
};
use serde_json::Value;

const VECTORS: &str = include_str!("../../vectors/verify.json");

/// The keyring of the golden vectors, and the bytes that were signed under it.
static KNOWN: LazyLock<(Keyring, Vec<Vec<u8>>)> = LazyLock::new(|| {
    let all: Vec<Value> = serde_json::from_str(VECTORS).expect("golden");
    let state: State = serde_json::from_value(all[0]["state"].clone()).expect("golden");
    let mut signed = Vec::new();
    for case in &all {
        for part in ["release", "policy"] {
            let text = case[part].as_str().unwrap_or_default();
            if let Ok(envelope) = Envelope::parse(text.as_bytes()) {
                signed.push(envelope.payload().to_vec());
            }
        }
    }
    (state.keyring().clone(), signed)
});

pub fn run(data: &[u8]) {
    strict(data);
    envelope(data);
    // As what is signed, too.
    read::<Keyring>(data);
    read::<Release>(data);
    read::<Policy>(data);
    let (keyring, _) = &*KNOWN;
    for guard in [Guard::Production, Guard::Sandbox, Guard::Development] {
        if let Ok(born) = Keyring::born(data, "bank/prod", guard) {
            assert_eq!(born.aud, "bank/prod");
            assert_eq!(Keyring::read(&born.to_payload()).as_ref(), Ok(&born));
        }
    }
    match keyring.follow(data) {
        Ok(next) => assert_eq!(
            (next.version, &next.aud),
            (keyring.version + 1, &keyring.aud)
        ),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
    opened::<Release>(data);
    opened::<Policy>(data);
}

fn strict(data: &[u8]) {
    let Ok(value) = json::read::<Value>(data, limits::ENVELOPE_BYTES) else {
        return;
    };
    // Any other reader reads the same.
    assert_eq!(
        serde_json::from_slice::<Value>(data).expect("it is JSON"),
        value
    );
    plain(&value, 0);
    let text = value.to_string();
    let again = json::read::<Value>(text.as_bytes(), usize::MAX);
    assert_eq!(again.expect("it was strict before"), value);
}

fn plain(value: &Value, depth: usize) {
    assert!(depth <= 9, "it is deeper than it may be");
    match value {
        Value::Number(number) => {
            assert!(!number.is_f64(), "{number} is no integer");
            let exact = number.as_i64().map(i64::unsigned_abs).or(number.as_u64());
            assert!(exact.is_some_and(|exact| exact <= limits::JSON_INTEGER));
        }
        Value::Array(all) => all.iter().for_each(|one| plain(one, depth + 1)),
        Value::Object(all) => all.values().for_each(|one| plain(one, depth + 1)),
        _ => {}
    }
}

fn envelope(data: &[u8]) {
    let read = match Envelope::parse(data) {
        Ok(read) => read,
        Err(error) => return assert!(!error.to_string().is_empty()),
    };
    assert!(read.signatures().len() <= limits::SIGNATURES);
    let again = Envelope::parse(&read.to_bytes()).expect("what was written is read");
    assert_eq!(again.kind(), read.kind());
    assert_eq!(again.payload(), read.payload());
    assert_eq!(again.address(), read.address());
    assert_eq!(again.message(), read.message());
    assert_eq!(again.to_bytes(), read.to_bytes());
}

fn read<T: Paper + PartialEq + std::fmt::Debug>(data: &[u8]) {
    let Ok(paper) = T::read(data) else {
        return;
    };
    let again = T::read(&paper.to_payload()).expect("what was written is read");
    assert_eq!(again, paper);
}

fn opened<T: Paper>(data: &[u8]) {
    let (keyring, signed) = &*KNOWN;
    if let Ok(verified) = paper::open::<T>(keyring, data) {
        let envelope = Envelope::parse(data).expect("it was opened");
        let known = signed.iter().any(|payload| payload == envelope.payload());
        assert!(known, "a forged paper is believed");
        assert_eq!(verified.address(), envelope.address());
    }
}
