//! What narrows a credential: until when it holds, and to which part of its role.
//!
//! A credential never has more than its role. Scopes take away from it: what is asked for must be in the role
//! *and* in one of the scopes, where there are any. Credentials from before there were scopes or an end have
//! neither, and stay as they were.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::{
    authority::Forbidden, catalogue::Token, command::Command, limits, ramp::Steer, time::Timestamp,
};

/// A part of what there is to do. The words are for people who narrow a credential to one job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scope {
    /// See whatever the role sees.
    Read,
    /// Hand in versions.
    Submit,
    /// Begin reviews, approve and reject versions.
    Review,
    /// Put versions under review on trial.
    Trial,
    /// List, delist, roll out, ramp, pause and resume.
    Rollout,
    /// Stop: kill, revoke a permission, pause, lower a share, delist.
    Kill,
    /// Take a kill or the revocation of a permission back.
    Unkill,
    /// Admit tenants, hosts and apps.
    Catalogue,
    /// Upload and remove segments.
    Segments,
    /// Grade, grant, and say what there is to grant.
    Permissions,
    /// Put keyrings, app policies and release records in force.
    Keys,
    /// Give out tokens, none of them wider than the own one, and take them back.
    Tokens,
    /// Admit people, change what they may, let them go. Whoever may admit an admin may everything.
    Members,
    /// Decide how versions are approved and what people agree on.
    Policies,
    /// Agree to changes that wait, or take them back.
    Changes,
    /// Pause a ramp.
    RampPause,
    /// Let a ramp, or its next step, go on.
    RampResume,
    /// Take a ramp back by a step.
    RampAbort,
    /// Take a ramp back whole.
    RampRollBack,
    /// Begin and end A/B tests.
    Experiment,
    /// Promote an arm of an A/B test.
    ExperimentPromote,
}

impl Scope {
    /// All of them.
    pub const ALL: [Self; 21] = [
        Self::Read,
        Self::Submit,
        Self::Review,
        Self::Trial,
        Self::Rollout,
        Self::Kill,
        Self::Unkill,
        Self::Catalogue,
        Self::Segments,
        Self::Permissions,
        Self::Keys,
        Self::Tokens,
        Self::Members,
        Self::Policies,
        Self::Changes,
        Self::RampPause,
        Self::RampResume,
        Self::RampAbort,
        Self::RampRollBack,
        Self::Experiment,
        Self::ExperimentPromote,
    ];

