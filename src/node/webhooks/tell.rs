//! One receiver told: whose turn it is, how far it has been told, the next try.
//!
//! Of the nodes that take turns one tells. While nobody can say whose turn it is, all do, each a moment later than the
//! others and after a look at how far it has been told: twice is better than never. A node that fails passes its turn on,
//! because another may have a way. How far it has been told is written down after it was: a node that dies in between is
//! followed by one that tells it again, under the same id.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use bytes::Bytes;
use huidu_core::webhook::{Message, Place};
use tokio::{
    sync::watch,
    time::{Instant, sleep},
};

use super::{
    Receiver, TURN, Turns,
    replay::{Replayed, replay},
    said::Since,
};
use crate::{
    backoff::Backoff,
    node::{Node, standing::Soundness},
    store::{Key, StoreError},
};

/// Between two looks when nothing happens; give or take a fifth.
const BEAT: Duration = Duration::from_secs(3);
/// Between two tries, at first and at most.
const AGAIN: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(300));
/// How long a node fails before it passes its turn on, and for how long it then takes none.
const PASSES: (Duration, Duration) = (Duration::from_secs(30), Duration::from_secs(20));
/// Over how long the nodes spread while nobody can say whose turn it is.
const SPREAD: Duration = Duration::from_secs(2);
/// A message that is older when a try fails is given up: those behind it are worth more.
const GIVEN_UP_MS: u64 = 24 * 3_600_000;
/// Revisions without a message after which it is written down that there was none.
const QUIET: u64 = 64;

/// Whose turn it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    Ours,
    Others,
    /// Nobody can say.
    Unknown,
}

/// What failed lately.
#[derive(Default)]
struct Failing {
    /// Tries in a row.
    tries: u32,
    since: Option<Instant>,
    /// No try before.
    not_before: Option<Instant>,
    /// No turn before.
    passed_until: Option<Instant>,
}

pub(super) struct Teller {
    node: Arc<Node>,
    receiver: Receiver,
    key: Key,
    turns: Option<Arc<dyn Turns>>,
    holder: String,
    backoff: Backoff,
    ours_until: Option<Instant>,
    /// What comes next, as far as this node knows; none: it has not looked.
    at: Option<Place>,
    /// The same, as it is written down.
    kept: Option<Place>,
    /// Read from the ledger again, and the place up to which that is all.
    read: (VecDeque<Arc<Message>>, Option<Place>),
    failing: Failing,
    /// The message for which this node has let others be first.
    let_others: Option<Place>,
}

impl Teller {
    pub(super) fn new(node: Arc<Node>, receiver: Receiver, turns: Option<Arc<dyn Turns>>) -> Self {
        let holder = format!("{}-{}", node.settings().name, node.new_op());
        Self {
            key: Key::Webhook(receiver.name.clone()),
            node,
            receiver,
            turns,
            holder,
            backoff: Backoff::new(AGAIN.0, AGAIN.1, fastrand::u64(..)),
            ours_until: None,
            at: None,
            kept: None,
            read: (VecDeque::new(), None),
            failing: Failing::default(),
            let_others: None,
        }
    }

    /// Tells until it is stopped; a try that is under way is waited for.
    pub(super) async fn run(mut self, mut stopping: watch::Receiver<bool>) {
        let mut news = self.node.shared.news.subscribe();
        while !*stopping.borrow() {
            news.mark_unchanged();
            let wait = self.step().await;
            if wait.is_zero() {
                continue;
            }
            // A receiver that has failed is not asked sooner because there is more to tell.
            let is_calm = self.failing.tries == 0;
            tokio::select! {
                () = stopped(&mut stopping) => break,
                _ = news.changed(), if is_calm => {}
                () = sleep(wait) => {}
            }
        }
        self.keep().await;
        self.pass().await;
    }

    /// Does what is next; how long to wait then.
    async fn step(&mut self) -> Duration {
        let now = Instant::now();
        if self.failing.passed_until.is_some_and(|until| now < until) {
            return beat();
        }
        if !self.is_fit() {
            self.pass().await;
            return beat();
        }
        let turn = self.turn().await;
        if turn == Turn::Others {
            self.leave();
            return beat();
        }
        if self.at.is_none() && !self.look().await {
            self.pass().await;
            return beat();
        }
        let Some(at) = self.at else { return beat() };
        match self.since(at).await {
            Since::Message(message, behind) => {
                self.count(Some(&message), behind + 1);
                self.at = Some(message.place);
                self.attend(&message, turn).await
            }
            Since::Nothing(end) => {
                self.count(None, 0);
                self.at = Some(end);
                let quiet = end.rev.get()
                    - self
                        .kept
                        .map_or(0, |kept| kept.rev.get().min(end.rev.get()));
                if quiet >= QUIET {
                    self.keep().await;
                }
                beat()
            }
            Since::Unknown => beat(),
        }
    }

