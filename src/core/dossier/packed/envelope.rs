//! Envelopes in packed dossiers: by their bytes and signatures where writing those again gives the very same text,
//! else as they came. Nobody is ever handed another text than was signed in.

use std::borrow::Cow;

use data_encoding::{BASE64, HEXLOWER};
use serde::{Deserialize, Serialize};

use super::WHAT;
use crate::pack::{Packer, Unpackable, Unpacker};

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

pub(super) fn pack_envelope(packer: &mut Packer, text: &str) {
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
    pub(super) fn envelope(&mut self) -> Result<String, Unpackable> {
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

    pub(super) fn pass_envelope(&mut self) -> Result<(), Unpackable> {
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
