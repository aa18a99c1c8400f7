//! `kill -9` at any moment: what was acknowledged is there, once, and what was under way can be asked about
//! and repeated.
//!
//! One client publishes and kills versions, 200 in all. At moments that a seed chooses, the node it talks
//! to is killed: before it has read the request, while it writes, after it has written, and while it
//! starts again. The seed is printed; `HUIDU_SEED` takes it back. What is right is said in [`check`].
//! `HUIDU_CRASHES=1000` asks for so many kills instead, however long they take (`make campaign`).
//!
//! A killed process loses nothing that the kernel already has, so this shows the order of what a node does,
//! not that a disk was synced: the tests of the directory store do that.

mod check;
mod end;
mod request;
mod run;

use std::{
    env, fs,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use serde_json::json;

use self::run::Run;
use crate::support::{
    server::{Backing, Cluster},
    wire::Wire,
};

const CHANGES: usize = 200;
const APP: &str = "pingan/travel";
/// Few enough that crashes also hit the writing of checkpoints, and starts from them.
const CHECKPOINT_EVERY: &str = "checkpoint_every = 8";

/// How hard a run is.
struct Plan {
    backing: Backing,
    /// One change in so many is asked of a node that is about to be killed.
    one_in: usize,
    /// Nobody is killed any more after so long, on however slow a machine.
    crashing: Duration,
}

#[test]
fn a_node_on_a_directory_keeps_what_it_acknowledged_through_kill_9() {
    Plan {
        backing: Backing::Embedded,
        one_in: 4,
        crashing: Duration::from_secs(60),
    }
    .run();
}

#[test]
fn three_nodes_on_s3_keep_what_they_acknowledged_through_kill_9() {
    Plan {
        backing: Backing::S3Redis,
        one_in: 10,
        crashing: Duration::from_secs(60),
    }
    .run();
}

/// The first start writes a token to disk and its digest to the ledger. Killed in between, however often,
/// it must not leave an installation that nobody can enter.
#[test]
fn an_installation_that_is_killed_while_it_is_founded_can_be_entered() {
    let seed = seed();
    let mut rng = fastrand::Rng::with_seed(seed);
    let program = Path::new(env!("CARGO_BIN_EXE_huidu"));
    for round in 0..12 {
        let mut cluster = Cluster::unstarted(program, Backing::Embedded, "");
        let node = &mut cluster.nodes[0];
        for _ in 0..rng.usize(1..4) {
            node.launch();
            thread::sleep(Duration::from_micros(rng.u64(0..150_000)));
            node.kill();
        }
        node.start_again();
        let token = fs::read_to_string(node.dir.join("admin.token")).unwrap();
        let bearer = format!("Bearer {}", token.trim());
        let headers = [("authorization", bearer.as_str())];
        let mut wire = Wire::connect(node.control).unwrap();
        let status = wire.get("/api/v1/status", &headers).unwrap();
        assert_eq!(
            (status.status, &status.json()["revision"]),
            (200, &json!(1)),
            "round {round} of HUIDU_SEED={seed}: {}",
            status.text()
        );
    }
}

impl Plan {
    fn run(self) {
        let (seed, since) = (seed(), Instant::now());
        println!("{:?}: HUIDU_SEED={seed}", self.backing);
        let mut run = Run::begin(self.backing, seed);
        let asked: Option<usize> = env::var("HUIDU_CRASHES").ok().map(|n| n.parse().unwrap());
        for n in 0.. {
            let is_done = match asked {
                Some(crashes) => run.tally.crashes + run.tally.while_starting >= crashes,
                None => n == CHANGES,
            };
            if is_done {
                break;
            }
            let change = run.choose();
            let is_hit = run.rng.usize(..self.one_in) == 0 && since.elapsed() < self.crashing;
            if is_hit || asked.is_some() {
                run.make_through_a_crash(n, change);
            } else {
                run.make(change);
            }
        }
        run.end(seed);
        println!(
            "figure: kill -9 {} times on {}, changes lost or resurrected, false failures and successes: 0",
            run.tally.crashes + run.tally.while_starting,
            match self.backing {
                Backing::Embedded => "a directory",
                Backing::S3Redis => "S3",
            }
        );
        println!(
            "{} changes in {:.1} s: {:?}\nan answer takes {:.1?}, a start {:.1?}",
            run.tried.len(),
            since.elapsed().as_secs_f32(),
            run.tally,
            run.answers.map(|mean| mean.0),
            run.starts.0
        );
        let under_way = run.tally.before_anything + run.tally.half_way + run.tally.unanswered;
        assert!(
            under_way > 0,
            "no kill came while a change was under way; HUIDU_SEED={seed}"
        );
    }
}

/// From the environment, where a failure is to be looked at again; else a new one.
fn seed() -> u64 {
    env::var("HUIDU_SEED").map_or_else(|_| fastrand::u64(..), |seed| seed.parse().unwrap())
}
