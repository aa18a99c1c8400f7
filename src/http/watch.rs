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

/// hyper's timer of one connection of HTTP/1, which it asks for nothing but the time for a head. hyper asks
/// for a sleep whenever it looks for a head, and polls it only where the head is not whole yet: the clock
/// is read then, and not for every request.
pub(super) struct HeadTimer {
    watch: Arc<Watch>,
    head: Duration,
}

impl HeadTimer {
    /// A timer that gives each head so long.
    pub(super) fn new(watch: &Arc<Watch>, head: Duration) -> Self {
        Self {
            watch: Arc::clone(watch),
            head,
        }
    }
}

impl Timer for HeadTimer {
    fn sleep(&self, _: Duration) -> Pin<Box<dyn Sleep>> {
        Box::pin(Awaited {
            watch: Arc::clone(&self.watch),
            head: self.head,
        })
    }

    fn sleep_until(&self, _: StdInstant) -> Pin<Box<dyn Sleep>> {
        self.sleep(self.head)
    }

    /// hyper adds the time for a head to this and hands it back, so any instant does.
    fn now(&self) -> StdInstant {
        self.watch.begun.into_std()
    }

    fn reset(&self, sleep: &mut Pin<Box<dyn Sleep>>, _: StdInstant) {
        *sleep = self.sleep(self.head);
    }
}

/// A head that hyper waits for. It never ends by itself: the watch cuts the connection off.
struct Awaited {
    watch: Arc<Watch>,
    head: Duration,
}

impl Future for Awaited {
    type Output = ();

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        let until = &self.watch.head_until;
        if until.load(Ordering::Relaxed) == 0 {
            let from_begun = self.watch.begun.elapsed() + self.head;
            let nanos = u64::try_from(from_begun.as_nanos()).unwrap_or(u64::MAX);
            until.store(nanos.max(1), Ordering::Relaxed);
        }
        Poll::Pending
    }
}

impl Sleep for Awaited {}

impl Drop for Awaited {
    fn drop(&mut self) {
        self.watch.head_until.store(0, Ordering::Relaxed);
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
        let (watch, limits) = (Watch::new(), limits());
        let timer = HeadTimer::new(&watch, limits.head);
        let begun = Instant::now();
        let cut = async {
            watch.late(&limits).await;
            begun.elapsed().as_secs()
        };
        tokio::join!(cut, peer(&timer)).0
    }

    /// A head that hyper looks for; it is not whole, so hyper waits for it.
    async fn begin_to_wait(timer: &HeadTimer) -> Pin<Box<dyn Sleep>> {
        let mut head = timer.sleep_until(timer.now() + timer.head);
        let polled = std::future::poll_fn(|cx| Poll::Ready(head.as_mut().poll(cx))).await;
        assert!(polled.is_pending());
        head
    }

    #[tokio::test(start_paused = true)]
    async fn silence_is_cut_off_at_the_beginning_and_between_heads_to_the_second() {
        assert_eq!(cut_after(async |_| {}).await, 10);
        // A head that hyper begins to wait for at 7 seconds is late at 17.
        let second = async |timer: &HeadTimer| {
            timer.watch.count();
            advance(Duration::from_secs(7)).await;
            let head = begin_to_wait(timer).await;
            sleep(Duration::from_secs(11)).await;
            drop(head);
        };
        assert_eq!(cut_after(second).await, 17);
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_late_while_a_reply_is_under_way_or_heads_come() {
        let busy = async |timer: &HeadTimer| {
            timer.watch.count();
            for _ in 0..100 {
                let head = begin_to_wait(timer).await;
                sleep(Duration::from_secs(9)).await;
                drop(head);
            }
            // A reply that takes an hour.
            sleep(Duration::from_secs(3_600)).await;
            let head = begin_to_wait(timer).await;
            sleep(Duration::from_secs(15)).await;
            drop(head);
        };
        assert_eq!(cut_after(busy).await, 900 + 3_600 + 10);
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_that_dribbles_is_as_late_as_one_that_does_not_come() {
        let dribbles = async |timer: &HeadTimer| {
            timer.watch.count();
            let mut head = begin_to_wait(timer).await;
            for _ in 0..15 {
                sleep(Duration::from_secs(1)).await;
                let more = std::future::poll_fn(|cx| Poll::Ready(head.as_mut().poll(cx)));
                assert!(more.await.is_pending());
            }
        };
        assert_eq!(cut_after(dribbles).await, 10);
    }
}
