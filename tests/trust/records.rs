//! What is in ledgers out there, byte by byte.

use huidu_core::{catalogue::Catalogue, event::Event, revision::Revision, version::Review};

use crate::world::*;

/// These events are in ledgers out there: what was written before there were reviews reads as it did,
/// and is written again in the same bytes.
#[test]
fn events_from_before_there_were_reviews_keep_their_bytes() {
    for old in [
        r#"{"event":"token-added","id":"t","sha256":"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad","role":{"partner":"pingan"},"note":"ci"}"#,
        r#"{"event":"host-added","host":"retail","title":"零售"}"#,
        r#"{"event":"version-submitted","app":"pingan/travel","version":{"number":"1.0.0","bundle":{"sha256":"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad","bytes":9,"format":"tar-gz","files":1,"unpacked_bytes":9},"permissions":["camera"],"notes":"new","life":{"state":"submitted"},"submitted_at":"2026-01-01T00:00:00Z"}}"#,
        r#"{"event":"killed","app":"pingan/travel","version":"1.0.0","reason":"crashes"}"#,
        r#"{"event":"unkilled","app":"pingan/travel","reason":"it did not"}"#,
    ] {
        let event: Event = serde_json::from_str(old).unwrap();
        assert_eq!(serde_json::to_string(&event).unwrap(), old);
    }
    // And a catalogue that uses none of it is what it was.
    let bytes = serde_json::to_string(&Catalogue::default()).unwrap();
    assert_eq!(
        bytes,
        r#"{"revision":0,"audience":"","review":"required","tokens":{},"tenants":{},"hosts":{},"apps":{},"segments":{}}"#
    );
}

/// An old kill of a version that was not listed was taken back to `listed`; a ledger that did so says the
/// same on every node, for ever.
#[test]
fn a_kill_from_before_there_were_reviews_is_taken_back_as_it_was() {
    let mut world = World::new(Review::Required);
    world.submit("ping", "1.0.0", &[]);
    let events = [
        r#"{"event":"killed","app":"pingan/travel","version":"1.0.0","reason":"r"}"#,
        r#"{"event":"unkilled","app":"pingan/travel","version":"1.0.0","reason":"r"}"#,
    ]
    .map(|text| serde_json::from_str::<Event>(text).unwrap());
    world.catalogue.apply(Revision::new(999), NOON, &events);
    assert_eq!(world.life("1.0.0"), "listed");
}

#[test]
fn events_about_trust_have_exactly_these_bytes() {
    let sha = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    for golden in [
        r#"{"event":"token-added","id":"t","sha256":"SHA","role":"security","note":"","member":"lin"}"#,
        r#"{"event":"token-added","id":"t","sha256":"SHA","role":"sre","note":"","expires":"2026-01-01T00:00:00Z","scopes":["read","kill"]}"#,
        r#"{"event":"host-added","host":"retail-test","title":"","sandbox":true}"#,
        r#"{"event":"member-put","member":"lin","title":"林","role":"reviewer","identity":{"issuer":"https://id.bank","subject":"u-7"}}"#,
        r#"{"event":"member-removed","member":"lin"}"#,
        r#"{"event":"permissions-put","catalogue":{"permissions":{"camera":{"grade":"personal","surface":"page","title":"t"},"storage":{"grade":"basic"}}}}"#,
        r#"{"event":"grade-set","tenant":"pingan","grade":"critical"}"#,
        r#"{"event":"review-policy-set","policy":{"approvals":2,"filing_required":true}}"#,
        r#"{"event":"internal-set","app":"a/b","internal":true,"reason":"staff only"}"#,
        r#"{"event":"permissions-withheld","app":"a/b","version":"1.0.0","withheld":["camera"]}"#,
        r#"{"event":"permission-granted","app":"a/b","permission":"camera"}"#,
        r#"{"event":"grant-withdrawn","app":"a/b","permission":"camera"}"#,
        r#"{"event":"permission-revoked","app":"a/b","permission":"camera","reason":"leaks"}"#,
        r#"{"event":"permission-restored","app":"a/b","permission":"camera","reason":"fixed"}"#,
        r#"{"event":"review-begun","app":"a/b","version":"1.0.0","by":"member/lin"}"#,
        r#"{"event":"review-approved","app":"a/b","version":"1.0.0","by":"member/lin"}"#,
        r#"{"event":"version-approved","app":"a/b","version":"1.0.0"}"#,
        r#"{"event":"version-rejected","app":"a/b","version":"1.0.0","by":"member/lin","reason":"no"}"#,
        r#"{"event":"trial-put","app":"a/b","version":"1.0.0","hosts":["retail-test"],"devices":["d-1"]}"#,
        r#"{"event":"preview-added","app":"a/b","version":"1.0.0","id":"SHA","preview":{"host":"retail-test","until":"2026-01-01T00:00:00Z"}}"#,
        r#"{"event":"preview-removed","app":"a/b","version":"1.0.0","id":"SHA"}"#,
        r#"{"event":"killed","app":"a/b","version":"1.0.0","reason":"r","before":{"state":"in-review"}}"#,
        r#"{"event":"version-submitted","app":"a/b","version":{"number":"1.0.0","bundle":{"sha256":"SHA","bytes":9,"format":"zip","files":1,"unpacked_bytes":9},"life":{"state":"submitted"},"submitted_at":"2026-01-01T00:00:00Z","dossier":{"origin":{"sha256":"SHA","bytes":7,"format":"tar-gz"},"files":"SHA","filing":"沪ICP备1号","submitted_by":"member/ping"}}}"#,
        r#"{"event":"version-submitted","app":"a/b","version":{"number":"1.0.0","bundle":{"sha256":"SHA","bytes":9,"format":"zip","files":1,"unpacked_bytes":9},"life":{"state":"submitted"},"submitted_at":"2026-01-01T00:00:00Z","dossier":{"reach":{"platforms":["android"],"host_version":">=8.2","not_before":"2026-01-01T00:00:00Z","not_after":"2027-01-01T00:00:00Z"},"withheld":["camera"]}}}"#,
    ] {
        let golden = golden.replace("SHA", sha);
        let event: Event = serde_json::from_str(&golden).unwrap();
        assert_eq!(serde_json::to_string(&event).unwrap(), golden);
    }
}
