//! `RedisBus`: hints through a Redis channel.
//!
//! One task owns one connection (RESP3: hints come and go on the same one). It looks after the
//! connection by itself: it pings when nothing else is heard, and comes back after any failure, with
//! bounded, jittered waits. While it is away hints are dropped and counted: whoever subscribes again
//! reads the ledger anyway. Nothing here survives in Redis, and nothing is believed from it.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use ::redis::{
    AsyncConnectionConfig, Client, IntoConnectionInfo as _, ProtocolVersion, PushInfo, PushKind,
    RedisError, Value, aio::MultiplexedConnection,
};
use bytes::Bytes;
use tokio::{
    sync::{Notify, broadcast, mpsc},
    task::JoinHandle,
    time::{Instant, sleep},
};

use super::{Bus, Counts, Hint, Notices, WAKES, Wake, Wakes, may_be_notice};
use crate::backoff::Backoff;

/// Hints waiting to be sent; more are dropped and counted.
const OUTBOX: usize = 1_024;
/// Bytes of the longest hint: 20 digits and `!`.
const HINT_BYTES: usize = 21;

/// Where the bus is and how patient to be.
#[derive(Clone)]
pub struct RedisSettings {
    /// `redis://[user:password@]host:port/`.
    pub url: String,
    /// The channel; nodes of one cluster use the same.
    pub channel: String,
    /// How long to wait for any answer.
    pub timeout: Duration,
    /// How long the connection may be silent before it is tried.
    pub ping_every: Duration,
    /// How long to wait before connecting again.
    pub backoff: Backoff,
}

