//! Beats: once a second this node says what it is, hears the others, and compares what they came to.
//!
//! A beat is exchanged by a board (Redis) and can be read from the node itself; nothing waits for either. What
//! a fingerprint costs is paid beside everything else, and what is done about a difference is the engine's.

use std::{pin::Pin, sync::Arc, time::Duration};

use huidu_core::{
    beat::{Forms, Heard},
    catalogue::Catalogue,
    key::PublicKey,
    keyring::Role as KeyRole,
    revision::Revision,
};

use tokio::task::JoinSet;

use super::{Node, fleet::Opinion};

/// Between two beats; give or take a fifth.
const EVERY: Duration = Duration::from_secs(1);
/// Of how many beats one looks for memory that went bad, when nothing has changed.
const LOOK_EVERY: u64 = 10;

/// Why words were not exchanged; the next beat carries newer ones.
pub type BoardError = Box<dyn std::error::Error + Send + Sync>;
/// What is on a board, soon.
pub type Exchange<'a> = Pin<Box<dyn Future<Output = Result<Vec<String>, BoardError>> + Send + 'a>>;

/// Where nodes leave their last words for one another.
pub trait Board: Send + Sync + 'static {
    /// Leaves `text` as the last words of `node`; answers those of all nodes.
    fn exchange<'a>(&'a self, node: &'a str, text: &'a str) -> Exchange<'a>;
}

impl Node {
    /// Beats until it is dropped.
    pub async fn keep_beating(self: Arc<Self>, board: Option<Box<dyn Board>>) {
        let mut is_known = true;
        for turn in 0_u64.. {
            let told = self
                .beat(board.as_deref(), turn.is_multiple_of(LOOK_EVERY))
                .await;
            if let Err(error) = &told {
                self.metrics().fleet_beat_failures.inc();
                if is_known {
                    tracing::warn!(%error, "beats cannot be exchanged; the fleet view shows who was heard before");
                }
            }
            is_known = told.is_ok();
            tokio::time::sleep(EVERY.mul_f64(0.8 + 0.4 * fastrand::f64())).await;
        }
    }

    /// One beat. `again`: looks for memory that went bad, also when nothing has changed.
    pub async fn beat(&self, board: Option<&dyn Board>, again: bool) -> Result<(), BoardError> {
        self.fingerprint(again).await;
        let told = match self.say().await {
            None => Ok(()),
            Some(text) => match board {
                None => Ok(()),
                Some(board) => board
                    .exchange(&self.settings().name, &text)
                    .await
                    .map(|texts| self.hear_all(texts)),
            },
        };
        if board.is_none() || told.is_err() {
            self.ask_around().await;
        }
        let (there, gone) = self.shared.fleet.whereabouts();
        for (name, address) in there {
            self.peers.learn(&name, &address);
        }
        for name in gone {
            self.peers.forget(&name);
        }
        self.shared.fleet.forget();
        self.weigh();
        told
    }

    /// Hears the others from themselves, where no board has their words.
    async fn ask_around(&self) {
        let Some(reach) = self.peers.reach() else {
            return;
        };
        let mut asked = JoinSet::new();
        for address in self.peers.addresses() {
            let reach = Arc::clone(&reach);
            asked.spawn(async move { reach.hear(&address).await });
        }
        while let Some(answer) = asked.join_next().await {
            // Who does not answer is silent, which the fleet view shows.
            if let Ok(Ok(bytes)) = answer {
                self.hear_all(String::from_utf8(bytes.into()).ok());
            }
        }
    }

    /// Takes in what nodes said, by whichever way it came: from a board, or from themselves.
    pub fn hear_all(&self, texts: impl IntoIterator<Item = String>) {
        let keys = self.log_keys();
        for text in texts {
            // What is no beat may be anything: it is not worth a line.
            if let Ok(heard) = Heard::read(text) {
                let is_signed = heard.is_by(&keys);
                self.shared.fleet.hear(heard, is_signed);
            }
        }
    }

    /// Keys that nodes of this installation sign with.
    fn log_keys(&self) -> Vec<PublicKey> {
        let catalogue = self.shared.catalogue.read();
        let listed = catalogue.trust.chain.newest.as_ref();
        let listed = listed.map(|keyring| keyring.signers(KeyRole::Log).into_iter().cloned());
        let own = self.parts.log_key.as_ref().map(|key| key.public_key());
        listed.into_iter().flatten().chain(own).collect()
    }

    /// Takes the fingerprint of every mark that was passed, and of what is true now.
    async fn fingerprint(&self, again: bool) {
        let fleet = &self.shared.fleet;
        let newest = fleet.newest().map(|newest| newest.rev);
        let mut due: Vec<Catalogue> = self.shared.catalogue.take_marks();
        {
            let now = self.shared.catalogue.read();
            if now.revision > Revision::ZERO && (again || newest != Some(now.revision)) {
                due.push(now.clone());
            }
        }
        if due.is_empty() {
            return;
        }
        let mut fingerprints = fleet.take_fingerprints();
        let making = tokio::task::spawn_blocking(move || {
            let made: Vec<_> = due.iter().map(|one| fingerprints.of(one)).collect();
            (fingerprints, made)
        });
        let Ok((fingerprints, made)) = making.await else {
            return;
        };
        let made = made.into_iter().filter_map(|made| {
            made.inspect_err(
                |error| tracing::error!(%error, "what is true here has no fingerprint"),
            )
            .ok()
        });
        fleet.note(fingerprints, made.collect());
    }

    /// Says what this node is; none when its key does not sign.
    async fn say(&self) -> Option<String> {
        let health = self.health();
        let mut beat = self.shared.fleet.beat(self.now());
        beat.writes = Forms::written(self.parts.log_key.is_some());
        beat.revision = health.revision;
        beat.asof = health.asof;
        beat.standing = health.standing().to_owned();
        let key = self.parts.log_key.clone();
        // The key may be held elsewhere, and take its time.
        let sealing = tokio::task::spawn_blocking(move || {
            let signer = key
                .as_deref()
                .map(|key| -> &dyn huidu_core::key::Signer { key });
            beat.seal(signer)
        });
        let text = match sealing.await {
            Ok(Ok(text)) => text,
            Ok(Err(error)) => {
                tracing::debug!(%error, "this beat cannot be signed");
                let failures = &self.metrics().signer_failures;
                failures.with_label_values(&["log"]).inc();
                return None;
            }
            Err(_) => return None,
        };
        if let Ok(heard) = Heard::read(text.clone()) {
            self.shared.fleet.said(heard);
        }
        Some(text)
    }

    /// Compares what all came to, and tells the engine where that asks for something.
    fn weigh(&self) {
        let opinion = self.shared.fleet.opinion();
        let differing = match &opinion {
            Opinion::Agreed => 0,
            Opinion::Others(names) => names.len(),
            Opinion::Doubt { .. } => 1,
        };
        let gauge = i64::try_from(differing).unwrap_or(i64::MAX);
        self.metrics().fleet_differing.set(gauge);
        self.tell_opinion(&opinion);
    }
}
