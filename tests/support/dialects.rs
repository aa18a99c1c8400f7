//! Stores that speak S3 and break one of its promises, each in the way that one is known to have done.
//!
//! A small S3 in memory, honest but for the [`Dialect`] it was started with. The honest one is there too: it
//! shows that a refusal is due to the dialect and to nothing else. Signatures are not looked at.

use std::{
    collections::BTreeMap,
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

/// Between a look and the write that trusts it: long enough that every race is lost.
const MOMENT: Duration = Duration::from_millis(20);

/// What a store does instead of creating an object only if it is absent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// It does as it is told.
    Honest,
    /// `If-None-Match` is an unknown header: it overwrites (mountx, s3rver; Garage must be taken for one).
    Ignores,
    /// It looks, and writes a moment later (SeaweedFS before March 2026).
    LooksThenWrites,
    /// It writes aside and renames over whatever is there by then (s3s-fs).
    LooksThenRenames,
    /// Each gateway is exact about what it wrote itself, and learns of the others' a moment later (`RustFS` in
    /// January 2026).
    LooksAtOneGateway,
    /// It refuses by 304, as if it had been asked to read (`MinIO` in November 2023).
    Says304,
    /// It refuses by 409, which also means "try again" (OSS, `FileAlreadyExists`).
    Says409,
    /// It knows `x-oss-forbid-overwrite` alone (Aliyun OSS).
    OssHeader,
    /// It knows `x-cos-forbid-overwrite` alone (Tencent COS).
    CosHeader,
    /// It takes `*` for an entity tag, which no object has (the older Ceph extension).
    StarIsATag,
    /// The bucket keeps versions, and a create makes the next one (IBM's forbid-overwrite there).
    Versioned,
    /// Listings are those of the first time.
    StaleList,
    /// What was absent stays absent for whoever asked (a 404 that a cache keeps).
    Kept404,
    /// It acknowledges a create that it refuses.
    ConfirmsRepeats,
}

/// A store of one dialect, behind as many gateways as were asked for.
pub struct Store {
    ports: Vec<SocketAddr>,
    closed: Arc<AtomicBool>,
}

#[derive(Default)]
struct Bucket {
    objects: BTreeMap<String, Vec<u8>>,
    /// The names of the first listing of each prefix.
    listings: BTreeMap<String, Vec<String>>,
    /// Names that were asked for and absent.
    absent: Vec<String>,
}

struct Gateway {
    dialect: Dialect,
    bucket: Arc<Mutex<Bucket>>,
    /// Names that were created through this gateway, and when exactly.
    own: Mutex<Vec<String>>,
}

struct Request {
    method: String,
    path: String,
    query: String,
    headers: BTreeMap<String, String>,
    body: Vec<u8>,
}

type Answer = (u16, Vec<u8>);

impl Store {
    /// The bucket there is.
    pub const BUCKET: &'static str = "huidu-tests";

    /// Starts one with so many gateways.
    pub fn start(dialect: Dialect, gateways: usize) -> Self {
        let (bucket, closed) = (
            Arc::<Mutex<Bucket>>::default(),
            Arc::<AtomicBool>::default(),
        );
        let ports = (0..gateways).map(|_| {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
            let port = listener.local_addr().unwrap();
            let gateway = Arc::new(Gateway {
                dialect,
                bucket: Arc::clone(&bucket),
                own: Mutex::default(),
            });
            let closed = Arc::clone(&closed);
            thread::spawn(move || {
                for client in listener.incoming().map_while(Result::ok) {
                    if closed.load(Ordering::SeqCst) {
                        return;
                    }
                    let gateway = Arc::clone(&gateway);
                    thread::spawn(move || gateway.serve(client).ok());
                }
            });
            port
        });
        Self {
            ports: ports.collect(),
            closed,
        }
    }

    /// Its gateways, as `store.endpoints` takes them.
    pub fn endpoints(&self) -> String {
        let urls: Vec<String> = self.ports.iter().map(|at| format!("http://{at}")).collect();
        urls.join(",")
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.closed.store(true, Ordering::SeqCst);
        for port in &self.ports {
            // Wakes the listener, so that it looks.
            let _gone_already = TcpStream::connect(port);
        }
    }
}

impl Gateway {
    /// Answers one request after the other.
    fn serve(&self, client: TcpStream) -> io::Result<()> {
        client.set_nodelay(true)?;
        let mut client = BufReader::new(client);
        while let Some(request) = read(&mut client)? {
            let (status, body) = self.answer(&request);
            let length = if request.method == "HEAD" && status == 200 {
                self.size(&request.path)
            } else {
                body.len()
            };
            let head =
                format!("HTTP/1.1 {status} -\r\nContent-Length: {length}\r\nETag: \"e\"\r\n\r\n");
            let stream = client.get_mut();
            stream.write_all(head.as_bytes())?;
            if request.method != "HEAD" && status != 304 {
                stream.write_all(&body)?;
            }
        }
        Ok(())
    }

