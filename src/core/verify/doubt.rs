//! Why an answer was not believed: one name for each reason, as it is reported.

/// Why an answer was not believed. The device keeps what it knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, thiserror::Error)]
pub enum Doubt {
    /// There is no stamp, or it cannot be read.
    #[error("the answer carries no readable stamp")]
    Stamp,
    /// Not enough of those who may stamp signed it.
    #[error("the stamp is not signed by enough online keys of the keyring")]
    Signature,
    /// The keyring must have been followed by another by now.
    #[error("the newest known keyring is expired; fetch the ones that follow")]
    KeyringExpired,
    /// It gives itself a longer lease than the root allows.
    #[error("the stamp's lease is longer than the keyring allows")]
    Lease,
    /// The bytes are not those that were signed; or nothing changed, of something that was never heard.
    #[error("the answer is not the bytes that were signed")]
    Body,
    /// It is for another app or another installation.
    #[error("the answer is for another app or installation")]
    Scope,
    /// It was made for another request, or for any where one of its own was asked for.
    #[error("the answer was not made for this request")]
    Challenge,
    /// It speaks of a time for which the keyring speaks no more.
    #[error("the stamp is of a time after the keyring's end")]
    Future,
    /// It was true too long ago.
    #[error("the answer was true too long ago")]
    Freeze,
    /// Signed and whole, but no document this device can read.
    #[error("the answer is signed and is no document this device can read")]
    Form,
    /// Its revision is beyond any honest one.
    #[error("the answer's revision is further ahead than any installation moves")]
    FastForward,
    /// A newer answer is known: a node that lags, or somebody who kept this one.
    #[error("a newer answer is known")]
    StaleNode,
    /// At one revision it says what cannot be true beside what is known: two histories are signed.
    #[error("another answer of the same revision says what cannot be true beside this one")]
    Equivocation,
    /// It is for other devices.
    #[error("the answer is for other devices than this one")]
    NotForMe,
    /// It would bring back what was killed.
    #[error("the answer offers what was killed and has not been taken back since")]
    Killed,
    /// A paper is not signed by enough of those who may, or is not of this installation.
    #[error("a paper the answer rests on is not believed")]
    Paper,
    /// The paper is not the one that was named.
    #[error("the release record is not the one the answer names")]
    Mix,
    /// There is no release record, and there must be one.
    #[error("the answer names no release record")]
    NoRelease,
    /// There is no policy, and there must be one.
    #[error("no policy of the app is known")]
    NoPolicy,
    /// The policy is older than the one named, or than the one known.
    #[error("the policy is older than the one named or known")]
    PolicyRollback,
    /// The policy must have been followed by another by now.
    #[error("the policy is expired")]
    PolicyExpired,
    /// The app or the release was taken back offline.
    #[error("the policy lets this release run no more")]
    Policy,
    /// The release is for other platforms or other versions of the bank app.
    #[error("the release is not for this platform or version of the bank app")]
    WrongDevice,
    /// The release may not run yet, or not any more.
    #[error("the release may not run yet, or not any more")]
    Season,
    /// More is permitted than was granted, or than may be granted.
    #[error("the answer permits more than was granted offline")]
    Permissions,
}

/// What a device doubts by itself, after the verifier believed: a paper that cannot be had, a bundle that
/// is longer, slower or other than signed, a walk along keyrings that goes on at the next waking up.
pub const OF_DEVICES: [&str; 5] = ["archive", "files", "keyring-behind", "len", "slow"];

impl Doubt {
    /// All of them.
    pub const ALL: [Self; 25] = [
        Self::Stamp,
        Self::Signature,
        Self::KeyringExpired,
        Self::Lease,
        Self::Body,
        Self::Scope,
        Self::Challenge,
        Self::Future,
        Self::Freeze,
        Self::Form,
        Self::FastForward,
        Self::StaleNode,
        Self::Equivocation,
        Self::NotForMe,
        Self::Killed,
        Self::Paper,
        Self::Mix,
        Self::NoRelease,
        Self::NoPolicy,
        Self::PolicyRollback,
        Self::PolicyExpired,
        Self::Policy,
        Self::WrongDevice,
        Self::Season,
        Self::Permissions,
    ];

    /// Every code that a device may report, as written here; nothing that a device makes up becomes a label.
    pub fn known_code(text: &str) -> Option<&'static str> {
        let verified = Self::ALL.into_iter().map(Self::code);
        verified.chain(OF_DEVICES).find(|code| *code == text)
    }

    /// The word in reports.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Stamp => "stamp",
            Self::Signature => "sig",
            Self::KeyringExpired => "keyring-expired",
            Self::Lease => "lease",
            Self::Body => "hash",
            Self::Scope => "wrong-scope",
            Self::Challenge => "challenge",
            Self::Future => "future",
            Self::Freeze => "freeze",
            Self::Form => "form",
            Self::FastForward => "fast-forward",
            Self::StaleNode => "stale-node",
            Self::Equivocation => "equivocation",
            Self::NotForMe => "not-for-me",
            Self::Killed => "rollback",
            Self::Paper => "paper",
            Self::Mix => "mix",
            Self::NoRelease => "no-release",
            Self::NoPolicy => "no-policy",
            Self::PolicyRollback => "policy-rollback",
            Self::PolicyExpired => "policy-expired",
            Self::Policy => "policy",
            Self::WrongDevice => "wrong-device",
            Self::Season => "season",
            Self::Permissions => "permissions",
        }
    }
}
