//! What checkpoints are, to the byte: those that nodes wrote before are read for ever.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use proptest::prelude::*;

use super::*;
use crate::{
    catalogue::{App, AppKill},
    dossier::{Dossier, Origin, Reach, SignedRelease, Vote},
    record::tests::record,
    time::Timestamp,
    version::{Bundle, BundleFormat, Life, Version},
};

fn checkpoint() -> Checkpoint<'static> {
    let mut record = record();
    record.events.push(crate::event::Event::AppAdded {
        app: "pingan/travel".parse().unwrap(),
        title: "Travel".into(),
    });
    let mut catalogue = Catalogue::default();
    catalogue.apply(record.rev, Timestamp::EPOCH, &record.events);
    let mut ops = RecentOps::default();
    ops.note(&record);
    Checkpoint {
        v: V1,
        rev: record.rev,
        head: Digest::of(b"head"),
        catalogue: Cow::Owned(catalogue),
        ops: Cow::Owned(ops),
    }
}

#[test]
fn decoding_is_the_inverse_of_encoding() {
    let (name, bytes) = checkpoint().encode().unwrap();
    assert_eq!(
        Kept::decode(name, &bytes).unwrap(),
        Some(Kept::Whole(Box::new(checkpoint())))
    );
    assert_eq!(
        checkpoint().encode().unwrap(),
        (name, bytes),
        "the same state, the same bytes"
    );
}

#[test]
fn bytes_that_do_not_have_the_name_are_not_it() {
    let (name, bytes) = checkpoint().encode().unwrap();
    let mut flipped = bytes.to_vec();
    flipped[20] ^= 1;
    assert_eq!(Kept::decode(name, &flipped).unwrap(), None);
    let earlier = CheckpointRef {
        rev: Revision::new(6),
        ..name
    };
    assert_eq!(Kept::decode(earlier, &bytes).unwrap(), None);
}

