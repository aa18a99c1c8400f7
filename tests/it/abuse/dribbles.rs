//! Thousands of connections that say one byte now and then, in a head or in a body. They hold a place each and
//! nothing else; others are answered as if they were not there, and they are cut off.

use std::{
    io::{ErrorKind, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use super::{naive, poll_of, polls, within_budget};
use crate::{support::server::Backing, world::World};

/// How many, of which every fifth dribbles a body.
const DRIBBLES: usize = 5_000;
/// Between two bytes of a connection.
const PAUSE: Duration = Duration::from_millis(500);

const HEAD: &[u8] = b"GET /v1/manifest/x";
const BODY: &[u8] = b"POST /v1/poll HTTP/1.1\r\nhost: x\r\ncontent-length: 5000\r\n\r\n{";

/// Connections that dribble until this is dropped.
struct Dribbling {
    over: Arc<AtomicBool>,
    writer: Option<JoinHandle<Vec<TcpStream>>>,
}

impl Dribbling {
    fn start(count: usize, to: impl Fn(usize) -> SocketAddr) -> Self {
        let mut streams: Vec<TcpStream> = (0..count)
            .map(|n| {
                let opened = TcpStream::connect(to(n));
                let mut stream = opened.unwrap_or_else(|error| {
                    panic!("connection {n}: {error}; `ulimit -n 20000` lets a process have as many")
                });
                stream
                    .write_all(if n % 5 == 0 { BODY } else { HEAD })
                    .unwrap();
                stream
            })
            .collect();
        let over = Arc::<AtomicBool>::default();
        let told = Arc::clone(&over);
        let writer = thread::spawn(move || {
            while !told.load(Ordering::Relaxed) {
                for stream in &mut streams {
                    let _may_be_cut_off = stream.write_all(b"y");
                }
                thread::park_timeout(PAUSE);
            }
            streams
        });
        Self {
            over,
            writer: Some(writer),
        }
    }

    fn end(mut self) -> Vec<TcpStream> {
        self.over.store(true, Ordering::Relaxed);
        self.writer.take().unwrap().join().unwrap()
    }
}

impl Drop for Dribbling {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
    }
}

#[test]
fn thousands_of_connections_that_dribble_slow_nobody_down() {
    let world = World::new(Backing::Embedded);
    let target = poll_of(&world);
    let node = &world.cluster.nodes[0];
    let idle = polls(node.device, &target).unwrap();
    let dribbling = Dribbling::start(DRIBBLES, |n| {
        if n % 8 == 1 {
            node.control
        } else {
            node.device
        }
    });
    let beside = (0..3).map(|_| polls(node.device, &target).unwrap()).max();
    within_budget(
        &format!("{DRIBBLES} connections that dribble"),
        idle,
        beside.unwrap(),
    );
    // They are cut off, and the server forgets them.
    let mut dribbles = dribbling.end();
    let cut = |stream: &mut TcpStream| {
        let patience = Some(Duration::from_secs(40));
        stream.set_read_timeout(patience).unwrap();
        let mut rest = Vec::new();
        let ended = stream.read_to_end(&mut rest);
        ended.is_ok() || ended.unwrap_err().kind() != ErrorKind::WouldBlock
    };
    assert!(dribbles.iter_mut().step_by(97).all(cut));
}

#[test]
fn the_same_look_finds_a_server_that_waits_for_one_after_the_other() {
    let server = naive::start(naive::reads_lengths_alone);
    assert!(
        polls(server, "/").is_ok(),
        "it answers while nobody dribbles"
    );
    let dribbling = Dribbling::start(1, |_| server);
    let (told, heard) = std::sync::mpsc::channel();
    thread::spawn(move || told.send(polls(server, "/")));
    let answered = heard.recv_timeout(Duration::from_secs(3));
    assert!(answered.is_err(), "{answered:?}");
    drop(dribbling);
}
