//! Serving connections: listeners, limits, time-outs, graceful stop.
//!
//! A listener is handed in, so a test uses port 0. Every wait here has a bound: for the first request,
//! for a head, for an idle connection, for a peer that does not read. What may be many is capped: the
//! connections, the streams of one connection, the refusals under way at a time. Nothing here knows what
//! is served.

use std::{
    convert::Infallible,
    future::Future,
    io,
    net::{IpAddr, SocketAddr, TcpListener},
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use http::{Request, Response};
use hyper::{body::Incoming, service::Service};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::{Semaphore, mpsc, watch},
    time::{interval_at, sleep, timeout},
};

use super::{addresses::Addresses, body::Body, stall::Stalling};

/// What bounds a plane's connections. Plain values; the defaults are for a public port.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Open connections of the plane, over all its listeners; one more is answered 503 and closed.
    pub connections: usize,
    /// Of these, from one address (from one network of 64 bits, for IPv6); 0: as many as there are. Behind a
    /// balancer all of them come from its own.
    pub per_address: usize,
    /// Bytes of a request's head; at least 8 192.
    pub head_bytes: usize,
    /// From accepting a connection to its first request, and for each head of HTTP/1 from then on: also
    /// the longest rest between two requests of HTTP/1.
    pub head: Duration,
    /// The longest rest between two requests of HTTP/2; at most twice as long passes before it is noticed.
    pub idle: Duration,
    /// The longest time that a peer may take none of what is sent to it.
    pub stall: Duration,
    /// Streams of HTTP/2 at a time on one connection.
    pub streams: u32,
    /// How long requests under way may take to end when the server stops.
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 10_000,
            per_address: 0,
            head_bytes: 16 * 1024,
            head: Duration::from_secs(10),
            idle: Duration::from_secs(75),
            stall: Duration::from_secs(30),
            streams: 128,
            drain: Duration::from_secs(10),
        }
    }
}

/// Streams that a peer opened and reset before they were accepted: beyond it the connection is cut.
const PENDING_RESETS: usize = 20;
/// Refusals under way at a time; while there are as many, nothing is accepted and the kernel queues.
const REFUSALS: usize = 64;
/// How long a refused peer may take to take note.
const REFUSAL_PATIENCE: Duration = Duration::from_secs(1);
/// Waiting connections that the kernel keeps for one listener.
const BACKLOG: i32 = 1_024;
/// After the machine has run out of descriptors: closing connections is what helps.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Somebody who counts connections.
pub trait Watcher: Send + Sync + 'static {
    /// A connection was taken up.
    fn opened(&self) {}
    /// It ended.
    fn closed(&self) {}
    /// One was refused, because there were too many.
    fn refused(&self) {}
}

/// Nobody.
impl Watcher for () {}

/// What the listeners of one plane share: its limits, how many connections are open, who counts them.
pub struct Plane {
    limits: Limits,
    open: AtomicUsize,
    by_address: Addresses,
    refusals: Semaphore,
    watcher: Box<dyn Watcher>,
}

impl Plane {
    /// A plane with these limits.
    pub fn new(limits: Limits, watcher: impl Watcher) -> Arc<Self> {
        Arc::new(Self {
            by_address: Addresses::new(limits.per_address),
            limits,
            open: AtomicUsize::new(0),
            refusals: Semaphore::new(REFUSALS),
            watcher: Box::new(watcher),
        })
    }

    /// Open connections.
    pub fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    fn builder(&self) -> auto::Builder<TokioExecutor> {
        let limits = &self.limits;
        let mut builder = auto::Builder::new(TokioExecutor::new());
        // Without a timer hyper's time-outs do nothing, silently. The number of headers stays at hyper's
        // own 100: a smaller one costs an allocation per request, so planes check it where they answer.
        builder
            .http1()
            .timer(TokioTimer::new())
            .header_read_timeout(limits.head)
            .max_buf_size(limits.head_bytes)
            .half_close(false);
        let header_list = u32::try_from(limits.head_bytes).unwrap_or(u32::MAX);
        builder
            .http2()
            .timer(TokioTimer::new())
            .max_concurrent_streams(limits.streams)
            .max_header_list_size(header_list)
            .max_pending_accept_reset_streams(PENDING_RESETS)
            .keep_alive_interval(limits.idle)
            .keep_alive_timeout(limits.stall);
        builder
    }
}

