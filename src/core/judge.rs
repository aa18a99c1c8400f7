//! Every single thing that is checked before anything is believed, by name.
//!
//! A check is a fact that was computed, and its name. The judge in use lets nothing pass; tests take one
//! that is blind to one check, and show that an attack then gets through: so each check is there for a
//! reason, and the attacks would find it missing. Nobody outside this crate can bring a judge.

use crate::key::PublicKey;

macro_rules! checks {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// What is checked.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub(crate) enum Check {
            $($(#[$doc])* $name,)*
        }

        #[cfg(test)]
        impl Check {
            /// All of them: for each there is an attack.
            pub(crate) const ALL: &[Self] = &[$(Self::$name),*];
        }
    };
}

checks! {
    // Of any signed paper.
    Threshold,
    PaperAudience,
    // Of keyrings.
    OldRoot,
    NewRoot,
    KeyringVersion,
    KeyringTrust,
    EpochFalls,
    EpochKeys,
    KeyringExpired,
    Development,
    // Of a stamp and its body.
    StampSigned,
    Lease,
    Body,
    Scope,
    Mode,
    Challenge,
    Future,
    Fresh,
    Audience,
    App,
    Revision,
    FastForward,
    Older,
    Equivocal,
    Whom,
    // Of what is to run.
    Killed,
    PolicyPresent,
    PolicyApp,
    PolicyVersion,
    PolicyExpired,
    Delisted,
    ReleasePresent,
    Trial,
    Address,
    ReleaseApp,
    ReleaseVersion,
    Bundle,
    Platform,
    HostVersion,
    NotBefore,
    NotAfter,
    Floor,
    RevokedRelease,
    MostPermissions,
    Permissions,
}

/// Who decides on what was found.
pub(crate) trait Judge {
    /// Whether `fact`, which is `check`, lets pass.
    fn holds(&self, _check: Check, fact: bool) -> bool {
        fact
    }

    /// How many voices those who signed have: different public keys, whatever they are called and however
    /// often they signed. `signers` holds for each valid signature the id it was found by and its key.
    fn voices(&self, signers: &[(&str, &PublicKey)]) -> usize {
        let mut keys: Vec<_> = signers.iter().map(|(_, key)| *key).collect();
        keys.sort_unstable();
        keys.dedup();
        keys.len()
    }
}

/// The judge in use.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Strict;

impl Judge for Strict {}
