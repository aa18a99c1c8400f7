//! The simulation: nodes and devices in one process, with every fault there is and a seed to tell it again by.
//!
//! Real are the core, the ledger, the node with its mirror and stamps, the device plane without its sockets, and
//! the verifier of devices. Simulated are the store, the bus, the disks, the clocks, the network and the people. It
//! all runs on one thread whose time is paused, so a seed is a story: the same one every time. It lies here and
//! not beside the other tests because it plants mistakes into the inside of the ledger and the node
//! ([`crate::planted`]), which no build but that of these tests has.
//!
//! ```text
//! world.rs    time, chance, weather, the trace
//! store.rs    the store and the way to it
//! net.rs      messages between nodes
//! disk.rs     what a crash leaves
//! kills.rs    kills before the ledger has them: posts, files, promises
//! process.rs  nodes that start, pause, die and start again
//! people.rs   who founds the bank, and clerks at work
//! devices.rs  phones and the verifier in them
//! storm.rs    what goes wrong, and who does harm
//! truth.rs    what landed, and the promises held against it
//! runs.rs     many seeds on all cores, and what is printed of them
//! ```

mod devices;
mod disk;
mod kills;
mod net;
mod people;
mod process;
mod runs;
mod store;
mod storm;
mod truth;
mod world;

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use huidu_core::time::Timestamp;
use tokio::{runtime::Builder, task::JoinSet, time::sleep};

use self::{
    devices::{Kept, Reply},
    process::Place,
    store::Objects,
    truth::Truth,
    world::{Ended, Plan, World, locked},
};
use crate::planted::{Bug, plant};

/// Between the founding and the beginning of every seed: what was answered then is over by now.
const LATER_MS: u64 = 1_800_000;
/// Between two looks at everything.
const STEP: Duration = Duration::from_millis(100);
/// How long nodes have to agree once nothing goes wrong any more.
const AGREE_MS: u64 = 20_000;

/// A bank that was founded on a quiet day: what every seed begins with.
struct Founded {
    objects: Objects,
    truth: Truth,
    answers: Vec<(String, Reply)>,
    at: Timestamp,
}

static FOUNDED: OnceLock<Founded> = OnceLock::new();

fn founded() -> &'static Founded {
    FOUNDED.get_or_init(|| on_one_thread(0, found()))
}

/// Runs a story where nothing but its seed decides what happens when.
fn on_one_thread<T>(seed: u64, story: impl Future<Output = T>) -> T {
    // Jitter of the product is drawn from this thread's generator.
    fastrand::seed(seed);
    let mut runtime = Builder::new_current_thread();
    let runtime = runtime.enable_time().start_paused(true).build().unwrap();
    runtime.block_on(story)
}

async fn found() -> Founded {
    let plan = Plan {
        seed: 0,
        nodes: 1,
        ..Plan::of(0)
    };
    let world = World::new(
        plan,
        people::NOON,
        Objects::default(),
        Truth::default(),
        true,
    );
    let world = Arc::new(world);
    tokio::spawn(Arc::clone(&world).keeps_alive(0));
    while world.places[0].life().is_none() {
        sleep(STEP).await;
    }
    let life = world.places[0].life().unwrap();
    people::found(&life).await;
    sleep(Duration::from_secs(3)).await;
    world.look(0);
    let mut answers = Vec::new();
    for path in ["/v1/kills".to_owned()].into_iter().chain(devices::paths()) {
        let reply = world
            .served(0, devices::request(&path, None, None, None), true)
            .await;
        answers.push((path, reply.unwrap()));
    }
    let ended = world.end();
    world.places[0].lets_go();
    assert!(
        ended.violations.is_empty(),
        "{}\n{:#?}",
        ended.lines.join("\n"),
        ended.violations
    );
    let (objects, truth) = (locked(&world.objects).clone(), locked(&world.truth).clone());
    Founded {
        objects,
        truth,
        answers,
        at: world.now(),
    }
}

/// Tells the story of `seed`, with a mistake in it or none.
fn tell(seed: u64, bug: Option<Bug>, keeps_lines: bool) -> Ended {
    let founded = founded();
    plant(bug);
    let ended = on_one_thread(seed, async {
        let (objects, truth) = (founded.objects.clone(), founded.truth.clone());
        let begins_at = founded.at.plus_ms(LATER_MS);
        let world = World::new(Plan::of(seed), begins_at, objects, truth, keeps_lines);
        run(Arc::new(world), &founded.answers).await
    });
    plant(None);
    ended
}

async fn run(world: Arc<World>, answers: &[(String, Reply)]) -> Ended {
    world.say(format_args!("{:?}", world.plan));
    let kept: Kept = Kept::default();
    for (path, reply) in answers {
        locked(&kept)
            .entry(path.clone())
            .or_default()
            .push(reply.clone());
    }
    let mut all = JoinSet::new();
    for node in 0..world.plan.nodes {
        all.spawn(Arc::clone(&world).keeps_alive(node));
    }
    for clerk in 0..world.plan.clerks {
        all.spawn(Arc::clone(&world).works(clerk));
    }
    for device in 0..world.plan.devices {
        all.spawn(Arc::clone(&world).wakes_up(device, Arc::clone(&kept)));
    }
    all.spawn(Arc::clone(&world).storms());
    all.spawn(Arc::clone(&world).errs());
    let until = world.plan.stormy_ms;
    while world.elapsed_ms() < until + AGREE_MS && !world.is_broken() {
        sleep(STEP).await;
        for node in 0..world.places.len() {
            world.look(node);
        }
        while let Some(ended) = all.try_join_next() {
            if let Err(panic) = ended {
                world.broken("nobody panics", format_args!("{panic}"));
            }
        }
        if world.elapsed_ms() > until + 2_000 && world.agree() {
            break;
        }
    }
    if !world.is_broken() && !world.agree() {
        let states = world.states();
        world.broken("nodes agree in the end", format_args!("{states}"));
    }
    world.all_acknowledged_are_kept();
    world.broken_promises();
    all.abort_all();
    // A node holds its way to the store, and that the world: who does not let go of one keeps the other.
    world.places.iter().for_each(Place::lets_go);
    world.end()
}

impl World {
    /// Every node serves all there is, which is all that was promised; of a store that forked, what it knew before.
    fn agree(&self) -> bool {
        if !self.all_promises_are_settled() {
            return false;
        }
        let tail = locked(&self.truth).tail();
        self.places.iter().all(|place| {
            let Some(life) = place.life() else {
                return self.plan.is_multi_winner;
            };
            let health = life.node.health();
            health.fork || health.revision.get() == tail && health.from_store && health.store
        })
    }

    fn states(&self) -> String {
        let tail = locked(&self.truth).tail();
        let states = self.places.iter().map(|place| match place.life() {
            Some(life) => format!("{:?}", life.node.health()),
            None => "down".to_owned(),
        });
        format!(
            "the ledger ends at {tail}; {}",
            states.collect::<Vec<_>>().join("; ")
        )
    }
}
