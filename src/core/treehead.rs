//! The tree head: a signed line that says how long the ledger is and what it holds, for whoever keeps it.
//!
//! Text in the form of C2SP tlog-checkpoint, signed as a C2SP signed note, so that tools which are not ours
//! can check it: origin, number of records, root. The roots of the complete subtrees follow, so that whoever
//! goes on from here need not read what was before. A head is believed for its signature alone.

use data_encoding::BASE64;
use ed25519_dalek::SigningKey;
use sha2::{Digest as _, Sha256};

use crate::{
    digest::Digest,
    key::{self, Alg, PublicKey, Signer, SignerError},
    merkle::Frontier,
};

/// How long the ledger is, and what it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TreeHead {
    /// Whose ledger, `bank/environment`.
    pub origin: String,
    /// Its records.
    pub tree: Frontier,
}

/// A head and what was signed of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedHead {
    head: TreeHead,
    text: String,
    signatures: Vec<(String, Vec<u8>)>,
}

/// Why a text is no tree head.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a tree head: {what}")]
pub struct TreeHeadError {
    /// What is wrong.
    pub what: &'static str,
}

const fn wrong(what: &'static str) -> TreeHeadError {
    TreeHeadError { what }
}

/// The first four bytes of what a note calls a key.
fn key_hash(name: &str, key: &PublicKey) -> Option<[u8; 4]> {
    if key.alg() != Alg::Ed25519 {
        return None;
    }
    let hash = Sha256::new()
        .chain_update(name)
        .chain_update(b"\n\x01")
        .chain_update(key.as_bytes())
        .finalize();
    Some([hash[0], hash[1], hash[2], hash[3]])
}

impl TreeHead {
    /// The text that is signed; ends with a line feed.
    pub fn text(&self) -> String {
        let mut text = format!(
            "{}\n{}\n{}\n",
            self.origin,
            self.tree.size(),
            BASE64.encode(self.tree.root().as_bytes())
        );
        for root in self.tree.roots() {
            text.push_str("frontier ");
            text.push_str(&BASE64.encode(root.as_bytes()));
            text.push('\n');
        }
        text
    }

    /// The signed note.
    pub fn sign(&self, key: &SigningKey) -> String {
        let text = self.text();
        let signature = ed25519_dalek::Signer::sign(key, text.as_bytes());
        self.note(&text, &key.public_key(), &signature.to_bytes())
    }

    /// The note, signed by whoever holds the key; that can fail.
    pub fn sign_by<S: Signer + ?Sized>(&self, signer: &S) -> Result<String, SignerError> {
        let text = self.text();
        let signature = key::sign_64(signer, text.as_bytes())?;
        Ok(self.note(&text, &signer.public_key(), &signature))
    }

    fn note(&self, text: &str, public: &PublicKey, signature: &[u8; 64]) -> String {
        let hash = key_hash(&self.origin, public).unwrap_or_default();
        let blob = [hash.as_slice(), signature].concat();
        format!(
            "{text}\n\u{2014} {} {}\n",
            self.origin,
            BASE64.encode(&blob)
        )
    }
}

impl SignedHead {
    /// Reads a signed note. What it says is not believed yet.
    pub fn parse(note: &str) -> Result<Self, TreeHeadError> {
        let (text, rest) = note
            .split_once("\n\n")
            .ok_or(wrong("no empty line before the signatures"))?;
        let text = format!("{text}\n");
        let mut lines = text.lines();
        let mut line = || lines.next().ok_or(wrong("too few lines"));
        let origin = line()?.to_owned();
        let digits = line()?;
        let size: u64 = digits.parse().map_err(|_| wrong("no number of records"))?;
        if size.to_string() != digits {
            return Err(wrong("a second spelling of the number of records"));
        }
        let root = digest(line()?)?;
        let roots = lines.map(|line| {
            let rest = line.strip_prefix("frontier ");
            digest(rest.ok_or(wrong("an unknown line"))?)
        });
        let roots = roots.collect::<Result<Vec<_>, _>>()?;
        let tree = Frontier::new(size, roots).ok_or(wrong("another number of subtrees"))?;
        if tree.root() != root {
            return Err(wrong("the subtrees lead to another root"));
        }
        let mut signatures = Vec::new();
        for line in rest.lines() {
            let line = line.strip_prefix("\u{2014} ");
            let line = line.and_then(|line| line.split_once(' '));
            let (name, blob) = line.ok_or(wrong("no signature line"))?;
            let blob = BASE64.decode(blob.as_bytes());
            let blob = blob.map_err(|_| wrong("a signature is not base64"))?;
            signatures.push((name.to_owned(), blob));
        }
        let head = TreeHead { origin, tree };
        Ok(Self {
            head,
            text,
            signatures,
        })
    }

    /// What it says, when one of `keys` signed it.
    pub fn by<'a>(&self, keys: impl IntoIterator<Item = &'a PublicKey>) -> Option<&TreeHead> {
        let signed = |key: &PublicKey| {
            self.signatures.iter().any(|(name, blob)| {
                let (hash, signature) = blob.split_at(blob.len().min(4));
                *name == self.head.origin
                    && key_hash(name, key).is_some_and(|known| known == hash)
                    && key.verifies(self.text.as_bytes(), signature)
            })
        };
        keys.into_iter().any(signed).then_some(&self.head)
    }

    /// What it says, whoever signed it.
    pub const fn unverified(&self) -> &TreeHead {
        &self.head
    }
}

fn digest(text: &str) -> Result<Digest, TreeHeadError> {
    let bytes = BASE64.decode(text.as_bytes());
    let bytes: Option<[u8; 32]> = bytes.ok().and_then(|bytes| bytes.try_into().ok());
    bytes
        .map(Digest::from_bytes)
        .ok_or(wrong("a root is not 32 bytes of base64"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::merkle;

    fn head() -> TreeHead {
        let mut tree = Frontier::default();
        for n in 0..5_u8 {
            tree.push(merkle::leaf(&[n]));
        }
        TreeHead {
            origin: "bank/prod".into(),
            tree,
        }
    }

    fn key() -> SigningKey {
        SigningKey::from_bytes(&[41; 32])
    }

    #[test]
    fn a_head_is_read_back_and_believed_by_its_key() {
        let note = head().sign(&key());
        let signed = SignedHead::parse(&note).unwrap();
        assert_eq!(signed.by([&key().public_key()]), Some(&head()));
        let other = SigningKey::from_bytes(&[42; 32]).public_key();
        assert_eq!(signed.by([&other]), None);
        assert!(note.starts_with("bank/prod\n5\n"), "{note}");
    }

    #[test]
    fn no_changed_bit_is_believed() {
        let note = head().sign(&key()).into_bytes();
        for at in 0..note.len() {
            for bit in 0..8 {
                let mut changed = note.clone();
                changed[at] ^= 1 << bit;
                let Ok(text) = String::from_utf8(changed) else {
                    continue;
                };
                let read = SignedHead::parse(&text);
                let believed = read
                    .ok()
                    .and_then(|read| read.by([&key().public_key()]).cloned());
                assert!(believed.is_none(), "byte {at} bit {bit}");
            }
        }
    }
}
