//! `Token`: the credential a person or a program shows to the control plane, `hd_<kind>_<id>_<secret>_<crc>`.
//!
//! The prefix lets leak scanners find it, the checksum tells a typo from a stranger without asking the
//! catalogue, and base 62 has neither `_` nor `-`, so the parts can never run into each other. A token
//! exists in memory once, to be shown once; only the SHA-256 of its secret may be kept. It must never
//! reach a log line: `Debug` hides the secret, and `Display` is for its owner alone.

use std::{fmt, str::FromStr};

use huidu_core::{authority::Role, digest::Digest};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq;

/// Digits of the id: 131 bits, so that two never meet.
const ID_DIGITS: usize = 22;
/// Digits of the secret: 256 bits, so that a plain hash of it is enough.
const SECRET_DIGITS: usize = 43;
/// Digits of the checksum: 62⁶ exceeds 2³².
const CRC_DIGITS: usize = 6;
const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// What a token is for, in the word that stands in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Everything.
    Admin,
    /// Lists, rolls out, kills and resumes.
    Manager,
    /// Watches, pauses, lowers and kills.
    Sre,
    /// Submits versions of one tenant.
    Partner,
    /// Approves or rejects versions.
    Reviewer,
    /// Grades, and says how versions are approved.
    Security,
    /// Reads.
    Auditor,
}

impl Kind {
    /// The kind of a role's tokens.
    pub const fn of(role: &Role) -> Self {
        match role {
            Role::Admin => Self::Admin,
            Role::ReleaseManager => Self::Manager,
            Role::Sre => Self::Sre,
            Role::Partner(_) => Self::Partner,
            Role::Reviewer => Self::Reviewer,
            Role::Security => Self::Security,
            Role::Auditor => Self::Auditor,
        }
    }

    const fn word(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Manager => "manager",
            Self::Sre => "sre",
            Self::Partner => "partner",
            Self::Reviewer => "reviewer",
            Self::Security => "security",
            Self::Auditor => "auditor",
        }
    }

    fn from_word(word: &str) -> Option<Self> {
        [
            Self::Admin,
            Self::Manager,
            Self::Sre,
            Self::Partner,
            Self::Reviewer,
            Self::Security,
            Self::Auditor,
        ]
        .into_iter()
        .find(|kind| kind.word() == word)
    }
}

/// A credential with its secret.
#[derive(Clone)]
pub struct Token {
    kind: Kind,
    id: String,
    secret: String,
}

/// Why a text is not a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenFault {
    /// Something else.
    #[error("this is not a token; one looks like `hd_<kind>_<id>_<secret>_<checksum>`")]
    NotAToken,
    /// The parts are there, but a letter is wrong.
    #[error("this token's checksum is wrong; copy it again, whole")]
    Typo,
}

impl Token {
    /// A new token of this kind from the system's randomness.
    pub fn generate(kind: Kind) -> Result<Self, getrandom::Error> {
        Self::with_id(kind, random_digits(ID_DIGITS)?)
    }

    /// A new secret under the id that belongs to `name`: whoever repeats a request to make a token finds
    /// the same id, never a second token.
    pub fn generate_for(kind: Kind, name: &str) -> Result<Self, getrandom::Error> {
        let hash = Sha256::digest(format!("huidu token id\n{name}"));
        let mut number = hash
            .iter()
            .take(16)
            .fold(0_u128, |number, byte| number << 8 | u128::from(*byte));
        let mut digits = [b'0'; ID_DIGITS];
        for digit in digits.iter_mut().rev() {
            *digit = BASE62[(number % 62) as usize];
            number /= 62;
        }
        Self::with_id(
            kind,
            digits.iter().map(|digit| char::from(*digit)).collect(),
        )
    }

    fn with_id(kind: Kind, id: String) -> Result<Self, getrandom::Error> {
        let secret = random_digits(SECRET_DIGITS)?;
        Ok(Self { kind, id, secret })
    }

    /// What it is for.
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// Its public name.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// What may be kept of it.
    pub fn sha256(&self) -> Digest {
        Digest::of(self.secret.as_bytes())
    }

    /// True when this is the token that `kept` was kept of. Takes as long for a wrong secret as for the
    /// right one.
    pub fn proves(&self, kept: &Digest) -> bool {
        self.sha256().as_bytes().ct_eq(kept.as_bytes()).into()
    }

    fn body(&self) -> String {
        format!("hd_{}_{}_{}", self.kind.word(), self.id, self.secret)
    }
}

impl FromStr for Token {
    type Err = TokenFault;

