//! The tasks behind the door: flush, hear, keep, read again.
//!
//! A flush claims ids, counts what is ours and tells the other nodes; when they cannot be told, the same numbers go to
//! the store within the next flush. Nothing here waits for anything of which it does not know how long it takes: the
//! store has a task of its own. What fails is told again, whole.

use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use huidu_core::{
    feedback::{Sheet, minute_of},
    limits,
};
use tokio::{
    sync::Notify,
    time::{Instant, sleep, timeout},
};

use super::{Exchange, ExchangeError, Feedback, Remembered, UNCHECKED, Waiting, locked};
use crate::{
    clock::Clock,
    store::{Folder, Key, Store, StoreError},
};

/// Between two flushes: with what claiming may take, under a second.
pub const FLUSH: Duration = Duration::from_millis(400);
/// How long claiming may take before events count unchecked.
const CLAIM: Duration = Duration::from_millis(400);
/// Ids that are claimed at a time.
const CLAIMED: usize = 2_000;
/// Numbers told, or kept, at a time.
const AT_A_TIME: usize = 50_000;
/// Between two sheets in the store, while the other nodes hear us.
const KEEP: Duration = Duration::from_secs(60);
/// Minutes after which a node keeps what another one told and did not keep.
const SILENT: u32 = 3;
/// Between two looks at what others kept, while they can be heard.
const LOOK: Duration = Duration::from_secs(60);
/// Pause after a failure.
const PAUSE: Duration = Duration::from_millis(250);
/// Minutes by which clocks of nodes may differ.
const SKEW: u64 = 10;

/// What the tasks share.
pub struct Keeper {
    feedback: Arc<Feedback>,
    exchange: Option<Arc<dyn Exchange>>,
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    /// The other nodes do not hear us: what is new goes to the store at once.
    alone: AtomicBool,
    due: Notify,
    stopping: AtomicBool,
}

