//! Texts that only the nodes of this installation can write and read: ChaCha20-Poly1305 over JSON.
//!
//! What a text is for is sealed with it, so that a state can never pass for a session. The first key seals
//! and all of them open: a new key is put in front, and the old one taken out once its texts have expired.
//! Nonces are drawn by chance; at one sign-in a second two would meet after thousands of years.

use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use serde::{Serialize, de::DeserializeOwned};

/// Bytes of a sealed text; browsers keep cookies of 4096.
const TEXT_BYTES: usize = 3_584;
/// Keys at once.
const KEYS: usize = 4;

/// What a sealed text is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// A sign-in under way.
    State,
    /// The session of a browser.
    Cookie,
    /// The session of a command line.
    Bearer,
    /// What a command line claims its session with.
    Grant,
}

impl Purpose {
    const fn label(self) -> &'static [u8] {
        match self {
            Self::State => b"huidu sign-in state 1",
            Self::Cookie => b"huidu session cookie 1",
            Self::Bearer => b"huidu session bearer 1",
            Self::Grant => b"huidu session grant 1",
        }
    }
}

/// A text that is never printed.
#[derive(Clone)]
pub(super) struct Hidden(pub(super) String);

impl std::fmt::Debug for Hidden {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Hidden(…)")
    }
}

/// Why there is no key to seal with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a session key is 64 hexadecimal digits; write one a line, the newest first, 4 at most")]
pub struct KeyFault;

/// The system gives no randomness, or the value is beyond any that is sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("nothing can be sealed: there is no randomness, or the value is too large")]
pub struct Unsealable;

/// Seals and opens.
#[derive(Debug)]
pub struct Sealer(Vec<LessSafeKey>);

impl Sealer {
    /// The keys in `text`, one a line, the newest first.
    pub fn from_text(text: &str) -> Result<Self, KeyFault> {
        let lines: Vec<&str> = text.split_whitespace().collect();
        if lines.is_empty() || lines.len() > KEYS {
            return Err(KeyFault);
        }
        let key = |line: &str| {
            let bytes = HEXLOWER.decode(line.as_bytes()).map_err(|_| KeyFault)?;
            let key = UnboundKey::new(&CHACHA20_POLY1305, &bytes).map_err(|_| KeyFault)?;
            Ok(LessSafeKey::new(key))
        };
        lines
            .into_iter()
            .map(key)
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// A new key as its file has it.
    pub fn new_key() -> Result<String, getrandom::Error> {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes)?;
        Ok(format!("{}\n", HEXLOWER.encode(&bytes)))
    }

    pub(super) fn seal<T: Serialize>(
        &self,
        purpose: Purpose,
        value: &T,
    ) -> Result<String, Unsealable> {
        let key = self.0.first().ok_or(Unsealable)?;
        let mut nonce = [0; NONCE_LEN];
        getrandom::fill(&mut nonce).map_err(|_| Unsealable)?;
        let mut sealed = serde_json::to_vec(value).map_err(|_| Unsealable)?;
        let aad = Aad::from(purpose.label());
        key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), aad, &mut sealed)
            .map_err(|_| Unsealable)?;
        let mut text = BASE64URL_NOPAD.encode(&nonce);
        text.push_str(&BASE64URL_NOPAD.encode(&sealed));
        if text.len() > TEXT_BYTES {
            return Err(Unsealable);
        }
        Ok(text)
    }

    /// What was sealed for `purpose`; nothing where it was not, or not by us.
    pub(super) fn open<T: DeserializeOwned>(&self, purpose: Purpose, text: &str) -> Option<T> {
        if text.len() > TEXT_BYTES {
            return None;
        }
        let bytes = BASE64URL_NOPAD.decode(text.as_bytes()).ok()?;
        let (nonce, sealed) = bytes.split_at_checked(NONCE_LEN)?;
        self.0.iter().find_map(|key| {
            let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
            let mut sealed = sealed.to_vec();
            let opened = key.open_in_place(nonce, Aad::from(purpose.label()), &mut sealed);
            serde_json::from_slice(opened.ok()?).ok()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(digit: char) -> String {
        digit.to_string().repeat(64)
    }

    #[test]
    fn a_text_opens_for_what_it_was_sealed_for_and_nothing_else() {
        let sealer = Sealer::from_text(&key('a')).unwrap();
        let text = sealer.seal(Purpose::Cookie, &"lin").unwrap();
        assert!(!text.contains("lin"));
        assert_ne!(text, sealer.seal(Purpose::Cookie, &"lin").unwrap());
        for purpose in [Purpose::State, Purpose::Bearer, Purpose::Grant] {
            assert_eq!(sealer.open::<String>(purpose, &text), None, "{purpose:?}");
        }
        assert_eq!(
            sealer.open::<String>(Purpose::Cookie, &text).unwrap(),
            "lin"
        );
    }

    #[test]
    fn no_changed_text_opens() {
        let sealer = Sealer::from_text(&key('a')).unwrap();
        let text = sealer.seal(Purpose::Cookie, &"lin").unwrap();
        for at in 0..text.len() {
            let other = if text.as_bytes()[at] == b'A' {
                "B"
            } else {
                "A"
            };
            let changed = format!("{}{other}{}", &text[..at], &text[at + 1..]);
            assert_eq!(
                sealer.open::<String>(Purpose::Cookie, &changed),
                None,
                "{at}"
            );
        }
        for cut in ["", "A", &text[..16], &text[..text.len() - 4]] {
            assert_eq!(sealer.open::<String>(Purpose::Cookie, cut), None, "{cut}");
        }
    }

    #[test]
    fn a_new_key_in_front_leaves_old_texts_open_until_the_old_one_is_taken_out() {
        let old = Sealer::from_text(&key('a')).unwrap();
        let both = Sealer::from_text(&format!("{}\n{}\n", key('b'), key('a'))).unwrap();
        let new = Sealer::from_text(&key('b')).unwrap();
        let text = old.seal(Purpose::Cookie, &1).unwrap();
        assert_eq!(both.open::<u8>(Purpose::Cookie, &text), Some(1));
        assert_eq!(new.open::<u8>(Purpose::Cookie, &text), None);
        let text = both.seal(Purpose::Cookie, &2).unwrap();
        assert_eq!(new.open::<u8>(Purpose::Cookie, &text), Some(2));
        assert_eq!(old.open::<u8>(Purpose::Cookie, &text), None);
    }

    #[test]
    fn a_key_is_sixty_four_digits() {
        for wrong in [
            "",
            "abc",
            &key('g'),
            &key('a')[1..],
            &format!("{} x", key('a')),
        ] {
            assert_eq!(Sealer::from_text(wrong).unwrap_err(), KeyFault, "{wrong}");
        }
        assert!(Sealer::from_text(&Sealer::new_key().unwrap()).is_ok());
    }
}
