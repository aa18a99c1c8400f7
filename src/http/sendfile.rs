//! `FileSocket`: a socket that sends what [placeholders](super::carrier) stand for by sendfile(2).
//!
//! Everything else passes through as it is. The kernel moves the bytes from its own cache of the file to
//! the socket: they are neither copied nor held here, however slowly the peer reads. It never sends a
//! placeholder itself. Elsewhere than on Linux no connection takes files, and this only passes on.

use std::{
    fs::File,
    io::{self, IoSlice},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, Interest, ReadBuf},
    net::TcpStream,
};

use super::carrier::{Carrier, is_placeholder};

/// True where bodies can be sent from files.
pub(super) const AVAILABLE: bool = cfg!(target_os = "linux");

/// A socket and the book of its connection.
pub(super) struct FileSocket {
    socket: TcpStream,
    carrier: Arc<Carrier>,
}

impl FileSocket {
    /// Wraps `socket`.
    pub(super) const fn new(socket: TcpStream, carrier: Arc<Carrier>) -> Self {
        Self { socket, carrier }
    }

    /// Does `work` as soon as the socket takes something.
    fn when_writable<T>(
        &self,
        cx: &mut Context<'_>,
        mut work: impl FnMut(&TcpStream) -> io::Result<T>,
    ) -> Poll<io::Result<T>> {
        loop {
            ready!(self.socket.poll_write_ready(cx))?;
            let done = (self.socket).try_io(Interest::WRITABLE, || work(&self.socket));
            match done {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                done => return Poll::Ready(done),
            }
        }
    }

    fn poll_file(&self, cx: &mut Context<'_>, placeholder: &[u8]) -> Poll<io::Result<usize>> {
        self.when_writable(cx, |socket| {
            self.carrier.send(placeholder, |file, at, bytes| {
                system::send(socket, file, at, bytes)
            })
        })
    }
}

impl AsyncRead for FileSocket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_read(cx, buf)
    }
}

impl AsyncWrite for FileSocket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        if is_placeholder(buf) {
            return self.poll_file(cx, buf);
        }
        Pin::new(&mut self.socket).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let bufs = match bufs.iter().position(|buf| !buf.is_empty()) {
            Some(first) => &bufs[first..],
            None => bufs,
        };
        match bufs.iter().position(|buf| is_placeholder(buf)) {
            None => Pin::new(&mut self.socket).poll_write_vectored(cx, bufs),
            Some(0) => self.poll_file(cx, &bufs[0]),
            // What stands before it goes with a hint that more comes at once, so that both share packets.
            Some(_) => self.when_writable(cx, |socket| system::send_before_more(socket, &bufs[0])),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}

/// Parts up to this long are judged by their first byte.
const SHORT_BYTES: usize = 512 * 1024;

/// True when reading `bytes` bytes of `file` behind `at` is not expected to wait for the disk. It looks at
/// the first of them, and of a long part at the last: what the kernel lets go of, it lets go of in long
/// stretches, those first that were read first.
pub(super) fn is_at_hand(file: &File, at: u64, bytes: usize) -> bool {
    let is_short = bytes <= SHORT_BYTES;
    system::is_cached(file, at) && (is_short || system::is_cached(file, at + bytes as u64 - 1))
}

/// Reads that part once, so that the kernel has it at hand. Blocks.
pub(super) fn fetch(file: &File, at: u64, bytes: usize) -> io::Result<()> {
    use std::os::unix::fs::FileExt as _;
    let mut away = vec![0; bytes.min(256 * 1024)];
    let (mut at, end) = (at, at + bytes as u64);
    while at < end {
        let most = away
            .len()
            .min(usize::try_from(end - at).unwrap_or(usize::MAX));
        match file.read_at(&mut away[..most], at)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            read => at += read as u64,
        }
    }
    Ok(())
}

#[cfg(target_os = "linux")]
mod system {
    //! The three calls.

    use std::{
        fs::File,
        io::{self, IoSliceMut},
    };

    use rustix::{io::ReadWriteFlags, net::SendFlags};
    use tokio::net::TcpStream;

    pub(super) fn send(to: &TcpStream, from: &File, at: u64, bytes: usize) -> io::Result<usize> {
        let mut at = at;
        Ok(rustix::fs::sendfile(to, from, Some(&mut at), bytes)?)
    }

    pub(super) fn send_before_more(to: &TcpStream, bytes: &[u8]) -> io::Result<usize> {
        let flags = SendFlags::MORE | SendFlags::NOSIGNAL;
        Ok(rustix::net::send(to, bytes, flags)?)
    }

    pub(super) fn is_cached(file: &File, at: u64) -> bool {
        let mut byte = [0];
        let read = rustix::io::preadv2(
            file,
            &mut [IoSliceMut::new(&mut byte)],
            at,
            ReadWriteFlags::NOWAIT,
        );
        // Where a file system cannot tell, sending tells.
        !matches!(read, Err(rustix::io::Errno::AGAIN))
    }
}

#[cfg(not(target_os = "linux"))]
mod system {
    //! What is never called, because no connection takes files.

    use std::{fs::File, io};

    use tokio::net::TcpStream;

    pub(super) fn send(_: &TcpStream, _: &File, _: u64, _: usize) -> io::Result<usize> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(super) fn send_before_more(to: &TcpStream, bytes: &[u8]) -> io::Result<usize> {
        to.try_write(bytes)
    }

    pub(super) fn is_cached(_: &File, _: u64) -> bool {
        true
    }
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests;
