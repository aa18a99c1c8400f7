//! Signed heads of the ledger: written behind what is acknowledged, soon after the ledger grew.
//!
//! A head lets anybody with a copy of the store prove that nothing before it was rewritten. It is never
//! waited for: a store that fails costs a later head and no change. Every node tries; the first one's stays,
//! and the others go on from it. Records are read from the store, never from what a node remembers.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use huidu_core::{
    key::{PublicKey, Signer, SignerError},
    keyring::Role,
    merkle::{self, Frontier},
    treehead::{SignedHead, TreeHead},
};
use tokio::{sync::watch, time::sleep};

use super::{Parts, Shared};
use crate::store::{Folder, Key, StoreError};

/// Pause after a failure.
const PAUSE: Duration = Duration::from_secs(5);

/// Why no head was written.
#[derive(Debug, thiserror::Error)]
enum HeadError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Signer(#[from] SignerError),
    #[error("the node is shutting down")]
    Gone,
}

/// Signs heads until the node is gone.
pub(super) async fn keep(
    shared: Weak<Shared>,
    parts: Arc<Parts>,
    key: Arc<dyn Signer + Send + Sync>,
) {
    let Some(mut revisions) = shared.upgrade().map(|shared| shared.revision.subscribe()) else {
        return;
    };
    let mut tree: Option<Frontier> = None;
    loop {
        let signed = tree.as_ref().map_or(0, Frontier::size);
        let grown = |now: &huidu_core::revision::Revision| now.get() > signed;
        if revisions.wait_for(grown).await.is_err() {
            return;
        }
        // What comes in quick succession is signed for once.
        sleep(parts.settings.tick.mul_f64(0.8 + 0.4 * fastrand::f64())).await;
        // What was not signed for yet does not keep a node that is gone.
        if shared.strong_count() == 0 {
            return;
        }
        if let Err(error) = step(&shared, &parts, &key, &mut tree, &revisions).await {
            tracing::warn!(%error, "no signed head could be written; it is tried again");
            parts.metrics.heads.with_label_values(&["failed"]).inc();
            sleep(PAUSE).await;
        }
    }
}

async fn step(
    shared: &Weak<Shared>,
    parts: &Parts,
    key: &Arc<dyn Signer + Send + Sync>,
    tree: &mut Option<Frontier>,
    revisions: &watch::Receiver<huidu_core::revision::Revision>,
) -> Result<(), HeadError> {
    let last = revisions.borrow().get();
    let (origin, mut keys) = {
        let Some(shared) = shared.upgrade() else {
            return Ok(());
        };
        let catalogue = shared.catalogue.read();
        let listed = catalogue.trust.chain.newest.as_ref();
        let listed = listed.map(|keyring| keyring.signers(Role::Log).into_iter().cloned());
        let keys: Vec<PublicKey> = listed.into_iter().flatten().collect();
        (catalogue.audience.clone(), keys)
    };
    keys.push(key.public_key());
    let mut grown = match tree.take() {
        Some(tree) => tree,
        None => newest(parts, &origin, &keys, last).await?,
    };
    while grown.size() < last {
        let bytes = parts.store.get(&Key::Log(grown.size() + 1)).await?;
        grown.push(merkle::leaf(&bytes));
    }
    let head = TreeHead {
        origin,
        tree: grown,
    };
    let (note, head) = if key.is_quick() {
        // A key in memory: 20 µs, less than handing it to another thread and back.
        (head.sign_by(&**key), head)
    } else {
        let signer = Arc::clone(key);
        let signing = tokio::task::spawn_blocking(move || (head.sign_by(&*signer), head));
        signing.await.map_err(|_| HeadError::Gone)?
    };
    let note = note.inspect_err(|_| {
        parts
            .metrics
            .signer_failures
            .with_label_values(&["log"])
            .inc();
    });
    match parts.store.put_new(&Key::Head(last), note?.into()).await {
        Err(error) if !error.is_already_exists() => return Err(error.into()),
        // Another node was first, and signed the same.
        Ok(()) | Err(_) => {}
    }
    parts.metrics.heads.with_label_values(&["written"]).inc();
    *tree = Some(head.tree);
    Ok(())
}

/// The newest head that one of `keys` signed; what nobody signed is gone through from the beginning.
async fn newest(
    parts: &Parts,
    origin: &str,
    keys: &[PublicKey],
    last: u64,
) -> Result<Frontier, StoreError> {
    let heads = parts.store.list(Folder::Heads, None).await?;
    for name in heads.iter().rev() {
        let bytes = parts.store.get(name).await?;
        let note = String::from_utf8_lossy(&bytes);
        let signed = SignedHead::parse(&note).ok();
        let head = signed.as_ref().and_then(|signed| signed.by(keys));
        if let Some(head) = head.filter(|head| head.origin == origin && head.tree.size() <= last) {
            return Ok(head.tree.clone());
        }
    }
    Ok(Frontier::default())
}
