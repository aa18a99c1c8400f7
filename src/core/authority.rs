//! Who may ask for what. The only door to `decide`: [`authorise`] turns a command and its actor into an
//! [`Authorised`] command, and nothing else can make one.

use serde::{Deserialize, Serialize};

use crate::{
    catalogue::Catalogue, command::Command, event::Actor, name::TenantId, ramp::Steer,
    rules::Rules, time::Timestamp, version::Review,
};

/// What a credential may do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Everything.
    Admin,
    /// Lists, rolls out, kills and resumes.
    ReleaseManager,
    /// Watches, pauses, lowers, revokes and kills.
    Sre,
    /// Approves or rejects versions, grants permissions, puts versions on trial.
    Reviewer,
    /// Grades tenants and host APIs, says how versions are approved, revokes and kills.
    Security,
    /// Submits versions of one tenant's apps and sees them.
    Partner(TenantId),
    /// Reads everything, changes nothing.
    Auditor,
}

impl Role {
    /// The role's name as people read it.
    pub fn word(&self) -> String {
        match self {
            Self::Admin => "admin".into(),
            Self::ReleaseManager => "release manager".into(),
            Self::Sre => "SRE".into(),
            Self::Reviewer => "reviewer".into(),
            Self::Security => "security officer".into(),
            Self::Partner(tenant) => format!("partner of `{tenant}`"),
            Self::Auditor => "auditor".into(),
        }
    }

    /// The only tenant this role may see, or none when it sees all.
    pub const fn tenant(&self) -> Option<&TenantId> {
        match self {
            Self::Partner(tenant) => Some(tenant),
            _ => None,
        }
    }
}

/// A command whose actor may ask for it.
#[derive(Debug, Clone)]
pub struct Authorised {
    command: Command,
    actor: Actor,
    enact_at: Option<Timestamp>,
    rules: Rules,
}

impl Authorised {
    /// The same, as it was decided when these rules were the newest.
    #[must_use]
    pub const fn by(mut self, rules: Rules) -> Self {
        self.rules = rules;
        self
    }

    /// By which rules it is decided.
    pub const fn rules(&self) -> Rules {
        self.rules
    }

    /// The same, to happen at a later time.
    #[must_use]
    pub fn at(mut self, enact_at: Option<Timestamp>) -> Self {
        self.enact_at = enact_at;
        self
    }

    /// When it shall happen; none: now.
    pub const fn enact_at(&self) -> Option<Timestamp> {
        self.enact_at
    }

    /// What is asked for.
    pub const fn command(&self) -> &Command {
        &self.command
    }

    /// Who asks.
    pub const fn actor(&self) -> &Actor {
        &self.actor
    }
}

/// Why a command was not let through.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Forbidden {
    /// The role does not include it.
    #[error("the role {role} may not {verb}; ask somebody whose role allows it")]
    Role {
        /// The role's name.
        role: String,
        /// What was asked for.
        verb: &'static str,
    },
    /// The thing belongs to another tenant; outside it looks as if it did not exist.
    #[error("`{what}` does not exist")]
    Foreign {
        /// What was named.
        what: String,
    },
    /// The credential is over.
    #[error(
        "this credential expired at {at}; an administrator gives out the next one with `huidu token add`"
    )]
    Expired {
        /// When.
        at: Timestamp,
    },
    /// The credential was narrowed to other things.
    #[error(
        "this token's scopes do not let it {verb}; use one with scope `{needs}`, or one without scopes"
    )]
    Scope {
        /// What was asked for.
        verb: &'static str,
        /// What includes it.
        needs: &'static str,
    },
}

/// Lets a command through when the actor's role includes it, and the credential it acts by holds and was not
/// narrowed to other things. Where review is skipped, whoever submits a version may list it as well.
///
/// Whether `actor` is known with that role is asked elsewhere ([`Catalogue::knows`]).
pub fn authorise(
    command: Command,
    actor: &Actor,
    catalogue: &Catalogue,
    now: Timestamp,
) -> Result<Authorised, Forbidden> {
    if let (Some(own), Some(app)) = (actor.role.tenant(), command.app())
        && own.as_str() != app.tenant()
    {
        return Err(Forbidden::Foreign {
            what: app.to_string(),
        });
    }
    if allows(&actor.role, &command, catalogue.review) {
        if let Some(token) = catalogue.tokens.get(&actor.id) {
            token.lets(&command, now)?;
        }
        Ok(Authorised {
            command,
            actor: actor.clone(),
            enact_at: None,
            rules: Rules::NEWEST,
        })
    } else {
        Err(Forbidden::Role {
            role: actor.role.word(),
            verb: command.verb(),
        })
    }
}

