//! Kills before their order: what one server tells the others of a kill that the ledger does not have yet.
//!
//! Everything else waits for its revision; a kill does not, because stopping twice is stopping once. A notice is
//! signed by a server and names the want, so whoever hears it puts it in force at once and lets the ledger have
//! the last word: the want's record governs, or its void. A notice never lets anything run.
//!
//! How old a notice may be is counted in revisions, not in time, so that no clock can keep a kill out or bring
//! one back: a node that remembers how every want since the notice's `base` ended knows of each notice whether
//! it is over, and hears no older one.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::{
    authority,
    catalogue::Catalogue,
    command::Command,
    digest::Digest,
    event::{Actor, Event},
    key::{PublicKey, Signer, SignerError},
    limits,
    name::AppId,
    op::OpId,
    record::{Seal, seal_line, split},
    revision::Revision,
    time::Timestamp,
    validity::signers,
    version::Number,
};

/// What is signed of a notice, with its bytes.
pub const MEDIA_TYPE: &str = "application/vnd.huidu.kill+json";
/// What is signed of its acknowledgement, with its bytes.
pub const ACK_MEDIA_TYPE: &str = "application/vnd.huidu.kill-ack+json";

/// The form of both. One with more fields is of the same form; one that means something else is not.
const FORM: u64 = 1;

/// A kill that some server took.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// Its form.
    pub v: u64,
    /// The installation.
    pub aud: String,
    /// The want: what the ledger will settle.
    pub op: OpId,
    /// The app.
    pub app: AppId,
    /// The version; none: the whole app.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<Number>,
    /// Why, in the words that devices are shown.
    pub reason: String,
    /// Why, for the history.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// Who wants it.
    pub actor: Actor,
    /// When it was asked for, by the taker's clock.
    pub at: Timestamp,
    /// The revision that the taker was at: nothing up to it had settled the want.
    pub base: Revision,
    /// Who took it.
    pub node: String,
}

/// What a node answers to a notice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ack {
    /// Its form.
    pub v: u64,
    /// The want.
    pub op: OpId,
    /// SHA-256 of the notice's signed line: what is answered.
    pub of: Digest,
    /// Who answers.
    pub node: String,
    /// The revision it serves.
    pub revision: Revision,
    /// No answer of this node without the kill has a later time than this.
    pub asof: Timestamp,
    /// How long its answers may be trusted, in milliseconds.
    pub lease_ms: u32,
    /// Whether it refuses what was killed.
    pub in_force: bool,
    /// Whether that survives its end: the kill is on its disk, or in the ledger.
    pub kept: bool,
}

/// Why a notice is not heeded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unheeded {
    /// Not a notice of this form.
    #[error("it is no notice of a kill: {what}")]
    Form {
        /// What is wrong with it.
        what: &'static str,
    },
    /// Of another installation.
    #[error("it is of another installation")]
    Audience,
    /// No server signed it.
    #[error("no server of this installation signed it")]
    Unsigned,
    /// So old that how its want ended may be forgotten.
    #[error(
        "it was taken at revision {base} and this is {now}: how its want ended may be forgotten"
    )]
    Old {
        /// When it was taken.
        base: Revision,
        /// Where this node is.
        now: Revision,
    },
    /// From a future that no ledger reaches.
    #[error("it was taken at revision {base} and this is {now}")]
    Ahead {
        /// When it was taken.
        base: Revision,
        /// Where this node is.
        now: Revision,
    },
    /// Nobody with that name and role is known here, or may kill that.
    #[error("`{actor}` is not known here as somebody who may kill `{app}`")]
    Actor {
        /// Who.
        actor: String,
        /// What.
        app: AppId,
        /// True when the taker knew more than this node does: it may be known in a moment.
        behind: bool,
    },
}

/// Bytes that may be a notice, and who says so.
#[derive(Debug, Clone)]
pub struct Sealed {
    notice: Notice,
    bytes: Bytes,
    line: usize,
    seal: Seal,
}

impl Notice {
    /// A notice of `command`, which must be a kill.
    pub fn of(command: &Command, op: OpId, actor: &Actor) -> Option<Self> {
        let Command::Kill {
            app,
            version,
            reason,
        } = command
        else {
            return None;
        };
        Some(Self {
            v: FORM,
            aud: String::new(),
            op,
            app: app.clone(),
            version: version.clone(),
            reason: reason.clone(),
            why: None,
            actor: actor.clone(),
            at: Timestamp::EPOCH,
            base: Revision::ZERO,
            node: String::new(),
        })
    }

