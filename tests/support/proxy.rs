//! A network that a test can break: between a node and its store, its Redis or another node, or between a
//! phone and a node.
//!
//! It passes bytes on as they are. It looks only at where a request begins, which is enough to tell an
//! append to the ledger from everything else, and, in front of a Redis, at where a message ends. Connections
//! last as long as their two ends, or until the weather breaks them.

mod resp;

use std::{
    collections::HashMap,
    io::{self, Read as _, Write as _},
    net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Condvar, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

/// How long a blocked thread waits before it looks around.
const LOOK: Duration = Duration::from_millis(100);
const CHUNK: usize = 64 * 1024;

/// What the network is like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weather {
    /// Everything passes.
    Clear,
    /// Appends to the ledger arrive; the connection breaks before the store's answer comes back.
    AnswersLost,
    /// Appends to the ledger stay on the way until the weather clears, and then arrive, whoever still
    /// waits for them.
    AppendsHeld,
    /// The next connection that brings more than so many bytes back is broken off there.
    CutAfter(usize),
    /// Every request arrives so much later.
    Late(Duration),
    /// Nobody is there: whatever is open breaks, and whoever connects is hung up on.
    Refused,
    /// Nothing passes either way and nothing breaks: what was sent stays on the way.
    Dark,
    /// What is sent arrives, and nothing comes back: half a line.
    Mute,
    /// Whatever is asked is answered with 500, and never arrives.
    Errors,
    /// Of the hints that a Redis pushes, one in so many is lost.
    LosesHints(usize),
    /// Planted: appends to the ledger are acknowledged and thrown away.
    Forgets,
    /// Planted: who asks again is answered what was answered first.
    Repeats,
}

/// A port that leads to another one.
pub struct Proxy {
    port: SocketAddr,
    sky: Arc<Sky>,
}

struct Sky {
    to: Mutex<SocketAddr>,
    /// Whether a Redis is at the other end.
    is_redis: bool,
    weather: Mutex<Weather>,
    changed: Condvar,
    /// Appends that were lost or held, connections that were cut, requests and hints that were kept.
    struck: Mutex<usize>,
    /// The `Range` headers that came by.
    ranges: Mutex<Vec<String>>,
    /// Both ends of what is open, by number.
    open: Mutex<HashMap<u64, [TcpStream; 2]>>,
    /// First answers by the line that asked for them, for [`Weather::Repeats`].
    answers: Mutex<HashMap<Vec<u8>, Vec<u8>>>,
    closed: Mutex<bool>,
}

/// What the two directions of one connection know of each other.
#[derive(Default)]
struct Line {
    /// The answer to what was sent last gets lost.
    losing: AtomicBool,
    /// Something came back since the last request, so the next bytes begin another one.
    answered: AtomicBool,
    /// Whose answer is on its way.
    asked: Mutex<Vec<u8>>,
}

impl Proxy {
    /// Opens one in front of `to`.
    pub fn start(to: SocketAddr) -> Self {
        Self::open(to, false)
    }

    /// Opens one in front of a Redis at `to`.
    pub fn of_redis(to: SocketAddr) -> Self {
        Self::open(to, true)
    }

    fn open(to: SocketAddr, is_redis: bool) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap();
        let sky = Arc::new(Sky {
            to: Mutex::new(to),
            is_redis,
            weather: Mutex::new(Weather::Clear),
            changed: Condvar::new(),
            struck: Mutex::default(),
            ranges: Mutex::default(),
            open: Mutex::default(),
            answers: Mutex::default(),
            closed: Mutex::default(),
        });
        let shared = Arc::clone(&sky);
        thread::spawn(move || {
            for (number, client) in (0..).zip(listener.incoming().map_while(Result::ok)) {
                if *held(&shared.closed) {
                    return;
                }
                let sky = Arc::clone(&shared);
                // Either end may be gone already; then there is nothing to pass on.
                thread::spawn(move || sky.connect(number, client).ok());
            }
        });
        Self { port, sky }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.port
    }

    /// Changes the weather.
    pub fn set(&self, weather: Weather) {
        *held(&self.sky.weather) = weather;
        self.sky.changed.notify_all();
        if weather == Weather::Refused {
            self.reset();
        }
    }

    /// Breaks whatever is open, as a machine does that lost its memory.
    pub fn reset(&self) {
        for (_, ends) in held(&self.sky.open).drain() {
            *held(&self.sky.struck) += 1;
            for end in ends {
                // With nothing to linger for, closing says reset and not goodbye.
                let abrupt = socket2::SockRef::from(&end).set_linger(Some(Duration::ZERO));
                let _gone = abrupt.and_then(|()| end.shutdown(Shutdown::Both));
            }
        }
    }

    /// Leads to another place from now on; what is open breaks.
    pub fn lead_to(&self, to: SocketAddr) {
        *held(&self.sky.to) = to;
        self.reset();
    }

    /// How often it did harm.
    pub fn struck(&self) -> usize {
        *held(&self.sky.struck)
    }

    /// The ranges that were asked for through it.
    pub fn ranges(&self) -> Vec<String> {
        held(&self.sky.ranges).clone()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        *held(&self.sky.closed) = true;
        self.set(Weather::Clear);
        // Wakes the listener, so that it looks.
        let _gone_already = TcpStream::connect(self.port);
    }
}

