//! Bodies: what replies carry, and how request bodies are read within bounds.
//!
//! A reply's body knows its length beforehand, so every reply has a `Content-Length`, but for what goes on for as
//! long as somebody listens. A request's body
//! is never read without a limit on its bytes, on the silence between two pieces, and on the whole.

use std::{
    error::Error,
    fmt,
    fs::File,
    io,
    ops::Range,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use tokio::{
    sync::mpsc,
    task::{JoinHandle, spawn_blocking},
    time::{Instant, timeout_at},
};

use super::{
    carrier::{self, Carrier},
    sendfile,
};

/// What goes wrong while a body is made; it breaks the connection off, so that no device takes half for
/// the whole.
pub type BodyError = Box<dyn Error + Send + Sync>;

/// The body of a reply.
#[derive(Debug, Default)]
pub struct Body(Kind);

#[derive(Debug, Default)]
enum Kind {
    #[default]
    Empty,
    Whole(Bytes),
    Pieces {
        from: mpsc::Receiver<Result<Bytes, BodyError>>,
        left: u64,
    },
    Part(Box<FilePart>),
    Endless(Box<dyn Endless>),
}

/// A body that goes on for as long as somebody listens, and whose length nobody knows.
pub trait Endless: Send {
    /// The next piece; none: it is over.
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>>;
}

impl fmt::Debug for dyn Endless {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Endless")
    }
}

/// A part of a file that the connection sends by itself, piece by piece.
#[derive(Debug)]
struct FilePart {
    file: Arc<File>,
    left: Range<u64>,
    carrier: Arc<Carrier>,
    /// The next piece while it comes from the disk.
    coming: Option<JoinHandle<io::Result<()>>>,
}

impl FilePart {
    /// The next piece, as what stands for it. A disk may be slow: what the system does not have at hand is
    /// read aside first, so that no other connection of this core waits for it.
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Bytes>> {
        let (at, left) = (self.left.start, self.left.end - self.left.start);
        let bytes = usize::try_from(left)
            .map_or(carrier::PIECE_BYTES, |left| left.min(carrier::PIECE_BYTES));
        if let Some(coming) = &mut self.coming {
            let come = ready!(Pin::new(coming).poll(cx));
            self.coming = None;
            come??;
        } else if !sendfile::is_at_hand(&self.file, at, bytes) {
            let file = Arc::clone(&self.file);
            self.coming = Some(spawn_blocking(move || sendfile::fetch(&file, at, bytes)));
            return self.poll_piece(cx);
        }
        self.left.start += bytes as u64;
        Poll::Ready(Ok(self.carrier.place(&self.file, at, bytes)))
    }
}

/// The pieces ended before the promised length, or went on behind it.
#[derive(Debug, thiserror::Error)]
#[error("the body differs from its promised length by {0} bytes")]
struct WrongLength(u64);

impl Body {
    /// No bytes.
    pub const fn empty() -> Self {
        Self(Kind::Empty)
    }

    /// `bytes` bytes in pieces as they come. The channel's bound is the back pressure.
    pub const fn pieces(from: mpsc::Receiver<Result<Bytes, BodyError>>, bytes: u64) -> Self {
        Self(Kind::Pieces { from, left: bytes })
    }

    /// The bytes `range` of `file`, which nobody writes to, for a reply of HTTP/1 over the connection of
    /// `carrier`, which takes files: no other could send them.
    pub fn file(file: Arc<File>, range: Range<u64>, carrier: Arc<Carrier>) -> Self {
        debug_assert!(carrier.takes_files(), "asked before");
        Self(Kind::Part(Box::new(FilePart {
            file,
            left: range,
            carrier,
            coming: None,
        })))
    }

    /// Pieces until nobody listens.
    pub fn endless(pieces: Box<dyn Endless>) -> Self {
        Self(Kind::Endless(pieces))
    }