    /// What was asked for.
    pub fn command(&self) -> Command {
        Command::Kill {
            app: self.app.clone(),
            version: self.version.clone(),
            reason: self.reason.clone(),
        }
    }

    /// The notice as it travels.
    pub fn seal(&self, signer: &dyn Signer) -> Result<Sealed, SignerError> {
        // Names, numbers and texts always serialise.
        let line = serde_json::to_vec(self).unwrap_or_default();
        let bytes = seal_line(MEDIA_TYPE, &line, signer)?;
        let (_, seal) = split(&bytes);
        let seal = seal.ok_or_else(|| SignerError {
            key: signer.public_key().id(),
            detail: "what it signed does not read".into(),
        })?;
        Ok(Sealed {
            notice: self.clone(),
            line: line.len(),
            bytes,
            seal,
        })
    }

    /// The revision that the app and the list of kills have while this is in force and not in the ledger, at a node
    /// that is at `known`: the first that the want can get, and never beyond the first that this node does not
    /// know. Between the two something else may have been stopped, and what is said here does not say so.
    fn rev(&self, known: Revision) -> Revision {
        self.base.min(known).next()
    }

    /// True when `catalogue` says the same already.
    pub fn is_said_by(&self, catalogue: &Catalogue) -> bool {
        let Some(app) = catalogue.apps.get(&self.app) else {
            return false;
        };
        match &self.version {
            None => app.killed.is_some(),
            Some(number) => (app.versions.get(number)).is_some_and(|kept| kept.life.is_killed()),
        }
    }
}

impl Sealed {
    /// Reads what came. Whether it is to be heeded is another question.
    pub fn read(bytes: &Bytes) -> Result<Self, Unheeded> {
        let wrong = |what| Unheeded::Form { what };
        if bytes.len() > limits::NOTICE_BYTES {
            return Err(wrong("it is too long"));
        }
        let (line, seal) = split(bytes);
        let seal = seal.ok_or(wrong("it is not signed"))?;
        let notice: Notice = serde_json::from_slice(line).map_err(|_| wrong("not its JSON"))?;
        let fits = notice.v == FORM
            && (1..=limits::TEXT_BYTES).contains(&notice.reason.len())
            && notice
                .why
                .as_ref()
                .is_none_or(|why| why.len() <= limits::TEXT_BYTES)
            && crate::name::is_name(&notice.node);
        if !fits {
            return Err(wrong("another form, or a field beyond its limit"));
        }
        Ok(Self {
            notice,
            line: line.len(),
            bytes: bytes.clone(),
            seal,
        })
    }

    /// What it says.
    pub const fn notice(&self) -> &Notice {
        &self.notice
    }

    /// Everything, as it travels and is kept.
    pub const fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// What acknowledgements name.
    pub fn digest(&self) -> Digest {
        Digest::of(&self.bytes[..self.line])
    }

    /// Whether a node at `catalogue` heeds it. `own` is this node's log key: what counts where no keyring is in
    /// force.
    pub fn heed(&self, catalogue: &Catalogue, own: Option<&PublicKey>) -> Result<(), Unheeded> {
        let notice = &self.notice;
        if notice.aud != catalogue.audience {
            return Err(Unheeded::Audience);
        }
        // What costs nothing is asked before the signature is looked at.
        self.is_of_now(catalogue.revision)?;
        let line = &self.bytes[..self.line];
        let by = |keys: Vec<&PublicKey>| self.seal.is_by(MEDIA_TYPE, line, keys);
        let signed = match catalogue.trust.chain.newest.as_deref() {
            Some(keyring) => by(signers(keyring).collect()),
            None => by(own.into_iter().collect()),
        };
        if !signed {
            return Err(Unheeded::Unsigned);
        }
        let known = catalogue.knows(&notice.actor, notice.at);
        let may = authority::authorise(notice.command(), &notice.actor, catalogue, notice.at);
        if !known || may.is_err() {
            return Err(Unheeded::Actor {
                actor: notice.actor.id.clone(),
                app: notice.app.clone(),
                behind: notice.base > catalogue.revision,
            });
        }
        Ok(())
    }

