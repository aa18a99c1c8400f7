//! Changes: what was asked for is written, settled, or let happen once its time has come.
//!
//! An answer goes out only when this node serves what it says; what is not known yet is said to be unknown.

use huidu_core::{
    ask,
    authority::Role,
    command::Command,
    digest::Digest,
    event::Actor,
    key::Signer as _,
    op::{OpId, Settled},
    ramp::Act,
    record::Record,
    rules::Rules,
};
use tokio::time::Instant;

use super::{Engine, Source};
use crate::{
    bus::Hint,
    clock::derived_op,
    ledger::{Appended, LedgerError, Want},
    node::{
        SELF,
        decided::{decided, waiting},
        write::{Change, OpState, WriteError, Written},
    },
    store::Key,
};

impl Engine {
    /// Makes a change. Patience began when it was asked for, so that those who wait in line behind a
    /// store that hangs do not wait for one another as well.
    pub(super) async fn write(
        &mut self,
        change: Change,
        by: Instant,
    ) -> Result<Written, WriteError> {
        if !self.may_write(&change.command) {
            return Err(WriteError::InDoubt);
        }
        let Source::Store(ledger) = &mut self.source else {
            return Err(WriteError::ReadOnly);
        };
        let ask = ask::digest(&change.command, change.enact_at);
        let log_key = self.parts.log_key.as_ref().map(|key| key.public_key());
        let want = Want {
            op: change.op,
            ask: Some(ask),
            actor: change.actor.clone(),
            approvals: Vec::new(),
            why: change.why.clone(),
        };
        let result = ledger
            .append(
                want,
                by.saturating_duration_since(Instant::now()),
                |fold, now| decided(fold, &change, now, log_key.as_ref()),
            )
            .await;
        let result = match self.asked_as(&result).await {
            Ok(Some(kept)) if kept != ask => {
                self.caught_up().await;
                return Err(WriteError::OtherAsk { op: change.op });
            }
            Ok(_) => result,
            Err(error) => Err(error),
        };
        let Source::Store(ledger) = &mut self.source else {
            return Err(WriteError::ReadOnly);
        };
        let metrics = &self.parts.metrics;
        let answer = match result {
            Ok(Appended::Repeated(revision)) => {
                metrics
                    .ledger_appends
                    .with_label_values(&["repeated"])
                    .inc();
                Ok(Written {
                    revision,
                    op: change.op,
                    repeated: true,
                    waits: waiting(&self.shared.catalogue.read(), &change),
                })
            }
            Ok(Appended::Committed(revision)) => {
                metrics
                    .ledger_appends
                    .with_label_values(&["committed"])
                    .inc();
                let urgent = matches!(
                    change.command,
                    Command::Kill { .. }
                        | Command::DecideRamp {
                            act: Act::Kill | Act::RollBack,
                            ..
                        }
                );
                self.parts.bus.publish(Hint {
                    rev: revision,
                    urgent,
                });
                Ok(Written {
                    revision,
                    op: change.op,
                    repeated: false,
                    waits: waiting(&self.shared.catalogue.read(), &change),
                })
            }
            Ok(Appended::Voided(revision)) => Err(WriteError::Cancelled {
                op: change.op,
                revision,
            }),
            Ok(Appended::Unchanged) => {
                let revision = ledger.revision();
                Ok(Written {
                    revision,
                    op: change.op,
                    repeated: false,
                    waits: waiting(&self.shared.catalogue.read(), &change),
                })
            }
            Ok(Appended::Refused(refused)) => {
                metrics.ledger_appends.with_label_values(&["refused"]).inc();
                Err(refused)
            }
            Ok(Appended::Unknown { op }) => {
                metrics.ledger_appends.with_label_values(&["unknown"]).inc();
                Err(WriteError::Unknown { op })
            }
            Err(error) => {
                metrics
                    .ledger_appends
                    .with_label_values(&["unavailable"])
                    .inc();
                self.note_store(Some(&error));
                Err(error.into())
            }
        };
        // Whatever came of it, records of others may have been taken in on the way; and an answer goes
        // out only when this node serves what it says.
        self.caught_up().await;
        answer
    }

    /// Appends the kills that are in force here and not in the ledger, under their own names: whichever node is first
    /// has done it for all. One that the ledger refuses is voided, so that it is over on every node alike.
    pub(super) async fn append_kills(&mut self) {
        for held in self.kills.due() {
            if !self.storing {
                return;
            }
            let notice = held.sealed.notice();
            let change = Change {
                actor: notice.actor.clone(),
                command: notice.command(),
                op: notice.op,
                expected: None,
                enact_at: None,
                why: notice.why.clone(),
                patience: self.parts.settings.tick,
            };
            let by = Instant::now() + self.parts.settings.tick;
            if let Err(error) = self.write_kill(change, by).await {
                tracing::warn!(%error, op = %notice.op, "a kill is in force and not in the ledger yet; it is tried again at the next tick");
            }
        }
    }

