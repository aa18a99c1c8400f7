//! Serving connections: listeners, limits, time-outs, graceful stop.
//!
//! A listener is handed in, so a test uses port 0. Every wait here has a bound: for the first request,
//! for a head, for an idle connection, for a peer that does not read. What may be many is capped: the
//! connections, the streams of one connection, the refusals under way at a time. Nothing here knows what
//! is served.

use std::{
    convert::Infallible,
    future::{Future, poll_fn},
    io,
    net::{IpAddr, SocketAddr, TcpListener},
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::Poll,
    thread,
    time::Duration,
};

use http::{Request, Response};
use hyper::{body::Incoming, service::Service};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::conn::auto,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
    sync::{Semaphore, mpsc, watch},
    time::{sleep, timeout},
};

use super::{
    addresses::Addresses,
    body::Body,
    carrier::Carrier,
    gather::{Aside, Gathering, turn},
    seldom::Seldom,
    sendfile::{self, FileSocket},
    stall::Stalling,
    tls::Tls,
    watch::{HeadTimer, Verdict, Watch},
};

/// What bounds a plane's connections. Plain values; the defaults are for a public port.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Open connections of the plane, over all its listeners; one more is answered 503 and closed, over TLS
    /// only closed.
    pub connections: usize,
    /// Of these, from one address (from one network of 64 bits, for IPv6); 0: as many as there are. Behind a
    /// balancer all of them come from its own.
    pub per_address: usize,
    /// Bytes of a request's head; at least 8 192.
    pub head_bytes: usize,
    /// From accepting a connection to its first request, and for each head of HTTP/1 from then on: also
    /// the longest rest between two requests of HTTP/1.
    pub head: Duration,
    /// How long a connection may take to agree on TLS, where a plane speaks it.
    pub handshake: Duration,
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
            handshake: Duration::from_secs(10),
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
    /// One ended before TLS was agreed on.
    fn not_agreed(&self) {}
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
    tls: Option<Arc<Tls>>,
}

impl Plane {
    /// A plane with these limits.
    pub fn new(limits: Limits, watcher: impl Watcher) -> Arc<Self> {
        Self::over(limits, watcher, None)
    }

    /// The same, whose connections speak TLS, where it is given.
    pub fn over(limits: Limits, watcher: impl Watcher, tls: Option<Arc<Tls>>) -> Arc<Self> {
        Arc::new(Self {
            by_address: Addresses::new(limits.per_address),
            limits,
            open: AtomicUsize::new(0),
            refusals: Semaphore::new(REFUSALS),
            watcher: Box::new(watcher),
            tls,
        })
    }

    /// Open connections.
    pub fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }
}

/// hyper with these limits, for HTTP/1 and HTTP/2 alike.
pub fn builder<E>(limits: &Limits, executor: E) -> auto::Builder<E> {
    let mut builder = auto::Builder::new(executor);
    // Without a timer hyper's time-outs do nothing, silently. The number of headers stays at hyper's
    // own 100: a smaller one costs an allocation per request, so planes check it where they answer.
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head)
        .max_buf_size(limits.head_bytes)
        // Bodies are handed to the socket as they are, never copied together with others: what stands
        // for the bytes of a file is recognised by where it lies.
        .writev(true)
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

/// Whoever serves a plane: makes what answers on one connection.
pub trait PerConnection: Clone + Send + 'static {
    /// What answers.
    type Service: Answers;
    /// Begins what runs beside the connections of one listener; called once, by whoever serves it.
    fn beside(&self) {}
    /// It, for the connection of `carrier`.
    fn answering(&self, carrier: &Arc<Carrier>) -> Self::Service;
}

/// What is the same on every connection.
impl<S: Answers> PerConnection for S {
    type Service = S;

    fn answering(&self, _: &Arc<Carrier>) -> S {
        self.clone()
    }
}