    fn from_str(text: &str) -> Result<Self, TokenFault> {
        let mut parts = text.split('_');
        let mut part = || parts.next().ok_or(TokenFault::NotAToken);
        let (head, kind, id, secret, crc) = (part()?, part()?, part()?, part()?, part()?);
        let digits = |part: &str, count: usize| {
            part.len() == count && part.bytes().all(|byte| byte.is_ascii_alphanumeric())
        };
        let shaped = head == "hd"
            && digits(id, ID_DIGITS)
            && digits(secret, SECRET_DIGITS)
            && digits(crc, CRC_DIGITS)
            && parts.next().is_none();
        let (true, Some(kind)) = (shaped, Kind::from_word(kind)) else {
            return Err(TokenFault::NotAToken);
        };
        let token = Self {
            kind,
            id: id.to_owned(),
            secret: secret.to_owned(),
        };
        if checksum(&token.body()) == crc {
            Ok(token)
        } else {
            Err(TokenFault::Typo)
        }
    }
}

/// The whole token, for the one time that its owner sees it.
impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let body = self.body();
        write!(f, "{body}_{}", checksum(&body))
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Token(hd_{}_{}_…)", self.kind.word(), self.id)
    }
}

fn checksum(body: &str) -> String {
    let mut crc = flate2::Crc::new();
    crc.update(body.as_bytes());
    let mut sum = crc.sum();
    let mut digits = [b'0'; CRC_DIGITS];
    for digit in digits.iter_mut().rev() {
        *digit = BASE62[(sum % 62) as usize];
        sum /= 62;
    }
    digits.iter().map(|digit| char::from(*digit)).collect()
}

/// Uniform digits: a random byte whose low six bits name no digit is thrown away.
/// 256 bits that nobody guesses.
pub(crate) fn secret() -> Result<String, getrandom::Error> {
    random_digits(SECRET_DIGITS)
}

fn random_digits(count: usize) -> Result<String, getrandom::Error> {
    let mut digits = String::with_capacity(count);
    let mut bytes = [0; 64];
    while digits.len() < count {
        getrandom::fill(&mut bytes)?;
        let fitting = bytes
            .iter()
            .filter_map(|byte| BASE62.get(usize::from(byte & 63)));
        let missing = count - digits.len();
        digits.extend(fitting.take(missing).map(|digit| char::from(*digit)));
    }
    Ok(digits)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn token() -> Token {
        Token {
            kind: Kind::Partner,
            id: "0000000000000000000abc".into(),
            secret: "Z".repeat(SECRET_DIGITS),
        }
    }

    #[test]
    fn a_token_is_written_so_that_scanners_and_people_know_it() {
        insta::assert_snapshot!(token(), @"hd_partner_0000000000000000000abc_ZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZ_1fr8l2");
        insta::assert_snapshot!(format!("{:?}", token()), @"Token(hd_partner_0000000000000000000abc_…)");
    }

    #[test]
    fn a_new_token_parses_back_and_proves_only_itself() {
        let (one, other) = (
            Token::generate(Kind::Admin).unwrap(),
            Token::generate(Kind::Admin).unwrap(),
        );
        let read: Token = one.to_string().parse().unwrap();
        assert_eq!(read.id(), one.id());
        assert!(read.proves(&one.sha256()) && !other.proves(&one.sha256()));
        assert_ne!(one.id(), other.id());
    }

    #[test]
    fn a_repeated_request_finds_the_same_id_and_another_secret() {
        let of = |name| Token::generate_for(Kind::Sre, name).unwrap();
        let (one, again, other) = (of("a"), of("a"), of("b"));
        assert_eq!(one.id(), again.id());
        assert_ne!(one.id(), other.id());
        assert_ne!(one.sha256(), again.sha256());
        assert!(one.to_string().parse::<Token>().is_ok());
    }

    #[test]
    fn a_typo_is_told_apart_from_something_else() {
        let text = token().to_string();
        let typo = text.replacen('Z', "Y", 1);
        assert_eq!(typo.parse::<Token>().unwrap_err(), TokenFault::Typo);
        for wrong in [
            "",
            "hd_",
            "Bearer x",
            &text[1..],
            &text[..text.len() - 1],
            &format!("{text}_"),
        ] {
            assert_eq!(
                wrong.parse::<Token>().unwrap_err(),
                TokenFault::NotAToken,
                "{wrong}"
            );
        }
        let kind = text.replacen("partner", "boss", 1);
        assert_eq!(kind.parse::<Token>().unwrap_err(), TokenFault::NotAToken);
    }

    proptest! {
        #[test]
        fn one_wrong_letter_is_always_noticed(at in 3_usize..80, letter in "[0-9A-Za-z]") {
            let text = token().to_string();
            prop_assume!(at < text.len() && &text[at..=at] != "_" && text[at..=at] != letter);
            let wrong = format!("{}{letter}{}", &text[..at], &text[at + 1..]);
            prop_assert!(wrong.parse::<Token>().is_err());
        }

        #[test]
        fn no_text_panics(text in "(hd_)?[a-z]{0,8}_?\\PC{0,80}") {
            let _ = text.parse::<Token>();
        }
    }
}
