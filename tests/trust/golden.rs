//! The golden ledger: bytes that are in ledgers out there, every record of which counts for ever.

use std::{fs, path::PathBuf};

use huidu_core::{
    digest::Digest,
    record::{GENESIS, Record, V1},
    revision::Revision,
};

use crate::history::{history, tags};

fn path() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/vectors/ledger-1.jsonl")
}

#[test]
fn bless() {
    let world = history();
    println!("{:?}", tags(&world));
    let (mut prev, mut lines) = (GENESIS, String::new());
    for (at, step) in world.log.iter().enumerate() {
        let ulid = format!("{:026}", at + 1);
        let record = Record {
            v: V1,
            rev: Revision::new(at as u64 + 1),
            prev,
            op: ulid.parse().unwrap(),
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
        let bytes = record.encode().unwrap();
        prev = Digest::of(&bytes);
        lines.push_str(std::str::from_utf8(&bytes).unwrap());
        lines.push('\n');
    }
    println!("{} records", world.log.len());
    fs::write(path(), lines).unwrap();
    let digest = Digest::of(&serde_json::to_vec(&world.catalogue).unwrap());
    println!("{digest}");
}
