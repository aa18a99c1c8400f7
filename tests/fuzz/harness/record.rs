//! Records of the ledger: what decodes is encoded to the same record, and whatever it says can be applied,
//! compiled and asked about: no revision can be poison.

use huidu_core::{
    ahead,
    catalogue::Catalogue,
    compile::{Context, compile, no_segments},
    manifest::KillList,
    poll::{Device, Installed},
    record::{Found, GENESIS, Record, RecordError},
    revision::Revision,
    time::Timestamp,
    validity::{Verdict, judge},
};

pub fn run(data: &[u8]) {
    // Whatever lies in a slot is judged, and looked at for stops, without a panic.
    let (nothing, found) = (Catalogue::default(), Found::read(&data.to_vec().into()));
    let verdict = judge(&nothing, &found);
    assert!(verdict != Verdict::Counts || found.record().is_ok());
    let _ = ahead::stops(&nothing, Revision::new(1), &GENESIS, &found);
    let record = match Record::decode(data) {
        Ok(record) => record,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            return;
        }
    };
    let bytes = match record.encode() {
        Ok(bytes) => bytes,
        // Written out, names of fields and escapes may take more room than they came in.
        Err(RecordError::TooLarge { .. }) => return,
        Err(error) => panic!("{error}"),
    };
    let again = Record::decode(&bytes).expect("what was encoded is decoded");
    assert_eq!(again, record);
    assert_eq!(again.encode().expect("it was encoded before"), bytes);
    apply(&record);
}

/// Twice, because the second time everything is there already.
fn apply(record: &Record) {
    let mut catalogue = Catalogue::default();
    for revision in [1, 2] {
        catalogue.apply(Revision::new(revision), record.at, &record.events);
        KillList::of(&catalogue).to_bytes();
        let context = Context {
            audience: catalogue.audience.clone(),
            poll_after_ms: 1_000,
            poll_spread_ms: 1_000,
            keyring: None,
        };
        for app in catalogue.apps.values() {
            let compiled = compile(app, &context, &no_segments);
            let twice = compile(app, &context, &no_segments);
            assert_eq!(compiled.answers(), twice.answers());
            let hosts = app.rollout.iter().flat_map(|rollout| &rollout.hosts);
            for host in hosts.map(|host| host.as_str()).chain(["nobody"]) {
                for unit in ["a", "设备-1", "device-2"] {
                    let installed = Installed::default();
                    for now in [Timestamp::EPOCH, record.at] {
                        let outcome = compiled.resolve(host, &Device::new(unit), &installed, now);
                        assert_eq!(compiled.answers()[outcome.index], *outcome.answer);
                    }
                }
            }
        }
    }
    let json = serde_json::to_vec(&catalogue).expect("a catalogue has a written form");
    let again: Catalogue = serde_json::from_slice(&json).expect("a checkpoint reads what it wrote");
    assert_eq!(again, catalogue);
}
