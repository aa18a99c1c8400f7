//! `Carrier`: what a connection, and the bodies that are sent over it, know of each other.
//!
//! A body that is a part of a file need not pass through this process: the kernel can move it from the file
//! to the socket. hyper knows nothing of that, so such a body hands it *placeholders*: slices of the right
//! length within one block of zeros that is never written, the same for all connections. Beside each goes an
//! entry into the connection's book: this address stands for these bytes of this file. The socket under
//! hyper recognises the address, and sends the bytes of the file instead.
//!
//! What makes this safe without a line of unsafe code: a placeholder is ordinary memory, so whoever reads one
//! reads zeros, never somebody else's bytes. Every slice that is written is held against the block, and one
//! that lies in it is sent only when it is the very one the book expects next, else the connection breaks
//! off: no placeholder ever reaches the wire. Two that are under way at a time have different addresses.

use std::{
    collections::VecDeque,
    fs::File,
    io,
    sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;

/// Bytes one placeholder stands for at most.
pub(super) const PIECE_BYTES: usize = 4 * 1024 * 1024;
/// The block of zeros. hyper asks for the next piece when at most its own buffer's bytes (far less than a
/// piece) are unsent, so a few pieces' room keeps the addresses of unsent ones apart.
const BLOCK_BYTES: usize = 4 * PIECE_BYTES;

/// The zeros. They are never written and, but for a fault, never read: the system gives no memory for them.
static BLOCK: LazyLock<&'static [u8]> =
    LazyLock::new(|| Box::leak(vec![0; BLOCK_BYTES].into_boxed_slice()));

/// True when `slice` lies in the block of placeholders.
pub(super) fn is_placeholder(slice: &[u8]) -> bool {
    place_of(slice).is_some()
}

/// Where in the block `slice` begins.
fn place_of(slice: &[u8]) -> Option<usize> {
    let place = slice.as_ptr().addr().wrapping_sub(BLOCK.as_ptr().addr());
    (place < BLOCK_BYTES && !slice.is_empty()).then_some(place)
}

/// One connection as its bodies know it.
#[derive(Debug)]
pub struct Carrier {
    takes_files: bool,
    book: Mutex<Book>,
}

#[derive(Debug, Default)]
struct Book {
    due: VecDeque<Entry>,
    next: usize,
}

/// This place stands for these bytes.
#[derive(Debug)]
struct Entry {
    place: usize,
    file: Arc<File>,
    at: u64,
    left: usize,
}

/// A placeholder that the book does not expect.
#[derive(Debug, thiserror::Error)]
#[error("bytes of a file were to be sent that nobody is due")]
struct Unexpected;

impl Carrier {
    /// One that takes parts of files, or does not: only a bare socket does.
    pub(super) fn new(takes_files: bool) -> Arc<Self> {
        Arc::new(Self {
            takes_files,
            book: Mutex::default(),
        })
    }

    /// True when bodies over HTTP/1 may be parts of files.
    pub const fn takes_files(&self) -> bool {
        self.takes_files
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        // An entry is whole or absent at any moment.
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What stands for the `bytes` bytes of `file` behind `at`, [`PIECE_BYTES`] at most.
    pub(super) fn place(&self, file: &Arc<File>, at: u64, bytes: usize) -> Bytes {
        let bytes = bytes.min(PIECE_BYTES);
        let mut book = self.book();
        if book.next + bytes > BLOCK_BYTES {
            book.next = 0;
        }
        let place = book.next;
        book.next += bytes;
        book.due.push_back(Entry {
            place,
            file: Arc::clone(file),
            at,
            left: bytes,
        });
        let block: &'static [u8] = *BLOCK;
        Bytes::from_static(&block[place..place + bytes])
    }

    /// Sends what `slice` stands for by `send`, which is given the file, where in it, and how many bytes, and
    /// says how many it sent.
    pub(super) fn send(
        &self,
        slice: &[u8],
        send: impl FnOnce(&File, u64, usize) -> io::Result<usize>,
    ) -> io::Result<usize> {
        let mut book = self.book();
        let due = book.due.front_mut();
        let due = due.filter(|due| {
            place_of(slice) == Some(due.place) && slice.len() <= due.left && !slice.is_empty()
        });
        let Some(due) = due else {
            return Err(io::Error::other(Unexpected));
        };
        let sent = send(&due.file, due.at, slice.len())?;
        if sent == 0 || sent > slice.len() {
            // The file has become shorter: nothing else can be sent in its place.
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        due.place += sent;
        due.at += sent as u64;
        due.left -= sent;
        if due.left == 0 {
            book.due.pop_front();
        }
        Ok(sent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file() -> Arc<File> {
        Arc::new(tempfile::tempfile().unwrap())
    }

    /// All that is asked for goes out.
    fn whole(carrier: &Carrier, slice: &[u8]) -> io::Result<(u64, usize)> {
        let mut seen = (0, 0);
        carrier.send(slice, |_, at, bytes| {
            seen = (at, bytes);
            Ok(bytes)
        })?;
        Ok(seen)
    }

    #[test]
    fn a_placeholder_stands_for_its_bytes_and_is_zeros_to_everybody_else() {
        let (carrier, file) = (Carrier::new(true), file());
        let placed = carrier.place(&file, 1_000, 10);
        assert!(is_placeholder(&placed) && is_placeholder(&placed[3..]));
        assert!(placed.iter().all(|byte| *byte == 0));
        assert!(!is_placeholder(b"0123456789") && !is_placeholder(&placed[10..]));
        // Sent in two: the second is the rest.
        assert_eq!(carrier.send(&placed, |_, _, _| Ok(4)).unwrap(), 4);
        assert_eq!(whole(&carrier, &placed[4..]).unwrap(), (1_004, 6));
        assert!(carrier.book().due.is_empty());
    }

    #[test]
    fn only_what_is_due_is_sent() {
        let (carrier, file) = (Carrier::new(true), file());
        let first = carrier.place(&file, 0, 10);
        let second = carrier.place(&file, 50, 10);
        // Out of turn, from the middle, of another connection, or more than is due.
        assert!(whole(&carrier, &second).is_err());
        assert!(whole(&carrier, &first[1..]).is_err());
        let other = Carrier::new(true);
        assert!(whole(&other, &first).is_err());
        let block: &[u8] = *BLOCK;
        assert!(whole(&carrier, &block[..11]).is_err());
        assert_eq!(whole(&carrier, &first).unwrap(), (0, 10));
        assert_eq!(whole(&carrier, &second).unwrap(), (50, 10));
        assert!(whole(&carrier, &second).is_err());
    }

    #[test]
    fn pieces_that_are_under_way_have_different_places() {
        let (carrier, file) = (Carrier::new(true), file());
        let mut before = carrier.place(&file, 0, PIECE_BYTES);
        for n in 1..20 {
            let next = carrier.place(&file, n, PIECE_BYTES - 1);
            assert!(place_of(&next) != place_of(&before), "{n}");
            whole(&carrier, &before).unwrap();
            before = next;
        }
    }

    #[test]
    fn a_file_that_became_shorter_is_an_error() {
        let (carrier, file) = (Carrier::new(true), file());
        let placed = carrier.place(&file, 0, 10);
        let ended = carrier.send(&placed, |_, _, _| Ok(0)).unwrap_err();
        assert_eq!(ended.kind(), io::ErrorKind::UnexpectedEof);
    }
}
