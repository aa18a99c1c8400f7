//! One fault after the other, each with phones polling and kills under way: what it costs whom.

use std::{
    collections::BTreeMap,
    thread,
    time::{Duration, Instant},
};

use crate::{
    ages::{self, Answer, Fault, Stopped},
    fleet::Fleet,
    load::{Load, Poll},
    plan::Plan,
    table::{Bar, Figure, quantile},
    watch::{self, Kills},
};

/// A campaign under way.
pub(crate) struct Campaign {
    pub(crate) plan: Plan,
    pub(crate) fleet: Fleet,
    pub(crate) figures: Vec<Figure>,
    /// Every answer there was, and when what was killed: for the leases.
    pub(crate) answers: Vec<Answer>,
    pub(crate) stopped: Vec<Stopped>,
    /// Receipts of kills that named the instant after which no valid older answer exists.
    pub(crate) receipts: usize,
    /// Why polls failed that should not have, and how often.
    pub(crate) failures: BTreeMap<String, usize>,
    next_app: usize,
}

/// A fault and what is looked at while it lasts.
#[derive(Clone, Copy)]
pub(crate) struct Scene<'a> {
    pub(crate) name: &'a str,
    /// Nodes that are stopped altogether, so that their own polls do not count.
    pub(crate) stopped: &'a [usize],
    /// Nodes at which kills are asked for, and that must refuse.
    pub(crate) watched: &'a [usize],
    pub(crate) kills: usize,
    /// What is said of the kills: p50 and p99.
    pub(crate) bars: [Bar; 2],
    pub(crate) lasts: Duration,
}

/// Every node.
pub(crate) const ALL: &[usize] = &[0, 1, 2];

impl Campaign {
    pub(crate) fn start(plan: Plan) -> Self {
        Self {
            fleet: Fleet::start(plan.apps),
            plan,
            figures: Vec::new(),
            answers: Vec::new(),
            stopped: Vec::new(),
            receipts: 0,
            failures: BTreeMap::new(),
            next_app: 0,
        }
    }

