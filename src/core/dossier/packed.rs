//! `PackedDossier`: a dossier as the catalogue keeps it: one short run of bytes.
//!
//! An installation has a dossier for each version it ever had, and looks into one only when somebody reviews
//! or lists that version. Open, a dossier with a signed record is ten allocations and nearly two kilobytes;
//! packed it is one of less than half of that. It is also what checkpoints hold of it.
//!
//! An envelope is kept by its bytes and signatures where writing those again gives the very same text, else
//! as it came: nobody is ever handed another text than was signed in.

use std::{borrow::Cow, collections::BTreeSet, fmt, str::FromStr};

use data_encoding::{BASE64, HEXLOWER};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{Dossier, Origin, Reach, SignedRelease, Vote};
use crate::{
    digest::Digest,
    name::Permission,
    pack::{Packer, Unpackable, Unpacker},
    time::Timestamp,
    version::BundleFormat,
};

// What is there; the first seven fit into one byte.
const RELEASE: u64 = 1;
const SEQ: u64 = 2;
const FILES: u64 = 4;
const ORIGIN: u64 = 8;
const FILING: u64 = 16;
const SUBMITTED_BY: u64 = 32;
const APPROVALS: u64 = 64;
const WITHHELD: u64 = 128;
const REACH: u64 = 256;
const ALL: u64 = 2 * REACH - 1;

/// A dossier in one run of bytes. Equal bytes are equal dossiers. Empty: an empty one.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct PackedDossier(Box<[u8]>);

impl PackedDossier {
    /// True of versions from before there were any.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The dossier, to look into.
    pub fn open(&self) -> Dossier {
        // These bytes were packed here, or read whole before they were let in.
        opened(&self.0).unwrap_or_else(|error| unreachable!("{error}"))
    }

    /// Changes what is in it.
    pub fn change(&mut self, change: impl FnOnce(&mut Dossier)) {
        let mut dossier = self.open();
        change(&mut dossier);
        *self = dossier.into();
    }

    /// What the signed record is called, without opening all of it.
    pub fn address(&self) -> Option<Digest> {
        Head::read(&mut Unpacker::new(&self.0, WHAT)).ok()?.address
    }

    /// The number among the app's releases, without opening all of it.
    pub fn seq(&self) -> u64 {
        let head = Head::read(&mut Unpacker::new(&self.0, WHAT));
        head.map_or(0, |head| head.seq)
    }

    /// What it asks for and was not granted, without opening all of it.
    pub fn withheld(&self) -> BTreeSet<Permission> {
        let head = Head::read(&mut Unpacker::new(&self.0, WHAT));
        head.map_or_else(|_| BTreeSet::new(), |head| head.withheld)
    }

    /// The bytes, to be kept.
    pub(crate) const fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Takes in bytes that were kept; nothing that `open` would stumble over.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Result<Self, Unpackable> {
        if !bytes.is_empty() {
            passed(&mut Unpacker::new(bytes, WHAT))?;
        }
        Ok(Self(bytes.into()))
    }
}

const WHAT: &str = "dossier";

/// What a dossier begins with: all that is asked of many at once.
struct Head {
    flags: u64,
    address: Option<Digest>,
    seq: u64,
    withheld: BTreeSet<Permission>,
}

impl Head {
    fn read(from: &mut Unpacker<'_>) -> Result<Self, Unpackable> {
        // An empty dossier has no bytes, and so no flags either.
        let flags = if from.end().is_ok() {
            0
        } else {
            from.number()?
        };
        let has = |flag| flags & flag != 0;
        let address = has(RELEASE).then(|| from.digest()).transpose()?;
        let seq = if has(SEQ) { from.number()? } else { 0 };
        let mut withheld = BTreeSet::new();
        for _ in 0..if has(WITHHELD) { from.count()? } else { 0 } {
            let permission: Permission = from.named()?;
            if withheld.last().is_some_and(|last| *last >= permission) {
                return Err(from.wrong());
            }
            withheld.insert(permission);
        }
        let is_so =
            flags & !ALL == 0 && has(SEQ) == (seq != 0) && has(WITHHELD) == !withheld.is_empty();
        is_so.then_some(()).ok_or(from.wrong())?;
        Ok(Self {
            flags,
            address,
            seq,
            withheld,
        })
    }
}