    /// Its name.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Submit => "submit",
            Self::Review => "review",
            Self::Trial => "trial",
            Self::Rollout => "rollout",
            Self::Kill => "kill",
            Self::Unkill => "unkill",
            Self::Catalogue => "catalogue",
            Self::Segments => "segments",
            Self::Permissions => "permissions",
            Self::Keys => "keys",
            Self::Tokens => "tokens",
            Self::Members => "members",
            Self::Policies => "policies",
            Self::Changes => "changes",
            Self::RampPause => "ramp-pause",
            Self::RampResume => "ramp-resume",
            Self::RampAbort => "ramp-abort",
            Self::RampRollBack => "ramp-roll-back",
            Self::Experiment => "experiment",
            Self::ExperimentPromote => "experiment-promote",
        }
    }

    /// The scopes of which any one includes `command`. None: no credential asks for it, only a node.
    pub const fn of(command: &Command) -> &'static [Self] {
        match command {
            Command::Found { .. } | Command::EnactProposal { .. } | Command::DecideRamp { .. } => {
                &[]
            }
            Command::SteerRamp { act, .. } => match act {
                Steer::Pause => &[Self::Rollout, Self::Kill, Self::RampPause],
                Steer::Resume | Steer::Approve => &[Self::Rollout, Self::RampResume],
                Steer::Abort => &[Self::Rollout, Self::Kill, Self::RampAbort],
                Steer::RollBack => &[Self::Rollout, Self::Kill, Self::RampRollBack],
            },
            Command::BeginExperiment { .. } | Command::EndExperiment { arm: None, .. } => {
                &[Self::Rollout, Self::Experiment]
            }
            Command::EndExperiment { .. } => &[Self::Rollout, Self::ExperimentPromote],
            Command::AddToken { .. } | Command::RevokeToken { .. } => &[Self::Tokens],
            Command::AddTenant { .. } | Command::AddHost { .. } | Command::AddApp { .. } => {
                &[Self::Catalogue]
            }
            Command::SubmitVersion { .. } => &[Self::Submit],
            Command::List { .. }
            | Command::PutRollout { .. }
            | Command::RedrawRollout { .. }
            | Command::SetShare { .. }
            | Command::SetPause { paused: false, .. } => &[Self::Rollout],
            Command::Delist { .. }
            | Command::LowerShare { .. }
            | Command::SetPause { paused: true, .. } => &[Self::Rollout, Self::Kill],
            Command::Kill { .. } | Command::RevokePermission { .. } => &[Self::Kill],
            Command::Unkill { .. } | Command::RestorePermission { .. } => &[Self::Unkill],
            Command::PutSegment { .. } | Command::RemoveSegment { .. } => &[Self::Segments],
            Command::PutMember { .. } | Command::RemoveMember { .. } => &[Self::Members],
            Command::PutPermissions { .. }
            | Command::SetGrade { .. }
            | Command::Grant { .. }
            | Command::WithdrawGrant { .. } => &[Self::Permissions],
            Command::SetReviewPolicy { .. }
            | Command::SetInternal { .. }
            | Command::SetEyes { .. } => &[Self::Policies],
            Command::BeginReview { .. } | Command::Approve { .. } | Command::Reject { .. } => {
                &[Self::Review]
            }
            Command::SignRelease { .. }
            | Command::PutKeyring { .. }
            | Command::PutPolicy { .. } => &[Self::Keys],
            Command::ApproveProposal { .. } | Command::WithdrawProposal { .. } => &[Self::Changes],
            Command::PutTrial { .. }
            | Command::AddPreview { .. }
            | Command::RemovePreview { .. } => &[Self::Trial],
        }
    }
}

/// How long a credential that is asked for shall hold.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Expiry {
    /// For ever: the very first credential, and those from before there was an end.
    #[default]
    Never,
    /// As long as is usual, from when it is given out: [`limits::TOKEN_MS`].
    Usual,
    /// Until then, [`limits::TOKEN_LONGEST_MS`] ahead at most.
    At(Timestamp),
}

impl Expiry {
    /// True where nothing is said about it: what commands from before said.
    pub fn is_never(&self) -> bool {
        *self == Self::Never
    }

    /// When a credential given out at `now` expires; an error where that is no honest time.
    pub fn from(self, now: Timestamp) -> Result<Option<Timestamp>, NotATime> {
        match self {
            Self::Never => Ok(None),
            Self::Usual => Ok(Some(now.plus_ms(limits::TOKEN_MS))),
            Self::At(at) if at <= now || now.plus_ms(limits::TOKEN_LONGEST_MS) < at => {
                Err(NotATime)
            }
            Self::At(at) => Ok(Some(at)),
        }
    }
}

/// A credential cannot expire then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotATime;

impl Token {
    /// True while it opens anything.
    pub fn holds(&self, now: Timestamp) -> bool {
        self.expires.is_none_or(|expires| now < expires)
    }

    /// True when it expires so soon that somebody should see to the next one.
    pub fn expires_soon(&self, now: Timestamp) -> bool {
        let soon = now.plus_ms(limits::TOKEN_SOON_MS);
        self.holds(now) && self.expires.is_some_and(|expires| expires <= soon)
    }

    /// Lets through what it was narrowed to, while it holds.
    pub fn lets(&self, command: &Command, now: Timestamp) -> Result<(), Forbidden> {
        if let Some(at) = self.expires.filter(|_| !self.holds(now)) {
            return Err(Forbidden::Expired { at });
        }
        if self.scopes.is_empty() {
            return Ok(());
        }
        let asks = Scope::of(command);
        let within = asks.iter().any(|scope| self.scopes.contains(scope));
        if within && !self.widens(command) {
            return Ok(());
        }
        Err(Forbidden::Scope {
            verb: command.verb(),
            needs: asks.first().map_or("none", |scope| scope.word()),
        })
    }

