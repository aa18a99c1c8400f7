//! Webhooks: receivers outside are told of kills and of what guards did, once the ledger has it and it is served here.
//!
//! ```text
//! said.rs    what there is to tell, of what was followed lately
//! replay.rs  the same, read from the ledger again
//! tell.rs    one receiver: whose turn it is, how far it has been told, the next try
//! ```
//! Each receiver has a task of its own, so that one that is slow or dead holds up neither the others nor anything else of
//! the node: what waits for it waits in the ledger. At least once, and in order; how far it has been told lies in the store.
//! Nothing here decides anything, and nobody who asks a node for something can add a receiver.

mod replay;
mod said;
mod tell;
#[cfg(test)]
mod tests;

use std::{collections::BTreeSet, pin::Pin, sync::Arc, time::Duration};

use bytes::Bytes;
use huidu_core::{time::Timestamp, webhook::Topic};
use tokio::{
    sync::watch,
    task::{JoinHandle, JoinSet},
    time::timeout,
};

pub(super) use said::{News, Said};

use super::Node;
use crate::store::HookName;

/// How long the tries that are under way may take when the node stops.
const ENDING: Duration = Duration::from_secs(6);

/// How something outside ended, soon; an error says why it did not succeed, in few words.
pub type Ended<'a, T> = Pin<Box<dyn Future<Output = Result<T, String>> + Send + 'a>>;

/// The way to one receiver.
pub trait Way: Send + Sync + 'static {
    /// Sends a message, said to be sent `at`, within seconds or not at all.
    fn tell(&self, body: Bytes, at: Timestamp) -> Ended<'_, ()>;
}

/// Whose turn it is to tell a receiver, where there are several nodes.
pub trait Turns: Send + Sync + 'static {
    /// Takes the turn, or keeps it, for the next [`TURN`]; false: another node has it.
    fn take<'a>(&'a self, receiver: &'a str, holder: &'a str) -> Ended<'a, bool>;

    /// Gives it up, where it is ours.
    fn pass<'a>(&'a self, receiver: &'a str, holder: &'a str) -> Ended<'a, ()>;
}

/// How long a turn lasts: longer than a try, and what it takes to write down how it ended.
pub const TURN: Duration = Duration::from_secs(20);

/// Somebody who is told.
#[derive(Clone)]
pub struct Receiver {
    /// Its name, in settings, metrics and the store.
    pub name: HookName,
    /// What it is told of.
    pub topics: BTreeSet<Topic>,
    /// The way to it.
    pub way: Arc<dyn Way>,
}

impl Node {
    /// Tells `receivers` until `stopped` ends. `turns`: so that one node does it at a time; none: there is one node.
    pub fn keep_telling(
        self: &Arc<Self>,
        receivers: Vec<Receiver>,
        turns: Option<&Arc<dyn Turns>>,
        stopped: impl Future<Output = ()> + Send + 'static,
    ) -> JoinHandle<()> {
        let (stop, stopping) = watch::channel(false);
        let mut telling = JoinSet::new();
        for receiver in receivers {
            let teller = tell::Teller::new(Arc::clone(self), receiver, turns.cloned());
            telling.spawn(teller.run(stopping.clone()));
        }
        tokio::spawn(async move {
            stopped.await;
            stop.send_replace(true);
            let all = async { while telling.join_next().await.is_some() {} };
            let _in_time = timeout(ENDING, all).await;
        })
    }
}