    /// Writes a kill that may be in force already. What the ledger refuses is voided; until it is, others who were told of
    /// it may yet write it, so its end is not known.
    pub(super) async fn write_kill(
        &mut self,
        change: Change,
        by: Instant,
    ) -> Result<Written, WriteError> {
        let op = change.op;
        let result = self.write(change, by).await;
        let is_refused = matches!(
            result,
            Err(WriteError::Refused(_) | WriteError::Forbidden(_))
        );
        if is_refused && self.front.holds(&op).is_some() && !self.void(op, by).await {
            return Err(WriteError::Unknown { op });
        }
        if result.is_ok() {
            // From when on nobody can prove that there is no such kill is a part of its receipt.
            self.follow().await;
        }
        result
    }

    /// Makes sure that a want never happens: every node hears it from the ledger. True once the ledger says so.
    async fn void(&mut self, op: OpId, by: Instant) -> bool {
        let Source::Store(ledger) = &mut self.source else {
            return false;
        };
        let want = Want {
            op: derived_op(&["huidu void", op.as_str()]),
            ask: None,
            actor: Actor {
                id: SELF.into(),
                role: Role::Admin,
            },
            approvals: Vec::new(),
            why: None,
        };
        let patience = by.saturating_duration_since(Instant::now());
        let result = ledger.cancel(op, want, patience).await;
        if let Ok(Appended::Voided(rev)) = result {
            self.parts.bus.publish(Hint { rev, urgent: false });
        }
        if let Err(error) = &result {
            self.note_store(Some(error));
        }
        self.caught_up().await;
        matches!(result, Ok(Appended::Voided(_)))
    }

    /// The digest of what stands in the ledger, or on its way there, under the name of a change that ended
    /// so. Records from before it was kept have none.
    async fn asked_as<R>(
        &self,
        end: &Result<Appended<R>, LedgerError>,
    ) -> Result<Option<Digest>, LedgerError> {
        let Source::Store(ledger) = &self.source else {
            return Ok(None);
        };
        match end {
            // This call sent it, so its slot is the last one that was taken in: ours, or the same want's
            // through another node.
            Ok(Appended::Committed(_)) => Ok(ledger.latest_ask()),
            Ok(Appended::Repeated(rev)) => {
                let bytes = self.parts.store.get(&Key::Log(rev.get())).await?;
                Ok(Record::decode(&bytes).ok().and_then(|record| record.ask))
            }
            Ok(Appended::Unknown { .. }) => Ok(ledger.pending_record().and_then(|one| one.ask)),
            _ => Ok(None),
        }
    }

    pub(super) fn op(&self, op: &OpId) -> (OpState, Option<Box<Record>>) {
        let Source::Store(ledger) = &self.source else {
            return (OpState::Absent, None);
        };
        match ledger.settled(op) {
            Some(Settled::Committed(revision)) => (OpState::Committed(revision), None),
            Some(Settled::Voided(revision)) => (OpState::Cancelled(revision), None),
            None if ledger.pending() == Some(*op) => {
                (OpState::Unknown, ledger.pending_record().map(Box::new))
            }
            None => (OpState::Absent, None),
        }
    }

    /// Goes on with a change whose asker was told that its end is not known, so that it has one without
    /// anybody asking for it.
    pub(super) async fn settle(&mut self) {
        let Source::Store(ledger) = &mut self.source else {
            return;
        };
        let Some(op) = ledger.pending() else { return };
        // No longer than a tick at a time: whoever asks for something waits behind this.
        let result = ledger.settle(self.parts.settings.tick).await;
        if let (Ok(None), Some(Settled::Committed(rev))) = (&result, ledger.settled(&op)) {
            let metrics = &self.parts.metrics;
            metrics.ledger_appends.with_label_values(&["settled"]).inc();
            self.parts.bus.publish(Hint { rev, urgent: false });
        }
        if let Err(error) = result {
            self.note_store(Some(&error));
        }
        self.caught_up().await;
    }

    /// Lets changes happen whose time has come. Every node tries, and the op that all derive from the
    /// change's name lets it happen once.
    pub(super) async fn enact_due(&mut self) {
        let now = self.parts.clock.now();
        let due: Vec<String> = {
            let catalogue = self.shared.catalogue.read();
            let open = catalogue.trust.proposals.iter();
            let due = open.filter(|(_, proposal)| {
                proposal.enact_at.is_some() && proposal.is_due(&catalogue, Rules::NEWEST, now)
            });
            due.map(|(id, _)| id.clone()).collect()
        };
        for id in due {
            let change = Change {
                actor: Actor {
                    id: SELF.into(),
                    role: Role::Admin,
                },
                op: derived_op(&["huidu enact", &id]),
                command: Command::EnactProposal { id: id.clone() },
                expected: None,
                enact_at: None,
                why: None,
                patience: self.parts.settings.tick,
            };
            let by = Instant::now() + self.parts.settings.tick;
            if let Err(error) = self.write(change, by).await {
                tracing::warn!(%error, change = %id, "a change whose time has come is tried again at the next tick");
            }
        }
    }
}
