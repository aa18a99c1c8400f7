//! kill -9 in the middle of changes: what was acknowledged is there, in order, once; of what was under way
//! at most the one request is there or not, its op id says which, and asking for it again makes it so.
//!
//! The moments are drawn by a seed that is printed; `HUIDU_SEED=n` draws the same again.

use std::{
    collections::BTreeMap,
    env,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use serde_json::json;

use crate::support::{
    server::{Backing, Cluster},
    wire::{Reply, Wire},
};

/// Changes of one run.
const CHANGES: usize = 200;
const APP: &str = "pingan/travel";

/// One change, and what it is recognised by.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Step {
    op: String,
    what: What,
    version: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    Submit,
    List,
    Kill,
}

/// Every third version's life: handed in, listed, killed.
fn steps(rng: &mut fastrand::Rng) -> Vec<Step> {
    let step = |n: usize| Step {
        op: ulid::Ulid::from_parts(1_800_000_000_000 + n as u64, rng.u128(..)).to_string(),
        what: [What::Submit, What::List, What::Kill][n % 3],
        version: format!("1.0.{}", n / 3),
    };
    (0..CHANGES).map(step).collect()
}

/// What is wrong with a history, given what was acknowledged and what was under way when the crash came.
fn wrong(history: &[String], acknowledged: &[Step], under_way: Option<&Step>) -> Option<String> {
    for (at, step) in acknowledged.iter().enumerate() {
        match history.get(at) {
            Some(op) if *op == step.op => {}
            Some(op) => return Some(format!("change {at} should be {step:?} and is {op}")),
            None => return Some(format!("the acknowledged change {at} is lost: {step:?}")),
        }
    }
    match (&history[acknowledged.len()..], under_way) {
        ([], _) => None,
        ([op], Some(step)) if *op == step.op => None,
        (more, _) => Some(format!("changes that nobody asked for: {more:?}")),
    }
}

#[test]
fn the_checker_finds_what_is_lost_doubled_reordered_and_made_up() {
    let steps = &steps(&mut fastrand::Rng::with_seed(1))[..4];
    let ops: Vec<String> = steps.iter().map(|step| step.op.clone()).collect();
    let says = |ops: &[usize], under_way| {
        let history: Vec<_> = ops.iter().map(|at| steps[*at].op.clone()).collect();
        wrong(&history, &steps[..3], under_way)
    };
    assert_eq!(wrong(&ops[..3], &steps[..3], None), None);
    assert_eq!(wrong(&ops, &steps[..3], Some(&steps[3])), None);
    assert!(says(&[0, 1], None).unwrap().contains("lost"));
    assert!(says(&[0, 1, 1, 2], None).unwrap().contains("should be"));
    assert!(says(&[0, 2, 1], None).unwrap().contains("should be"));
    assert!(says(&[0, 1, 2, 3], None).unwrap().contains("nobody asked"));
    assert!(
        says(&[0, 1, 2, 3, 3], Some(&steps[3]))
            .unwrap()
            .contains("nobody asked")
    );
    assert!(
        says(&[0, 1, 2, 0], Some(&steps[3]))
            .unwrap()
            .contains("nobody asked")
    );
}

#[test]
fn killed_at_any_moment_on_a_directory() {
    run(Backing::Embedded, 40);
}

#[test]
fn killed_at_any_moment_on_s3() {
    run(Backing::S3Redis, 12);
}

struct Run {
    cluster: Cluster,
    token: String,
    /// Revisions before the first step.
    before: usize,
}