impl Sky {
    fn connect(self: Arc<Self>, number: u64, client: TcpStream) -> io::Result<()> {
        if self.weather() == Weather::Refused {
            *held(&self.struck) += 1;
            return client.shutdown(Shutdown::Both);
        }
        let to = *held(&self.to);
        let server = TcpStream::connect(to)?;
        for stream in [&client, &server] {
            stream.set_nodelay(true)?;
        }
        let line = Arc::new(Line {
            answered: AtomicBool::new(true),
            ..Line::default()
        });
        held(&self.open).insert(number, [client.try_clone()?, server.try_clone()?]);
        let (back, from) = (client.try_clone()?, server.try_clone()?);
        let (sky, shared) = (Arc::clone(&self), Arc::clone(&line));
        thread::spawn(move || {
            sky.pass_back(from, back, &shared);
            held(&sky.open).remove(&number);
        });
        self.pass_on(client, server, &line)
    }

    /// From the client to the server.
    fn pass_on(&self, mut client: TcpStream, mut server: TcpStream, line: &Line) -> io::Result<()> {
        let mut chunk = vec![0; CHUNK];
        loop {
            let read = client.read(&mut chunk)?;
            if read == 0 {
                // Half closed: what was sent before still arrives.
                self.wait_while(|weather| weather == Weather::Dark);
                return server.shutdown(Shutdown::Write);
            }
            self.note(&chunk[..read]);
            let begins = line.answered.swap(false, Ordering::SeqCst);
            if is_append(&chunk[..read]) {
                self.append(line);
            }
            if begins {
                let since = Instant::now();
                self.wait_while(
                    |weather| matches!(weather, Weather::Late(by) if since.elapsed() < by),
                );
                if self.answers_itself(&chunk[..read], &mut client, line)? {
                    return Ok(());
                }
            }
            self.wait_while(|weather| weather == Weather::Dark);
            server.write_all(&chunk[..read])?;
        }
    }

    /// What the weather does to an append.
    fn append(&self, line: &Line) {
        match self.weather() {
            Weather::AnswersLost => line.losing.store(true, Ordering::SeqCst),
            Weather::AppendsHeld => *held(&self.struck) += 1,
            _ => {}
        }
        self.wait_while(|weather| weather == Weather::AppendsHeld);
    }

    /// True when the request that begins with `chunk` was answered here, and the connection is over.
    fn answers_itself(
        &self,
        chunk: &[u8],
        client: &mut TcpStream,
        line: &Line,
    ) -> io::Result<bool> {
        let answer = match self.weather() {
            Weather::Errors => b"HTTP/1.1 500 Internal Server Error\r\n".to_vec(),
            Weather::Forgets if is_append(chunk) => b"HTTP/1.1 200 OK\r\n".to_vec(),
            Weather::Repeats => {
                let asked = first_line(chunk).to_vec();
                if let Some(first) = held(&self.answers).get(&asked) {
                    *held(&self.struck) += 1;
                    client.write_all(first)?;
                    line.answered.store(true, Ordering::SeqCst);
                    // The same connection, once more from the beginning: the answer is whole.
                    return client.shutdown(Shutdown::Both).map(|()| true);
                }
                *held(&line.asked) = asked;
                return Ok(false);
            }
            _ => return Ok(false),
        };
        *held(&self.struck) += 1;
        // Whoever is still sending hears nothing: the rest of the request is taken first.
        swallow(chunk, client)?;
        client.write_all(&answer)?;
        client.write_all(b"ETag: \"-\"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")?;
        client.shutdown(Shutdown::Both)?;
        Ok(true)
    }