/// A listener on `addr`. With `shared`, several may listen on one port and the kernel spreads the
/// connections over them.
pub fn listen(addr: SocketAddr, shared: bool) -> io::Result<TcpListener> {
    use socket2::{Domain, Protocol, Socket, Type};
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    #[cfg(unix)]
    socket.set_reuse_port(shared)?;
    socket.set_nonblocking(true)?;
    socket.bind(&addr.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// As many listeners as `count` on one port, chosen by the system when `addr` names port 0.
pub fn listen_shared(addr: SocketAddr, count: usize) -> io::Result<Vec<TcpListener>> {
    let first = listen(addr, true)?;
    let bound = first.local_addr()?;
    let mut listeners = vec![first];
    for _ in 1..count {
        listeners.push(listen(bound, true)?);
    }
    Ok(listeners)
}

/// Tells everything that serves to stop.
#[derive(Debug, Clone)]
pub struct Stop(watch::Receiver<bool>);

/// Tells it; dropping it tells it too.
#[derive(Debug)]
pub struct Stopper(watch::Sender<bool>);

impl Stop {
    /// A pair.
    pub fn pair() -> (Stopper, Self) {
        let (send, receive) = watch::channel(false);
        (Stopper(send), Self(receive))
    }

    /// Waits until it is told.
    pub async fn told(&mut self) {
        // An error means that the teller is gone, which tells it too.
        let _told = self.0.wait_for(|stop| *stop).await;
    }
}

impl Stopper {
    /// Stop.
    pub fn stop(&self) {
        self.0.send_replace(true);
    }
}

/// A service that answers every request.
pub trait Answers:
    Service<
        Request<Incoming>,
        Response = Response<Body>,
        Error = Infallible,
        Future: Future<Output = Result<Response<Body>, Infallible>> + Send + 'static,
    > + Clone
    + Send
    + 'static
{
}

impl<S> Answers for S where
    S: Service<
            Request<Incoming>,
            Response = Response<Body>,
            Error = Infallible,
            Future: Future<Output = Result<Response<Body>, Infallible>> + Send + 'static,
        > + Clone
        + Send
        + 'static
{
}

/// Serves `listener` until told to stop, then lets requests under way end.
pub async fn serve<S: Answers>(
    listener: TcpListener,
    service: S,
    plane: Arc<Plane>,
    mut stop: Stop,
) -> io::Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let builder = Arc::new(plane.builder());
    // Every connection holds a sender: when the receiver sees the end, all of them have ended.
    let (alive, mut ended) = mpsc::channel::<Infallible>(1);
    loop {
        let accepted = tokio::select! {
            biased;
            () = stop.told() => break,
            accepted = listener.accept() => accepted,
        };
        let (socket, peer) = match accepted {
            Ok((socket, peer)) => (socket, peer.ip()),
            Err(error) if is_of_connection(&error) => continue,
            Err(error) => {
                tracing::warn!(%error, "no connection can be accepted; trying again");
                sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let Some(place) = Place::take(&plane, peer) else {
            refuse(socket, &plane).await;
            continue;
        };
        // Answers are small and written whole; waiting to fill a packet only delays them.
        let _harmless = socket.set_nodelay(true);
        let (builder, service) = (Arc::clone(&builder), service.clone());
        let (stop, alive) = (stop.clone(), alive.clone());
        tokio::spawn(async move {
            connection(socket, &builder, service, &place.plane.limits, stop).await;
            drop((place, alive));
        });
    }
    drop((listener, alive));
    let _late_ones_are_cut = timeout(plane.limits.drain, ended.recv()).await;
    Ok(())
}

/// Errors that concern the one connection that was to be accepted.
fn is_of_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::Interrupted
    )
}

/// A place among the open connections, given back when dropped.
struct Place {
    plane: Arc<Plane>,
    peer: IpAddr,
}

impl Place {
    fn take(plane: &Arc<Plane>, peer: IpAddr) -> Option<Self> {
        if plane.open.fetch_add(1, Ordering::Relaxed) >= plane.limits.connections {
            plane.open.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        plane.watcher.opened();
        let plane = Arc::clone(plane);
        let fits = plane.by_address.enter(peer);
        // One that is too many for its address is given back by being dropped.
        let place = Self { plane, peer };
        fits.then_some(place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.plane.by_address.leave(self.peer);
        self.plane.open.fetch_sub(1, Ordering::Relaxed);
        self.plane.watcher.closed();
    }
}

/// Says that there are too many connections. While many are being told so, the caller waits.
async fn refuse(mut socket: TcpStream, plane: &Arc<Plane>) {
    plane.watcher.refused();
    // The semaphore is never closed.
    let Ok(permit) = plane.refusals.acquire().await else {
        return;
    };
    permit.forget();
    let plane = Arc::clone(plane);
    tokio::spawn(async move {
        let _gone_already = timeout(REFUSAL_PATIENCE, say_busy(&mut socket)).await;
        plane.refusals.add_permits(1);
    });
}

async fn say_busy(socket: &mut TcpStream) -> io::Result<()> {
    const BODY: &str = concat!(
        r#"{"type":"urn:huidu:problem:too-many-connections","title":"Too many connections","status":503,"#,
        r#""detail":"this node holds as many connections as it may; try again after Retry-After seconds","#,
        r#""code":"too-many-connections"}"#
    );
    let reply = format!(
        "HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/problem+json\r\n\
         cache-control: no-store\r\nretry-after: {}\r\nconnection: close\r\n\
         content-length: {}\r\n\r\n{BODY}",
        fastrand::u64(1..=10),
        BODY.len(),
    );
    socket.write_all(reply.as_bytes()).await?;
    socket.shutdown().await?;
    // What the peer still sends is read away: closing on unread bytes would reset the connection, and
    // the peer would never see the reply.
    let mut away = [0; 1024];
    while socket.read(&mut away).await? > 0 {}
    Ok(())
}

/// Counts a connection's requests, so that an idle one is noticed.
#[derive(Clone)]
struct Counting<S> {
    service: S,
    requests: Arc<AtomicU64>,
}

impl<S: Answers> Service<Request<Incoming>> for Counting<S> {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = S::Future;

    fn call(&self, request: Request<Incoming>) -> S::Future {
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.service.call(request)
    }
}

async fn connection<S: Answers>(
    socket: TcpStream,
    builder: &auto::Builder<TokioExecutor>,
    service: S,
    limits: &Limits,
    mut stop: Stop,
) {
    let requests = Arc::new(AtomicU64::new(0));
    let counting = Counting {
        service,
        requests: Arc::clone(&requests),
    };
    let socket = TokioIo::new(Stalling::new(socket, limits.stall));
    let mut connection = pin!(builder.serve_connection(socket, counting));
    // hyper-util waits for a connection's first bytes without any time-out, to tell HTTP/2 from HTTP/1.
    let mut first = pin!(sleep(limits.head));
    let mut waiting = true;
    let idle_from = tokio::time::Instant::now() + limits.idle;
    let mut idle = interval_at(idle_from, limits.idle);
    let mut seen = 0;
    let mut stopping = false;
    loop {
        tokio::select! {
            biased;
            // How a peer's connection ended is its own affair: no line is logged that a peer can cause.
            _ended = connection.as_mut() => return,
            () = stop.told(), if !stopping => {
                connection.as_mut().graceful_shutdown();
                stopping = true;
            }
            () = first.as_mut(), if waiting => {
                waiting = false;
                if requests.load(Ordering::Relaxed) == 0 {
                    return;
                }
            }
            _ = idle.tick(), if !stopping => {
                let now = requests.load(Ordering::Relaxed);
                if now == seen {
                    connection.as_mut().graceful_shutdown();
                    stopping = true;
                }
                seen = now;
            }
        }
    }
}

/// Threads that serve one plane, one runtime in each.
#[derive(Debug)]
pub struct Workers(Vec<thread::JoinHandle<io::Result<()>>>);

/// Serves each listener from a thread of its own with a runtime of its own: no request ever moves
/// between cores. `service` makes what one of them answers with.
pub fn spawn_per_core<S: Answers>(
    listeners: Vec<TcpListener>,
    service: impl Fn(usize) -> S,
    plane: &Arc<Plane>,
    stop: &Stop,
) -> io::Result<Workers> {
    let mut workers = Vec::with_capacity(listeners.len());
    for (core, listener) in listeners.into_iter().enumerate() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let serving = serve(listener, service(core), Arc::clone(plane), stop.clone());
        let worker = thread::Builder::new()
            .name(format!("device-{core}"))
            .spawn(move || runtime.block_on(serving))?;
        workers.push(worker);
    }
    Ok(Workers(workers))
}

impl Workers {
    /// Waits until all have stopped. Blocks: not for a task of a runtime.
    pub fn join(self) -> io::Result<()> {
        for worker in self.0 {
            worker
                .join()
                .map_err(|_| io::Error::other("a worker of the device plane panicked"))??;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use hyper::service::service_fn;

    use super::*;

    struct Server {
        addr: SocketAddr,
        plane: Arc<Plane>,
        stopper: Stopper,
        serving: tokio::task::JoinHandle<io::Result<()>>,
    }

    fn quick() -> Limits {
        Limits {
            head: Duration::from_millis(150),
            idle: Duration::from_millis(150),
            ..Limits::default()
        }
    }

    fn start(limits: Limits) -> Server {
        let listener = listen(([127, 0, 0, 1], 0).into(), false).unwrap();
        let addr = listener.local_addr().unwrap();
        let plane = Plane::new(limits, ());
        let (stopper, stop) = Stop::pair();
        let service = service_fn(|_| async {
            Ok::<_, Infallible>(Response::new(Body::from(Bytes::from_static(b"hello"))))
        });
        let serving = tokio::spawn(serve(listener, service, Arc::clone(&plane), stop));
        Server {
            addr,
            plane,
            stopper,
            serving,
        }
    }

    /// What the peer sends until it closes; an error when it does not close within five seconds.
    async fn read_to_end(socket: &mut TcpStream) -> String {
        let mut text = Vec::new();
        let read = timeout(Duration::from_secs(5), socket.read_to_end(&mut text)).await;
        // A reset after the last byte is a close as well.
        let _reset_or_end = read.expect("the server closes the connection");
        String::from_utf8(text).unwrap()
    }

    const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n";

    /// Reads the reply to [`REQUEST`].
    async fn hello(socket: &mut TcpStream) {
        socket.write_all(REQUEST).await.unwrap();
        let mut reply = Vec::new();
        while !reply.ends_with(b"hello") {
            assert!(
                socket.read_buf(&mut reply).await.unwrap() > 0,
                "the reply breaks off"
            );
        }
    }

    #[tokio::test]
    async fn a_head_that_dribbles_is_cut_off() {
        // Only hyper's own timer can cut this off: everything else is patient.
        let patient = Limits {
            head: Duration::from_millis(150),
            ..Limits::default()
        };
        let server = start(patient);
        let mut socket = TcpStream::connect(server.addr).await.unwrap();
        // The first request is whole, so it is hyper's own timer that must be armed for the second.
        hello(&mut socket).await;
        let begun = tokio::time::Instant::now();
        let (mut read, mut write) = socket.split();
        let dribble = async {
            for byte in REQUEST.iter().cycle() {
                if *byte != b'\n' && write.write_all(&[*byte]).await.is_err() {
                    break;
                }
                sleep(Duration::from_millis(10)).await;
            }
        };
        let mut rest = Vec::new();
        tokio::select! {
            _ended = read.read_to_end(&mut rest) => {}
            () = dribble => {}
        }
        let took = begun.elapsed();
        assert!(
            took >= Duration::from_millis(100) && took < Duration::from_secs(5),
            "{took:?}"
        );
    }

    #[tokio::test]
    async fn a_connection_that_says_nothing_or_half_a_preface_is_closed() {
        let server = start(quick());
        for said in [&b""[..], b"P", b"PRI * HTTP/2.0\r\n"] {
            let mut socket = TcpStream::connect(server.addr).await.unwrap();
            socket.write_all(said).await.unwrap();
            assert_eq!(read_to_end(&mut socket).await, "");
        }
    }

    #[tokio::test]
    async fn a_connection_that_rests_is_closed() {
        let server = start(quick());
        let mut socket = TcpStream::connect(server.addr).await.unwrap();
        hello(&mut socket).await;
        read_to_end(&mut socket).await;
    }

    #[tokio::test]
    async fn an_http_2_connection_that_rests_is_closed() {
        let idle = Limits {
            idle: Duration::from_millis(100),
            ..Limits::default()
        };
        let server = start(idle);
        let io = TokioIo::new(TcpStream::connect(server.addr).await.unwrap());
        let client = hyper::client::conn::http2::handshake(TokioExecutor::new(), io);
        let (mut send, connection) = client.await.unwrap();
        let connection = tokio::spawn(connection);
        let request = Request::get("http://a/").body(Body::empty()).unwrap();
        assert_eq!(send.send_request(request).await.unwrap().status(), 200);
        let ended = timeout(Duration::from_secs(5), connection).await;
        ended.expect("the server says good-bye").unwrap().unwrap();
    }

    #[tokio::test]
    async fn a_head_too_large_is_refused() {
        let server = start(Limits::default());
        let mut socket = TcpStream::connect(server.addr).await.unwrap();
        let large = format!(
            "GET / HTTP/1.1\r\nhost: a\r\nx: {}\r\n\r\n",
            "y".repeat(20_000)
        );
        let _cut_off_while_writing = socket.write_all(large.as_bytes()).await;
        let reply = read_to_end(&mut socket).await;
        assert!(
            reply.is_empty() || reply.starts_with("HTTP/1.1 431 "),
            "{reply}"
        );
    }

    #[tokio::test]
    async fn one_connection_too_many_is_told_so_and_the_next_finds_the_place_free() {
        let server = start(Limits {
            connections: 2,
            ..Limits::default()
        });
        let mut held = Vec::new();
        for _ in 0..2 {
            let mut socket = TcpStream::connect(server.addr).await.unwrap();
            hello(&mut socket).await;
            held.push(socket);
        }
        let mut third = TcpStream::connect(server.addr).await.unwrap();
        third.write_all(REQUEST).await.unwrap();
        let reply = read_to_end(&mut third).await;
        assert!(reply.starts_with("HTTP/1.1 503 "), "{reply}");
        assert!(reply.contains("\r\nretry-after: ") && reply.contains("too-many-connections"));
        drop(held);
        let freed = async {
            while server.plane.open() > 0 {
                tokio::task::yield_now().await;
            }
        };
        timeout(Duration::from_secs(5), freed).await.unwrap();
        hello(&mut TcpStream::connect(server.addr).await.unwrap()).await;
    }

    #[tokio::test]
    async fn one_address_takes_no_more_than_its_part() {
        let server = start(Limits {
            per_address: 2,
            ..Limits::default()
        });
        let mut held = Vec::new();
        for _ in 0..2 {
            let mut socket = TcpStream::connect(server.addr).await.unwrap();
            hello(&mut socket).await;
            held.push(socket);
        }
        let mut third = TcpStream::connect(server.addr).await.unwrap();
        third.write_all(REQUEST).await.unwrap();
        let reply = read_to_end(&mut third).await;
        assert!(reply.starts_with("HTTP/1.1 503 "), "{reply}");
        // Another address has its own part.
        let other = tokio::net::TcpSocket::new_v4().unwrap();
        other.bind(([127, 0, 0, 2], 0).into()).unwrap();
        hello(&mut other.connect(server.addr).await.unwrap()).await;
        drop(held);
        let freed = async {
            while server.plane.open() > 0 {
                tokio::task::yield_now().await;
            }
        };
        timeout(Duration::from_secs(5), freed).await.unwrap();
        assert!(server.plane.by_address.is_empty(), "nobody is remembered");
        hello(&mut TcpStream::connect(server.addr).await.unwrap()).await;
    }

    #[tokio::test]
    async fn stopping_closes_idle_connections_and_ends() {
        let server = start(Limits::default());
        let mut socket = TcpStream::connect(server.addr).await.unwrap();
        hello(&mut socket).await;
        server.stopper.stop();
        timeout(Duration::from_secs(5), server.serving)
            .await
            .unwrap()
            .unwrap()
            .unwrap();
        assert_eq!(read_to_end(&mut socket).await, "");
        assert_eq!(server.plane.open(), 0);
    }

    #[test]
    fn several_listeners_share_one_port() {
        let listeners = listen_shared(([127, 0, 0, 1], 0).into(), 3).unwrap();
        let ports: Vec<_> = listeners
            .iter()
            .map(|l| l.local_addr().unwrap().port())
            .collect();
        assert!(
            ports[0] != 0 && ports.iter().all(|port| *port == ports[0]),
            "{ports:?}"
        );
    }
}
