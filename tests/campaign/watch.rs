//! How long after a kill was acknowledged the last node stops answering `run`.
//!
//! One phone at each node asks again and again from before the kill is asked for. What counts is when its
//! first refusing answer was there, so a figure is late by the time of a poll at most, and never early.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use huidu_core::op::OpId;

use crate::{
    ages::{Answer, Stopped},
    fleet::{Asked, Fleet},
    journal::{Told, Way},
    load::{answer, now_ms},
    support::{server::until, wire::Wire},
};

/// A node that takes longer has not refused.
const PATIENCE: Duration = Duration::from_secs(12);
/// Between two polls of one phone: first, and once it takes longer.
const PACE: [Duration; 2] = [Duration::from_millis(1), Duration::from_millis(5)];
const LONGER: Duration = Duration::from_millis(100);

/// What came of the kills of one row.
#[derive(Debug, Default)]
pub(crate) struct Kills {
    /// From the acknowledgement to the last of the nodes that were watched, ms; 0: it was earlier.
    pub(crate) spread: Vec<f64>,
    /// From the request to its answer, ms.
    pub(crate) answered: Vec<f64>,
    /// Nobody said that it is in force: refused, or unknown.
    pub(crate) unacknowledged: usize,
    pub(crate) provisional: usize,
    /// Receipts that named an instant.
    pub(crate) receipts: usize,
    /// A node that was watched did not refuse in time.
    pub(crate) never: usize,
    pub(crate) answers: Vec<Answer>,
    pub(crate) stopped: Vec<Stopped>,
    /// What was killed and does not run again yet.
    apps: Vec<usize>,
    /// What is in force or unknown, and not ordered: which node was asked.
    unsettled: Vec<(usize, OpId)>,
}

/// Kills `app` at `node`, and watches those `watched`.
pub(crate) fn kill(fleet: &Fleet, node: usize, app: usize, watched: &[usize], kills: &mut Kills) {
    let end = AtomicBool::new(false);
    let (asked, seen) = thread::scope(|scope| {
        let phones = watched.iter().map(|at| {
            let end = &end;
            scope.spawn(move || phone(fleet, *at, app, end))
        });
        let phones: Vec<_> = phones.collect();
        let asked = fleet.ask(node, app, Way::Kill);
        let counts = matches!(asked.told, Told::Made(_) | Told::Provisional);
        end.store(!counts, Ordering::SeqCst);
        let seen: Vec<_> = phones.into_iter().map(|p| p.join().unwrap()).collect();
        (asked, seen)
    });
    kills.apps.push(app);
    if matches!(asked.told, Told::Provisional | Told::Unknown) {
        kills.unsettled.push((node, asked.op));
    }
    kills.take(app, &asked, seen);
}

impl Kills {
    fn take(&mut self, app: usize, asked: &Asked, seen: Vec<(Option<Instant>, Vec<Answer>)>) {
        let ms = |time: Duration| time.as_secs_f64() * 1e3;
        let ordered = matches!(asked.told, Told::Made(_));
        if !ordered && asked.told != Told::Provisional {
            self.unacknowledged += 1;
            return;
        }
        self.provisional += usize::from(!ordered);
        self.receipts += usize::from(asked.complete_by.is_some());
        self.stopped.push(Stopped {
            app,
            from: asked.answered_ms,
            // Until it is let run again, which `again` writes down.
            until: u64::MAX,
            ordered,
            complete_by: asked.complete_by,
        });
        self.answered.push(ms(asked.answered - asked.asked));
        let mut last = Some(asked.answered);
        for (refused, answers) in seen {
            self.answers.extend(answers);
            last = last.zip(refused).map(|(a, b)| a.max(b));
        }
        match last {
            Some(last) => self.spread.push(ms(last - asked.answered)),
            None => self.never += 1,
        }
    }

    /// Waits until everything that was asked for is settled, lets all that was killed run again, and waits
    /// until it does so everywhere.
    pub(crate) fn again(&mut self, fleet: &Fleet) {
        for (node, op) in self.unsettled.drain(..) {
            until("what was not ordered is settled", || {
                matches!(&*fleet.op(node, op), "committed" | "absent")
            });
        }
        self.apps.sort_unstable();
        self.apps.dedup();
        let mut last = 0;
        for app in self.apps.drain(..) {
            let now = now_ms();
            for one in self.stopped.iter_mut().filter(|one| one.app == app) {
                one.until = one.until.min(now);
            }
            until("it may run again", || {
                match fleet.ask(0, app, Way::Unkill).told {
                    Told::Made(revision) => {
                        last = revision;
                        true
                    }
                    // It was never killed.
                    Told::Refused => !fleet.states()[0][&fleet.apps[app]],
                    Told::Provisional | Told::Unknown => false,
                }
            });
        }
        fleet.at(last);
    }
}

/// Asks until it is refused, or nobody cares any more.
fn phone(
    fleet: &Fleet,
    node: usize,
    app: usize,
    end: &AtomicBool,
) -> (Option<Instant>, Vec<Answer>) {
    let (since, mut answers) = (Instant::now(), Vec::new());
    let path = format!("{}?u=watch-{node}", fleet.targets[app]);
    let mut wire = None;
    while since.elapsed() < PATIENCE && !end.load(Ordering::SeqCst) {
        let asked = now_ms();
        if wire.is_none() {
            wire = Wire::connect(fleet.cluster.nodes[node].device).ok();
        }
        let reply = wire.as_mut().and_then(|wire| wire.get(&path, &[]).ok());
        match reply {
            Some(reply) if reply.status == 200 => {
                let killed = reply.json()["state"] == "killed";
                answers.push(answer(app, !killed, asked, &reply));
                if killed {
                    return (Some(Instant::now()), answers);
                }
            }
            _ => wire = None,
        }
        thread::sleep(PACE[usize::from(since.elapsed() > LONGER)]);
    }
    (None, answers)
}
