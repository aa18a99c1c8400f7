//! One connection of HTTP/1.1 that never blocks, so that one thread can poll to the microsecond while its
//! changes are under way.

use std::{
    io::{ErrorKind, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
};

/// A connection with at most one request under way.
pub(crate) struct Wire {
    stream: TcpStream,
    buffer: Vec<u8>,
    asked: bool,
}

pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
}

impl Wire {
    pub(crate) fn connect(to: SocketAddr) -> std::io::Result<Self> {
        let stream = TcpStream::connect(to)?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        Ok(Self {
            stream,
            buffer: Vec::with_capacity(16_384),
            asked: false,
        })
    }

    /// Sends a request, which fits into the socket's buffer.
    pub(crate) fn send(&mut self, head: &str, body: &str) {
        assert!(!self.asked, "one request at a time");
        let length = body.len();
        let text = if body.is_empty() {
            format!("{head}host: localhost\r\n\r\n")
        } else {
            format!(
                "{head}host: localhost\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
            )
        };
        self.stream.write_all(text.as_bytes()).unwrap();
        self.asked = true;
    }

    pub(crate) const fn is_busy(&self) -> bool {
        self.asked
    }

    /// The reply, if it is there whole.
    pub(crate) fn reply(&mut self) -> Option<Reply> {
        let mut chunk = [0; 16_384];
        match self.stream.read(&mut chunk) {
            Ok(0) => panic!("the node closed a connection"),
            Ok(read) => self.buffer.extend_from_slice(&chunk[..read]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return None,
            Err(error) => panic!("{error}"),
        }
        let end = self.buffer.windows(4).position(|at| at == b"\r\n\r\n")? + 4;
        let head = std::str::from_utf8(&self.buffer[..end]).unwrap();
        let length: usize = head
            .lines()
            .find_map(|line| {
                line.to_ascii_lowercase()
                    .strip_prefix("content-length:")?
                    .trim()
                    .parse()
                    .ok()
            })
            .unwrap_or(0);
        if self.buffer.len() < end + length {
            return None;
        }
        let status = head[9..12].parse().unwrap();
        let body = self.buffer[end..end + length].to_vec();
        self.buffer.drain(..end + length);
        self.asked = false;
        Some(Reply { status, body })
    }

    /// Asks and waits.
    pub(crate) fn get(&mut self, path: &str) -> Reply {
        self.send(&format!("GET {path} HTTP/1.1\r\n"), "");
        loop {
            match self.reply() {
                Some(reply) => return reply,
                None => std::thread::yield_now(),
            }
        }
    }
}