    /// Length in bytes, of what has one.
    pub fn bytes(&self) -> u64 {
        match &self.0 {
            Kind::Endless(_) => 0,
            Kind::Part(part) => part.left.end - part.left.start,
            Kind::Empty => 0,
            Kind::Whole(bytes) => bytes.len() as u64,
            Kind::Pieces { left, .. } => *left,
        }
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        Self(Kind::Whole(bytes))
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match &mut self.0 {
            Kind::Empty => Poll::Ready(None),
            Kind::Whole(bytes) => {
                let bytes = std::mem::take(bytes);
                self.0 = Kind::Empty;
                Poll::Ready((!bytes.is_empty()).then(|| Ok(Frame::data(bytes))))
            }
            Kind::Part(part) if part.left.is_empty() => Poll::Ready(None),
            Kind::Part(part) => {
                let piece = ready!(part.poll_piece(cx));
                Poll::Ready(Some(piece.map(Frame::data).map_err(Into::into)))
            }
            Kind::Endless(pieces) => {
                let piece = ready!(pieces.poll_piece(cx));
                Poll::Ready(piece.map(|piece| Ok(Frame::data(piece))))
            }
            Kind::Pieces { from, left } => {
                let piece = ready!(from.poll_recv(cx));
                Poll::Ready(match piece {
                    Some(Ok(piece)) => match left.checked_sub(piece.len() as u64) {
                        Some(rest) => {
                            *left = rest;
                            Some(Ok(Frame::data(piece)))
                        }
                        None => Some(Err(WrongLength(piece.len() as u64 - *left).into())),
                    },
                    Some(Err(error)) => Some(Err(error)),
                    None if *left == 0 => None,
                    None => Some(Err(WrongLength(*left).into())),
                })
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Kind::Empty => true,
            Kind::Whole(bytes) => bytes.is_empty(),
            Kind::Pieces { left, .. } => *left == 0,
            Kind::Part(part) => part.left.is_empty(),
            Kind::Endless(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Endless(_) => SizeHint::default(),
            _ => SizeHint::with_exact(self.bytes()),
        }
    }
}

/// How much of a request's body is read, and how long it may take.
#[derive(Debug, Clone, Copy)]
pub struct ReadLimits {
    /// Most bytes.
    pub bytes: usize,
    /// Longest silence between two pieces.
    pub silence: Duration,
    /// Longest time for the whole.
    pub whole: Duration,
}

/// Why a request's body could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// It has more bytes than allowed.
    #[error("the body has more than {most} bytes; send less")]
    TooLarge {
        /// How many are allowed.
        most: usize,
    },
    /// It came too slowly.
    #[error("the body came too slowly; send it again")]
    Slow,
    /// The connection broke.
    #[error("the body broke off; send it again")]
    Broken,
}

/// Reads a whole body within `limits`.
pub async fn read<B>(body: B, limits: ReadLimits) -> Result<Bytes, ReadError>
where
    B: HttpBody<Data = Bytes> + Unpin,
{
    let too_large = ReadError::TooLarge { most: limits.bytes };
    if body.size_hint().lower() > limits.bytes as u64 {
        return Err(too_large);
    }
    let mut body = body;
    let end = Instant::now() + limits.whole;
    let mut first = Bytes::new();
    let mut rest = BytesMut::new();
    loop {
        let until = end.min(Instant::now() + limits.silence);
        let frame = timeout_at(until, next_frame(&mut body))
            .await
            .map_err(|_| ReadError::Slow)?;
        let Some(frame) = frame else { break };
        let Ok(piece) = frame.map_err(|_| ReadError::Broken)?.into_data() else {
            continue;
        };
        if first.len() + rest.len() + piece.len() > limits.bytes {
            return Err(too_large);
        }
        // Nearly every body is one piece, which then needs no copy.
        if first.is_empty() && rest.is_empty() {
            first = piece;
        } else {
            if rest.is_empty() {
                rest.extend_from_slice(&std::mem::take(&mut first));
            }
            rest.extend_from_slice(&piece);
        }
    }
    Ok(if rest.is_empty() {
        first
    } else {
        rest.freeze()
    })
}

async fn next_frame<B: HttpBody + Unpin>(body: &mut B) -> Option<Result<Frame<B::Data>, B::Error>> {
    std::future::poll_fn(|cx| Pin::new(&mut *body).poll_frame(cx)).await
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: ReadLimits = ReadLimits {
        bytes: 8,
        silence: Duration::from_secs(5),
        whole: Duration::from_secs(20),
    };

    fn channel(bytes: u64) -> (mpsc::Sender<Result<Bytes, BodyError>>, Body) {
        let (send, from) = mpsc::channel(8);
        (send, Body::pieces(from, bytes))
    }

    #[tokio::test]
    async fn pieces_are_joined_and_a_single_one_is_not_copied() {
        let whole = Bytes::from_static(b"abc");
        let read_back = read(Body::from(whole.clone()), LIMITS).await.unwrap();
        assert_eq!(read_back.as_ptr(), whole.as_ptr());
        let (send, body) = channel(6);
        for piece in [b"ab", b"cd", b"ef"] {
            send.try_send(Ok(Bytes::from_static(piece))).unwrap();
        }
        drop(send);
        assert_eq!(read(body, LIMITS).await.unwrap(), "abcdef");
    }

    #[tokio::test]
    async fn too_many_bytes_are_refused_announced_or_not() {
        let (send, body) = channel(9);
        let refused = read(body, LIMITS).await;
        assert!(matches!(refused, Err(ReadError::TooLarge { most: 8 })));
        assert!(
            send.is_closed(),
            "nothing was read of what was announced too large"
        );
        let refused = read(Endless, LIMITS).await;
        assert!(matches!(refused, Err(ReadError::TooLarge { most: 8 })));
    }

    struct Endless;

    impl HttpBody for Endless {
        type Data = Bytes;
        type Error = BodyError;

        fn poll_frame(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
            Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b"xyz")))))
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_body_is_given_up_and_so_is_one_that_dribbles_for_ever() {
        let (_send, body) = channel(4);
        assert!(matches!(read(body, LIMITS).await, Err(ReadError::Slow)));
        let (send, body) = channel(8);
        let begun = Instant::now();
        let dribble = tokio::spawn(async move {
            loop {
                tokio::time::sleep(Duration::from_secs(4)).await;
                if send.send(Ok(Bytes::from_static(b"x"))).await.is_err() {
                    break;
                }
            }
        });
        assert!(matches!(read(body, LIMITS).await, Err(ReadError::Slow)));
        assert_eq!(begun.elapsed(), LIMITS.whole);
        dribble.await.unwrap();
    }

    #[tokio::test]
    async fn a_body_that_breaks_its_promise_is_an_error_never_a_short_body() {
        for (promised, sent) in [(4, "abc"), (2, "abc")] {
            let (send, body) = channel(promised);
            send.try_send(Ok(Bytes::from(sent))).unwrap();
            drop(send);
            assert!(
                matches!(read(body, LIMITS).await, Err(ReadError::Broken)),
                "{promised}"
            );
        }
    }
}