/// Whether `role` includes what `command` asks for. What is named nowhere here is the admin's alone.
fn allows(role: &Role, command: &Command, review: Review) -> bool {
    // Whose agreement counts, and who may take back what, is decided by what waits, not by the role alone.
    if let Command::ApproveProposal { .. } | Command::WithdrawProposal { .. } = command {
        return !matches!(role, Role::Auditor | Role::Partner(_));
    }
    match role {
        // What a plan says is for nodes, whose actor is an admin that no credential is.
        Role::Admin => true,
        Role::ReleaseManager => releases(command) || stops(command) || tries(command),
        Role::Sre => {
            stops(command)
                || matches!(command, Command::SteerRamp { act, .. } if act.stops())
                || matches!(
                    command,
                    Command::Delist { .. }
                        | Command::SetPause { paused: true, .. }
                        | Command::LowerShare { .. }
                )
        }
        Role::Reviewer => reviews(command) || tries(command),
        Role::Security => {
            secures(command)
                || stops(command)
                || matches!(
                    command,
                    Command::SteerRamp {
                        act: Steer::Pause | Steer::RollBack,
                        ..
                    }
                )
        }
        Role::Partner(_) => match command {
            Command::SubmitVersion { .. } => true,
            Command::List { .. } => review == Review::Skipped,
            _ => false,
        },
        Role::Auditor => false,
    }
}

const fn releases(command: &Command) -> bool {
    matches!(
        command,
        Command::AddTenant { .. }
            | Command::AddHost { .. }
            | Command::AddApp { .. }
            | Command::SubmitVersion { .. }
            | Command::List { .. }
            | Command::Delist { .. }
            | Command::Unkill { .. }
            | Command::RestorePermission { .. }
            | Command::PutRollout { .. }
            | Command::RedrawRollout { .. }
            | Command::BeginExperiment { .. }
            | Command::EndExperiment { .. }
            | Command::SetShare { .. }
            | Command::LowerShare { .. }
            | Command::SetPause { .. }
            | Command::SteerRamp { .. }
            | Command::PutSegment { .. }
            | Command::RemoveSegment { .. }
    )
}

const fn stops(command: &Command) -> bool {
    matches!(
        command,
        Command::Kill { .. } | Command::RevokePermission { .. }
    )
}

const fn tries(command: &Command) -> bool {
    matches!(
        command,
        Command::PutTrial { .. } | Command::AddPreview { .. } | Command::RemovePreview { .. }
    )
}

const fn reviews(command: &Command) -> bool {
    matches!(
        command,
        Command::BeginReview { .. }
            | Command::Approve { .. }
            | Command::SignRelease { .. }
            | Command::Reject { .. }
            | Command::Grant { .. }
            | Command::WithdrawGrant { .. }
    )
}

const fn secures(command: &Command) -> bool {
    matches!(
        command,
        Command::PutPermissions { .. }
            | Command::SetGrade { .. }
            | Command::SetInternal { .. }
            | Command::SetReviewPolicy { .. }
            | Command::SetEyes { .. }
            | Command::PutKeyring { .. }
            | Command::PutPolicy { .. }
            | Command::WithdrawGrant { .. }
            | Command::RestorePermission { .. }
            | Command::RevokeToken { .. }
            | Command::RemoveMember { .. }
            | Command::RemovePreview { .. }
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn actor(role: Role) -> Actor {
        Actor {
            id: "t".into(),
            role,
        }
    }

    const NOON: Timestamp = Timestamp::from_unix_ms(1_795_000_000_000);

    fn where_review_is(review: Review) -> Catalogue {
        Catalogue {
            review,
            ..Catalogue::default()
        }
    }

    fn kill(app: &str) -> Command {
        Command::Kill {
            app: app.parse().unwrap(),
            version: None,
            reason: "bad".into(),
        }
    }

    #[test]
    fn stopping_is_for_more_people_than_starting() {
        for (role, may_kill, may_unkill) in [
            (Role::Admin, true, true),
            (Role::ReleaseManager, true, true),
            (Role::Sre, true, false),
            (Role::Security, true, false),
            (Role::Reviewer, false, false),
            (Role::Auditor, false, false),
        ] {
            let unkill = Command::Unkill {
                app: "a/b".parse().unwrap(),
                version: None,
                reason: "fixed".into(),
            };
            assert_eq!(
                authorise(
                    kill("a/b"),
                    &actor(role.clone()),
                    &Catalogue::default(),
                    NOON
                )
                .is_ok(),
                may_kill,
                "{role:?} kill"
            );
            assert_eq!(
                authorise(unkill, &actor(role.clone()), &Catalogue::default(), NOON).is_ok(),
                may_unkill,
                "{role:?} unkill"
            );
        }
    }

    #[test]
    fn a_partner_lists_only_where_review_is_skipped() {
        let partner = actor(Role::Partner("pingan".parse().unwrap()));
        for (app, review, may) in [
            ("pingan/travel", Review::Skipped, true),
            ("pingan/travel", Review::Required, false),
            ("cmb/pay", Review::Skipped, false),
        ] {
            let list = Command::List {
                app: app.parse().unwrap(),
                version: "1.0.0".parse().unwrap(),
            };
            let let_through = authorise(list, &partner, &where_review_is(review), NOON).is_ok();
            assert_eq!(let_through, may, "{app} {review:?}");
        }
    }

    #[test]
    fn a_foreign_app_looks_as_if_it_did_not_exist() {
        let partner = actor(Role::Partner("pingan".parse().unwrap()));
        assert_eq!(
            authorise(kill("cmb/pay"), &partner, &Catalogue::default(), NOON)
                .unwrap_err()
                .to_string(),
            "`cmb/pay` does not exist"
        );
        assert_eq!(
            authorise(kill("pingan/travel"), &partner, &Catalogue::default(), NOON)
                .unwrap_err()
                .to_string(),
            "the role partner of `pingan` may not kill; ask somebody whose role allows it"
        );
    }
}
