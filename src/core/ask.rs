//! What tells a repeated request from another one under the same name: the digest of what was asked for.
//!
//! Whoever asks twice says the same twice; what a server draws or finds out on the way (a secret, who submitted,
//! what an archive holds) is left out, because it differs from try to try. It is not what people agree on:
//! that is [`crate::eyes::hash`], over everything.

use crate::{command::Command, digest::Digest, dossier::Dossier, time::Timestamp};

/// The digest of `command`, to happen at `enact_at`, as whoever asks for it said it.
pub fn digest(command: &Command, enact_at: Option<Timestamp>) -> Digest {
    // Serialising to memory fails only for maps whose keys are no text; there is none here.
    let bytes = serde_json::to_vec(&(said(command), enact_at));
    Digest::of(&bytes.unwrap_or_else(|error| unreachable!("{error}")))
}

fn said(command: &Command) -> Command {
    const DRAWN: Digest = Digest::from_bytes([0; 32]);
    let mut command = command.clone();
    match &mut command {
        Command::AddToken { sha256, .. } => *sha256 = DRAWN,
        Command::AddPreview { id, .. } => *id = DRAWN,
        Command::SubmitVersion { dossier, .. } => {
            **dossier = Dossier {
                filing: dossier.filing.take(),
                ..Dossier::default()
            };
        }
        _ => {}
    }
    command
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{authority::Role, credential::Expiry, trust::Preview};

    fn token(secret: &[u8], note: &str) -> Command {
        Command::AddToken {
            id: "x".into(),
            sha256: Digest::of(secret),
            role: Role::Sre,
            note: note.into(),
            member: None,
            expires: Expiry::Usual,
            scopes: std::collections::BTreeSet::new(),
        }
    }

    fn preview(secret: &[u8], host: &str) -> Command {
        Command::AddPreview {
            app: "a/b".parse().unwrap(),
            version: "1.0.0".parse().unwrap(),
            id: Digest::of(secret),
            preview: Preview {
                host: host.parse().unwrap(),
                until: Timestamp::EPOCH,
            },
        }
    }

    fn kill(reason: &str) -> Command {
        Command::Kill {
            app: "a/b".parse().unwrap(),
            version: None,
            reason: reason.into(),
        }
    }

    #[test]
    fn what_is_drawn_at_every_try_makes_no_difference_and_what_was_said_does() {
        for (one, other, same) in [
            (kill("a"), kill("a"), true),
            (kill("a"), kill("b"), false),
            (token(b"1", "ci"), token(b"2", "ci"), true),
            (token(b"1", "ci"), token(b"1", "me"), false),
            (preview(b"1", "test"), preview(b"2", "test"), true),
            (preview(b"1", "test"), preview(b"1", "else"), false),
        ] {
            assert_eq!(digest(&one, None) == digest(&other, None), same, "{one:?}");
        }
        let soon = Some(Timestamp::from_unix_ms(1));
        assert_ne!(digest(&kill("a"), None), digest(&kill("a"), soon));
    }

    /// It is in records out there.
    #[test]
    fn the_digest_of_an_ask_is_for_ever() {
        insta::assert_snapshot!(digest(&kill("a"), None), @"83f6121f374716868be27943a4f97a58604a56aa90704728edfe701cceb2f1e1");
    }
}
