//! Papers: what people sign offline, and the one door through which it becomes believed.
//!
//! A [`Verified`] paper was signed by as many of the right people as the keyring asks for, is of this
//! installation, and reads strictly. There is no other way to make one.

use serde::{Serialize, de::DeserializeOwned};

use crate::{
    digest::Digest,
    envelope::{Envelope, EnvelopeError, Kind},
    json::{self, JsonError},
    judge::{Check, Judge, Strict},
    keyring::{Keyring, Role},
    limits,
};

/// A document that people sign.
pub trait Paper: Serialize + DeserializeOwned {
    /// What kind it is.
    const KIND: Kind;
    /// Whose signatures it needs.
    const ROLE: Role;

    /// The installation it is of.
    fn audience(&self) -> &str;

    /// What its types do not say.
    fn check(&self) -> Result<(), PaperError>;

    /// Reads the bytes that were signed.
    fn read(payload: &[u8]) -> Result<Self, PaperError> {
        let paper: Self = json::read(payload, limits::ENVELOPE_BYTES)?;
        paper.check()?;
        Ok(paper)
    }

    /// The bytes to sign: one document, one spelling.
    fn to_payload(&self) -> Vec<u8> {
        // Serialising to memory fails only for maps whose keys are no text; there is none here.
        serde_json::to_vec(self).unwrap_or_else(|error| unreachable!("{error}"))
    }
}

/// A paper that was signed by those who may, with what it is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified<T> {
    paper: T,
    address: Digest,
}

impl<T> Verified<T> {
    /// The paper.
    pub const fn paper(&self) -> &T {
        &self.paper
    }

    /// The digest of its bytes.
    pub const fn address(&self) -> Digest {
        self.address
    }

    /// The paper alone.
    pub fn into_paper(self) -> T {
        self.paper
    }
}

/// Why a paper is not believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PaperError {
    /// Not an envelope.
    #[error(transparent)]
    Envelope(#[from] EnvelopeError),
    /// Not the document it says it is.
    #[error("the signed bytes do not read: {0}")]
    Json(#[from] JsonError),
    /// A field says what cannot be.
    #[error("the field `{field}` {wrong}")]
    Field {
        /// Which.
        field: &'static str,
        /// What is wrong with it.
        wrong: String,
    },
    /// A paper of another kind.
    #[error("a {} was expected, and this is a {}", expected.word(), given.word())]
    Kind {
        /// What was expected.
        expected: Kind,
        /// What it is.
        given: Kind,
    },
    /// Too few of those who may signed it.
    #[error(
        "{have} of the {need} signatures that role `{}` needs (group {group}); collect more with `huidu sign`", role.word()
    )]
    Threshold {
        /// The role.
        role: Role,
        /// Which of its groups, from 1.
        group: usize,
        /// Different keys that signed.
        have: usize,
        /// How many must.
        need: u32,
    },
    /// Of another installation.
    #[error("the {} is of installation `{given}`, not of `{expected}`", kind.word())]
    Audience {
        /// What it is.
        kind: Kind,
        /// Whose it is.
        given: String,
        /// Whose it should be.
        expected: String,
    },
    /// Not the keyring that follows.
    #[error("keyring {given} does not follow keyring {known}; walk the chain one by one")]
    Sequence {
        /// The one there is.
        known: u64,
        /// The one given.
        given: u64,
    },
    /// A keyring of a development installation where customers are served, or the other way round.
    #[error("keyring {version} is marked `{trust}`, and this reader accepts no such keyring")]
    Trust {
        /// Which keyring.
        version: u64,
        /// What it is marked.
        trust: &'static str,
    },
    /// The epoch of online keys runs backwards, or a key outlives its epoch.
    #[error(
        "keyring {version} takes the online epoch from {from} to {to} wrongly: it never falls, and a new one has only new keys"
    )]
    Epoch {
        /// Which keyring.
        version: u64,
        /// The epoch there was.
        from: u64,
        /// The epoch it names.
        to: u64,
    },
}

pub(crate) fn field(field: &'static str, wrong: impl Into<String>) -> PaperError {
    PaperError::Field {
        field,
        wrong: wrong.into(),
    }
}

/// The form of all papers.
pub const FORM: u32 = 1;

/// What every paper's head must say.
pub(crate) fn check_head(v: u32, aud: &str) -> Result<(), PaperError> {
    if v != FORM {
        return Err(field("v", format!("is {v}; this build reads {FORM}")));
    }
    let fits = (1..=limits::UNIT_BYTES).contains(&aud.len());
    if !fits || aud.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return Err(field("aud", "is no installation, such as `bank/prod`"));
    }
    Ok(())
}

/// A list that is a set: rising, nothing twice, not too long.
pub(crate) fn check_set<T: Ord>(
    name: &'static str,
    list: &[T],
    most: usize,
) -> Result<(), PaperError> {
    if list.len() > most {
        return Err(field(name, format!("has more than {most} entries")));
    }
    if list.windows(2).any(|pair| pair[0] >= pair[1]) {
        return Err(field(name, "is not in rising order without repetition"));
    }
    Ok(())
}

/// Opens a release record or an app policy by what `keyring` says.
pub fn open<T: Paper>(keyring: &Keyring, bytes: &[u8]) -> Result<Verified<T>, PaperError> {
    open_with(&Strict, keyring, bytes)
}

pub(crate) fn open_with<T: Paper>(
    judge: &impl Judge,
    keyring: &Keyring,
    bytes: &[u8],
) -> Result<Verified<T>, PaperError> {
    let envelope = Envelope::parse(bytes)?;
    expect::<T>(&envelope)?;
    let shortfall = keyring.shortfall(judge, T::ROLE, &envelope.message(), envelope.signatures());
    if !judge.holds(Check::Threshold, shortfall.is_none())
        && let Some(shortfall) = shortfall
    {
        return Err(shortfall);
    }
    let paper = T::read(envelope.payload())?;
    if !judge.holds(Check::PaperAudience, paper.audience() == keyring.aud) {
        return Err(PaperError::Audience {
            kind: T::KIND,
            given: paper.audience().to_owned(),
            expected: keyring.aud.clone(),
        });
    }
    Ok(Verified {
        paper,
        address: envelope.address(),
    })
}

pub(crate) fn expect<T: Paper>(envelope: &Envelope) -> Result<(), PaperError> {
    if envelope.kind() == T::KIND {
        return Ok(());
    }
    Err(PaperError::Kind {
        expected: T::KIND,
        given: envelope.kind(),
    })
}
