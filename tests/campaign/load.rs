//! Phones that poll: an open loop over connections that are kept.
//!
//! Each poll is due at a time of its own, whether or not the one before it has come back, and its latency
//! counts from then: a node that stops for a second is a second slow for everybody who was due in it. Three
//! of four phones have the answer already and ask whether it still holds, as phones do.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use huidu::clock::{Clock as _, System};
use huidu_core::seal::SignedStamp;

use crate::{
    ages::Answer,
    support::wire::{Reply, Wire},
    table::quantile,
};

/// Connections to each node.
const CONNECTIONS: usize = 4;

/// Within so much the slowest hundredth of the polls is answered at a rate that nodes bear.
const SOON: Duration = Duration::from_millis(20);
/// Polls a second that are not gone below when such a rate is looked for.
const LEAST: f64 = 300.0;

/// What is polled for: a path for each app, to which a phone is added.
pub(crate) type Targets = Arc<[String]>;

/// One poll.
#[derive(Debug, Clone)]
pub(crate) struct Poll {
    pub(crate) node: usize,
    /// How long after it was due its answer was there.
    pub(crate) took: Duration,
    /// What was answered, or why nothing was.
    pub(crate) told: Result<Answer, String>,
}

/// Phones, until it is dropped.
pub(crate) struct Load {
    stop: Arc<AtomicBool>,
    polls: Arc<Mutex<Vec<Poll>>>,
    phones: Vec<JoinHandle<()>>,
}

impl Load {
    /// Polls `nodes` `per_second` times in all; none: as often as the phones get answers.
    pub(crate) fn start(nodes: &[SocketAddr], targets: &Targets, per_second: Option<f64>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let polls = Arc::<Mutex<Vec<Poll>>>::default();
        let phones = nodes.len() * CONNECTIONS;
        let every = per_second.map_or(Duration::ZERO, |rate| {
            Duration::from_secs_f64(phones as f64 / rate)
        });
        let begun = Instant::now();
        let phones = (0..phones).map(|n| {
            let node = n % nodes.len();
            let phone = Phone {
                node,
                to: nodes[node],
                name: format!("phone-{n:04}"),
                targets: Arc::clone(targets),
                // Not all at once.
                due: begun + every.mul_f64(n as f64 / phones as f64),
                every,
                wire: None,
                known: vec![None; targets.len()],
            };
            let (stop, polls) = (Arc::clone(&stop), Arc::clone(&polls));
            thread::spawn(move || phone.run(&stop, &polls))
        });
        Self {
            phones: phones.collect(),
            stop,
            polls,
        }
    }

    /// How many polls a second these nodes answer when every phone asks again at once, for `time`.
    pub(crate) fn most(nodes: &[SocketAddr], targets: &Targets, time: Duration) -> f64 {
        let load = Self::start(nodes, targets, None);
        thread::sleep(time);
        let polls = load.take();
        drop(load);
        polls.iter().filter(|poll| poll.told.is_ok()).count() as f64 / time.as_secs_f64()
    }

    /// How many polls a second these nodes bear: the most, going down from `most`, of which the slowest hundredth is
    /// answered [`SOON`]. Phones that ask again at once take turns with the nodes; phones that are due do not.
    pub(crate) fn borne(nodes: &[SocketAddr], targets: &Targets, most: f64, time: Duration) -> f64 {
        let mut rate = most;
        while rate > LEAST {
            let load = Self::start(nodes, targets, Some(rate));
            thread::sleep(time);
            let polls = load.take();
            drop(load);
            let took: Vec<f64> = polls.iter().map(|poll| poll.took.as_secs_f64()).collect();
            if quantile(&took, 0.99) <= SOON.as_secs_f64() {
                break;
            }
            rate *= 0.8;
        }
        rate
    }

    /// Every poll since the last time this was asked.
    pub(crate) fn take(&self) -> Vec<Poll> {
        std::mem::take(&mut *self.polls.lock().unwrap())
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        for phone in self.phones.drain(..) {
            let _its_panic_was_printed = phone.join();
        }
    }
}

struct Phone {
    node: usize,
    to: SocketAddr,
    name: String,
    targets: Targets,
    due: Instant,
    every: Duration,
    wire: Option<Wire>,
    /// What it has of each app: the entity tag, and whether it runs.
    known: Vec<Option<(String, bool)>>,
}

impl Phone {
    fn run(mut self, stop: &AtomicBool, polls: &Mutex<Vec<Poll>>) {
        for turn in 0.. {
            // Pacing, which is what this is for; nothing is waited for here.
            thread::sleep(self.due.saturating_duration_since(Instant::now()));
            if stop.load(Ordering::SeqCst) {
                return;
            }
            let due = if self.every.is_zero() {
                Instant::now()
            } else {
                self.due
            };
            let told = self.poll(turn);
            let poll = Poll {
                node: self.node,
                took: due.elapsed(),
                told,
            };
            polls.lock().unwrap().push(poll);
            self.due += self.every;
        }
    }

    fn poll(&mut self, turn: usize) -> Result<Answer, String> {
        let app = turn % self.targets.len();
        let path = format!("{}?u={}", self.targets[app], self.name);
        let known = self.known[app].clone().filter(|_| !turn.is_multiple_of(4));
        let asked = now_ms();
        let reply = self.ask(&path, known.as_ref().map(|(tag, _)| tag.as_str()));
        let reply = reply.inspect_err(|_| self.wire = None)?;
        let runs = match (reply.status, known) {
            (200, _) => {
                let text = reply.text();
                let runs = text.contains(r#""state":"run""#);
                if !runs && !text.contains(r#""state":"killed""#) {
                    return Err(format!("neither runs nor stops: {text}"));
                }
                self.known[app] = Some((reply.header("etag").to_owned(), runs));
                runs
            }
            (304, Some((_, runs))) => runs,
            (status, _) => return Err(format!("status {status}")),
        };
        Ok(answer(app, runs, asked, &reply))
    }

    fn ask(&mut self, path: &str, tag: Option<&str>) -> Result<Reply, String> {
        let wire = match &mut self.wire {
            Some(wire) => wire,
            none => none.insert(Wire::connect(self.to).map_err(|e| format!("connect: {e}"))?),
        };
        let headers = tag.map(|tag| ("if-none-match", tag));
        let reply = wire.get(path, headers.as_slice());
        reply.map_err(|error| format!("no answer: {error}"))
    }
}

/// What a reply says, for whoever holds it against the truth.
pub(crate) fn answer(app: usize, runs: bool, asked: u64, reply: &Reply) -> Answer {
    let stamp = SignedStamp::parse(reply.header("huidu-stamp"));
    let stamp = stamp.ok().and_then(|signed| signed.stamp().ok());
    Answer {
        app,
        runs,
        asked,
        came: now_ms(),
        stamp: stamp.map(|stamp| (stamp.asof.unix_ms(), u64::from(stamp.lease_ms))),
    }
}

/// Now, by this machine's clock.
pub(crate) fn now_ms() -> u64 {
    System.now().unix_ms()
}
