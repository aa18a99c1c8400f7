//! Whom a device believes from its birth: a keyring, and what it lets itself in for.
//!
//! For customers the keyring comes with the bank app. A developer may name one key, which then stands for
//! everything, or believe a development server on first use; neither ever makes a device of a customer.

use ed25519_dalek::VerifyingKey;
use huidu_core::{
    key::PublicKey,
    keyring::{Guard, Keyring, Trust},
    limits,
    paper::PaperError,
    time::Timestamp,
    verify::State,
};
use serde::Deserialize;

use super::{
    device::{DeviceError, read},
    http::Patience,
};

/// Whom a device believes from its birth.
#[derive(Debug, Clone)]
pub struct Root {
    keyring: Keyring,
    guard: Guard,
    born: Timestamp,
}

/// No device with this code is older: 2026-11-01.
const FIRST_BUILT: Timestamp = Timestamp::from_unix_ms(1_793_491_200_000);

impl Root {
    /// A keyring in its envelope, handed over by whoever made the device.
    pub fn read(envelope: &[u8], audience: &str, guard: Guard) -> Result<Self, PaperError> {
        let keyring = Keyring::born(envelope, audience, guard)?;
        Ok(Self {
            keyring,
            guard,
            born: FIRST_BUILT,
        })
    }

    /// The same, of a device that was made at `born` or later: no clock that is set back before it is
    /// believed, not even by a device that never heard anything.
    #[must_use]
    pub fn born_at(self, born: Timestamp) -> Self {
        Self { born, ..self }
    }

    /// A developer's: one key that stands for every role.
    pub fn of_key(key: &VerifyingKey, audience: &str) -> Self {
        let keyring = Keyring::of_key(&PublicKey::from(key), audience);
        Self {
            keyring,
            guard: Guard::Development,
            born: FIRST_BUILT,
        }
    }

    /// What a development server says of itself. Whoever answers is believed: for development alone, and
    /// never where the keyring says that it serves customers.
    pub fn of_server(server: &str, audience: &str) -> Result<Self, DeviceError> {
        #[derive(Deserialize)]
        struct Key {
            r#pub: String,
        }
        let agent = Patience::default().agent();
        let get = |path: &str| {
            let url = format!("{server}{path}");
            read(&url, agent.get(&url).call(), limits::ENVELOPE_BYTES as u64)
        };
        let first = get("/v1/k/1")?;
        if first.status == 200 {
            let refused = |why: String| DeviceError::Root { why };
            let root = Self::read(&first.body, audience, Guard::Development)
                .map_err(|error| refused(error.to_string()))?;
            if root.keyring.trust == Trust::Prod {
                let why = "its keyring serves customers, whose devices are born with it; give it with --root";
                return Err(refused(why.into()));
            }
            return Ok(root);
        }
        let heard = get("/v1/keys/dev")?;
        let key: Option<Key> = serde_json::from_slice(&heard.body).ok();
        let key = key.and_then(|key| parse_key(&key.r#pub));
        key.map(|key| Self::of_key(&key, audience))
            .ok_or_else(|| DeviceError::Status {
                url: format!("{server}/v1/keys/dev"),
                status: heard.status,
                retry_after: None,
                detail: "no development key; give the trusted keyring with --root".into(),
            })
    }

    /// What a new device knows.
    pub fn begin(&self) -> State {
        State::new(self.keyring.clone(), self.guard, self.born)
    }

    /// True when `state` began with this root, or walked on from one like it. Anything else begins anew.
    pub fn led_to(&self, state: &State) -> bool {
        let (known, root) = (state.keyring(), &self.keyring);
        state.guard() == self.guard
            && known.aud == root.aud
            && (known.version != root.version || known == root)
    }
}

/// A public key of 64 hexadecimal digits.
pub fn parse_key(text: &str) -> Option<VerifyingKey> {
    let bytes = data_encoding::HEXLOWER_PERMISSIVE
        .decode(text.trim().as_bytes())
        .ok()?;
    VerifyingKey::from_bytes(bytes.as_slice().try_into().ok()?).ok()
}