    /// Whether this node may tell anybody anything: what it came to is what the others came to, and it follows the ledger
    /// or has something to tell from before.
    fn is_fit(&self) -> bool {
        let health = self.node.health();
        let has_more = || {
            let head = health.revision;
            self.at.is_some_and(|at| {
                let since = self
                    .node
                    .shared
                    .news
                    .since(at, head, |topic| self.wants(topic));
                matches!(since, Since::Message(..))
            })
        };
        health.soundness == Soundness::Sound && health.from_store && (health.store || has_more())
    }

    fn wants(&self, topic: huidu_core::webhook::Topic) -> bool {
        self.receiver.topics.contains(&topic)
    }

    /// Takes the turn, or keeps it.
    async fn turn(&mut self) -> Turn {
        let Some(turns) = &self.turns else {
            self.told_turn(true);
            return Turn::Ours;
        };
        let now = Instant::now();
        // Renewed in time for a whole try.
        if self
            .ours_until
            .is_some_and(|until| now + TURN * 3 / 4 < until)
        {
            return Turn::Ours;
        }
        let taken = turns.take(self.receiver.name.as_str(), &self.holder).await;
        let turn = match taken {
            Ok(true) => {
                if self.ours_until.is_none_or(|until| until < now) {
                    // Others may have told it meanwhile.
                    self.at = None;
                }
                self.ours_until = Some(now + TURN);
                Turn::Ours
            }
            Ok(false) => Turn::Others,
            Err(why) => {
                tracing::debug!(receiver = %self.receiver.name, why, "nobody can say whose turn it is to tell a webhook");
                Turn::Unknown
            }
        };
        if turn != Turn::Ours {
            self.ours_until = None;
        }
        self.told_turn(turn != Turn::Others);
        turn
    }

    fn told_turn(&self, tells: bool) {
        let name = [self.receiver.name.as_str()];
        let turn = &self.node.metrics().webhook_turn;
        turn.with_label_values(&name).set(i64::from(tells));
    }

    /// Another node tells it.
    fn leave(&mut self) {
        (self.at, self.kept, self.let_others) = (None, None, None);
        self.read = (VecDeque::new(), None);
        self.failing = Failing::default();
        self.count(None, 0);
    }

    /// Lets another node tell it.
    async fn pass(&mut self) {
        self.told_turn(false);
        if self.ours_until.take().is_some()
            && let Some(turns) = &self.turns
        {
            // It ends by itself where this is not heard.
            let _passed = turns.pass(self.receiver.name.as_str(), &self.holder).await;
        }
    }

    /// Reads how far it has been told; a receiver that is new is told what happens from now on. False: that is not known.
    async fn look(&mut self) -> bool {
        let store = Arc::clone(&self.node.parts.store);
        let from_now_on = Place::behind(self.node.health().revision);
        let mut read = store.get(&self.key).await;
        if read.as_ref().is_err_and(StoreError::is_not_found) {
            let text = Bytes::from(format!("{from_now_on}\n"));
            read = match store.put_new(&self.key, text.clone()).await {
                Ok(()) => Ok(text),
                // Another node was first, and may have told something since.
                Err(error) if error.is_already_exists() => store.get(&self.key).await,
                Err(error) => Err(error),
            };
        }
        let kept = match read {
            Ok(bytes) => String::from_utf8_lossy(&bytes).trim().parse::<Place>(),
            Err(error) => {
                tracing::warn!(receiver = %self.receiver.name, %error, "how far a webhook has been told is not known now");
                return false;
            }
        };
        self.kept = kept.ok();
        if self.kept.is_none() {
            tracing::error!(receiver = %self.receiver.name, "what says how far a webhook has been told cannot be read; it is told what happens from now on");
        }
        self.at = self.at.max(Some(self.kept.unwrap_or(from_now_on)));
        true
    }

    /// Writes down how far it has been told; where that fails it is done again with the next message.
    async fn keep(&mut self) {
        let Some(at) = self.at.filter(|at| Some(*at) > self.kept) else {
            return;
        };
        let text = Bytes::from(format!("{at}\n"));
        match self.node.parts.store.put(&self.key, text).await {
            Ok(()) => self.kept = Some(at),
            Err(error) => {
                tracing::warn!(receiver = %self.receiver.name, %error, "how far a webhook has been told cannot be written down; after a restart it is told again");
            }
        }
    }

