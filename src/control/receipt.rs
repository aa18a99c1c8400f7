//! The receipt of a kill as JSON: where it is in force, whether it lasts, when no older answer is valid any more.

use std::collections::BTreeSet;

use huidu_core::{op::OpId, revision::Revision, time::Timestamp, version::Number};
use serde::Serialize;
use utoipa::ToSchema;

use super::wire::Changed;
use crate::node::{
    Written,
    kills::{Receipt, State},
};

/// A kill that the ledger has.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct KillReport {
    /// The change.
    #[serde(flatten)]
    changed: Changed,
    /// The numbers under which what was stopped is filed: of the version, or of every version of the app.
    filings: BTreeSet<String>,
    /// Where it is in force.
    #[serde(skip_serializing_if = "Option::is_none")]
    receipt: Option<KillReceipt>,
}

/// A kill that is in force and that the ledger does not have yet.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Provisional {
    /// What the kill is recognised by.
    op: String,
    /// `provisional`.
    state: &'static str,
    /// The numbers under which what was stopped is filed: of the version, or of every version of the app.
    filings: BTreeSet<String>,
    /// Where it is in force.
    #[serde(skip_serializing_if = "Option::is_none")]
    receipt: Option<KillReceipt>,
}

/// Where a kill is in force.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct KillReceipt {
    /// What the kill is recognised by.
    op: String,
    /// What was killed.
    app: String,
    /// The version; absent: the whole app.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    version: Option<Number>,
    /// Whether the ledger has it.
    state: KillState,
    /// Since this revision the ledger has it, or says that it shall never happen.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<u64>)]
    revision: Option<Revision>,
    /// When it was in force on the node that took it.
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    /// When it was on the disk of the node that answers; absent: that node has none, or its disk failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    kept_at: Option<Timestamp>,
    /// When that node knew that the ledger has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    ledger_at: Option<Timestamp>,
    /// Nodes that said themselves, signed, that they refuse what was killed.
    nodes: Vec<KillNode>,
    /// Nodes that are known and have not said so.
    unreached: Vec<UnreachedNode>,
    /// After this instant no valid answer without the kill exists, whatever is broken; absent: nobody can say yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    complete_by: Option<Timestamp>,
}

/// Whether the ledger has a kill.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum KillState {
    /// Not yet: it is in force, outlasts restarts, and is cleared by the ledger alone.
    Provisional,
    /// It has it, and governs.
    Committed,
    /// It says that it shall never happen: somebody else's record governs.
    Voided,
}

/// A node that refuses what was killed.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct KillNode {
    /// Its name.
    node: String,
    /// The revision it served then.
    #[schema(value_type = u64)]
    revision: Revision,
    /// No answer of it without the kill has a later time.
    #[schema(value_type = String, format = DateTime)]
    asof: Timestamp,
    /// Milliseconds from the kill being taken to this being known.
    ms: u64,
    /// Whether it outlasts a restart of that node.
    kept: bool,
}

/// A node that has not said that it refuses what was killed.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct UnreachedNode {
    /// Its address.
    address: String,
    /// Why.
    why: String,
}

impl KillReport {
    pub(crate) fn new(
        written: &Written,
        filings: BTreeSet<String>,
        receipt: Option<KillReceipt>,
    ) -> Self {
        let changed = Changed::from(written);
        Self {
            changed,
            filings,
            receipt,
        }
    }
}

impl Provisional {
    pub(crate) fn new(op: OpId, filings: BTreeSet<String>, receipt: Option<KillReceipt>) -> Self {
        Self {
            op: op.to_string(),
            state: "provisional",
            filings,
            receipt,
        }
    }
}

impl From<&Receipt> for KillReceipt {
    fn from(receipt: &Receipt) -> Self {
        let (state, revision) = match receipt.state {
            State::Provisional => (KillState::Provisional, None),
            State::Committed(revision) => (KillState::Committed, Some(revision)),
            State::Voided(revision) => (KillState::Voided, Some(revision)),
        };
        let nodes = receipt.nodes.iter().map(|(name, reached)| KillNode {
            node: name.clone(),
            revision: reached.revision,
            asof: reached.asof,
            ms: reached.ms,
            kept: reached.kept,
        });
        let unreached = receipt.unreached.iter();
        let unreached = unreached.map(|(address, why)| UnreachedNode {
            address: address.clone(),
            why: why.clone(),
        });
        Self {
            op: receipt.op.to_string(),
            app: receipt.app.to_string(),
            version: receipt.version.clone(),
            state,
            revision,
            at: receipt.at,
            kept_at: receipt.kept_at,
            ledger_at: receipt.ledger_at,
            nodes: nodes.collect(),
            unreached: unreached.collect(),
            complete_by: receipt.complete_by(),
        }
    }
}
