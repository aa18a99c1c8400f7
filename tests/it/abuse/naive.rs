//! Servers that make a mistake on purpose: what the looks of this folder must find. They serve loopback for the
//! length of one test and nobody else.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    thread,
};

/// Serves each connection by `serve`, one after the other, until the test's process ends.
pub(super) fn start(serve: fn(TcpStream)) -> SocketAddr {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || listener.incoming().flatten().for_each(serve));
    address
}

/// Believes the last `content-length` it can read and nothing else about where a message ends, and skips
/// what it does not understand.
pub(super) fn reads_lengths_alone(stream: TcpStream) {
    let mut answers = stream.try_clone().unwrap();
    let mut lines = BufReader::new(stream);
    loop {
        let mut length = 0;
        let mut line = Vec::new();
        if lines.read_until(b'\n', &mut line).unwrap_or(0) == 0 {
            return;
        }
        loop {
            let mut header = Vec::new();
            if lines.read_until(b'\n', &mut header).unwrap_or(0) == 0 {
                return;
            }
            let header = String::from_utf8_lossy(&header).trim().to_ascii_lowercase();
            if header.is_empty() {
                break;
            }
            if let Some(value) = header.strip_prefix("content-length:") {
                length = value.trim().parse().unwrap_or(0);
            }
        }
        let mut body = vec![0; length];
        if lines.read_exact(&mut body).is_err() {
            return;
        }
        if line.starts_with(b"GET ") || line.starts_with(b"POST ") {
            let reply = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}";
            if answers.write_all(reply).is_err() {
                return;
            }
        }
    }
}