impl From<Dossier> for PackedDossier {
    fn from(dossier: Dossier) -> Self {
        if dossier.is_default() {
            return Self::default();
        }
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
        } = dossier;
        let flag = |flag, set| if set { flag } else { 0 };
        let mut packer = Packer::default();
        packer.number(
            flag(RELEASE, release.is_some())
                | flag(SEQ, seq != 0)
                | flag(FILES, files.is_some())
                | flag(ORIGIN, origin.is_some())
                | flag(FILING, filing.is_some())
                | flag(SUBMITTED_BY, submitted_by.is_some())
                | flag(APPROVALS, !approvals.is_empty())
                | flag(WITHHELD, !withheld.is_empty())
                | flag(REACH, !reach.is_everywhere()),
        );
        if let Some(SignedRelease { address, .. }) = &release {
            packer.digest(address);
        }
        if seq != 0 {
            packer.number(seq);
        }
        if !withheld.is_empty() {
            packer.count(withheld.len());
        }
        for permission in &withheld {
            packer.text(permission.as_str());
        }
        if let Some(files) = &files {
            packer.digest(files);
        }
        if let Some(origin) = &origin {
            let Origin {
                sha256,
                bytes,
                format,
            } = origin;
            packer.digest(sha256);
            packer.number(*bytes);
            packer.byte(format_byte(*format));
        }
        for text in [&filing, &submitted_by].into_iter().flatten() {
            packer.text(text);
        }
        if !reach.is_everywhere() {
            pack_reach(&mut packer, &reach);
        }
        if !approvals.is_empty() {
            packer.count(approvals.len());
        }
        for Vote { by, at, signed } in &approvals {
            packer.text(by);
            packer.number(at.unix_ms());
            packer.byte(u8::from(signed.is_some()));
            if let Some(signed) = signed {
                pack_envelope(&mut packer, signed);
            }
        }
        if let Some(SignedRelease { envelope, .. }) = &release {
            pack_envelope(&mut packer, envelope);
        }
        Self(packer.done().into())
    }
}

fn opened(bytes: &[u8]) -> Result<Dossier, Unpackable> {
    let mut from = Unpacker::new(bytes, WHAT);
    let Head {
        flags,
        address,
        seq,
        withheld,
    } = Head::read(&mut from)?;
    let has = |flag| flags & flag != 0;
    // In the order in which they are packed.
    let files = has(FILES).then(|| from.digest()).transpose()?;
    let origin = has(ORIGIN).then(|| from.origin()).transpose()?;
    let filing = has(FILING).then(|| from.text()).transpose()?;
    let submitted_by = has(SUBMITTED_BY).then(|| from.text()).transpose()?;
    let reach = has(REACH).then(|| from.reach()).transpose()?;
    let votes = if has(APPROVALS) { from.count()? } else { 0 };
    let approvals = (0..votes).map(|_| from.vote()).collect::<Result<_, _>>()?;
    let release = address.map(|address| {
        let envelope = from.envelope()?;
        Ok(SignedRelease { address, envelope })
    });
    let release = release.transpose()?;
    from.end()?;
    Ok(Dossier {
        origin,
        files,
        filing: filing.map(str::to_owned),
        reach: reach.unwrap_or_default(),
        withheld,
        submitted_by: submitted_by.map(str::to_owned),
        approvals,
        seq,
        release,
    })
}

/// Goes through packed bytes as [`opened`] does, keeps nothing, and lets in but the one spelling of each value.
fn passed(from: &mut Unpacker<'_>) -> Result<(), Unpackable> {
    let wrong = from.wrong();
    let must = |right: bool| right.then_some(()).ok_or(wrong);
    let Head { flags, .. } = Head::read(from)?;
    let has = |flag| flags & flag != 0;
    must(flags != 0)?;
    if has(FILES) {
        from.digest()?;
    }
    if has(ORIGIN) {
        from.origin()?;
    }
    for flag in [FILING, SUBMITTED_BY] {
        if has(flag) {
            from.text()?;
        }
    }
    if has(REACH) {
        must(!from.reach()?.is_everywhere())?;
    }
    let votes = if has(APPROVALS) { from.count()? } else { 0 };
    must(has(APPROVALS) == (votes != 0))?;
    for _ in 0..votes {
        from.text()?;
        from.time()?;
        match from.byte()? {
            0 => {}
            1 => from.pass_envelope()?,
            _ => return Err(wrong),
        }
    }
    if has(RELEASE) {
        from.pass_envelope()?;
    }
    from.end()
}

fn pack_reach(packer: &mut Packer, reach: &Reach) {
    let Reach {
        platforms,
        host_version,
        not_before,
        not_after,
    } = reach;
    let flag = |flag, set| if set { flag } else { 0 };
    packer.byte(
        flag(HOST_VERSION, host_version.is_some())
            | flag(NOT_BEFORE, not_before.is_some())
            | flag(NOT_AFTER, not_after.is_some()),
    );
    packer.count(platforms.len());
    for platform in platforms {
        packer.text(platform.as_str());
    }
    if let Some(range) = host_version {
        packer.text(&range.to_string());
    }
    for at in [not_before, not_after].into_iter().flatten() {
        packer.number(at.unix_ms());
    }
}

const HOST_VERSION: u8 = 1;
const NOT_BEFORE: u8 = 2;
const NOT_AFTER: u8 = 4;

