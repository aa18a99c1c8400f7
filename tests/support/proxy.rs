//! A network that a test can break: between a node and its store, or between a phone and a node.
//!
//! It passes bytes on as they are and looks only at where a request begins, which is enough to tell an
//! append to the ledger from everything else. Connections last as long as their two ends.

use std::{
    io::{self, Read as _, Write as _},
    net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Condvar, Mutex, PoisonError},
    thread,
    time::Duration,
};

/// How long a blocked thread waits before it looks around.
const LOOK: Duration = Duration::from_millis(100);

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
    /// What is sent arrives so much later.
    Slow(Duration),
    /// Nobody is there: connections break at once, also those there are.
    Down,
}

/// A port that leads to another one.
pub struct Proxy {
    port: SocketAddr,
    sky: Arc<Sky>,
}

struct Sky {
    to: SocketAddr,
    weather: Mutex<Weather>,
    changed: Condvar,
    /// Appends that were lost or held, and connections that were cut.
    struck: Mutex<usize>,
    /// The `Range` headers that came by.
    ranges: Mutex<Vec<String>>,
    closed: Mutex<bool>,
}

impl Proxy {
    /// Opens one in front of `to`.
    pub fn start(to: SocketAddr) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap();
        let sky = Arc::new(Sky {
            to,
            weather: Mutex::new(Weather::Clear),
            changed: Condvar::new(),
            struck: Mutex::default(),
            ranges: Mutex::default(),
            closed: Mutex::default(),
        });
        let shared = Arc::clone(&sky);
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                if *held(&shared.closed) {
                    return;
                }
                let sky = Arc::clone(&shared);
                // Either end may be gone already; then there is nothing to pass on.
                thread::spawn(move || sky.connect(client).ok());
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
    fn connect(self: Arc<Self>, client: TcpStream) -> io::Result<()> {
        if *held(&self.weather) == Weather::Down {
            return client.shutdown(Shutdown::Both);
        }
        let server = TcpStream::connect(self.to)?;
        for stream in [&client, &server] {
            stream.set_nodelay(true)?;
        }
        let losing = Arc::new(Mutex::new(false));
        let (back, from) = (client.try_clone()?, server.try_clone()?);
        let (sky, lost) = (Arc::clone(&self), Arc::clone(&losing));
        thread::spawn(move || sky.pass_back(from, back, &lost));
        self.pass_on(client, server, &losing)
    }

    /// From the client to the server.
    fn pass_on(
        &self,
        mut client: TcpStream,
        mut server: TcpStream,
        losing: &Mutex<bool>,
    ) -> io::Result<()> {
        let mut chunk = vec![0; 64 * 1024];
        loop {
            let read = client.read(&mut chunk)?;
            if read == 0 {
                // Half closed: what was sent before still arrives.
                return server.shutdown(Shutdown::Write);
            }
            let weather = *held(&self.weather);
            match weather {
                Weather::Down => {
                    client.shutdown(Shutdown::Both)?;
                    return server.shutdown(Shutdown::Both);
                }
                Weather::Slow(by) => thread::sleep(by),
                _ => {}
            }
            self.note(&chunk[..read]);
            if is_append(&chunk[..read]) {
                self.append(losing);
            }
            server.write_all(&chunk[..read])?;
        }
    }

    /// What the weather does to an append.
    fn append(&self, losing: &Mutex<bool>) {
        let mut weather = held(&self.weather);
        match *weather {
            Weather::AnswersLost => *held(losing) = true,
            Weather::AppendsHeld => *held(&self.struck) += 1,
            _ => {}
        }
        while *weather == Weather::AppendsHeld && !*held(&self.closed) {
            let waited = self.changed.wait_timeout(weather, LOOK);
            weather = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// From the server back to the client.
    fn pass_back(&self, mut server: TcpStream, mut client: TcpStream, losing: &Mutex<bool>) {
        let (mut chunk, mut passed) = (vec![0; 64 * 1024], 0);
        while let Ok(read @ 1..) = server.read(&mut chunk) {
            let limit = self.limit();
            let is_cut = passed + read > limit;
            if is_cut {
                *held(&self.weather) = Weather::Clear;
            }
            if *held(losing) || is_cut {
                *held(&self.struck) += 1;
                let rest = limit.saturating_sub(passed).min(read);
                let _gone = client.write_all(&chunk[..if is_cut { rest } else { 0 }]);
                let _both = (
                    client.shutdown(Shutdown::Both),
                    server.shutdown(Shutdown::Both),
                );
                return;
            }
            if client.write_all(&chunk[..read]).is_err() {
                return;
            }
            passed += read;
        }
        let _gone = client.shutdown(Shutdown::Both);
    }

    fn limit(&self) -> usize {
        match *held(&self.weather) {
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

/// True when a request to create a slot of the ledger begins here.
fn is_append(chunk: &[u8]) -> bool {
    let line = chunk
        .split(|byte| *byte == b'\r')
        .next()
        .unwrap_or_default();
    line.starts_with(b"PUT ") && line.windows(5).any(|part| part == b"/log/")
}

fn held<T>(lock: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}
