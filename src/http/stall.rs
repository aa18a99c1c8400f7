//! `Stalling`: a socket whose peer must go on reading, and that never holds up the others of its core.
//!
//! hyper waits for ever to write to a peer that takes nothing. This gives up after a while. A peer that sends
//! without end is read a piece at a time: after each, the other connections of the core have their turn. It
//! costs nothing while writes go through and little is sent, and it never looks at what passes.

use std::{
    future::Future,
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Sleep, sleep},
};

/// Bytes that are read of one connection before others have their turn: some two thousand small frames.
const TURN_BYTES: usize = 64 * 1024;

/// A socket that fails when nothing of what is written has been taken for a while.
pub(super) struct Stalling<T> {
    socket: T,
    patience: Duration,
    waiting: Option<Pin<Box<Sleep>>>,
    /// Bytes read in this turn.
    turn: usize,
}

impl<T> Stalling<T> {
    /// Wraps `socket`.
    pub(super) const fn new(socket: T, patience: Duration) -> Self {
        Self {
            socket,
            patience,
            waiting: None,
            turn: 0,
        }
    }

    fn watched<R>(
        &mut self,
        cx: &mut Context<'_>,
        polled: Poll<io::Result<R>>,
    ) -> Poll<io::Result<R>> {
        if polled.is_ready() {
            self.waiting = None;
            return polled;
        }
        let patience = self.patience;
        let waiting = self
            .waiting
            .get_or_insert_with(|| Box::pin(sleep(patience)));
        std::task::ready!(waiting.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Stalling<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.turn >= TURN_BYTES {
            self.turn = 0;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.socket).poll_read(cx, buf);
        match polled {
            Poll::Ready(_) => self.turn += buf.filled().len() - before,
            Poll::Pending => self.turn = 0,
        }
        polled
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Stalling<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.socket).poll_write(cx, buf);
        self.watched(cx, polled)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.socket).poll_write_vectored(cx, bufs);
        self.watched(cx, polled)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.socket).poll_flush(cx);
        self.watched(cx, polled)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.socket).poll_shutdown(cx);
        self.watched(cx, polled)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_takes_nothing_is_given_up_and_one_that_reads_slowly_is_not() {
        let patience = Duration::from_secs(5);
        let (near, mut far) = duplex(4);
        let mut near = Stalling::new(near, patience);
        let slow = tokio::spawn(async move {
            let mut taken = [0; 4];
            for _ in 0..4 {
                sleep(Duration::from_secs(4)).await;
                far.read_exact(&mut taken).await.unwrap();
            }
            far
        });
        near.write_all(&[7; 16]).await.unwrap();
        let _far = slow.await.unwrap();
        near.write_all(&[7; 4]).await.unwrap();
        let gave_up = near.write_all(&[7; 4]).await.unwrap_err();
        assert_eq!(gave_up.kind(), io::ErrorKind::TimedOut);
    }
}