/// Serves `listener` until told to stop, then lets requests under way end.
pub async fn serve<S: PerConnection>(
    listener: TcpListener,
    service: S,
    plane: Arc<Plane>,
    mut stop: Stop,
) -> io::Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    service.beside();
    let builder = builder(&plane.limits, Aside);
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
        let (builder, service) = (builder.clone(), service.clone());
        let (stop, alive) = (stop.clone(), alive.clone());
        // Two tasks of their own kind: what TLS keeps of a connection takes no room in those without.
        match plane.tls.clone() {
            None => drop(tokio::spawn(async move {
                plain(socket, builder, service, &place.plane.limits, stop).await;
                drop((place, alive));
            })),
            Some(tls) => drop(tokio::spawn(async move {
                encrypted(socket, &tls, builder, service, &place.plane, stop).await;
                drop((place, alive));
            })),
        }
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
    // Agreeing on TLS only to say so would cost more than serving: such a peer is closed on.
    if plane.tls.is_some() {
        return;
    }
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

/// Serves a connection that anybody on its way can read.
async fn plain<S: PerConnection>(
    socket: TcpStream,
    builder: auto::Builder<Aside>,
    service: S,
    limits: &Limits,
    stop: Stop,
) {
    let carrier = Carrier::new(sendfile::AVAILABLE);
    let service = service.answering(&carrier);
    let socket = FileSocket::new(socket, Arc::clone(&carrier));
    let socket = Stalling::new(socket, limits.stall);
    connection(socket, builder, service, limits, stop).await;
}

/// Agrees on TLS, within bounds, and then serves.
async fn encrypted<S: PerConnection>(
    socket: TcpStream,
    tls: &Tls,
    builder: auto::Builder<Aside>,
    service: S,
    plane: &Plane,
    mut stop: Stop,
) {
    let limits = &plane.limits;
    let socket = Stalling::new(socket, limits.stall);
    let agreed = tokio::select! {
        biased;
        agreed = timeout(limits.handshake, tls.agree(socket)) => agreed,
        () = stop.told() => return,
    };
    // Why it failed is the peer's own affair: no line is logged that a peer can cause.
    let Ok(Ok(socket)) = agreed else {
        return plane.watcher.not_agreed();
    };
    let carrier = Carrier::new(false);
    let service = service.answering(&carrier);
    connection(socket, builder, service, limits, stop).await;
}

/// Counts a connection's requests, so that an idle one is noticed.
#[derive(Clone)]
struct Counting<S> {
    service: S,
    watch: Arc<Watch>,
}

impl<S: Answers> Service<Request<Incoming>> for Counting<S> {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = S::Future;

    fn call(&self, request: Request<Incoming>) -> S::Future {
        self.watch.count();
        self.service.call(request)
    }
}

async fn connection<S: Answers>(
    socket: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    mut builder: auto::Builder<Aside>,
    service: S,
    limits: &Limits,
    stop: Stop,
) {
    let watch = Watch::new();
    builder.http1().timer(HeadTimer::new(&watch, limits.head));
    let counting = Counting {
        service,
        watch: Arc::clone(&watch),
    };
    let socket = TokioIo::new(Gathering::new(socket));
    let mut connection = pin!(builder.serve_connection(socket, counting));
    let mut verdict = pin!(watch.verdict(limits, stop));
    let mut verdict = Seldom::new(verdict.as_mut());
    // How a peer's connection ended is its own affair: no line is logged that a peer can cause.
    let verdict = poll_fn(|cx| match turn(connection.as_mut(), cx) {
        Poll::Ready(_ended) => Poll::Ready(Verdict::Ended),
        Poll::Pending => verdict.poll(cx),
    });
    if verdict.await == Verdict::Finish {
        connection.as_mut().graceful_shutdown();
        tokio::select! {
            biased;
            _ended = poll_fn(|cx| turn(connection.as_mut(), cx)) => {}
            () = watch.late(limits) => {}
        }
    }
}

/// Threads that serve one plane, one runtime in each.
#[derive(Debug)]
pub struct Workers(Vec<thread::JoinHandle<io::Result<()>>>);

/// Serves each listener from a thread of its own with a runtime of its own: no request ever moves
/// between cores. `service` makes what one of them answers with.
pub fn spawn_per_core<S: PerConnection>(
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
mod tests;