impl Keeper {
    /// What keeps the counts of `feedback`; without an exchange there is one node.
    pub fn new(
        feedback: Arc<Feedback>,
        exchange: Option<Arc<dyn Exchange>>,
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            alone: AtomicBool::new(exchange.is_none()),
            feedback,
            exchange,
            store,
            clock,
            due: Notify::new(),
            stopping: AtomicBool::new(false),
        }
    }

    /// Runs until `stopped` ends; then flushes and keeps once more.
    pub async fn run(self, stopped: impl Future<Output = ()>) {
        let this = Arc::new(self);
        let reading = tokio::spawn(Arc::clone(&this).read_again());
        let hearing = tokio::spawn(Arc::clone(&this).hear());
        let keeping = tokio::spawn(Arc::clone(&this).keep());
        tokio::pin!(stopped);
        while timeout(FLUSH, &mut stopped).await.is_err() {
            this.flush().await;
        }
        reading.abort();
        hearing.abort();
        this.flush().await;
        this.stopping.store(true, Ordering::Relaxed);
        this.due.notify_one();
        let _kept = timeout(Duration::from_secs(3), keeping).await;
    }

    /// Counts what is new, and tells it.
    pub(super) async fn flush(&self) {
        let told = self.feedback.flush(self.exchange.as_deref()).await;
        let metrics = &self.feedback.metrics;
        if let Err(error) = &told {
            metrics.count_flush_failures.inc();
            if !self.alone.load(Ordering::Relaxed) {
                tracing::warn!(%error, "counts cannot be told to the other nodes; they go to the store");
            }
        }
        self.alone
            .store(told.is_err() || self.exchange.is_none(), Ordering::Relaxed);
        if self.alone.load(Ordering::Relaxed) {
            self.due.notify_one();
        }
    }

    /// Keeps sheets in the store: once a minute, and at once while the other nodes do not hear us.
    async fn keep(self: Arc<Self>) {
        let (mut number, mut last) = (0, Instant::now());
        loop {
            let told = timeout(KEEP, self.due.notified()).await.is_ok();
            let is_last = self.stopping.load(Ordering::Relaxed);
            if told || is_last || last.elapsed() >= KEEP {
                last = Instant::now();
                if let Err(error) = self.keep_once(&mut number).await {
                    self.feedback
                        .metrics
                        .feedback_kept
                        .with_label_values(&["failed"])
                        .inc();
                    tracing::warn!(%error, "counts cannot be kept in the store; they are kept later");
                    sleep(PAUSE).await;
                    self.due.notify_one();
                }
            }
            if is_last {
                return;
            }
        }
    }

    /// Writes down what the store lacks.
    pub(super) async fn keep_once(&self, number: &mut u32) -> Result<(), StoreError> {
        let life = self.feedback.life();
        loop {
            let minute = minute_of(self.clock.now().unix_ms());
            // While nobody hears us, and at our end, also what others told us lies nowhere else.
            let is_all = self.stopping.load(Ordering::Relaxed)
                || self.exchange.is_some() && self.alone.load(Ordering::Relaxed);
            let silent = if is_all {
                u32::MAX
            } else {
                minute.saturating_sub(SILENT)
            };
            let (sheet, places) = self.feedback.book().take_unkept(life, silent, AT_A_TIME);
            if sheet.is_empty() {
                return Ok(());
            }
            let key = Key::Counts {
                minute: u64::from(minute),
                life: life.clone(),
                number: *number,
            };
            *number += 1;
            let bytes = Bytes::from(sheet.encode());
            if let Err(error) = self.store.put_new(&key, bytes).await {
                self.feedback.book().not_kept(places);
                return Err(error);
            }
            self.feedback
                .metrics
                .feedback_kept
                .with_label_values(&["kept"])
                .inc();
        }
    }

    /// Takes in what other nodes tell.
    async fn hear(self: Arc<Self>) {
        let Some(exchange) = &self.exchange else {
            return;
        };
        loop {
            match exchange.hear(self.feedback.life()).await {
                Ok(sheets) => {
                    let now = self.clock.now();
                    sheets
                        .iter()
                        .for_each(|sheet| self.feedback.hear(sheet, now));
                }
                Err(_) => sleep(PAUSE).await,
            }
        }
    }

    /// Reads what lies in the store: all of it, then what is new; and settles what is old.
    async fn read_again(self: Arc<Self>) {
        let mut seen = HashSet::new();
        let mut looked = Instant::now();
        loop {
            if let Err(error) = self.read_once(&mut seen).await {
                tracing::debug!(%error, "kept counts cannot be read; they are read later");
            }
            // One node alone has nobody to read of.
            let often = self.exchange.is_some() && self.alone.load(Ordering::Relaxed);
            while looked.elapsed() < if often { PAUSE * 4 } else { LOOK } {
                sleep(PAUSE).await;
                if self.exchange.is_some() && self.alone.load(Ordering::Relaxed) != often {
                    break;
                }
            }
            looked = Instant::now();
        }
    }

    pub(super) async fn read_once(&self, seen: &mut HashSet<Key>) -> Result<(), StoreError> {
        let now = minute_of(self.clock.now().unix_ms());
        let oldest = now.saturating_sub(limits::FEEDBACK_MINUTES);
        // From a little before the last one that was read: clocks differ.
        let from = seen.iter().filter_map(counted_in).max();
        let from = from.map_or(u64::from(oldest), |last| last.saturating_sub(SKEW));
        let after = Key::before_counts_of(from);
        for key in self.store.list(Folder::Counts, Some(&after)).await? {
            if seen.contains(&key) {
                continue;
            }
            let bytes = self.store.get(&key).await?;
            match Sheet::decode(&bytes) {
                Ok(sheet) => {
                    let mut book = self.feedback.book();
                    book.read(&sheet);
                    let minute = counted_in(&key).unwrap_or(0);
                    let open = u32::try_from(minute).unwrap_or(u32::MAX).min(now);
                    book.settle(open.saturating_sub(limits::FEEDBACK_OPEN_MINUTES), oldest);
                }
                Err(_) => self.feedback.metrics.feedback_unread.inc(),
            }
            seen.insert(key);
        }
        // Names that are not listed any more need not be remembered.
        seen.retain(|key| counted_in(key).is_some_and(|minute| minute + 2 * SKEW >= from));
        let mut book = self.feedback.book();
        book.settle(now.saturating_sub(limits::FEEDBACK_OPEN_MINUTES), oldest);
        self.feedback.has_read.store(true, Ordering::Relaxed);
        let places = i64::try_from(book.len()).unwrap_or(i64::MAX);
        self.feedback.metrics.feedback_places.set(places);
        Ok(())
    }
}