fn run(backing: Backing, crashes: usize) {
    let seed = env::var("HUIDU_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(|| fastrand::u64(..));
    println!("HUIDU_SEED={seed}");
    let mut rng = fastrand::Rng::with_seed(seed);
    let steps = steps(&mut rng);
    let mut crash_at: Vec<usize> = (0..CHANGES).collect();
    rng.shuffle(&mut crash_at);
    crash_at.truncate(crashes);

    let cluster = Cluster::start(Path::new(env!("CARGO_BIN_EXE_huidu")), backing, "");
    let token = cluster.token().to_owned();
    let mut run = Run {
        cluster,
        token,
        before: 0,
    };
    let app = run
        .ask("POST", "/apps", "setup", &json!({"app": APP}))
        .unwrap();
    run.before = usize::try_from(app.json()["revision"].as_u64().unwrap()).unwrap();

    let mut usual = Duration::from_millis(5);
    let (mut landed, mut not_landed) = (0, 0);
    for (at, step) in steps.iter().enumerate() {
        if !crash_at.contains(&at) {
            let begun = Instant::now();
            acknowledged(run.step(step), step);
            usual = (usual * 3 + begun.elapsed()) / 4;
            continue;
        }
        // Somewhere in the usual time of a change, and a little beyond.
        let moment = usual.mul_f64(1.3 * rng.f64());
        let answer = run.crash_during(step, moment);
        let history = run.history();
        let of_step = [steps[..at].to_vec(), vec![step.clone()]].concat();
        match answer {
            Some(reply) => {
                acknowledged(Some(reply), step);
                assert_eq!(wrong(&history, &of_step, None), None, "HUIDU_SEED={seed}");
            }
            None => {
                assert_eq!(
                    wrong(&history, &steps[..at], Some(step)),
                    None,
                    "HUIDU_SEED={seed}"
                );
                // Its op id answers, and tells the truth.
                let is_there = history.len() > at;
                let state = run
                    .ask("GET", &format!("/ops/{}", step.op), "", &json!(null))
                    .unwrap();
                let said = state.json()["state"].clone();
                assert_eq!(said == "committed", is_there, "HUIDU_SEED={seed}: {said}");
                // Asked again, it happens once.
                let again = run.step(step);
                let again = acknowledged(again, step);
                assert_eq!(
                    again.json()["repeated"] == true,
                    is_there,
                    "{}",
                    again.text()
                );
                *(if is_there {
                    &mut landed
                } else {
                    &mut not_landed
                }) += 1;
            }
        }
        assert_eq!(
            wrong(&run.history(), &of_step, None),
            None,
            "HUIDU_SEED={seed}"
        );
        assert_eq!(run.lives(), expected_lives(&of_step), "HUIDU_SEED={seed}");
    }
    println!(
        "{crashes} crashes in {CHANGES} changes; unanswered: {landed} had landed, {not_landed} had not"
    );
    assert_eq!(wrong(&run.history(), &steps, None), None);
    assert!(
        landed + not_landed > 0,
        "no crash hit a change; the moments are badly drawn"
    );
}

fn acknowledged(reply: Option<Reply>, step: &Step) -> Reply {
    let reply = reply.unwrap_or_else(|| panic!("no answer to {step:?}"));
    assert!(
        matches!(reply.status, 200 | 201),
        "{step:?}: {}",
        reply.text()
    );
    reply
}

/// The life of every version, after these steps.
fn expected_lives(steps: &[Step]) -> BTreeMap<String, String> {
    let life = |step: &Step| match step.what {
        What::Submit => "submitted",
        What::List => "listed",
        What::Kill => "delisted",
    };
    steps
        .iter()
        .map(|step| (step.version.clone(), life(step).to_owned()))
        .collect()
}

impl Run {
    /// Asks at the first node; none: the connection broke.
    fn ask(&self, method: &str, path: &str, op: &str, body: &serde_json::Value) -> Option<Reply> {
        let json = body.to_string();
        self.send(
            method,
            path,
            op,
            "application/json",
            if body.is_null() { b"" } else { json.as_bytes() },
        )
    }

    fn send(&self, method: &str, path: &str, op: &str, media: &str, body: &[u8]) -> Option<Reply> {
        let bearer = format!("Bearer {}", self.token);
        let mut headers = vec![
            ("authorization", &*bearer),
            ("content-type", media),
            ("if-match", "*"),
        ];
        if !op.is_empty() {
            headers.push(("idempotency-key", op));
        }
        let mut wire = Wire::connect(self.cluster.nodes[0].control).ok()?;
        wire.ask(method, &format!("/api/v1{path}"), &headers, body)
            .ok()
    }

    fn step(&self, step: &Step) -> Option<Reply> {
        let Step { op, what, version } = step;
        match what {
            What::Submit => {
                let path = format!("/apps/{APP}/versions?version={version}");
                self.send("POST", &path, op, "application/gzip", &archive(version))
            }
            What::List => {
                let path = format!("/apps/{APP}/versions/{version}/list");
                self.ask("POST", &path, op, &json!(null))
            }
            What::Kill => {
                let reason = json!({"version": version, "reason": "R"});
                self.ask("POST", &format!("/apps/{APP}/kill"), op, &reason)
            }
        }
    }

    /// Asks for `step`, kills the node a `moment` later, and starts it again.
    fn crash_during(&mut self, step: &Step, moment: Duration) -> Option<Reply> {
        let killer = self.cluster.nodes[0].killer();
        let answer = thread::scope(|scope| {
            let asking = scope.spawn(|| self.step(step));
            thread::sleep(moment);
            killer();
            asking.join().unwrap()
        });
        self.cluster.nodes[0].start_again();
        answer
    }

    /// The ops of every change since the run began, in order.
    fn history(&self) -> Vec<String> {
        let told = self
            .ask("GET", "/history?limit=500", "", &json!(null))
            .unwrap()
            .json();
        let mut ops: Vec<(u64, String)> = (told.as_array().unwrap().iter())
            .map(|line| {
                (
                    line["revision"].as_u64().unwrap(),
                    line["op"].as_str().unwrap().to_owned(),
                )
            })
            .collect();
        ops.sort();
        let revisions: Vec<u64> = ops.iter().map(|(revision, _)| *revision).collect();
        let whole: Vec<u64> = (1..=ops.len() as u64).collect();
        assert_eq!(revisions, whole, "the ledger has a gap");
        ops.drain(..self.before);
        ops.into_iter().map(|(_, op)| op).collect()
    }

    fn lives(&self) -> BTreeMap<String, String> {
        let told = self
            .ask("GET", &format!("/apps/{APP}/versions"), "", &json!(null))
            .unwrap()
            .json();
        let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
        (told.as_array().unwrap().iter())
            .map(|line| (text(&line["number"]), text(&line["life"]["state"])))
            .collect()
    }
}

/// A bundle of one small file.
fn archive(version: &str) -> Vec<u8> {
    let mut tar = tar::Builder::new(flate2::write::GzEncoder::new(
        Vec::new(),
        flate2::Compression::fast(),
    ));
    let text = format!("App({{ version: '{version}' }})\n");
    let mut header = tar::Header::new_ustar();
    header.set_size(text.len() as u64);
    header.set_mode(0o644);
    header.set_cksum();
    tar.append_data(&mut header, "app.js", text.as_bytes())
        .unwrap();
    tar.into_inner().unwrap().finish().unwrap()
}
