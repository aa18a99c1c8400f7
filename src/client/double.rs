//! A server that does as it is told: the other side of the client's tests.
//!
//! One thread, one request a connection, on a port of its own. It can break a body off, which no honest
//! HTTP library does.

use std::{
    collections::BTreeMap,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
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
                serve(&connection, &answers, &log);
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
    if response.status != 304 {
        head += &format!("content-length: {}\r\n", response.body.len());
    }
    for (name, value) in &response.headers {
        head += &format!("{name}: {value}\r\n");
    }
    let sent = response.cut.unwrap_or(response.body.len());
    let mut out = connection;
    let _ = out.write_all(head.as_bytes());
    let _ = out.write_all(b"\r\n");
    let _ = out.write_all(&response.body[..sent]);
    let _ = out.flush();
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