    fn answer(&self, request: &Request) -> Answer {
        let name = request.path.trim_start_matches('/').split_once('/');
        let Some((_, name)) = name.filter(|(_, name)| !name.is_empty()) else {
            return match &*request.method {
                "GET" => (200, self.list(&request.query)),
                _ => (200, Vec::new()),
            };
        };
        match &*request.method {
            "PUT" => self.put(name, request),
            "GET" | "HEAD" => self.get(name),
            _ => (405, Vec::new()),
        }
    }

    fn get(&self, name: &str) -> Answer {
        let mut bucket = held(&self.bucket);
        let found = bucket.objects.get(name).cloned();
        let keeps = self.dialect == Dialect::Kept404;
        if found.is_none() && keeps {
            bucket.absent.push(name.to_owned());
        }
        match found {
            Some(bytes) if !keeps || !bucket.absent.iter().any(|kept| kept == name) => (200, bytes),
            _ => (404, b"<Error><Code>NoSuchKey</Code></Error>".to_vec()),
        }
    }

    fn put(&self, name: &str, request: &Request) -> Answer {
        let header = |name: &str| request.headers.get(name).map(String::as_str);
        let asked = match self.dialect {
            Dialect::OssHeader => header("x-oss-forbid-overwrite") == Some("true"),
            Dialect::CosHeader => header("x-cos-forbid-overwrite") == Some("true"),
            Dialect::Ignores | Dialect::StarIsATag | Dialect::Versioned => false,
            _ => header("if-none-match") == Some("*"),
        };
        if asked && !self.creates(name, &request.body) {
            return match self.dialect {
                Dialect::Says304 => (304, Vec::new()),
                Dialect::Says409 => (409, error("FileAlreadyExists")),
                Dialect::ConfirmsRepeats => (200, Vec::new()),
                _ => (412, error("PreconditionFailed")),
            };
        }
        if !asked {
            self.write(name, &request.body);
        }
        (200, Vec::new())
    }

    /// True when the object was absent as far as this dialect sees, and is there now.
    fn creates(&self, name: &str, bytes: &[u8]) -> bool {
        match self.dialect {
            Dialect::LooksThenWrites | Dialect::LooksThenRenames => {
                if held(&self.bucket).objects.contains_key(name) {
                    return false;
                }
                thread::sleep(MOMENT);
                self.write(name, bytes);
                true
            }
            Dialect::LooksAtOneGateway => {
                {
                    let mut own = held(&self.own);
                    if own.iter().any(|known| known == name)
                        || held(&self.bucket).objects.contains_key(name)
                    {
                        return false;
                    }
                    own.push(name.to_owned());
                }
                thread::sleep(MOMENT);
                self.write(name, bytes);
                true
            }
            _ => {
                let mut bucket = held(&self.bucket);
                if bucket.objects.contains_key(name) {
                    return false;
                }
                bucket.objects.insert(name.to_owned(), bytes.to_vec());
                true
            }
        }
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        let mut bucket = held(&self.bucket);
        bucket.objects.insert(name.to_owned(), bytes.to_vec());
    }

    fn list(&self, query: &str) -> Vec<u8> {
        let part = |name: &str| {
            let found = query.split('&').find_map(|pair| pair.strip_prefix(name));
            found.unwrap_or_default().replace("%2F", "/")
        };
        let (prefix, after) = (part("prefix="), part("start-after="));
        let mut bucket = held(&self.bucket);
        let names = bucket.objects.keys();
        let names = names.filter(|name| name.starts_with(&prefix) && **name > after);
        let mut names: Vec<String> = names.cloned().collect();
        if self.dialect == Dialect::StaleList {
            names = bucket.listings.entry(prefix).or_insert(names).clone();
        }
        let names = names.iter();
        let names = names.map(|name| format!("<Contents><Key>{name}</Key></Contents>"));
        let names: String = names.collect();
        format!("<ListBucketResult><IsTruncated>false</IsTruncated>{names}</ListBucketResult>")
            .into_bytes()
    }

    fn size(&self, path: &str) -> usize {
        let name = path.trim_start_matches('/').split_once('/');
        let bucket = held(&self.bucket);
        name.and_then(|(_, name)| bucket.objects.get(name))
            .map_or(0, Vec::len)
    }
}

fn error(code: &str) -> Vec<u8> {
    format!("<Error><Code>{code}</Code><Message>it is there</Message></Error>").into_bytes()
}

fn read(client: &mut BufReader<TcpStream>) -> io::Result<Option<Request>> {
    let mut line = String::new();
    if client.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let mut words = line.split(' ').map(str::to_owned);
    let (method, target) = (
        words.next().unwrap_or_default(),
        words.next().unwrap_or_default(),
    );
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        client.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(':') else {
            break;
        };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    if headers
        .get("expect")
        .is_some_and(|expect| expect == "100-continue")
    {
        client
            .get_mut()
            .write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
    }
    let length = headers.get("content-length");
    let length = length.map_or(0, |length| length.parse().unwrap_or(0));
    let mut body = vec![0; length];
    client.read_exact(&mut body)?;
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    Ok(Some(Request {
        method,
        path: path.to_owned(),
        query: query.to_owned(),
        headers,
        body,
    }))
}

fn held<T>(lock: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}
