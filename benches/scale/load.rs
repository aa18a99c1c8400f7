//! Polls at a fixed rate, with and without changes beside them, from one thread.
//!
//! A poll's latency counts from the time it was due, so a server that stalls is not spared the polls that
//! wait behind the stall.

use std::time::{Duration, Instant};

use crate::{data, node::Node, node::poll_path, wire::Wire};

/// Apps that are polled; changes go to these and to all others.
const POLLED: usize = 256;

/// What one round showed.
#[derive(Debug, Default)]
pub(crate) struct Round {
    polls: Vec<Duration>,
    /// From the request to the answer, durable and served.
    pub(crate) changes: Vec<Duration>,
    /// Changes that were due and found the one before still under way.
    pub(crate) late: usize,
}

impl Round {
    /// The latency that `part` of a hundred polls stay under.
    pub(crate) fn poll(&mut self, percent: f64) -> Duration {
        quantile(&mut self.polls, percent)
    }

    pub(crate) fn change(&mut self, percent: f64) -> Duration {
        quantile(&mut self.changes, percent)
    }
}

fn quantile(all: &mut [Duration], percent: f64) -> Duration {
    if all.is_empty() {
        return Duration::ZERO;
    }
    all.sort_unstable();
    all[((all.len() - 1) as f64 * percent / 100.0) as usize]
}

/// One who polls and changes.
pub(crate) struct Client {
    polls: Wire,
    changes: Wire,
    token: String,
    paths: Vec<String>,
    apps: usize,
    changed: usize,
}

impl Client {
    pub(crate) fn new(node: &Node, token: &str, apps: usize) -> Self {
        let polled = POLLED.min(apps);
        let paths = (0..polled).map(|n| poll_path(&data::app_name(n * (apps / polled))));
        Self {
            polls: Wire::connect(node.device).unwrap(),
            changes: Wire::connect(node.control).unwrap(),
            token: token.to_owned(),
            paths: paths.collect(),
            apps,
            changed: 0,
        }
    }

    /// Polls `rate` times a second for `long`, and makes `changes` a second.
    pub(crate) fn round(&mut self, long: Duration, rate: u32, changes: u32) -> Round {
        let mut round = Round::default();
        let begun = Instant::now();
        let every = Duration::from_secs(1) / rate;
        let (mut due, mut at) = (begun, 0);
        let pause = Duration::from_secs(1).checked_div(changes);
        let mut change_due = begun;
        let mut change_sent = begun;
        while begun.elapsed() < long || self.polls.is_busy() || self.changes.is_busy() {
            let now = Instant::now();
            let is_open = now.duration_since(begun) < long;
            if is_open && now >= due && !self.polls.is_busy() {
                self.polls.send(
                    &format!("GET {} HTTP/1.1\r\n", self.paths[at % self.paths.len()]),
                    "",
                );
                at += 1;
            }
            if self.polls.is_busy()
                && let Some(reply) = self.polls.reply()
            {
                assert_eq!(reply.status, 200);
                round.polls.push(due.elapsed());
                due += every;
            }
            if let Some(pause) = pause.filter(|_| is_open && now >= change_due) {
                if self.changes.is_busy() {
                    round.late += 1;
                } else {
                    self.change();
                    change_sent = now;
                }
                change_due += pause;
            }
            if self.changes.is_busy()
                && let Some(reply) = self.changes.reply()
            {
                let body = String::from_utf8_lossy(&reply.body).into_owned();
                assert_eq!(reply.status, 200, "{body}");
                round.changes.push(change_sent.elapsed());
            }
            std::hint::spin_loop();
        }
        round
    }

    fn change(&mut self) {
        self.changed += 1;
        let app = data::app_name(self.changed * 7_919 % self.apps);
        let head = format!(
            "PUT /api/v1/apps/{app}/rollout/rules/{}/share HTTP/1.1\r\nauthorization: Bearer {}\r\nif-match: *\r\n",
            data::RULE,
            self.token
        );
        // A share that the rule never had.
        let share = format!(
            "{{\"share\":\"{}.{:06}%\"}}",
            6 + self.changed / 900_000,
            self.changed % 900_000 + 1
        );
        self.changes.send(&head, &share);
    }
}
