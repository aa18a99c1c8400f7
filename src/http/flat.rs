//! `Flat`: a socket that is handed small replies in one piece.
//!
//! hyper gives a head and a body as two pieces. Gathering pieces in the kernel costs more than copying a
//! thousand bytes first, and one piece leaves by `send`, which is shorter than `writev`. What is large goes
//! out as it came. It lies next to the socket, beneath everything that looks at where bytes lie.

use std::{
    cell::RefCell,
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Most bytes that are copied together.
const SMALL: usize = 2_048;

thread_local! {
    /// Where they are copied together: one for each thread, so that it is neither cleared nor far away.
    static TOGETHER: RefCell<[u8; SMALL]> = const { RefCell::new([0; SMALL]) };
}

/// A socket.
pub(super) struct Flat<T>(pub(super) T);

impl<T: AsyncRead + Unpin> AsyncRead for Flat<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Flat<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut socket = Pin::new(&mut self.0);
        TOGETHER.with_borrow_mut(|together| {
            let mut length = 0;
            for buf in bufs {
                let end = length + buf.len();
                match together.get_mut(length..end) {
                    Some(space) => space.copy_from_slice(buf),
                    None => return socket.as_mut().poll_write_vectored(cx, bufs),
                }
                length = end;
            }
            socket.as_mut().poll_write(cx, &together[..length])
        })
    }

    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::{TcpListener, TcpStream},
    };

    use super::*;

    #[tokio::test]
    async fn pieces_of_every_size_arrive_in_order() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let near = TcpStream::connect(listener.local_addr().unwrap()).await;
        let (mut near, mut far) = (Flat(near.unwrap()), listener.accept().await.unwrap().0);
        for (head, body) in [
            (0, 0),
            (1, 0),
            (0, 7),
            (300, 600),
            (300, 1_748),
            (300, 1_749),
            (9, 90_000),
        ] {
            let bytes: Vec<u8> = (0..head + body).map(|at| (at % 251) as u8).collect();
            let (head, mut body) = bytes.split_at(head);
            let sending = async {
                let mut head = head;
                while head.len() + body.len() > 0 {
                    let pieces = [IoSlice::new(head), IoSlice::new(body)];
                    let taken = near.write_vectored(&pieces).await.unwrap();
                    let of_head = taken.min(head.len());
                    (head, body) = (&head[of_head..], &body[taken - of_head..]);
                }
            };
            let mut read = vec![0; bytes.len()];
            tokio::join!(sending, async { far.read_exact(&mut read).await.unwrap() });
            assert_eq!(read, bytes);
        }
    }
}