const fn counted_in(key: &Key) -> Option<u64> {
    match key {
        Key::Counts { minute, .. } => Some(*minute),
        _ => None,
    }
}

impl Feedback {
    /// Counts what is new and tells it. An error is no loss: it is told with the next flush.
    pub(super) async fn flush(&self, exchange: Option<&dyn Exchange>) -> Result<(), ExchangeError> {
        let news = self.drain();
        let Some(exchange) = exchange else {
            self.count(&news, false);
            return Ok(());
        };
        let claimed = timeout(CLAIM, self.claim(exchange, news)).await;
        if claimed.is_err() {
            return Err("the other nodes do not answer in time".into());
        }
        claimed.unwrap_or(Ok(()))?;
        self.recheck(exchange).await?;
        let told = self.tell(exchange).await?;
        if told == Remembered::Nothing {
            self.book().forgotten(&self.life);
            self.tell(exchange).await?;
        }
        Ok(())
    }

    /// Counts those of `news` that no other node has claimed; all of them when nobody can say.
    async fn claim(
        &self,
        exchange: &dyn Exchange,
        news: Vec<Waiting>,
    ) -> Result<(), ExchangeError> {
        // Whatever ends this: what was not claimed counts, and is looked at again.
        let mut left = Unclaimed {
            feedback: self,
            events: news,
        };
        while !left.events.is_empty() {
            let at = left.events.len().saturating_sub(CLAIMED);
            let ids: Vec<u64> = left.events[at..].iter().map(|event| event.id).collect();
            let ours = exchange.claim(&self.life, &ids).await?;
            let mut ours = ours.into_iter();
            let mut events = left.events.split_off(at);
            let before = events.len();
            events.retain(|_| ours.next().unwrap_or(true));
            let others = u64::try_from(before - events.len()).unwrap_or(0);
            self.metrics
                .events
                .with_label_values(&["duplicate-elsewhere"])
                .inc_by(others);
            self.count(&events, false);
        }
        Ok(())
    }

    /// Looks at what counted unchecked: what another node has claimed is withdrawn.
    async fn recheck(&self, exchange: &dyn Exchange) -> Result<(), ExchangeError> {
        loop {
            let ids: Vec<u64> = {
                let unchecked = locked(&self.unchecked);
                unchecked
                    .iter()
                    .take(CLAIMED)
                    .map(|event| event.id)
                    .collect()
            };
            if ids.is_empty() {
                return Ok(());
            }
            let ours = exchange.claim(&self.life, &ids).await?;
            let checked: Vec<Waiting> = locked(&self.unchecked).drain(..ids.len()).collect();
            let mut ours = ours.into_iter();
            let others: Vec<Waiting> = checked
                .into_iter()
                .filter(|_| !ours.next().unwrap_or(true))
                .collect();
            self.count(&others, true);
        }
    }

    async fn tell(&self, exchange: &dyn Exchange) -> Result<Remembered, ExchangeError> {
        let mut remembered = Remembered::All;
        loop {
            let (sheet, places) = self.book().take_untold(AT_A_TIME);
            if sheet.is_empty() {
                return Ok(remembered);
            }
            match exchange.tell(&self.life, sheet.encode()).await {
                Ok(Remembered::Nothing) => remembered = Remembered::Nothing,
                Ok(Remembered::All) => {}
                Err(error) => {
                    self.book().not_told(places);
                    return Err(error);
                }
            }
        }
    }
}

/// Events on their way to be claimed. What is left when this ends counts unchecked.
struct Unclaimed<'a> {
    feedback: &'a Feedback,
    events: Vec<Waiting>,
}

impl Drop for Unclaimed<'_> {
    fn drop(&mut self) {
        if self.events.is_empty() {
            return;
        }
        self.feedback.count(&self.events, false);
        let mut unchecked = locked(&self.feedback.unchecked);
        let room = UNCHECKED.saturating_sub(unchecked.len());
        let never = self.events.len().saturating_sub(room);
        let never = u64::try_from(never).unwrap_or(0);
        self.feedback
            .metrics
            .events
            .with_label_values(&["never-checked"])
            .inc_by(never);
        unchecked.extend(self.events.drain(..).take(room));
    }
}