    /// What comes next: from memory, or from the ledger.
    async fn since(&mut self, at: Place) -> Since {
        let head = self.node.health().revision;
        if let Some(found) = self.read_again(at) {
            return found;
        }
        let known = (self.node.shared.news).since(at, head, |topic| self.wants(topic));
        if known != Since::Unknown {
            return known;
        }
        let parts = self
            .node
            .parts
            .ledger_parts(Arc::clone(&self.node.parts.store));
        match replay(parts, at, head).await {
            Ok(Replayed { messages, upto }) => {
                self.read = (messages.into(), Some(upto));
                self.read_again(at).unwrap_or(Since::Unknown)
            }
            Err(error) => {
                tracing::warn!(receiver = %self.receiver.name, %error, "what a webhook is to be told cannot be read from the ledger now");
                Since::Unknown
            }
        }
    }

    /// What comes next of what was read from the ledger again; none: that is over.
    fn read_again(&mut self, at: Place) -> Option<Since> {
        let (messages, upto) = &mut self.read;
        let upto = upto.filter(|upto| at < *upto)?;
        let topics = &self.receiver.topics;
        messages.retain(|message| message.place >= at && topics.contains(&message.topic));
        let behind = messages.len().saturating_sub(1);
        let first = messages.front().cloned();
        Some(match first {
            Some(first) => Since::Message(first, behind),
            None => Since::Nothing(upto),
        })
    }

    /// Tries to tell a message, if it is time.
    async fn attend(&mut self, message: &Arc<Message>, turn: Turn) -> Duration {
        if let Some(wait) = self.failing.wait() {
            return wait.min(beat());
        }
        if turn == Turn::Unknown && self.let_others != Some(message.place) {
            self.let_others = Some(message.place);
            let wait = SPREAD.mul_f64(fastrand::f64());
            sleep(wait).await;
            // Another may have told it meanwhile.
            let _unknown = self.look().await;
            return Duration::from_millis(1);
        }
        let now = self.node.now();
        let told = self.receiver.way.tell(message.body.clone(), now).await;
        let (outcome, wait) = match told {
            Ok(()) => {
                self.failing = Failing::default();
                self.at = Some(message.place.next());
                ("delivered", Duration::ZERO)
            }
            Err(why) if now.ms_since(message.at) > GIVEN_UP_MS => {
                tracing::error!(receiver = %self.receiver.name, id = %message.place, why, "a webhook is GIVEN UP: it was not taken for a day");
                self.at = Some(message.place.next());
                self.failed();
                ("given-up", beat())
            }
            Err(why) => {
                tracing::warn!(receiver = %self.receiver.name, id = %message.place, why, "a webhook is not delivered; it is tried again");
                let wait = self.failed();
                ("failed", wait.min(beat()))
            }
        };
        let labels = [self.receiver.name.as_str(), outcome];
        let counter = &self.node.metrics().webhook_deliveries;
        counter.with_label_values(&labels).inc();
        if outcome != "failed" {
            self.keep().await;
        }
        if self.turns.is_some() && self.failing.is_long() {
            self.failing.pass();
            self.pass().await;
        }
        wait
    }

    /// A try has failed; how long to wait.
    fn failed(&mut self) -> Duration {
        let wait = self.backoff.after(self.failing.tries);
        let now = Instant::now();
        self.failing.tries += 1;
        self.failing.since.get_or_insert(now);
        self.failing.not_before = Some(now + wait);
        wait
    }

    /// Tells what waits.
    fn count(&self, first: Option<&Message>, waiting: usize) {
        let (metrics, name) = (self.node.metrics(), [self.receiver.name.as_str()]);
        let age = first.map_or(0, |first| self.node.now().ms_since(first.at) / 1_000);
        let gauge = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        let oldest = &metrics.webhook_oldest_seconds;
        oldest.with_label_values(&name).set(gauge(age));
        let waits = &metrics.webhook_waiting;
        waits.with_label_values(&name).set(gauge(waiting as u64));
    }
}

impl Failing {
    /// How long until the next try; none: it is time.
    fn wait(&self) -> Option<Duration> {
        let wait = self.not_before?.saturating_duration_since(Instant::now());
        (!wait.is_zero()).then_some(wait)
    }

    fn is_long(&self) -> bool {
        self.since.is_some_and(|since| since.elapsed() >= PASSES.0)
    }

    fn pass(&mut self) {
        self.since = None;
        self.passed_until = Some(Instant::now() + PASSES.1);
    }
}

/// Ends when it is to stop, or nobody is left who could say so.
async fn stopped(stopping: &mut watch::Receiver<bool>) {
    let _ended = stopping.wait_for(|stopped| *stopped).await;
}

fn beat() -> Duration {
    BEAT.mul_f64(0.8 + 0.4 * fastrand::f64())
}
