//! A ramp that stops itself: three thousand devices come one after the other, the new version crashes on 8 % of those
//! that get it, the old one on 0.5 %, and nobody does anything.
//!
//! Who crashes is drawn from a fixed seed, so two runs tell of the same people; when the guard acts depends on the
//! clock, so what it took is a table of its own. No device here knows the plan: it runs what it is told, and says how
//! that went.

use std::{
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::{
    HOST, Story, say,
    support::{server::until, wire::Wire},
};

/// The app: a second one of the gallery's partner, with the same two releases.
pub(crate) const DESK: &str = "tdesign/desk";
const OLD: &str = "1.15.3";
const NEW: &str = "1.16.0";
/// How many devices come, and how many in a second.
const DEVICES: usize = 3_000;
const A_SECOND: usize = 100;
/// How often a release ends with a crash.
const CRASHES_NEW: f64 = 0.08;
const CRASHES_OLD: f64 = 0.005;

/// What devices did before the guard acted, and after.
#[derive(Default)]
struct Seen {
    came: usize,
    exposed: Vec<usize>,
    crashed_new: usize,
    controls: usize,
    crashed_old: usize,
    stopped: Option<Duration>,
    given_after: usize,
}

fn plan() -> String {
    format!(
        "app = \"{DESK}\"\nhosts = [\"{HOST}\"]\nstable = \"{OLD}\"\n\
         [[rule]]\nname = \"next\"\nserve = \"{NEW}\"\n\
         [rule.ramp]\n\
         step = [{{ share = \"20%\", hold = \"1h\", units = 500 }}, {{ share = \"100%\", hold = \"1h\" }}]\n\
         guard = [{{ measure = \"crashed\", action = \"roll-back\" }}]\n"
    )
}

fn path(device: usize) -> String {
    format!("/v1/manifest/{HOST}/{DESK}?u=desk-{device:04}&p=android&r=CN-31&hv=8.2.1")
}

impl Story<'_> {
    /// The ramp from its first device to its end, and the table of it.
    pub(crate) fn guarded(&mut self) {
        self.publish_as(DESK, &[(1, OLD), (2, NEW)]);
        self.put(DESK, &plan());
        say(&format!(
            "{DESK}: {NEW} ramps to 20 % with a guard on crashes; {DEVICES} devices come, {A_SECOND} a second"
        ));
        let seen = self.devices_come();
        let nodes = 0..self.cluster.nodes.len();
        let ramps: Vec<Value> = nodes.map(|node| self.ramp(node)).collect();
        let by = self.who_moved_it();

        let back = seen.exposed.iter().filter(|device| {
            let node = *device % self.nodes.len();
            let reply =
                Wire::connect(self.nodes[node]).and_then(|mut wire| wire.get(&path(**device), &[]));
            reply.unwrap().json()["version"] == OLD
        });
        let back = back.count();
        let table = &mut self.table;
        table.holds(
            "the guard stopped the ramp by itself",
            seen.stopped.is_some(),
        );
        table.holds(
            "every node says that the ramp was rolled back",
            ramps
                .iter()
                .all(|ramp| ramp["state"] == "rolled back" && ramp["share"] == "0%"),
        );
        table.holds("it was decided once, and by no person", by == ["roll-back"]);
        table.holds(
            "nobody was given the version after it",
            seen.given_after == 0,
        );
        table.holds(
            "every device that had it was given the old one at its next poll",
            back == seen.exposed.len(),
        );
        println!("\n{}", seen.table());
    }

    /// One device after the other, at its time, each at some node.
    fn devices_come(&self) -> Seen {
        let mut wires: Vec<Wire> = (self.cluster.nodes.iter())
            .map(|node| node.wire())
            .collect();
        let mut chance = fastrand::Rng::with_seed(8);
        let mut seen = Seen::default();
        let began = Instant::now();
        for device in 0..DEVICES {
            let due = Duration::from_secs_f64(device as f64 / A_SECOND as f64);
            // Devices come at their own pace, whatever the server does.
            thread::sleep(due.saturating_sub(began.elapsed()));
            let node = device % wires.len();
            let wire = &mut wires[node];
            let told = wire.get(&path(device), &[]).unwrap().json();
            let is_new = told["version"] == NEW;
            let rate = if is_new { CRASHES_NEW } else { CRASHES_OLD };
            let crashes = chance.f64() < rate;
            if seen.stopped.is_some() {
                seen.given_after += usize::from(is_new);
                continue;
            }
            seen.came += 1;
            if is_new {
                seen.exposed.push(device);
                seen.crashed_new += usize::from(crashes);
            } else if told["arm"] == "control" {
                seen.controls += 1;
                seen.crashed_old += usize::from(crashes);
            }
            let event = if crashes { "crashed" } else { "activated" };
            let mut event = json!({"id": format!("{:032x}", chance.u128(..)), "app": DESK, "version": told["version"], "event": event});
            for field in ["rule", "arm"] {
                if told[field].is_string() {
                    event[field] = told[field].clone();
                }
            }
            let reply = wire.post("/v1/events", &json!({"host": HOST, "events": [event]}));
            let reply = reply.unwrap();
            assert_eq!(reply.status, 202, "{}", reply.text());
            // Rolled back at this node; the others follow, and only what they give out after that is judged.
            if !is_new && seen.exposed.len() > 1 && self.is_back(&mut wires, seen.exposed[0]) {
                seen.stopped = Some(began.elapsed());
            }
        }
        seen
    }

    /// True when no node offers the new version to `device`, which had it; waits for the last node once one is back.
    fn is_back(&self, wires: &mut [Wire], device: usize) -> bool {
        let mut offered =
            |wire: &mut Wire| wire.get(&path(device), &[]).unwrap().json()["version"] == NEW;
        if wires.iter_mut().all(&mut offered) {
            return false;
        }
        for wire in wires {
            until("every node rolls back", || !offered(wire));
        }
        true
    }

    fn ramp(&self, node: usize) -> Value {
        let control = self.cluster.control(node);
        let reply = control.get(&format!("/api/v1/apps/{DESK}/ramp")).unwrap();
        reply.document["ramps"][0].clone()
    }

    /// Every act on the ramp that no person asked for.
    fn who_moved_it(&self) -> Vec<String> {
        let history = self
            .admin
            .get(&format!("/api/v1/history?app={DESK}"))
            .unwrap();
        let lines = history.document.as_array().unwrap().iter();
        let moved = lines.filter(|line| line["events"][0]["event"] == "ramp-moved");
        moved
            .map(|line| {
                line["events"][0]["act"]
                    .as_str()
                    .unwrap_or_default()
                    .to_owned()
            })
            .collect()
    }
}

impl Seen {
    fn table(&self) -> String {
        let rate = |hits: usize, of: usize| 100.0 * hits as f64 / of.max(1) as f64;
        let took = self.stopped.map_or_else(
            || "it did not stop".to_owned(),
            |took| format!("stopped after {:.1} s", took.as_secs_f64()),
        );
        format!(
            "the guarded ramp     devices  crashed\n\
             came until then      {:>7}\n\
             exposed to {NEW}    {:>7}  {:>4} ({:.1}%)\n\
             held on {OLD}       {:>7}  {:>4} ({:.1}%)\n\
             {took}, with {} of {DEVICES} devices exposed",
            self.came,
            self.exposed.len(),
            self.crashed_new,
            rate(self.crashed_new, self.exposed.len()),
            self.controls,
            self.crashed_old,
            rate(self.crashed_old, self.controls),
            self.exposed.len(),
        )
    }
}
