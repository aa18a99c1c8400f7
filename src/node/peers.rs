//! The other nodes this one knows, and how they are told something at once.
//!
//! Those that the settings name, and those that were learnt from whoever hears of nodes. Knowing one costs
//! nothing and promises nothing: it may be dead, and what it answers counts only when it is signed.

use std::{
    collections::{BTreeMap, BTreeSet},
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;

/// Nodes that are learnt at most: beyond it the newest are not taken in.
const LEARNT: usize = 1_000;

/// What a node answers; an error says why there is no answer, in few words.
pub type Answer<'a> = Pin<Box<dyn Future<Output = Result<Bytes, String>> + Send + 'a>>;

/// Carries a message to one node, and its answer back, within a second or not at all.
pub trait Reach: Send + Sync + 'static {
    /// Tells the node at `address` of a kill.
    fn tell<'a>(&'a self, address: &'a str, message: Bytes) -> Answer<'a>;

    /// Reads the last words of the node at `address`.
    fn hear<'a>(&'a self, address: &'a str) -> Answer<'a>;
}

/// The other nodes, by the addresses of their private ports.
pub struct Peers {
    fixed: BTreeSet<String>,
    learnt: Mutex<BTreeMap<String, String>>,
    reach: Option<Arc<dyn Reach>>,
}

impl Peers {
    /// Those that the settings name; reached by `reach`, where there is a way.
    pub fn new(fixed: impl IntoIterator<Item = String>, reach: Option<Arc<dyn Reach>>) -> Self {
        Self {
            fixed: fixed.into_iter().collect(),
            learnt: Mutex::default(),
            reach,
        }
    }

    /// No others.
    pub fn none() -> Self {
        Self::new([], None)
    }

    /// Node `name` is at `address`, `http://…` of its private port, from now on.
    pub fn learn(&self, name: &str, address: &str) {
        let mut learnt = self.learnt.lock().unwrap_or_else(PoisonError::into_inner);
        if learnt.len() < LEARNT || learnt.contains_key(name) {
            learnt.insert(name.to_owned(), address.trim_end_matches('/').to_owned());
        }
    }

    /// Node `name` is not heard of any more.
    pub fn forget(&self, name: &str) {
        let mut learnt = self.learnt.lock().unwrap_or_else(PoisonError::into_inner);
        learnt.remove(name);
    }

    /// The addresses of all of them, each once.
    pub fn addresses(&self) -> BTreeSet<String> {
        let learnt = self.learnt.lock().unwrap_or_else(PoisonError::into_inner);
        self.fixed.iter().chain(learnt.values()).cloned().collect()
    }

    /// The way to them.
    pub(super) fn reach(&self) -> Option<Arc<dyn Reach>> {
        self.reach.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_and_what_is_learnt_are_one_set() {
        let peers = Peers::new(["http://10.0.0.2:8081".to_owned()], None);
        peers.learn("node-b", "http://10.0.0.2:8081/");
        peers.learn("node-c", "http://10.0.0.3:8081");
        let all = ["http://10.0.0.2:8081", "http://10.0.0.3:8081"].map(str::to_owned);
        assert_eq!(peers.addresses(), BTreeSet::from(all));
        peers.learn("node-c", "http://10.0.0.4:8081");
        peers.forget("node-b");
        let all = ["http://10.0.0.2:8081", "http://10.0.0.4:8081"].map(str::to_owned);
        assert_eq!(peers.addresses(), BTreeSet::from(all));
    }
}
