//! `Watch`: what cuts a connection off, beside the requests and not in their way.
//!
//! hyper can time the wait for each head by itself, with a timer made, armed, disarmed and freed for every
//! request. Here hyper notes its deadline in one word, and one timer for each connection looks at that
//! word when it could have passed: every limit is kept to the same instant, and a request costs none of
//! the runtime's timers. The rest (the first bytes, an idle connection, the end of the server) is watched
//! by the same future, which is asked only when something of it rings.

use std::{
    future::Future,
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::{Duration, Instant as StdInstant},
};

use hyper::rt::{Sleep, Timer};
use tokio::time::{Instant, interval_at, sleep_until};

use super::serve::{Limits, Stop};

/// What becomes of a connection.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It has ended by itself.
    Ended,
    /// It is cut off.
    Cut,
    /// It may finish what it has begun.
    Finish,
}

/// What is watched of one connection.
pub(super) struct Watch {
    begun: Instant,
    requests: AtomicU64,
    /// Until when hyper waits for a head, in nanoseconds from `begun`; zero: it waits for none.
    head_until: AtomicU64,
}

impl Watch {
    /// The watch over a connection that begins now.
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            begun: Instant::now(),
            requests: AtomicU64::new(0),
            head_until: AtomicU64::new(0),
        })
    }

    /// One more request. The connection's task alone calls this, so it need not be one locked step.
    pub(super) fn count(&self) {
        let before = self.requests.load(Ordering::Relaxed);
        self.requests.store(before + 1, Ordering::Relaxed);
    }

    /// Requests so far.
    fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    /// What becomes of the connection, when it does not end by itself.
    pub(super) async fn verdict(&self, limits: &Limits, mut stop: Stop) -> Verdict {
        let mut told = pin!(stop.told());
        let mut late = pin!(self.late(limits));
        let mut idle = interval_at(self.begun + limits.idle, limits.idle);
        let mut seen = 0;
        loop {
            tokio::select! {
                biased;
                () = told.as_mut() => return Verdict::Finish,
                () = late.as_mut() => return Verdict::Cut,
                _ = idle.tick() => {
                    let now = self.requests();
                    if now == seen {
                        return Verdict::Finish;
                    }
                    seen = now;
                }
            }
        }
    }

    /// Ends when the peer has said nothing for too long, at the beginning or when a head is due.
    pub(super) async fn late(&self, limits: &Limits) {
        // hyper-util waits for a connection's first bytes without any time-out, to tell HTTP/2 from HTTP/1.
        sleep_until(self.begun + limits.head).await;
        if self.requests() == 0 {
            return;
        }
        let mut next = Instant::now();
        loop {
            sleep_until(next).await;
            let now = Instant::now();
            next = match self.head_until.load(Ordering::Relaxed) {
                // Whatever is waited for from now on ends no sooner.
                0 => now + limits.head,
                until => self.begun + Duration::from_nanos(until),
            };
            if next <= now {
                return;
            }
        }
    }
}

/// hyper's timer of one connection of HTTP/1, which it asks for nothing but the time for a head.
pub(super) struct HeadTimer(pub(super) Arc<Watch>);

impl HeadTimer {
    fn note(&self, deadline: StdInstant) {
        let from = Instant::from_std(deadline).duration_since(self.0.begun);
        let nanos = u64::try_from(from.as_nanos()).unwrap_or(u64::MAX).max(1);
        self.0.head_until.store(nanos, Ordering::Relaxed);
    }
}

impl Timer for HeadTimer {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Sleep>> {
        self.sleep_until(self.now() + duration)
    }

    fn sleep_until(&self, deadline: StdInstant) -> Pin<Box<dyn Sleep>> {
        self.note(deadline);
        Box::pin(Awaited(Arc::clone(&self.0)))
    }

    fn now(&self) -> StdInstant {
        Instant::now().into_std()
    }

    fn reset(&self, _: &mut Pin<Box<dyn Sleep>>, deadline: StdInstant) {
        self.note(deadline);
    }
}

/// A head that hyper waits for. It never ends by itself: the watch cuts the connection off.
struct Awaited(Arc<Watch>);

impl Future for Awaited {
    type Output = ();

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        Poll::Pending
    }
}

impl Sleep for Awaited {}

impl Drop for Awaited {
    fn drop(&mut self) {
        self.0.head_until.store(0, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::{advance, sleep};

    use super::*;

    fn limits() -> Limits {
        Limits {
            head: Duration::from_secs(10),
            ..Limits::default()
        }
    }

    /// When the watch cuts the connection off that `peer` plays on, in seconds from its beginning.
    async fn cut_after(peer: impl AsyncFnOnce(&HeadTimer)) -> u64 {
        let watch = Watch::new();
        let timer = HeadTimer(Arc::clone(&watch));
        let (begun, limits) = (Instant::now(), limits());
        let cut = async {
            watch.late(&limits).await;
            begun.elapsed().as_secs()
        };
        tokio::join!(cut, peer(&timer)).0
    }

    #[tokio::test(start_paused = true)]
    async fn silence_is_cut_off_at_the_beginning_and_between_heads_to_the_second() {
        assert_eq!(cut_after(async |_| {}).await, 10);
        // A head that hyper begins to wait for at 7 seconds is late at 17.
        let second = async |timer: &HeadTimer| {
            timer.0.count();
            advance(Duration::from_secs(7)).await;
            let head = timer.sleep(Duration::from_secs(10));
            sleep(Duration::from_secs(11)).await;
            drop(head);
        };
        assert_eq!(cut_after(second).await, 17);
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_late_while_a_reply_is_under_way_or_heads_come() {
        let busy = async |timer: &HeadTimer| {
            timer.0.count();
            for _ in 0..100 {
                let head = timer.sleep(Duration::from_secs(10));
                sleep(Duration::from_secs(9)).await;
                drop(head);
            }
            // A reply that takes an hour.
            sleep(Duration::from_secs(3_600)).await;
            let head = timer.sleep(Duration::from_secs(10));
            sleep(Duration::from_secs(15)).await;
            drop(head);
        };
        assert_eq!(cut_after(busy).await, 900 + 3_600 + 10);
    }
}