/// Why there is no bus.
#[derive(Debug, thiserror::Error)]
pub enum RedisBusError {
    /// The address is none. What it was is not said: it may hold a password.
    #[error("not the address of a Redis; write redis://[user:password@]host:port/")]
    Address(#[source] RedisError),
}

/// A bus through Redis. Connects, and comes back, by itself; dropping it ends it.
pub struct RedisBus {
    shared: Arc<Shared>,
    outbox: mpsc::Sender<Message>,
    task: JoinHandle<()>,
}

/// What is sent.
enum Message {
    Hint(Hint),
    Notice(Bytes),
}

struct Shared {
    wakes: broadcast::Sender<Wake>,
    notices: broadcast::Sender<Bytes>,
    healthy: AtomicBool,
    published: AtomicU64,
    failed: AtomicU64,
    malformed: AtomicU64,
    connected: AtomicU64,
}

impl RedisBus {
    /// Starts the bus on the current runtime. A server that is away is no error: it is waited for.
    pub fn start(settings: RedisSettings) -> Result<Self, RedisBusError> {
        let info = settings
            .url
            .as_str()
            .into_connection_info()
            .map_err(RedisBusError::Address)?;
        let resp3 = info
            .redis_settings()
            .clone()
            .set_protocol(ProtocolVersion::RESP3);
        let client =
            Client::open(info.set_redis_settings(resp3)).map_err(RedisBusError::Address)?;
        let shared = Arc::new(Shared {
            wakes: broadcast::Sender::new(WAKES),
            notices: broadcast::Sender::new(WAKES),
            healthy: AtomicBool::new(false),
            published: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            malformed: AtomicU64::new(0),
            connected: AtomicU64::new(0),
        });
        let (outbox, hints) = mpsc::channel(OUTBOX);
        let keeper = Keeper {
            client,
            settings,
            hints,
            shared: Arc::clone(&shared),
        };
        Ok(Self {
            shared,
            outbox,
            task: tokio::spawn(keeper.run()),
        })
    }
}

impl Bus for RedisBus {
    fn publish(&self, hint: Hint) {
        self.shared.published.fetch_add(1, Ordering::Relaxed);
        if self.outbox.try_send(Message::Hint(hint)).is_err() {
            self.shared.failed.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn spread(&self, notice: Bytes) {
        if self.outbox.try_send(Message::Notice(notice)).is_err() {
            self.shared.failed.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn notices(&self) -> Notices {
        Notices(self.shared.notices.subscribe())
    }

    fn subscribe(&self) -> Wakes {
        Wakes::new(self.shared.wakes.subscribe())
    }

    fn healthy(&self) -> bool {
        self.shared.healthy.load(Ordering::Relaxed)
    }

    fn counts(&self) -> Counts {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Counts {
            published: of(&self.shared.published),
            failed: of(&self.shared.failed),
            malformed: of(&self.shared.malformed),
            connected: of(&self.shared.connected),
        }
    }
}

impl Drop for RedisBus {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl fmt::Debug for RedisBus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisBus")
            .field("healthy", &self.healthy())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for RedisSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisSettings")
            .field("channel", &self.channel)
            .finish_non_exhaustive()
    }
}

impl Shared {
    /// Hints were missed, or will have been: whoever listens looks at the ledger.
    fn reconnected(&self) {
        let _nobody_listens = self.wakes.send(Wake::Reconnected);
    }

    /// What the server pushes. Called on the connection's own task: must not block.
    fn heard(&self, push: &PushInfo, gone: &Notify) {
        match (&push.kind, push.data.as_slice()) {
            (PushKind::Disconnection | PushKind::Unsubscribe, _) => gone.notify_one(),
            (PushKind::Message, [_, Value::BulkString(text)]) => self.message(text),
            _ => {}
        }
    }

    fn message(&self, text: &[u8]) {
        if may_be_notice(text) {
            let _nobody_listens = self.notices.send(Bytes::copy_from_slice(text));
            return;
        }
        let hint = (text.len() <= HINT_BYTES).then(|| str::from_utf8(text).ok()?.parse().ok());
        match hint.flatten() {
            Some(hint) => {
                let _nobody_listens = self.wakes.send(Wake::Hint(hint));
            }
            None => {
                self.malformed.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

/// What looks after the connection.
struct Keeper {
    client: Client,
    settings: RedisSettings,
    hints: mpsc::Receiver<Message>,
    shared: Arc<Shared>,
}

impl Keeper {
    async fn run(mut self) {
        let mut failures = 0;
        while !self.hints.is_closed() {
            let gone = Arc::new(Notify::new());
            match self.connect(&gone).await {
                Ok(connection) => {
                    let begun = Instant::now();
                    let error = self.keep(connection, &gone).await;
                    // A server that takes connections and drops them gets no quicker a return.
                    let lasted = begun.elapsed() > self.settings.ping_every;
                    failures = if lasted { 0 } else { failures + 1 };
                    tracing::warn!(error, "the bus is away; the tick goes on without hints");
                }
                Err(error) => {
                    failures += 1;
                    tracing::debug!(%error, failures, "the bus cannot be reached yet");
                }
            }
            let wait = self.settings.backoff.after(failures);
            tokio::select! {
                () = sleep(wait) => {}
                () = self.drop_hints() => return,
            }
        }
    }

    /// Connects and subscribes.
    async fn connect(&self, gone: &Arc<Notify>) -> Result<MultiplexedConnection, RedisError> {
        let (shared, gone) = (Arc::clone(&self.shared), Arc::clone(gone));
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.settings.timeout))
            .set_response_timeout(Some(self.settings.timeout))
            .set_push_sender(move |push: PushInfo| {
                shared.heard(&push, &gone);
                Ok::<(), std::convert::Infallible>(())
            });
        let mut connection = self
            .client
            .get_multiplexed_async_connection_with_config(&config)
            .await?;
        connection.subscribe(&self.settings.channel).await?;
        Ok(connection)
    }

    /// Serves a connection until it fails; answers why.
    async fn keep(&mut self, connection: MultiplexedConnection, gone: &Notify) -> String {
        self.shared.connected.fetch_add(1, Ordering::Relaxed);
        self.shared.healthy.store(true, Ordering::Relaxed);
        self.shared.reconnected();
        let why = self.serve(connection, gone).await;
        self.shared.healthy.store(false, Ordering::Relaxed);
        self.shared.reconnected();
        why
    }

    async fn serve(&mut self, mut connection: MultiplexedConnection, gone: &Notify) -> String {
        loop {
            let sent = tokio::select! {
                () = gone.notified() => return "disconnected".into(),
                hint = self.hints.recv() => match hint {
                    Some(hint) => self.send(&mut connection, hint).await,
                    None => return "ended".into(),
                },
                () = sleep(self.settings.ping_every) => {
                    ::redis::cmd("PING").exec_async(&mut connection).await
                }
            };
            if let Err(error) = sent {
                return error.to_string();
            }
        }
    }

    async fn send(
        &self,
        to: &mut MultiplexedConnection,
        message: Message,
    ) -> Result<(), RedisError> {
        let mut publish = ::redis::cmd("PUBLISH");
        publish.arg(&self.settings.channel);
        match message {
            Message::Hint(hint) => publish.arg(hint.to_string()),
            Message::Notice(notice) => publish.arg(&notice[..]),
        };
        let sent = publish.exec_async(to).await;
        if sent.is_err() {
            self.shared.failed.fetch_add(1, Ordering::Relaxed);
        }
        sent
    }

    /// Drops hints for as long as there is nobody to send them to; ends when nobody can publish.
    async fn drop_hints(&mut self) {
        while self.hints.recv().await.is_some() {
            self.shared.failed.fetch_add(1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(url: &str) -> RedisSettings {
        RedisSettings {
            url: url.into(),
            channel: "huidu:hints:test".into(),
            timeout: Duration::from_millis(200),
            ping_every: Duration::from_secs(1),
            backoff: Backoff::new(Duration::from_millis(10), Duration::from_millis(50), 1),
        }
    }

    #[tokio::test]
    async fn an_address_that_is_none_is_refused_without_being_repeated() {
        let error = RedisBus::start(settings("http://user:secret@host")).unwrap_err();
        assert!(matches!(error, RedisBusError::Address(_)));
        assert!(!error.to_string().contains("secret"), "{error}");
        assert!(!format!("{:?}", settings("redis://:secret@host/")).contains("secret"));
    }

    /// Port 1 of this machine: nobody listens there.
    #[tokio::test]
    async fn without_a_server_the_bus_starts_and_counts_what_it_cannot_send() {
        let bus = RedisBus::start(settings("redis://127.0.0.1:1/")).unwrap();
        let mut wakes = bus.subscribe();
        assert_eq!(wakes.recv().await, Some(Wake::Reconnected));
        bus.publish(Hint {
            rev: huidu_core::revision::Revision::new(7),
            urgent: true,
        });
        crate::bus::contract::until("the hint is counted as failed", || bus.counts().failed == 1)
            .await;
        assert!(!bus.healthy());
        assert_eq!(bus.counts().connected, 0);
    }
}
