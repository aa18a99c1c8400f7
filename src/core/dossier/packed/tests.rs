//! A dossier survives packing whatever is in it, and bytes that were not packed here are not let in.

use data_encoding::{BASE64, HEXLOWER};
use proptest::prelude::*;

use super::*;

fn signed(payload: &[u8], keys: &[u8]) -> String {
    let signature = |key: &u8| {
        let (keyid, sig) = (HEXLOWER.encode(&[*key; 8]), BASE64.encode(&[*key; 64]));
        format!(r#"{{"keyid":"{keyid}","sig":"{sig}"}}"#)
    };
    let signatures: Vec<String> = keys.iter().map(signature).collect();
    let payload = BASE64.encode(payload);
    let kind = "application/vnd.huidu.release.v1+json";
    let signatures = signatures.join(",");
    format!(r#"{{"payloadType":"{kind}","payload":"{payload}","signatures":[{signatures}]}}"#)
}

#[test]
fn a_signed_record_takes_little_more_than_its_bytes_and_signatures() {
    let payload = [b'x'; 340];
    let text = signed(&payload, &[1, 2]);
    let dossier = Dossier {
        release: Some(SignedRelease {
            address: Digest::of(&payload),
            envelope: text.clone(),
        }),
        seq: 7,
        ..Dossier::default()
    };
    let packed = PackedDossier::from(dossier.clone());
    let kind = "release".len();
    let rest = 2 + 340 + 1 + 2 * (8 + 1 + 64);
    assert_eq!(packed.0.len(), 1 + 32 + 1 + 1 + 1 + kind + rest);
    assert!(packed.0.len() * 4 < text.len() * 3, "{}", text.len());
    assert_eq!(packed.open(), dossier);
    assert_eq!(
        (packed.seq(), packed.address()),
        (7, Some(Digest::of(&payload)))
    );
}

#[test]
fn an_envelope_that_would_be_spelled_otherwise_is_kept_as_it_came() {
    let spaced = signed(b"{}", &[1]).replace(",\"payload\"", ", \"payload\"");
    let twice = signed(b"{}", &[1]).replace("\"signatures\":[", "\"signatures\":[]  ,\"x\":[");
    let long_id = signed(b"{}", &[1]).replace("0101010101010101", "010101010101010101");
    let short_id = signed(b"{}", &[1]).replace("0101010101010101", "01");
    let repeated = signed(b"{}", &[1, 1]);
    let nothing = ["nothing".into(), String::new()];
    for text in [spaced, twice, long_id, short_id, repeated]
        .into_iter()
        .chain(nothing)
    {
        let address = Digest::of(text.as_bytes());
        let dossier = Dossier {
            release: Some(SignedRelease {
                address,
                envelope: text,
            }),
            ..Dossier::default()
        };
        assert_eq!(PackedDossier::from(dossier.clone()).open(), dossier);
    }
}

fn envelopes() -> impl Strategy<Value = String> {
    prop_oneof![
        ".{0,40}",
        (prop::collection::vec(any::<u8>(), 0..80), 0..3_usize)
            .prop_map(|(payload, keys)| signed(&payload, &[1, 2, 3][..keys])),
    ]
}

fn dossiers() -> impl Strategy<Value = Dossier> {
    let digest = || any::<[u8; 32]>().prop_map(Digest::from_bytes);
    let formats = prop_oneof![Just(BundleFormat::Zip), Just(BundleFormat::TarGz)];
    let origin = (digest(), any::<u64>(), formats).prop_map(|(sha256, bytes, format)| Origin {
        sha256,
        bytes,
        format,
    });
    let vote = (
        ".{0,20}",
        0..253_402_300_799_999_u64,
        prop::option::of(envelopes()),
    )
        .prop_map(|(by, at, signed)| Vote {
            by,
            at: Timestamp::from_unix_ms(at),
            signed,
        });
    let release =
        (digest(), envelopes()).prop_map(|(address, envelope)| SignedRelease { address, envelope });
    let submitted = (
        prop::option::of(origin),
        prop::option::of(digest()),
        prop::option::of(".{0,20}"),
        reaches(),
        prop::option::of(".{0,20}"),
    );
    let decided = (
        prop::collection::btree_set("[a-z]{1,8}".prop_map(|name| name.parse().unwrap()), 0..4),
        prop::collection::vec(vote, 0..3),
        prop_oneof![Just(0), any::<u64>()],
        prop::option::of(release),
    );
    (submitted, decided).prop_map(|(submitted, decided)| {
        let (origin, files, filing, reach, submitted_by) = submitted;
        let (withheld, approvals, seq, release) = decided;
        Dossier {
            origin,
            files,
            filing,
            reach,
            withheld,
            submitted_by,
            approvals,
            seq,
            release,
        }
    })
}

fn reaches() -> impl Strategy<Value = Reach> {
    let at = || 0..253_402_300_799_999_u64;
    (
        prop::collection::vec("[a-z]{1,8}".prop_map(|name| name.parse().unwrap()), 0..3),
        prop::option::of(prop_oneof![Just(">=8.0.40.1"), Just(">=12, <14.2")]),
        prop::option::of(at().prop_map(Timestamp::from_unix_ms)),
        prop::option::of(at().prop_map(Timestamp::from_unix_ms)),
    )
        .prop_map(|(platforms, range, not_before, not_after)| Reach {
            platforms,
            host_version: range.map(|range| range.parse().unwrap()),
            not_before,
            not_after,
        })
}

/// A dossier with something in every field. A field that is added does not compile here, nor in
/// [`PackedDossier::from`] and [`opened`], before it is packed.
#[test]
fn a_full_dossier_survives_and_no_field_is_forgotten() {
    let name = |name: &str| name.parse().unwrap();
    let full = Dossier {
        origin: Some(Origin {
            sha256: Digest::of(b"origin"),
            bytes: 99,
            format: BundleFormat::Zip,
        }),
        files: Some(Digest::of(b"files")),
        filing: Some("沪ICP备1号".into()),
        reach: Reach {
            platforms: vec!["ios".parse().unwrap(), "android".parse().unwrap()],
            host_version: Some(">=8.0.40.1, <9".parse().unwrap()),
            not_before: Some(Timestamp::from_unix_ms(1_795_000_000_000)),
            not_after: Some(Timestamp::from_unix_ms(1_796_000_000_000)),
        },
        withheld: BTreeSet::from([name("camera"), name("pay")]),
        submitted_by: Some("member/ping".into()),
        approvals: vec![Vote {
            by: "member/lin".into(),
            at: Timestamp::from_unix_ms(1_795_000_000_001),
            signed: Some(signed(b"{}", &[1])),
        }],
        seq: 1_000,
        release: Some(SignedRelease {
            address: Digest::of(b"{}"),
            envelope: signed(b"{}", &[1, 2]),
        }),
    };
    let packed = PackedDossier::from(full.clone());
    let kept = PackedDossier::from_bytes(packed.as_bytes()).unwrap();
    assert_eq!(kept, packed);
    let Dossier {
        origin,
        files,
        filing,
        reach,
        withheld,
        submitted_by,
        approvals,
        seq,
        release,
    } = kept.open();
    let Reach {
        platforms,
        host_version,
        not_before,
        not_after,
    } = &reach;
    let none = Dossier::default();
    assert!(origin != none.origin && origin == full.origin);
    assert!(files != none.files && files == full.files);
    assert!(filing != none.filing && filing == full.filing);
    assert!(!platforms.is_empty() && *platforms == full.reach.platforms);
    assert!(host_version.is_some() && *host_version == full.reach.host_version);
    assert!(not_before.is_some() && *not_before == full.reach.not_before);
    assert!(not_after.is_some() && *not_after == full.reach.not_after);
    assert!(withheld != none.withheld && withheld == full.withheld);
    assert!(submitted_by != none.submitted_by && submitted_by == full.submitted_by);
    assert!(approvals != none.approvals && approvals == full.approvals);
    assert!(seq != none.seq && seq == full.seq);
    assert!(release != none.release && release == full.release);
    assert_eq!((packed.seq(), packed.withheld()), (seq, withheld));
    assert_eq!(packed.address(), release.map(|release| release.address));
}

proptest! {
    #[test]
    fn opening_is_the_inverse_of_packing(dossier in dossiers()) {
        let packed = PackedDossier::from(dossier.clone());
        prop_assert_eq!(packed.open(), dossier.clone());
        prop_assert_eq!(packed.seq(), dossier.seq);
        prop_assert_eq!(packed.withheld(), dossier.withheld.clone());
        prop_assert_eq!(packed.address(), dossier.release.as_ref().map(|one| one.address));
        prop_assert_eq!(packed.is_empty(), dossier.is_default());
        let again = PackedDossier::from_bytes(packed.as_bytes()).unwrap();
        prop_assert_eq!(&again, &packed);
        let json = serde_json::to_string(&packed).unwrap();
        prop_assert_eq!(&json, &serde_json::to_string(&dossier).unwrap());
        prop_assert_eq!(serde_json::from_str::<PackedDossier>(&json).unwrap(), packed);
    }

    #[test]
    fn whatever_is_let_in_can_be_opened(
        dossier in dossiers(), at: prop::sample::Index, to: u8, cut: prop::sample::Index,
    ) {
        let mut bytes = PackedDossier::from(dossier).as_bytes().to_vec();
        if !bytes.is_empty() {
            let at = at.index(bytes.len());
            bytes[at] = to;
            bytes.truncate(cut.index(bytes.len() * 4).max(1));
        }
        if let Ok(packed) = PackedDossier::from_bytes(&bytes) {
            let opened = packed.open();
            prop_assert_eq!(packed.seq(), opened.seq);
            prop_assert_eq!(packed.withheld(), opened.withheld.clone());
            prop_assert_eq!(packed.address(), opened.release.map(|one| one.address));
        }
    }
}
