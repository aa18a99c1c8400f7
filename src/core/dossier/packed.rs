//! `PackedDossier`: a dossier as the catalogue keeps it: one short run of bytes.
//!
//! An installation has a dossier for each version it ever had, and looks into one only when somebody reviews
//! or lists that version. Open, a dossier with a signed record is ten allocations and nearly two kilobytes;
//! packed it is one of less than half of that. It is also what checkpoints hold of it.
//!
//! An envelope is kept by its bytes and signatures where writing those again gives the very same text, else
//! as it came: nobody is ever handed another text than was signed in.

mod envelope;

use std::{collections::BTreeSet, fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use self::envelope::pack_envelope;
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
            flags & !ALL == 0 && has(SEQ) == (seq != 0) && has(WITHHELD) != withheld.is_empty();
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
mod tests;