    /// From the server back to the client.
    fn pass_back(&self, mut server: TcpStream, mut client: TcpStream, line: &Line) {
        let (mut chunk, mut passed, mut rest) = (vec![0; CHUNK], 0, Vec::new());
        while let Ok(read @ 1..) = server.read(&mut chunk) {
            self.wait_while(|weather| matches!(weather, Weather::Dark | Weather::Mute));
            let limit = self.limit();
            let is_cut = passed + read > limit;
            if is_cut {
                *held(&self.weather) = Weather::Clear;
            }
            if line.losing.load(Ordering::SeqCst) || is_cut {
                *held(&self.struck) += 1;
                let rest = limit.saturating_sub(passed).min(read);
                let _gone = client.write_all(&chunk[..if is_cut { rest } else { 0 }]);
                let _both = (
                    client.shutdown(Shutdown::Both),
                    server.shutdown(Shutdown::Both),
                );
                return;
            }
            let sent = if self.is_redis {
                rest.extend_from_slice(&chunk[..read]);
                self.pass_messages(&mut rest, &mut client)
            } else {
                self.remember(&chunk[..read], line);
                client.write_all(&chunk[..read])
            };
            if sent.is_err() {
                return;
            }
            line.answered.store(true, Ordering::SeqCst);
            passed += read;
        }
        let _gone = client.shutdown(Shutdown::Both);
    }

    /// Passes on every message that is there whole, but for hints that get lost.
    fn pass_messages(&self, rest: &mut Vec<u8>, client: &mut TcpStream) -> io::Result<()> {
        while let Some(length) = resp::message(rest) {
            let message: Vec<u8> = rest.drain(..length).collect();
            let is_lost = resp::is_hint(&message)
                && matches!(self.weather(), Weather::LosesHints(of) if fastrand::usize(..of) == 0);
            if is_lost {
                *held(&self.struck) += 1;
            } else {
                client.write_all(&message)?;
            }
        }
        Ok(())
    }

    fn remember(&self, chunk: &[u8], line: &Line) {
        let asked = held(&line.asked);
        if !asked.is_empty() {
            let mut answers = held(&self.answers);
            answers
                .entry(asked.clone())
                .or_default()
                .extend_from_slice(chunk);
        }
    }

    fn weather(&self) -> Weather {
        *held(&self.weather)
    }

    fn wait_while(&self, it: impl Fn(Weather) -> bool) {
        let mut weather = held(&self.weather);
        while it(*weather) && !*held(&self.closed) {
            // Lateness ends by the clock, so it is looked at more often.
            let look = match *weather {
                Weather::Late(_) => LOOK / 20,
                _ => LOOK,
            };
            let waited = self.changed.wait_timeout(weather, look);
            weather = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn limit(&self) -> usize {
        match self.weather() {
            Weather::CutAfter(bytes) => bytes,
            _ => usize::MAX,
        }
    }

    fn note(&self, chunk: &[u8]) {
        let head = String::from_utf8_lossy(&chunk[..chunk.len().min(4096)]).to_lowercase();
        let ranges = head.lines().filter_map(|line| line.strip_prefix("range: "));
        held(&self.ranges).extend(ranges.map(str::to_owned));
    }
}

fn first_line(chunk: &[u8]) -> &[u8] {
    chunk
        .split(|byte| *byte == b'\r')
        .next()
        .unwrap_or_default()
}

/// True when a request to create a slot of the ledger begins here.
fn is_append(chunk: &[u8]) -> bool {
    let line = first_line(chunk);
    line.starts_with(b"PUT ") && line.windows(5).any(|part| part == b"/log/")
}

/// Takes the rest of the request that begins with `chunk`.
fn swallow(chunk: &[u8], client: &mut TcpStream) -> io::Result<()> {
    let mut taken = chunk.to_vec();
    let mut more = vec![0; CHUNK];
    loop {
        if let Some(head) = taken.windows(4).position(|end| end == b"\r\n\r\n") {
            let text = String::from_utf8_lossy(&taken[..head]).to_lowercase();
            let length = text.lines().find_map(|line| {
                line.strip_prefix("content-length:")?
                    .trim()
                    .parse::<usize>()
                    .ok()
            });
            if text.contains("expect: 100-continue") {
                // Nobody was told to go on, so the body is not sent.
                return Ok(());
            }
            if taken.len() >= head + 4 + length.unwrap_or(0) {
                return Ok(());
            }
        }
        match client.read(&mut more)? {
            0 => return Ok(()),
            read => taken.extend_from_slice(&more[..read]),
        }
    }
}

fn held<T>(lock: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}