    /// Lets a look through, where looking is among what it was narrowed to.
    pub fn lets_see(&self) -> Result<(), Forbidden> {
        if self.scopes.is_empty() || self.scopes.contains(&Scope::Read) {
            return Ok(());
        }
        Err(Forbidden::Scope {
            verb: "read",
            needs: Scope::Read.word(),
        })
    }

    /// True when it would give out a credential that is wider than itself.
    fn widens(&self, command: &Command) -> bool {
        match command {
            Command::AddToken { scopes, .. } => is_wider(scopes, &self.scopes),
            _ => false,
        }
    }
}

/// True when `scopes` let through what `than` do not. No scopes are the widest.
fn is_wider(scopes: &BTreeSet<Scope>, than: &BTreeSet<Scope>) -> bool {
    scopes.is_empty() || !scopes.is_subset(than)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{authority::Role, digest::Digest};

    const NOON: Timestamp = Timestamp::from_unix_ms(1_795_000_000_000);

    fn token(expires: Option<u64>, scopes: &[Scope]) -> Token {
        Token {
            sha256: Digest::of(b"x"),
            role: Role::Admin,
            note: String::new(),
            member: None,
            expires: expires.map(|ms| NOON.plus_ms(ms)),
            scopes: scopes.iter().copied().collect(),
        }
    }

    fn given(scopes: &[Scope]) -> Command {
        Command::AddToken {
            id: "x".into(),
            sha256: Digest::of(b"x"),
            role: Role::Admin,
            note: String::new(),
            member: None,
            expires: Expiry::Usual,
            scopes: scopes.iter().copied().collect(),
        }
    }

    #[test]
    fn a_credential_holds_until_the_very_moment() {
        let one = token(Some(10), &[]);
        assert!(one.holds(NOON) && one.holds(NOON.plus_ms(9)));
        assert!(!one.holds(NOON.plus_ms(10)) && token(None, &[]).holds(NOON.plus_ms(1 << 40)));
        let told = one.lets(&given(&[]), NOON.plus_ms(10)).unwrap_err();
        assert_eq!(
            told.to_string(),
            "this credential expired at 2026-11-18T11:06:40.01Z; an administrator gives out the next one with `huidu token add`"
        );
    }

    #[test]
    fn it_is_told_before_it_expires() {
        let one = token(Some(limits::TOKEN_SOON_MS + 1), &[]);
        assert!(!one.expires_soon(NOON) && one.expires_soon(NOON.plus_ms(1)));
        let over = NOON.plus_ms(limits::TOKEN_SOON_MS + 1);
        assert!(!one.expires_soon(over), "what is over is not soon over");
    }

    #[test]
    fn a_time_is_ahead_and_not_too_far() {
        let at = |ms| Expiry::At(NOON.plus_ms(ms)).from(NOON);
        assert_eq!(at(0), Err(NotATime));
        assert_eq!(at(1), Ok(Some(NOON.plus_ms(1))));
        assert!(at(limits::TOKEN_LONGEST_MS).is_ok());
        assert_eq!(at(limits::TOKEN_LONGEST_MS + 1), Err(NotATime));
        assert_eq!(Expiry::Never.from(NOON), Ok(None));
    }

    #[test]
    fn a_narrow_credential_gives_out_none_that_is_wider() {
        let narrow = token(None, &[Scope::Tokens, Scope::Kill]);
        for (scopes, may) in [
            (&[Scope::Kill][..], true),
            (&[Scope::Tokens, Scope::Kill], true),
            (&[Scope::Kill, Scope::Rollout], false),
            (&[], false),
        ] {
            assert_eq!(narrow.lets(&given(scopes), NOON).is_ok(), may, "{scopes:?}");
            assert!(token(None, &[]).lets(&given(scopes), NOON).is_ok());
        }
    }

    #[test]
    fn every_scope_has_the_word_it_is_written_with() {
        for scope in Scope::ALL {
            let written = serde_json::to_value(scope).unwrap();
            assert_eq!(written, scope.word());
        }
        let words: BTreeSet<_> = Scope::ALL.iter().map(|scope| scope.word()).collect();
        assert_eq!(words.len(), Scope::ALL.len());
    }
}
