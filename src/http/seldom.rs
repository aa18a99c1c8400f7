//! `Seldom`: a future beside a busy one in the same task, polled only when it was woken itself.
//!
//! A connection's task wakes for every request. The timers and the signal that watch over the connection
//! fire once in many seconds, and asking each of them at every wake costs more than hyper's parser. This
//! gives them a waker of their own, which notes that it rang and then wakes the task. It never misses a
//! ring: what rings while the future is polled is noted before the poll begins or after it.

use std::{
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
};

/// A future that is asked only when there is news for it.
pub(super) struct Seldom<'a, F> {
    future: Pin<&'a mut F>,
    bell: Arc<Bell>,
    /// The bell as the future sees it.
    ringer: Waker,
    /// The task that the bell wakes.
    task: Waker,
}

struct Bell {
    rang: AtomicBool,
    task: Mutex<Waker>,
}

impl Bell {
    fn belongs_to(&self, task: &Waker) {
        task.clone_into(&mut self.task.lock().unwrap_or_else(PoisonError::into_inner));
        // Whatever rang for another task is looked at now.
        self.rang.store(true, Ordering::Release);
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.rang.store(true, Ordering::Release);
        let task = self.task.lock().unwrap_or_else(PoisonError::into_inner);
        task.wake_by_ref();
    }
}

impl<'a, F: Future> Seldom<'a, F> {
    pub(super) fn new(future: Pin<&'a mut F>) -> Self {
        let bell = Arc::new(Bell {
            rang: AtomicBool::new(true),
            task: Mutex::new(Waker::noop().clone()),
        });
        Self {
            future,
            ringer: Waker::from(Arc::clone(&bell)),
            bell,
            task: Waker::noop().clone(),
        }
    }

    /// Polls the future if it was woken since the last time.
    #[inline]
    pub(super) fn poll(&mut self, cx: &Context<'_>) -> Poll<F::Output> {
        if !self.task.will_wake(cx.waker()) {
            self.task.clone_from(cx.waker());
            self.bell.belongs_to(&self.task);
        }
        if !self.bell.rang.load(Ordering::Relaxed) {
            return Poll::Pending;
        }
        self.asked()
    }

    #[cold]
    fn asked(&mut self) -> Poll<F::Output> {
        self.bell.rang.swap(false, Ordering::AcqRel);
        self.future
            .as_mut()
            .poll(&mut Context::from_waker(&self.ringer))
    }
}

#[cfg(test)]
mod tests {
    use std::{future::poll_fn, pin::pin, time::Duration};

    use tokio::{sync::oneshot, time::sleep};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_is_asked_when_it_was_woken_and_not_when_the_task_was() {
        let mut asked = 0;
        let (send, mut receive) = oneshot::channel();
        let rare = poll_fn(|cx| {
            asked += 1;
            Pin::new(&mut receive).poll(cx)
        });
        let mut rare = pin!(rare);
        let mut rare = Seldom::new(rare.as_mut());
        let mut busy = pin!(async {
            for _ in 0..1_000 {
                tokio::task::yield_now().await;
            }
            send.send(7).unwrap();
            sleep(Duration::from_secs(60)).await;
        });
        let mut wakes = 0;
        let got = poll_fn(|cx| {
            wakes += 1;
            assert!(busy.as_mut().poll(cx).is_pending(), "the news was missed");
            rare.poll(cx)
        })
        .await;
        assert_eq!(got, Ok(7));
        assert!(wakes > 1_000, "{wakes}");
        assert_eq!(asked, 2, "once at the beginning and once for the news");
    }

    #[tokio::test]
    async fn it_follows_its_task() {
        let (send, mut receive) = oneshot::channel();
        let mut rare = pin!(poll_fn(|cx| Pin::new(&mut receive).poll(cx)));
        let mut rare = Seldom::new(rare.as_mut());
        // Polled by nobody's task first, then by this one.
        assert!(rare.poll(&Context::from_waker(Waker::noop())).is_pending());
        let sender = tokio::spawn(async move { send.send(7).unwrap() });
        assert_eq!(poll_fn(|cx| rare.poll(cx)).await, Ok(7));
        sender.await.unwrap();
    }
}
