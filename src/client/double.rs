//! A server that does as it is told: the other side of the client's tests.
//!
//! A thread and one request for each connection, on a port of its own. It can break a body off, send without
//! end or byte by byte, which no honest HTTP library does.

use std::{
    collections::BTreeMap,
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

/// A request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Vec<u8>,
}

impl Request {
    pub(crate) fn path(&self) -> &str {
        self.target.split('?').next().unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }
}

/// What it answers.
#[derive(Debug, Clone, Default)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Vec<u8>,
    /// Close the connection after this many bytes of the body.
    pub(crate) cut: Option<usize>,
    /// Close it before saying anything.
    pub(crate) hang_up: bool,
    /// How it is sent.
    pub(crate) manner: Manner,
}

/// How a response is sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Manner {
    /// As fast as it goes.
    #[default]
    Whole,
    /// The body again and again until the other side hangs up, after saying how long it is.
    Endless,
    /// The same, without a word about its length.
    EndlessUnsaid,
    /// The body byte by byte, with this pause before each.
    Trickle(Duration),
    /// The head byte by byte.
    TrickleHead(Duration),
}

impl Response {
    pub(crate) fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self {
            status,
            body: body.into(),
            ..Self::default()
        }
    }

    pub(crate) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

type Handler = Box<dyn FnMut(&Request) -> Response + Send>;

/// The server. Its thread ends with the test's process.
pub(crate) struct Double {
    pub(crate) url: String,
    handler: Arc<Mutex<Handler>>,
    seen: Arc<Mutex<Vec<Request>>>,
}

impl Double {
    pub(crate) fn start(handler: impl FnMut(&Request) -> Response + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let handler: Arc<Mutex<Handler>> = Arc::new(Mutex::new(Box::new(handler)));
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (answers, log) = (Arc::clone(&handler), Arc::clone(&seen));
        thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                let (answers, log) = (Arc::clone(&answers), Arc::clone(&log));
                thread::spawn(move || serve(&connection, &answers, &log));
            }
        });
        Self { url, handler, seen }
    }

    /// From now on it answers like this.
    pub(crate) fn now(&self, handler: impl FnMut(&Request) -> Response + Send + 'static) {
        *self.handler.lock().unwrap() = Box::new(handler);
    }

    /// The requests so far, forgotten by asking.
    pub(crate) fn seen(&self) -> Vec<Request> {
        std::mem::take(&mut self.seen.lock().unwrap())
    }
}

fn serve(connection: &TcpStream, handler: &Mutex<Handler>, log: &Mutex<Vec<Request>>) {
    let Some(request) = read(connection) else {
        return;
    };
    log.lock().unwrap().push(request.clone());
    let response = handler.lock().unwrap()(&request);
    if response.hang_up {
        return;
    }
    let mut head = format!("HTTP/1.1 {} Said\r\nconnection: close\r\n", response.status);
    let length = match response.manner {
        Manner::Endless => u64::MAX / 2,
        _ => response.body.len() as u64,
    };
    if response.status != 304 && response.manner != Manner::EndlessUnsaid {
        head += &format!("content-length: {length}\r\n");
    }
    for (name, value) in &response.headers {
        head += &format!("{name}: {value}\r\n");
    }
    head += "\r\n";
    let body = &response.body[..response.cut.unwrap_or(response.body.len())];
    // Whoever hung up is told no more.
    let _ = send(connection, head.as_bytes(), body, response.manner);
}

fn send(mut out: &TcpStream, head: &[u8], body: &[u8], manner: Manner) -> io::Result<()> {
    let slowly = |mut out: &TcpStream, bytes: &[u8], pause| {
        bytes.chunks(1).try_for_each(|byte| {
            thread::sleep(pause);
            out.write_all(byte)
        })
    };
    match manner {
        Manner::TrickleHead(pause) => slowly(out, head, pause)?,
        _ => out.write_all(head)?,
    }
    match manner {
        Manner::Trickle(pause) => slowly(out, body, pause)?,
        Manner::Endless | Manner::EndlessUnsaid => loop {
            out.write_all(body)?;
            out.write_all(&[b' '; 4_096])?;
        },
        Manner::Whole | Manner::TrickleHead(_) => out.write_all(body)?,
    }
    out.flush()
}

fn read(connection: &TcpStream) -> Option<Request> {
    let mut reader = BufReader::new(connection);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut words = line.split_whitespace();
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(':') else {
            break;
        };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    if headers.contains_key("expect") {
        let _ = (&*connection).write_all(b"HTTP/1.1 100 Continue\r\n\r\n");
    }
    let length = headers
        .get("content-length")
        .and_then(|text| text.parse().ok())
        .unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Request {
        method,
        target,
        headers,
        body,
    })
}
