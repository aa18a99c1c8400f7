//! HTTP/2 with few writes and few tasks: `Gathering`, a socket that is written to in larger pieces, and
//! `Aside` with [`turn`], which let requests that came together be answered together, and without a task for
//! each that needs no waiting.
//!
//! The HTTP/2 below hyper sends what is there to be sent each time before it hands out a request. Answered
//! there and then, every reply is a write of its own, however many requests came in one read. So hyper's work
//! is put aside while it takes requests, and done when it has no more of them: the replies then leave at once.
//!
//! The HTTP/2 below hyper writes every body of 256 bytes or more by itself when a socket says that it takes
//! several slices at once, and gathers those below a kibibyte into one write when it does not: a poll's
//! reply is of that size, and many are under way at a time. So this says that it does not. Larger bodies then
//! come as a frame's nine bytes and its content, which are sent together here. HTTP/1 is told by name to
//! hand over slices, and they pass through untouched: what stands for bytes of a file is never copied.

use std::{
    cell::RefCell,
    future::Future,
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, Waker, ready},
};

use hyper::rt::Executor;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Writes up to this long wait for what comes behind them.
const HELD_BYTES: usize = 32;

/// A socket that holds the smallest writes back until the next, or until it is flushed.
pub(super) struct Gathering<T> {
    socket: T,
    held: [u8; HELD_BYTES],
    /// The part of `held` that is to be written.
    from: usize,
    to: usize,
}

impl<T: AsyncWrite + Unpin> Gathering<T> {
    /// Wraps `socket`.
    pub(super) const fn new(socket: T) -> Self {
        Self {
            socket,
            held: [0; HELD_BYTES],
            from: 0,
            to: 0,
        }
    }

    const fn is_holding(&self) -> bool {
        self.from < self.to
    }

    /// Writes what is held, and with it as much of `more` as goes; says how much of that.
    fn poll_held(&mut self, cx: &mut Context<'_>, more: &[u8]) -> Poll<io::Result<usize>> {
        while self.is_holding() {
            let held = &self.held[self.from..self.to];
            let both = [IoSlice::new(held), IoSlice::new(more)];
            let written = ready!(Pin::new(&mut self.socket).poll_write_vectored(cx, &both))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            let of_held = written.min(held.len());
            self.from += of_held;
            if written > of_held {
                return Poll::Ready(Ok(written - of_held));
            }
        }
        Poll::Ready(Ok(0))
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Gathering<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_read(cx, buf)
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Gathering<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.is_holding() {
            let written = ready!(self.poll_held(cx, buf))?;
            if written > 0 || buf.is_empty() {
                return Poll::Ready(Ok(written));
            }
        }
        if buf.len() > HELD_BYTES {
            return Pin::new(&mut self.socket).poll_write(cx, buf);
        }
        let this = &mut *self;
        this.held[..buf.len()].copy_from_slice(buf);
        (this.from, this.to) = (0, buf.len());
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_held(cx, &[]))?;
        Pin::new(&mut self.socket).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        false
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_held(cx, &[]))?;
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_held(cx, &[]))?;
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}

thread_local! {
    /// What the connection whose turn it is has begun.
    static BEGUN: RefCell<Vec<Pin<Box<dyn Future<Output = ()> + Send>>>> =
        const { RefCell::new(Vec::new()) };
}

/// Puts what hyper gives it aside until the end of the [`turn`].
#[derive(Debug, Clone, Copy)]
pub(super) struct Aside;

impl<F> Executor<F> for Aside
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, work: F) {
        BEGUN.with_borrow_mut(|begun| begun.push(Box::pin(work)));
    }
}

/// Polls a connection whose work is put [`Aside`], then does that work; only what must wait becomes a task.
pub(super) fn turn<C: Future>(connection: Pin<&mut C>, cx: &mut Context<'_>) -> Poll<C::Output> {
    let polled = connection.poll(cx);
    let mut begun = BEGUN.take();
    if begun.is_empty() {
        return polled;
    }
    // Nobody is woken by this first look: a task polls it again before anything else. A reply that it makes
    // wakes the connection, whose next turn sends it.
    let mut nobody = Context::from_waker(Waker::noop());
    for mut work in begun.drain(..) {
        if work.as_mut().poll(&mut nobody).is_pending() {
            drop(tokio::spawn(work));
        }
    }
    // Its room is used again.
    BEGUN.set(begun);
    polled
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    #[tokio::test]
    async fn what_is_written_arrives_in_order_whatever_the_sizes() {
        // A pipe of seven bytes, so that writes break off everywhere.
        let (near, mut far) = duplex(7);
        let mut near = Gathering::new(near);
        let sizes = [9, 40, 1, 32, 33, 9, 9, 100, 0, 5, 31];
        let all: Vec<u8> = (0..sizes.iter().sum::<usize>()).map(|n| n as u8).collect();
        let sent = all.clone();
        let writing = tokio::spawn(async move {
            let mut at = 0;
            for (n, size) in sizes.into_iter().enumerate() {
                near.write_all(&sent[at..at + size]).await.unwrap();
                at += size;
                if n % 4 == 0 {
                    near.flush().await.unwrap();
                }
            }
            near.shutdown().await.unwrap();
        });
        let mut read = Vec::new();
        far.read_to_end(&mut read).await.unwrap();
        writing.await.unwrap();
        assert_eq!(read, all);
    }

    #[tokio::test]
    async fn a_small_write_leaves_with_the_next_or_when_it_is_flushed() {
        let (near, mut far) = duplex(1_000);
        let mut near = Gathering::new(near);
        near.write_all(b"head").await.unwrap();
        let mut read = [0; 64];
        let nothing = futures_now(far.read(&mut read));
        assert!(nothing.is_none(), "it is held");
        near.flush().await.unwrap();
        assert_eq!(far.read(&mut read).await.unwrap(), 4);
        near.write_all(b"head").await.unwrap();
        near.write_all(&[7; 50]).await.unwrap();
        assert_eq!(far.read(&mut read).await.unwrap(), 54, "in one");
    }

    /// What a future gives without waiting.
    fn futures_now<F: Future>(work: F) -> Option<F::Output> {
        let mut work = std::pin::pin!(work);
        match work.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(given) => Some(given),
            Poll::Pending => None,
        }
    }

    #[tokio::test]
    async fn work_is_done_when_the_connection_has_had_its_turn_and_what_waits_becomes_a_task() {
        let (tell, told) = tokio::sync::oneshot::channel();
        let (tell_late, told_late) = tokio::sync::oneshot::channel();
        let (wake, woken) = tokio::sync::oneshot::channel::<()>();
        let mut told = std::pin::pin!(told);
        let mut connection = std::pin::pin!(async {
            Aside.execute(async move { tell.send(1).unwrap() });
            Aside.execute(async move {
                woken.await.unwrap();
                tell_late.send(2).unwrap();
            });
            assert!(futures_now(told.as_mut()).is_none(), "not yet");
        });
        let ended = std::future::poll_fn(|cx| turn(connection.as_mut(), cx));
        assert!(futures_now(ended).is_some());
        assert_eq!(futures_now(told).unwrap().unwrap(), 1);
        wake.send(()).unwrap();
        assert_eq!(told_late.await.unwrap(), 2);
    }
}
