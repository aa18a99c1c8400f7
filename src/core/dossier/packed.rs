//! `PackedDossier`: a dossier as the catalogue keeps it: one short run of bytes.
//!
//! An installation has a dossier for each version it ever had, and looks into one only when somebody reviews
//! or lists that version. Open, a dossier with a signed record is ten allocations and nearly two kilobytes;
//! packed it is one of less than half of that. It is also what checkpoints hold of it.
//!
//! An envelope is kept by its bytes and signatures where writing those again gives the very same text, else
//! as it came: nobody is ever handed another text than was signed in.

use std::{borrow::Cow, fmt};

use data_encoding::{BASE64, HEXLOWER};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{Dossier, Origin, SignedRelease, Vote};
use crate::{
    digest::Digest,
    pack::{Packer, Unpackable, Unpacker},
    time::Timestamp,
    version::BundleFormat,
};

const RELEASE: u8 = 1;
const SEQ: u8 = 2;
const FILES: u8 = 4;
const ORIGIN: u8 = 8;
const FILING: u8 = 16;
const SUBMITTED_BY: u8 = 32;
const APPROVALS: u8 = 64;

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
    pub(crate) fn change(&mut self, change: impl FnOnce(&mut Dossier)) {
        let mut dossier = self.open();
        change(&mut dossier);
        *self = dossier.into();
    }

    /// What the signed record is called, without opening all of it.
    pub fn address(&self) -> Option<Digest> {
        let mut head = Unpacker::new(&self.0, WHAT);
        let flags = head.byte().ok()?;
        (flags & RELEASE != 0).then(|| head.digest().ok())?
    }

    /// The number among the app's releases, without opening all of it.
    pub fn seq(&self) -> u64 {
        let mut head = Unpacker::new(&self.0, WHAT);
        let Ok(flags) = head.byte() else { return 0 };
        if flags & RELEASE != 0 && head.digest().is_err() {
            return 0;
        }
        if flags & SEQ == 0 {
            return 0;
        }
        head.number().unwrap_or_default()
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

impl From<Dossier> for PackedDossier {
    fn from(dossier: Dossier) -> Self {
        if dossier.is_default() {
            return Self::default();
        }
        let Dossier {
            origin,
            files,
            filing,
            submitted_by,
            approvals,
            seq,
            release,
        } = dossier;
        let flag = |flag, set| if set { flag } else { 0 };
        let mut packer = Packer::default();
        packer.byte(
            flag(RELEASE, release.is_some())
                | flag(SEQ, seq != 0)
                | flag(FILES, files.is_some())
                | flag(ORIGIN, origin.is_some())
                | flag(FILING, filing.is_some())
                | flag(SUBMITTED_BY, submitted_by.is_some())
                | flag(APPROVALS, !approvals.is_empty()),
        );
        if let Some(release) = &release {
            packer.digest(&release.address);
        }
        if seq != 0 {
            packer.number(seq);
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
        if let Some(release) = &release {
            pack_envelope(&mut packer, &release.envelope);
        }
        Self(packer.done().into())
    }
}

fn opened(bytes: &[u8]) -> Result<Dossier, Unpackable> {
    let mut from = Unpacker::new(bytes, WHAT);
    let mut dossier = Dossier::default();
    if bytes.is_empty() {
        return Ok(dossier);
    }
    let flags = from.byte()?;
    let has = |flag| flags & flag != 0;
    let address = has(RELEASE).then(|| from.digest()).transpose()?;
    if has(SEQ) {
        dossier.seq = from.number()?;
    }
    dossier.files = has(FILES).then(|| from.digest()).transpose()?;
    if has(ORIGIN) {
        dossier.origin = Some(Origin {
            sha256: from.digest()?,
            bytes: from.number()?,
            format: format_of(from.byte()?).ok_or(from.wrong())?,
        });
    }
    if has(FILING) {
        dossier.filing = Some(from.text()?.to_owned());
    }
    if has(SUBMITTED_BY) {
        dossier.submitted_by = Some(from.text()?.to_owned());
    }
    let votes = if has(APPROVALS) { from.count()? } else { 0 };
    for _ in 0..votes {
        dossier.approvals.push(Vote {
            by: from.text()?.to_owned(),
            at: Timestamp::from_unix_ms(from.number()?),
            signed: match from.byte()? {
                0 => None,
                _ => Some(from.envelope()?),
            },
        });
    }
    if let Some(address) = address {
        let envelope = from.envelope()?;
        dossier.release = Some(SignedRelease { address, envelope });
    }
    from.end()?;
    Ok(dossier)
}

/// Goes through packed bytes as [`opened`] does, and keeps nothing.
fn passed(from: &mut Unpacker<'_>) -> Result<(), Unpackable> {
    let flags = from.byte()?;
    let has = |flag| flags & flag != 0;
    if flags & 0x80 != 0 || flags == 0 {
        return Err(from.wrong());
    }
    if has(RELEASE) {
        from.digest()?;
    }
    if has(SEQ) && from.number()? == 0 {
        return Err(from.wrong());
    }
    if has(FILES) {
        from.digest()?;
    }
    if has(ORIGIN) {
        from.digest()?;
        from.number()?;
        format_of(from.byte()?).ok_or(from.wrong())?;
    }
    for flag in [FILING, SUBMITTED_BY] {
        if has(flag) {
            from.text()?;
        }
    }
    let votes = if has(APPROVALS) { from.count()? } else { 0 };
    if has(APPROVALS) && votes == 0 {
        return Err(from.wrong());
    }
    for _ in 0..votes {
        from.text()?;
        let at = from.number()?;
        if Timestamp::from_unix_ms(at).unix_ms() != at {
            return Err(from.wrong());
        }
        match from.byte()? {
            0 => {}
            1 => from.pass_envelope()?,
            _ => return Err(from.wrong()),
        }
    }
    if has(RELEASE) {
        from.pass_envelope()?;
    }
    from.end()
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
        (
            prop::option::of(origin),
            prop::option::of(digest()),
            prop::option::of(".{0,20}"),
            prop::option::of(".{0,20}"),
            prop::collection::vec(vote, 0..3),
            any::<u64>(),
            prop::option::of(release),
        )
            .prop_map(
                |(origin, files, filing, submitted_by, approvals, seq, release)| Dossier {
                    origin,
                    files,
                    filing,
                    submitted_by,
                    approvals,
                    seq,
                    release,
                },
            )
    }

    proptest! {
        #[test]
        fn opening_is_the_inverse_of_packing(dossier in dossiers()) {
            let packed = PackedDossier::from(dossier.clone());
            prop_assert_eq!(packed.open(), dossier.clone());
            prop_assert_eq!(packed.seq(), dossier.seq);
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
                let _ = packed.open();
                let _ = (packed.seq(), packed.address());
            }
        }
    }
}