    /// Whether a node at revision `now` remembers how every want since `base` ended.
    fn is_of_now(&self, now: Revision) -> Result<(), Unheeded> {
        let base = self.notice.base;
        let remembered = limits::RECENT_OPS as u64;
        if now.get().saturating_sub(base.get()) >= remembered / 2 {
            return Err(Unheeded::Old { base, now });
        }
        if base.get().saturating_sub(now.get()) > limits::NOTICE_AHEAD {
            return Err(Unheeded::Ahead { base, now });
        }
        Ok(())
    }
}

impl Ack {
    /// The form of acknowledgements.
    pub const FORM: u64 = FORM;

    /// The acknowledgement as it travels.
    pub fn seal(&self, signer: &dyn Signer) -> Result<Bytes, SignerError> {
        let line = serde_json::to_vec(self).unwrap_or_default();
        seal_line(ACK_MEDIA_TYPE, &line, signer)
    }

    /// The acknowledgement of `sealed` in `bytes`, where a server of `catalogue` signed it.
    pub fn read(
        bytes: &[u8],
        sealed: &Sealed,
        catalogue: &Catalogue,
        own: Option<&PublicKey>,
    ) -> Option<Self> {
        let (line, seal) = split(bytes);
        let seal = seal.filter(|_| bytes.len() <= limits::NOTICE_BYTES)?;
        let signed = match catalogue.trust.chain.newest.as_deref() {
            Some(keyring) => seal.is_by(ACK_MEDIA_TYPE, line, signers(keyring)),
            None => seal.is_by(ACK_MEDIA_TYPE, line, own),
        };
        let ack: Self = serde_json::from_slice(line).ok().filter(|_| signed)?;
        let fits = ack.v == FORM && ack.of == sealed.digest() && ack.op == sealed.notice.op;
        (fits && crate::name::is_name(&ack.node)).then_some(ack)
    }
}

/// What is true, with these kills on top of it. What the catalogue says itself is left as it says it.
#[must_use]
pub fn with<'a>(catalogue: &Catalogue, notices: impl IntoIterator<Item = &'a Notice>) -> Catalogue {
    let mut stopped = catalogue.clone();
    for notice in notices {
        let app = stopped.apps.get(&notice.app);
        let Some(app) = app.filter(|_| !notice.is_said_by(&stopped)) else {
            continue;
        };
        let (all, own) = (
            stopped.revision,
            app.revision.max(notice.rev(catalogue.revision)),
        );
        let event = Event::Killed {
            app: notice.app.clone(),
            version: notice.version.clone(),
            reason: notice.reason.clone(),
            before: None,
        };
        stopped.apply(own, notice.at, &[event]);
        stopped.revision = all.max(own);
    }
    stopped
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authority::Role;

    const APP: &str = "pingan/travel";

    /// A catalogue at `revision` with one app, which was added at 3.
    fn at(revision: u64) -> Catalogue {
        let mut catalogue = Catalogue::default();
        let tenant = Event::TenantAdded {
            tenant: "pingan".parse().unwrap(),
            title: String::new(),
        };
        let app = Event::AppAdded {
            app: APP.parse().unwrap(),
            title: String::new(),
        };
        catalogue.apply(Revision::new(3), Timestamp::EPOCH, &[tenant, app]);
        catalogue.apply(Revision::new(revision), Timestamp::EPOCH, &[]);
        catalogue
    }

    fn taken_at(base: u64) -> Notice {
        let command = Command::Kill {
            app: APP.parse().unwrap(),
            version: None,
            reason: "leaks".into(),
        };
        let actor = Actor {
            id: "sven".into(),
            role: Role::Sre,
        };
        let op = "01ARZ3NDEKTSV4RRFFQ69G5FAV".parse().unwrap();
        let mut notice = Notice::of(&command, op, &actor).unwrap();
        notice.base = Revision::new(base);
        notice
    }

    #[test]
    fn on_top_of_what_is_known_a_kill_has_the_first_revision_that_is_not() {
        // Where the node is, where the taker was; what the app and all of it say then.
        for (known, base, app, all) in [
            (47, 47, 48, 48),
            // The node goes on while the ledger does not get the kill.
            (50, 47, 48, 50),
            // It is behind: what 45 to 47 stopped is not known here, so nothing is said in their name.
            (44, 47, 45, 45),
        ] {
            let stopped = with(&at(known), [&taken_at(base)]);
            let own = &stopped.apps[APP];
            assert!(own.killed.is_some());
            assert_eq!(
                (own.revision.get(), stopped.revision.get()),
                (app, all),
                "at {known}, taken at {base}"
            );
        }
    }
}