#[test]
fn another_shape_is_told_apart() {
    let (_, bytes) = checkpoint().encode().unwrap();
    let text = String::from_utf8(bytes.to_vec())
        .unwrap()
        .replacen(r#""v":1"#, r#""v":2"#, 1)
        .replacen(r#""v":2"#, r#""v":3"#, 1);
    let name = CheckpointRef {
        rev: Revision::new(7),
        root: Digest::of(text.as_bytes()),
    };
    assert!(matches!(
        Kept::decode(name, text.as_bytes()),
        Err(RecordError::Shape { v: 3 })
    ));
}

const NOON: Timestamp = Timestamp::from_unix_ms(1_795_000_000_000);

fn version(number: &str, life: Life, dossier: Dossier) -> Arc<Version> {
    Arc::new(Version {
        number: number.parse().unwrap(),
        bundle: Bundle {
            sha256: Digest::of(number.as_bytes()),
            bytes: 364_000,
            format: BundleFormat::TarGz,
            files: 120,
            unpacked_bytes: 1_200_000,
        },
        permissions: ["camera", "pay"]
            .iter()
            .map(|name| name.parse().unwrap())
            .collect(),
        notes: "修复".into(),
        life,
        submitted_at: NOON,
        dossier: dossier.into(),
    })
}

/// An app with something of everything.
fn travel() -> App {
    let mut app = App::new("pingan/travel".parse().unwrap(), "Travel".into());
    app.revision = Revision::new(7);
    let sig = data_encoding::BASE64.encode(&[3; 64]);
    let envelope = format!(
        "{{\"payloadType\":\"application/vnd.huidu.release.v1+json\",\"payload\":\"eyJ2IjoxfQ==\",\
         \"signatures\":[{{\"keyid\":\"eede01b5fafff9fb\",\"sig\":\"{sig}\"}}]}}"
    );
    let dossier = Dossier {
        origin: Some(Origin {
            sha256: Digest::of(b"origin"),
            bytes: 99,
            format: BundleFormat::Zip,
        }),
        files: Some(Digest::of(b"files")),
        filing: Some("沪ICP备1号".into()),
        reach: Reach::default(),
        withheld: BTreeSet::new(),
        submitted_by: Some("member/ping".into()),
        approvals: vec![Vote {
            by: "member/lin".into(),
            at: NOON,
            signed: None,
        }],
        seq: 1,
        release: Some(SignedRelease {
            address: Digest::of(b"{\"v\":1}"),
            envelope,
        }),
    };
    let gone = Life::Delisted {
        reason: "leaks".into(),
        killed: true,
        at: NOON,
        before: Some(Box::new(Life::Approved)),
    };
    for version in [
        version("1.0.0", Life::Listed, dossier),
        version("1.1.0", gone, Dossier::default()),
        version("2.0.0-rc.1", Life::Submitted, Dossier::default()),
    ] {
        app.versions.insert(version.number.clone(), version);
    }
    let rollout = "{\"app\":\"pingan/travel\",\"hosts\":[\"retail\"],\"stable\":\"1.0.0\"}";
    app.rollout = Some(serde_json::from_str(rollout).unwrap());
    app.killed = Some(AppKill {
        reason: "court order".into(),
        at: NOON,
    });
    app.trust.grants = BTreeSet::from(["pay".parse().unwrap()]);
    app
}

/// These bytes are in stores out there. A change that breaks this test breaks them.
#[test]
fn a_checkpoint_in_one_piece_has_exactly_these_bytes() {
    let mut whole = checkpoint();
    let app = travel();
    whole.catalogue.to_mut().apps = BTreeMap::from([(app.id.clone(), app.into())]);
    let (name, bytes) = whole.encode().unwrap();
    let golden = include_str!("golden/whole.json").trim_end();
    assert_eq!(std::str::from_utf8(&bytes).unwrap(), golden);
    assert_eq!(
        Kept::decode(name, golden.as_bytes()).unwrap(),
        Some(Kept::Whole(Box::new(whole)))
    );
}

/// Likewise.
#[test]
fn a_checkpoint_in_pieces_has_exactly_these_bytes() {
    let piece = pack_app(&travel()).unwrap();
    let golden = include_str!("golden/piece.hex").replace('\n', "");
    assert_eq!(data_encoding::HEXLOWER.encode(&piece), golden);
    assert_eq!(unpack_app(&piece).unwrap(), travel());
    let outline = outline(&checkpoint(), vec![(travel().id, Digest::of(&piece))]);
    let (name, bytes) = outline.encode().unwrap();
    let golden = include_str!("golden/outline.json").trim_end();
    assert_eq!(std::str::from_utf8(&bytes).unwrap(), golden);
    assert_eq!(
        Kept::decode(name, golden.as_bytes()).unwrap(),
        Some(Kept::Parted(Box::new(outline)))
    );
}

/// Likewise, where a version says where it may run and is not granted all that it asks for.
#[test]
fn a_piece_with_what_is_rare_has_exactly_these_bytes() {
    let mut app = travel();
    let version = app.versions.get_mut(&"1.0.0".parse().unwrap()).unwrap();
    Arc::make_mut(version).dossier.change(|dossier| {
        dossier.withheld = BTreeSet::from(["pay".parse().unwrap()]);
        dossier.reach = Reach {
            platforms: vec!["android".parse().unwrap()],
            host_version: Some(">=8.2".parse().unwrap()),
            not_before: Some(NOON),
            not_after: Some(NOON.plus_ms(86_400_000)),
        };
    });
    let piece = pack_app(&app).unwrap();
    let golden = include_str!("golden/piece-rare.hex").replace('\n', "");
    assert_eq!(data_encoding::HEXLOWER.encode(&piece), golden);
    assert_eq!(unpack_app(&piece).unwrap(), app);
}

fn outline(whole: &Checkpoint<'_>, apps: Vec<(AppId, Digest)>) -> Outline<'static> {
    Outline {
        v: V2,
        rev: whole.rev,
        head: whole.head,
        catalogue: Cow::Owned(whole.catalogue.without_apps()),
        ops: Cow::Owned(whole.ops.clone().into_owned()),
        apps: Cow::Owned(apps),
    }
}

#[test]
fn an_outline_that_is_not_in_order_or_holds_apps_is_not_one() {
    let whole = checkpoint();
    let (one, two) = (travel().id, "zz/zz".parse().unwrap());
    let digest = Digest::of(b"piece");
    let swapped = outline(&whole, vec![(two, digest), (one, digest)]);
    let mut full = outline(&whole, Vec::new());
    full.catalogue = Cow::Owned(whole.catalogue.into_owned());
    for wrong in [swapped, full] {
        let (name, bytes) = wrong.encode().unwrap();
        assert_eq!(Kept::decode(name, &bytes).unwrap(), None);
    }
}

fn lives() -> impl Strategy<Value = Life> {
    prop_oneof![
        Just(Life::Draft),
        Just(Life::Submitted),
        Just(Life::InReview),
        Just(Life::Approved),
        Just(Life::Listed),
        ".{0,20}".prop_map(|reason| Life::Rejected { reason }),
        (".{0,20}", any::<bool>()).prop_map(|(reason, killed)| Life::Delisted {
            reason,
            killed,
            at: NOON,
            before: killed.then(|| Box::new(Life::Approved)),
        }),
    ]
}

proptest! {
    #[test]
    fn unpacking_an_app_is_the_inverse_of_packing(
        versions in prop::collection::vec((0..40_u8, lives(), ".{0,30}", any::<u64>(), 0..3_usize), 0..8),
    ) {
        let mut app = travel();
        for (minor, life, notes, bytes, permissions) in versions {
            let mut made = Version::clone(&version(&format!("3.{minor}.0"), life, Dossier::default()));
            (made.notes, made.bundle.bytes) = (notes, bytes);
            made.permissions = made.permissions.iter().take(permissions).cloned().collect();
            app.versions.insert(made.number.clone(), made.into());
        }
        let bytes = pack_app(&app).unwrap();
        let again = unpack_app(&bytes).unwrap();
        prop_assert_eq!(pack_app(&again).unwrap(), bytes);
        prop_assert_eq!(again, app);
    }

    #[test]
    fn any_bytes_are_an_app_or_an_error_but_never_a_panic(
        at: prop::sample::Index, to: u8, cut: prop::sample::Index,
    ) {
        let mut bytes = pack_app(&travel()).unwrap();
        let at = at.index(bytes.len());
        bytes[at] = to;
        bytes.truncate(cut.index(bytes.len() * 4).max(1));
        let _ = unpack_app(&bytes);
    }
}