    /// A scene with the usual bars: none but that no poll fails.
    pub(crate) fn scene<'a>(&self, name: &'a str) -> Scene<'a> {
        Scene {
            name,
            stopped: &[],
            watched: ALL,
            kills: self.plan.few,
            bars: [Bar::Told; 2],
            lasts: self.plan.fault,
        }
    }

    pub(crate) fn say(&mut self, name: impl Into<String>, value: f64, bar: Bar) {
        self.figures.push(Figure::new(name, value, bar));
    }

    /// Plays a scene: phones while all is well, then the fault with kills, then its end; and nothing of it is
    /// left when the next one begins.
    pub(crate) fn play(
        &mut self,
        load: &Load,
        scene: Scene<'_>,
        begin: impl FnOnce(&mut Fleet),
        end: impl FnOnce(&mut Fleet),
    ) {
        load.take();
        // The time that phones are watched is what is measured; nothing is waited for.
        thread::sleep(self.plan.calm);
        let calm = load.take();
        let since = Instant::now();
        begin(&mut self.fleet);
        let began = Instant::now();
        let mut kills = Kills::default();
        for n in 0..scene.kills {
            if began.elapsed() > self.plan.row {
                break;
            }
            if n > 0 && n % self.plan.apps == 0 {
                kills.again(&self.fleet);
            }
            let app = self.next_app;
            self.next_app = (app + 1) % self.plan.apps;
            let node = scene.watched[n % scene.watched.len()];
            watch::kill(&self.fleet, node, app, scene.watched, &mut kills);
        }
        thread::sleep(scene.lasts.saturating_sub(began.elapsed()));
        let during = load.take();
        end(&mut self.fleet);
        self.fleet.is_well();
        kills.again(&self.fleet);
        self.take(&scene, &kills, &calm, during);
        println!("{}: {:.1} s", scene.name, since.elapsed().as_secs_f64());
        self.receipts += kills.receipts;
        self.answers.append(&mut kills.answers);
        self.stopped.append(&mut kills.stopped);
        self.keep(calm);
        self.keep(load.take());
    }

    fn take(&mut self, scene: &Scene<'_>, kills: &Kills, calm: &[Poll], during: Vec<Poll>) {
        let zero = Bar::AtMost(0.0);
        if scene.kills > 0 {
            let (spread, bars) = (&kills.spread, scene.bars);
            let what = "kill acknowledged to the last node refusing";
            self.cell(scene, "kills", what, spread.len() as f64, Bar::Told);
            if !spread.is_empty() {
                self.cell(scene, "p50", what, quantile(spread, 0.5), bars[0]);
                self.cell(scene, "p99", what, quantile(spread, 0.99), bars[1]);
                self.cell(scene, "max", what, quantile(spread, 1.0), Bar::Told);
                let what = "kill asked for to its answer";
                for (column, share) in [("asked", 0.5), ("asked99", 0.99)] {
                    let asked = quantile(&kills.answered, share);
                    self.cell(scene, column, what, asked, Bar::Told);
                }
            }
            let unacked = kills.unacknowledged as f64;
            self.cell(
                scene,
                "unacked",
                "kills not acknowledged",
                unacked,
                Bar::Told,
            );
            let provisional = kills.provisional as f64;
            self.cell(scene, "prov", "kills provisional", provisional, Bar::Told);
            let never = kills.never as f64;
            self.cell(
                scene,
                "never",
                "kills acknowledged and never refused",
                never,
                zero,
            );
        }
        let counts = |poll: &&Poll| !scene.stopped.contains(&poll.node);
        let times = |polls: &[Poll]| -> Vec<f64> {
            let polls = polls.iter().filter(counts);
            polls.map(|poll| poll.took.as_secs_f64() * 1e3).collect()
        };
        let failing = during.iter().filter(counts);
        let failing: Vec<_> = failing
            .filter_map(|poll| poll.told.as_ref().err())
            .collect();
        for why in &failing {
            let why = format!("{}: {why}", scene.name);
            *self.failures.entry(why).or_default() += 1;
        }
        let count = failing.len() as f64;
        let (before, now) = (
            quantile(&times(calm), 0.99),
            quantile(&times(&during), 0.99),
        );
        self.cell(scene, "failing", "polls", count, zero);
        self.cell(scene, "before", "polls, p99 ms", before, Bar::Told);
        self.cell(scene, "during", "polls, p99 ms", now, Bar::Told);
        let ratio = now / before.max(0.01);
        self.cell(
            scene,
            "ratio",
            "polls, p99 during to before",
            ratio,
            Bar::Told,
        );
        self.keep(during);
    }

    /// A figure of a scene.
    fn cell(&mut self, scene: &Scene<'_>, column: &'static str, what: &str, value: f64, bar: Bar) {
        let mut figure = Figure::new(format!("{what}, {}: {column}", scene.name), value, bar);
        figure.of = Some((scene.name.to_owned(), column));
        self.figures.push(figure);
    }

    fn keep(&mut self, polls: Vec<Poll>) {
        self.answers
            .extend(polls.into_iter().filter_map(|poll| poll.told.ok()));
    }

    /// What all the answers say about leases.
    pub(crate) fn leases(&mut self) {
        let seen = ages::look(&self.answers, &self.stopped);
        for fault in seen.faults.iter().take(5) {
            println!("a lease that was not kept: {fault:?}");
        }
        let (broken, outlived): (Vec<_>, Vec<_>) =
            (seen.faults.iter()).partition(|fault| matches!(fault, Fault::Incomplete { .. }));
        let (faults, broken) = (outlived.len() as f64, broken.len() as f64);
        self.say(
            "answers looked at for their age",
            seen.answers as f64,
            Bar::AtLeast(1_000.0),
        );
        self.say(
            "answers whose true age exceeds the stated lease",
            faults,
            Bar::AtMost(0.0),
        );
        let receipts = self.receipts as f64;
        self.say("receipts that named an instant", receipts, Bar::Told);
        self.say(
            "valid answers after the instant that a receipt named",
            broken,
            Bar::AtMost(0.0),
        );
        self.say(
            "answers that were no longer true and still believed",
            seen.stale as f64,
            Bar::Told,
        );
        self.say("the oldest of them, ms", seen.oldest as f64, Bar::Told);
        self.say(
            "answers that said themselves that they were over",
            seen.over as f64,
            Bar::Told,
        );
    }
}
