//! Floods of HTTP/2 frames and of headers, while others poll: what costs a peer nothing must not cost a server much.
//! Frames are written by hand, since no client would send them.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use super::{poll_of, polls, within_budget};
use crate::{support::server::Backing, world::World};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const CONTINUATION: u8 = 9;

const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// Frames that one connection of a flood sends, at most.
const FRAMES: u32 = 20_000;
/// Connections of a flood at a time.
const CONNECTIONS: usize = 4;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = length[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// `GET http://x/healthz`, the indexed fields of HPACK's static table and two literals.
fn request() -> Vec<u8> {
    let mut block = vec![0x82, 0x86];
    for (index, value) in [(4_u8, "/healthz"), (1, "x")] {
        block.extend([index, u8::try_from(value.len()).unwrap()]);
        block.extend(value.as_bytes());
    }
    block
}

/// A header that no table holds: `n: vvv…`.
fn literal(n: u32, bytes: u8) -> Vec<u8> {
    let name = format!("x-{n:06}");
    let mut block = vec![0, u8::try_from(name.len()).unwrap()];
    block.extend(name.as_bytes());
    block.push(bytes);
    block.extend(std::iter::repeat_n(b'v', usize::from(bytes)));
    block
}

/// What an attack sends: a beginning and one piece after the other.
struct Flood {
    name: &'static str,
    begins: fn() -> Vec<u8>,
    piece: fn(u32) -> Vec<u8>,
    /// Whether the server must hang up on it, and not only bear it.
    is_cut: bool,
}

const FLOODS: &[Flood] = &[
    Flood {
        name: "headers that never end",
        begins: || frame(HEADERS, END_STREAM, 1, &request()),
        piece: |n| frame(CONTINUATION, 0, 1, &literal(n, 100)),
        is_cut: true,
    },
    Flood {
        name: "continuations of nothing",
        begins: || frame(HEADERS, END_STREAM, 1, &request()),
        piece: |_| frame(CONTINUATION, 0, 1, b""),
        is_cut: true,
    },
    Flood {
        name: "requests taken back at once",
        begins: Vec::new,
        piece: |n| {
            let stream = 2 * n + 1;
            let mut both = frame(HEADERS, END_STREAM | END_HEADERS, stream, &request());
            both.extend(frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes()));
            both
        },
        is_cut: false,
    },
    Flood {
        name: "requests without an end",
        begins: Vec::new,
        piece: |n| frame(HEADERS, END_HEADERS, 2 * n + 1, &request()),
        is_cut: false,
    },
    Flood {
        name: "a list of headers too long for anybody",
        begins: Vec::new,
        piece: |n| {
            let mut block = request();
            (0..140).for_each(|more| block.extend(literal(more, 100)));
            frame(HEADERS, END_STREAM | END_HEADERS, 2 * n + 1, &block)
        },
        is_cut: false,
    },
    Flood {
        name: "pings",
        begins: Vec::new,
        piece: |n| frame(PING, 0, 0, &u64::from(n).to_be_bytes()),
        is_cut: false,
    },
    Flood {
        name: "settings",
        begins: Vec::new,
        piece: |_| frame(SETTINGS, 0, 0, b""),
        is_cut: false,
    },
    Flood {
        name: "settings that change what was set",
        begins: Vec::new,
        piece: |n| {
            let mut setting = 1_u16.to_be_bytes().to_vec();
            setting.extend((n % 2 * 4_096).to_be_bytes());
            frame(SETTINGS, 0, 0, &setting)
        },
        is_cut: false,
    },
];

/// Sends a flood over one connection; true when the server hung up before it was over.
fn send(flood: &Flood, to: SocketAddr, over: &AtomicBool) -> bool {
    let mut stream = TcpStream::connect(to).unwrap();
    stream
        .set_write_timeout(Some(Duration::from_secs(5)))
        .unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(5)))
        .unwrap();
    let mut away = stream.try_clone().unwrap();
    // What the server answers is read away, so that only the flood is what it has to bear.
    let reader = thread::spawn(move || {
        let mut bytes = [0; 16 * 1024];
        loop {
            match away.read(&mut bytes) {
                Ok(0) => return true,
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return true,
                Err(_) => return false,
                Ok(_) => {}
            }
        }
    });
    let mut begins = PREFACE.to_vec();
    begins.extend(frame(SETTINGS, 0, 0, b""));
    begins.extend((flood.begins)());
    let mut hung_up = stream.write_all(&begins).is_err();
    let mut batch = Vec::new();
    for n in 0..FRAMES {
        batch.extend((flood.piece)(n));
        if batch.len() >= 4_096 || n + 1 == FRAMES {
            if hung_up || over.load(Ordering::Relaxed) {
                break;
            }
            hung_up = stream.write_all(&batch).is_err();
            batch.clear();
        }
    }
    let _already_gone = stream.shutdown(std::net::Shutdown::Write);
    reader.join().unwrap() || hung_up
}

#[test]
fn floods_of_frames_slow_nobody_down() {
    let world = World::new(Backing::Embedded);
    let target = poll_of(&world);
    let node = &world.cluster.nodes[0];
    let idle = polls(node.device, &target).unwrap();
    for flood in FLOODS {
        let over = Arc::<AtomicBool>::default();
        let senders: Vec<_> = (0..CONNECTIONS)
            .map(|_| {
                let (to, over) = (node.device, Arc::clone(&over));
                thread::spawn(move || {
                    let mut sent = 0;
                    let mut cut = true;
                    while !over.load(Ordering::Relaxed) && sent < 50 {
                        cut &= send(flood, to, &over) || over.load(Ordering::Relaxed);
                        sent += 1;
                    }
                    (sent, cut)
                })
            })
            .collect();
        let beside = polls(node.device, &target).unwrap();
        over.store(true, Ordering::Relaxed);
        let sent: Vec<(i32, bool)> = senders.into_iter().map(|one| one.join().unwrap()).collect();
        within_budget(flood.name, idle, beside);
        if flood.is_cut {
            let alone = send(flood, node.device, &AtomicBool::new(false));
            assert!(alone && sent.iter().all(|(_, cut)| *cut), "{}", flood.name);
        }
    }
    println!(
        "{} floods of frames, polls over the budget: 0",
        FLOODS.len()
    );
    let memory = node.resident_bytes();
    println!("memory after them: {} MiB", memory >> 20);
    assert!(memory < 256 << 20, "{memory} bytes");
}

#[test]
fn heads_beyond_the_limits_are_refused_on_both_ports() {
    let world = World::new(Backing::Embedded);
    let node = &world.cluster.nodes[0];
    for to in [node.device, node.control] {
        for (name, headers) in [
            ("65 headers", "x: y\r\n".repeat(65)),
            ("many headers", "x: y\r\n".repeat(2_000)),
            (
                "one long header",
                format!("x: {}\r\n", "y".repeat(64 << 10)),
            ),
        ] {
            let mut stream = TcpStream::connect(to).unwrap();
            stream
                .set_read_timeout(Some(Duration::from_secs(5)))
                .unwrap();
            let head = format!("GET /healthz HTTP/1.1\r\nhost: x\r\n{headers}\r\n");
            let _cut_off_while_writing = stream.write_all(head.as_bytes());
            let mut reply = [0; 12];
            let read = stream.read_exact(&mut reply);
            // A reset can overtake the refusal of what was still being sent.
            assert!(
                read.is_err() || &reply == b"HTTP/1.1 431",
                "{to} {name}: {}",
                String::from_utf8_lossy(&reply)
            );
        }
    }
}