impl Unpacker<'_> {
    /// Something whose text is its only spelling.
    fn named<T: FromStr>(&mut self) -> Result<T, Unpackable> {
        self.text()?.parse().map_err(|_| self.wrong())
    }

    fn time(&mut self) -> Result<Timestamp, Unpackable> {
        let ms = self.number()?;
        let at = Timestamp::from_unix_ms(ms);
        (at.unix_ms() == ms).then_some(at).ok_or(self.wrong())
    }

    fn origin(&mut self) -> Result<Origin, Unpackable> {
        Ok(Origin {
            sha256: self.digest()?,
            bytes: self.number()?,
            format: format_of(self.byte()?).ok_or(self.wrong())?,
        })
    }

    fn reach(&mut self) -> Result<Reach, Unpackable> {
        let flags = self.byte()?;
        if flags & !(HOST_VERSION | NOT_BEFORE | NOT_AFTER) != 0 {
            return Err(self.wrong());
        }
        let has = |flag| flags & flag != 0;
        let count = self.count()?;
        Ok(Reach {
            platforms: (0..count).map(|_| self.named()).collect::<Result<_, _>>()?,
            host_version: has(HOST_VERSION).then(|| self.named()).transpose()?,
            not_before: has(NOT_BEFORE).then(|| self.time()).transpose()?,
            not_after: has(NOT_AFTER).then(|| self.time()).transpose()?,
        })
    }

    fn vote(&mut self) -> Result<Vote, Unpackable> {
        Ok(Vote {
            by: self.text()?.to_owned(),
            at: self.time()?,
            signed: match self.byte()? {
                0 => None,
                _ => Some(self.envelope()?),
            },
        })
    }
}

/// How a format is kept.
pub(crate) const fn format_byte(format: BundleFormat) -> u8 {
    match format {
        BundleFormat::Zip => 0,
        BundleFormat::TarGz => 1,
    }
}

pub(crate) const fn format_of(byte: u8) -> Option<BundleFormat> {
    match byte {
        0 => Some(BundleFormat::Zip),
        1 => Some(BundleFormat::TarGz),
        _ => None,
    }
}

/// An envelope as it is written.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written<'a> {
    #[serde(rename = "payloadType", borrow)]
    media_type: Cow<'a, str>,
    #[serde(borrow)]
    payload: Cow<'a, str>,
    #[serde(borrow)]
    signatures: Vec<Signature<'a>>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Signature<'a> {
    #[serde(borrow)]
    keyid: Cow<'a, str>,
    #[serde(borrow)]
    sig: Cow<'a, str>,
}

const VERBATIM: u8 = 0;
const SPLIT: u8 = 1;

fn pack_envelope(packer: &mut Packer, text: &str) {
    let mut split = Packer::default();
    if pack_split(&mut split, text).is_some() {
        let split = split.done();
        let again = Unpacker::new(&split, WHAT).envelope();
        if again.as_deref() == Ok(text) {
            packer.raw(&split);
            return;
        }
    }
    packer.byte(VERBATIM);
    packer.text(text);
}

/// The envelope by its parts, where it has them.
fn pack_split(packer: &mut Packer, text: &str) -> Option<()> {
    let written: Written<'_> = serde_json::from_str(text).ok()?;
    packer.byte(SPLIT);
    let kind = written.media_type.strip_prefix(TYPES.0)?;
    packer.text(kind.strip_suffix(TYPES.1)?);
    packer.bytes(&BASE64.decode(written.payload.as_bytes()).ok()?);
    packer.count(written.signatures.len());
    for Signature { keyid, sig } in &written.signatures {
        let id = HEXLOWER.decode(keyid.as_bytes()).ok()?;
        packer.raw(id.get(..KEY_ID)?);
        packer.bytes(&BASE64.decode(sig.as_bytes()).ok()?);
    }
    Some(())
}

/// What the types of all papers begin and end with.
const TYPES: (&str, &str) = ("application/vnd.huidu.", ".v1+json");
/// Key ids are sixteen hexadecimal digits.
const KEY_ID: usize = 8;

impl Unpacker<'_> {
    fn envelope(&mut self) -> Result<String, Unpackable> {
        if self.byte()? == VERBATIM {
            return Ok(self.text()?.to_owned());
        }
        let media_type = [TYPES.0, self.text()?, TYPES.1].concat().into();
        let payload = BASE64.encode(self.bytes()?).into();
        let mut signatures = Vec::new();
        for _ in 0..self.count()? {
            signatures.push(Signature {
                keyid: HEXLOWER.encode(self.raw(KEY_ID)?).into(),
                sig: BASE64.encode(self.bytes()?).into(),
            });
        }
        let written = Written {
            media_type,
            payload,
            signatures,
        };
        serde_json::to_string(&written).map_err(|_| self.wrong())
    }

    fn pass_envelope(&mut self) -> Result<(), Unpackable> {
        match self.byte()? {
            VERBATIM => self.text().map(drop),
            SPLIT => {
                self.text()?;
                self.bytes()?;
                for _ in 0..self.count()? {
                    self.raw(KEY_ID)?;
                    self.bytes()?;
                }
                Ok(())
            }
            _ => Err(self.wrong()),
        }
    }
}

impl fmt::Debug for PackedDossier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.open().fmt(f)
    }
}

impl Serialize for PackedDossier {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.open().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for PackedDossier {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Dossier::deserialize(deserializer).map(Self::from)
    }
}

#[cfg(test)]
mod tests {
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
        let release = (digest(), envelopes())
            .prop_map(|(address, envelope)| SignedRelease { address, envelope });
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
}
