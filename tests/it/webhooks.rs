//! Webhooks of real nodes to a real receiver that checks what it is sent, loses answers, is slow, is dead, and would lead
//! nodes elsewhere; and nodes of which the one that tells is killed.

use std::{
    collections::{BTreeMap, VecDeque},
    fs,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    path::Path,
    process::Command,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use huidu::clock::{Clock as _, System};
use ring::hmac;
use serde_json::{Value, json};

use crate::{
    support::{
        server::{Backing, Cluster, Node, until},
        wire::Wire,
    },
    world::World,
};

const SECRET: &str = "0123456789abcdef0123456789abcdef";
const OLD_SECRET: &str = "fedcba9876543210fedcba9876543210";

/// What the receiver does with a request.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Does {
    /// It takes it.
    Takes,
    /// It takes it, and the connection breaks before the answer.
    LosesTheAnswer,
    /// It answers so.
    Says(String),
    /// It reads and never answers.
    Hangs,
}

/// A receiver on this machine.
struct Receiver {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
    script: Arc<Mutex<(VecDeque<Does>, Does)>>,
    heard: Arc<Mutex<Vec<Value>>>,
}

impl Receiver {
    /// One that does what `script` says, and then `always` the same.
    fn start(script: &[Does], always: Does) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let receiver = Self {
            address: listener.local_addr().unwrap(),
            connections: Arc::default(),
            script: Arc::new(Mutex::new((script.to_vec().into(), always))),
            heard: Arc::default(),
        };
        let (connections, script) = (
            Arc::clone(&receiver.connections),
            Arc::clone(&receiver.script),
        );
        let heard = Arc::clone(&receiver.heard);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                connections.fetch_add(1, Ordering::SeqCst);
                let (script, heard) = (Arc::clone(&script), Arc::clone(&heard));
                thread::spawn(move || answer(stream, &script, &heard));
            }
        });
        receiver
    }

    fn always(&self, does: Does) {
        self.script.lock().unwrap().1 = does;
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// Everything that was sent, as far as it was read whole.
    fn heard(&self) -> Vec<Value> {
        self.heard.lock().unwrap().clone()
    }

    /// Of one app, what happened to it, each id once and in the order in which they came first.
    fn told(&self, app: &str) -> Vec<(String, String)> {
        let mut told: Vec<(String, String)> = Vec::new();
        for message in self.heard().iter().filter(|message| message["app"] == app) {
            let text = |field: &str| message[field].as_str().unwrap().to_owned();
            let one = (text("id"), text("event"));
            if !told.contains(&one) {
                told.push(one);
            }
        }
        told
    }
}

/// Reads one request, checks it as any receiver would, and does what comes next.
fn answer(
    mut stream: TcpStream,
    script: &Mutex<(VecDeque<Does>, Does)>,
    heard: &Mutex<Vec<Value>>,
) {
    let Some((head, body)) = request(&mut stream) else {
        return;
    };
    assert!(head.starts_with("POST /hook?room=7 HTTP/1.1"), "{head}");
    let mut headers = head.lines().filter_map(|line| line.split_once(": "));
    let signature = headers.find(|(name, _)| name.eq_ignore_ascii_case("huidu-signature"));
    assert!(is_signed(signature.unwrap().1, &body), "{head}");
    let does = {
        let mut script = script.lock().unwrap();
        let always = script.1.clone();
        script.0.pop_front().unwrap_or(always)
    };
    heard
        .lock()
        .unwrap()
        .push(serde_json::from_slice(&body).unwrap());
    match does {
        Does::Takes => {
            let _gone = stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n");
        }
        Does::LosesTheAnswer => {}
        Does::Says(status) => {
            let _gone = stream.write_all(status.as_bytes());
        }
        Does::Hangs => {
            // Until the node has had enough.
            let _end = stream.read(&mut [0]);
        }
    }
}

fn request(stream: &mut TcpStream) -> Option<(String, Vec<u8>)> {
    let (mut bytes, mut part) = (Vec::new(), [0; 4_096]);
    loop {
        let at = bytes.windows(4).position(|four| four == b"\r\n\r\n");
        if let Some(at) = at {
            let head = String::from_utf8(bytes[..at].to_vec()).unwrap();
            let length = head.lines().find_map(|line| {
                let (name, value) = line.split_once(": ")?;
                name.eq_ignore_ascii_case("content-length")
                    .then(|| value.parse::<usize>().unwrap())
            })?;
            if bytes.len() >= at + 4 + length {
                return Some((head, bytes[at + 4..at + 4 + length].to_vec()));
            }
        }
        let read = stream.read(&mut part).ok().filter(|read| *read > 0)?;
        bytes.extend_from_slice(&part[..read]);
    }
}

/// The signatures of both secrets fit, and it was sent now.
fn is_signed(header: &str, body: &[u8]) -> bool {
    let fields: Vec<(&str, &str)> = header
        .split(',')
        .filter_map(|one| one.split_once('='))
        .collect();
    let [("t", time), ("v1", new), ("v1", old)] = fields[..] else {
        return false;
    };
    let now = System.now().unix_ms() / 1_000;
    let is_now = now.abs_diff(time.parse().unwrap()) < 60;
    let message = [time.as_bytes(), b".", body].concat();
    let fits = |secret: &str, signature: &str| {
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
        let signature = data_encoding::HEXLOWER
            .decode(signature.as_bytes())
            .unwrap();
        hmac::verify(&key, &message, &signature).is_ok()
    };
    is_now && fits(SECRET, new) && fits(OLD_SECRET, old)
}

/// A world whose nodes tell these receivers.
fn world(backing: Backing, receivers: &[(&str, String)]) -> World {
    let mut cluster = Cluster::unstarted(Path::new(env!("CARGO_BIN_EXE_huidu")), backing, "");
    let secret = cluster.path().join("hook-secret");
    fs::write(&secret, format!("{SECRET}\n{OLD_SECRET}\n")).unwrap();
    for node in &cluster.nodes {
        for (name, address) in receivers {
            node.set(&format!(
                "[[webhook]]\nname = \"{name}\"\naddress = \"{address}\"\nsecret_file = {secret:?}"
            ));
        }
    }
    cluster.found();
    World::of(cluster)
}

fn at(receiver: &Receiver) -> String {
    format!("http://{}/hook?room=7", receiver.address)
}

impl World {
    fn stops(&self, app: &str) -> u64 {
        let kill = self.by(&self.mo, "POST", &format!("/apps/{app}/kill"));
        let kill = kill
            .if_match("*")
            .json(&json!({"reason": "sells <b>addresses</b>"}));
        self.done(&kill.send())
    }

    fn brings_back(&self, app: &str) -> u64 {
        let unkill = self.by(&self.mo, "POST", &format!("/apps/{app}/unkill"));
        let unkill = unkill.if_match("*").json(&json!({"reason": "no fraud"}));
        self.done(&unkill.send())
    }
}

/// The samples of webhooks that a node shows, by name and labels.
fn samples(world: &World, node: usize) -> BTreeMap<String, f64> {
    let mut wire = Wire::connect(world.cluster.nodes[node].control).unwrap();
    let text = wire.get("/metrics", &[]).unwrap().text();
    let lines = text
        .lines()
        .filter(|line| line.starts_with("huidu_webhook_"));
    let sample = |line: &str| {
        let (name, value) = line.rsplit_once(' ').unwrap();
        (name.to_owned(), value.parse().unwrap())
    };
    lines.map(sample).collect()
}

fn deliveries(world: &World, receiver: &str, outcome: &str) -> f64 {
    let name =
        format!("huidu_webhook_deliveries_total{{outcome=\"{outcome}\",receiver=\"{receiver}\"}}");
    let nodes = 0..world.cluster.nodes.len();
    nodes
        .filter_map(|node| samples(world, node).get(&name).copied())
        .sum()
}

#[test]
fn a_receiver_is_told_of_a_kill_whatever_it_does_and_nobody_waits_for_it() {
    let elsewhere = Receiver::start(&[], Does::Takes);
    let redirect = format!(
        "HTTP/1.1 307 Temporary Redirect\r\nlocation: {}\r\ncontent-length: 0\r\n\r\n",
        at(&elsewhere)
    );
    let fails = "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n".to_owned();
    let script = [
        Does::LosesTheAnswer,
        Does::Says(redirect),
        Does::Says(fails),
    ];
    let (pager, slow) = (
        Receiver::start(&script, Does::Takes),
        Receiver::start(&[], Does::Hangs),
    );
    let inside = Receiver::start(&[], Does::Takes);
    // Nobody allowed a network of the bank.
    let hidden = format!("https://localhost:{}/hook?room=7", inside.address.port());
    let receivers = [
        ("pager", at(&pager)),
        ("slow", at(&slow)),
        ("inside", hidden),
    ];
    let mut world = world(Backing::Embedded, &receivers);
    let app = world.app(&["1.0.0"]);
    world.rollout(&app, "stable = \"1.0.0\"\n");

    let since = Instant::now();
    let killed = world.stops(&app);
    until("the slow one is being told", || slow.heard().len() == 1);
    // It holds nothing up: a kill is taken back while it does not answer.
    let back = world.brings_back(&app);
    assert!(
        since.elapsed() < Duration::from_secs(3),
        "{:?}",
        since.elapsed()
    );

    let told = [
        (format!("{killed}.0"), "kill".to_owned()),
        (format!("{back}.0"), "unkill".to_owned()),
    ];
    until("both are told", || {
        pager.told(&app) == told && pager.heard().len() == 5
    });
    let heard = pager.heard();
    assert!(
        heard[..4].iter().all(|message| *message == heard[0]),
        "{heard:#?}"
    );
    let said = &heard[0];
    let fields: Vec<&str> = said
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    assert_eq!(
        fields,
        ["app", "at", "audience", "by", "event", "id", "reason", "v"]
    );
    assert_eq!(
        (&said["v"], &said["audience"]),
        (&json!(1), &json!("bank/dev"))
    );
    assert_eq!(said["reason"], "sells <b>addresses</b>");
    assert_eq!(elsewhere.connections(), 0, "a redirect was followed");

    until("the other networks are refused", || {
        deliveries(&world, "inside", "failed") >= 2.0
    });
    assert_eq!(inside.connections(), 0);
    until("it is counted", || {
        deliveries(&world, "pager", "delivered") >= 2.0
    });
    assert_eq!(deliveries(&world, "pager", "failed"), 3.0);
    until("the slow one is given the time it has", || {
        deliveries(&world, "slow", "failed") >= 1.0
    });
    until("what waits for each is known", || {
        let known = samples(&world, 0);
        let waiting = |name: &str| known[&format!("huidu_webhook_waiting{{receiver=\"{name}\"}}")];
        (waiting("slow"), waiting("pager")) == (2.0, 0.0)
    });
    let log = world.cluster.nodes[0].log();
    assert!(!log.contains("room=7") && !log.contains(SECRET), "{log}");

    // What it has not taken outlasts the node; what another has is not told again.
    world.cluster.nodes[0].start_again();
    slow.always(Does::Takes);
    until("the slow one has both", || slow.told(&app) == told);
    let third = world.stops(&app);
    until("all are told of the next", || {
        let next = (format!("{third}.0"), "kill".to_owned());
        pager.told(&app).last() == Some(&next) && slow.told(&app).last() == Some(&next)
    });
    assert_eq!(pager.heard().len(), 6, "{:#?}", pager.heard());
}

/// The node that has the turn.
fn teller(world: &World) -> Option<usize> {
    let has = |node: &usize| {
        samples(world, *node).get("huidu_webhook_turn{receiver=\"pager\"}") == Some(&1.0)
    };
    let all: Vec<usize> = (0..world.cluster.nodes.len()).filter(has).collect();
    assert!(all.len() <= 1, "{all:?} have the turn");
    all.first().copied()
}

#[test]
fn of_three_nodes_one_tells_and_one_that_is_killed_is_followed_by_another() {
    let down = "HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\n\r\n".to_owned();
    let pager = Receiver::start(&[], Does::Takes);
    let mut world = world(Backing::S3Redis, &[("pager", at(&pager))]);
    let app = world.app(&["1.0.0"]);
    world.rollout(&app, "stable = \"1.0.0\"\n");
    let mut wanted = Vec::new();
    let mut want = |rev: u64, event: &str| {
        wanted.push((format!("{rev}.0"), event.to_owned()));
        wanted.clone()
    };

    for _ in 0..5 {
        want(world.stops(&app), "kill");
        want(world.brings_back(&app), "unkill");
    }
    let all = want(world.stops(&app), "kill");
    until("all are told", || pager.told(&app) == all);
    assert_eq!(pager.heard().len(), 11, "one node tells each once");
    let mut one = None;
    until("one node has the turn", || {
        one = teller(&world);
        one.is_some()
    });

    // It dies while it cannot deliver.
    pager.always(Does::Says(down));
    let all = want(world.brings_back(&app), "unkill");
    until("it is tried", || pager.told(&app) == all);
    let one = one.unwrap();
    world.cluster.nodes[one].kill();
    let before = pager.heard().len();
    let since = Instant::now();
    until("another one tries", || pager.heard().len() > before);
    let took = since.elapsed();
    pager.always(Does::Takes);
    until("it is delivered", || {
        let mut others = (0..3).filter(|node| *node != one);
        others.any(|node| {
            let name = "huidu_webhook_deliveries_total{outcome=\"delivered\",receiver=\"pager\"}";
            samples(&world, node)
                .get(name)
                .is_some_and(|count| *count >= 1.0)
        })
    });
    println!(
        "figure: a node that tells a webhook is killed; another tells it after, ms: {}",
        took.as_millis()
    );
    world.cluster.nodes[one].start_again();

    // Without Redis nobody can say whose turn it is.
    world.cluster.redis.as_mut().unwrap().kill();
    let all = want(world.stops(&app), "kill");
    until("it is told without Redis", || pager.told(&app) == all);
    world.cluster.redis.as_mut().unwrap().start_again();
    until("one node has the turn again", || {
        let turns = (0..3).filter(|node| {
            samples(&world, *node).get("huidu_webhook_turn{receiver=\"pager\"}") == Some(&1.0)
        });
        turns.count() == 1
    });

    // All of them end and start again: nothing of it is told anew.
    world.cluster.nodes.iter_mut().for_each(Node::terminate);
    let before = pager.heard().len();
    world.cluster.restart();
    let all = want(world.brings_back(&app), "unkill");
    until("what follows is told", || pager.told(&app) == all);
    assert_eq!(pager.heard().len(), before + 1);
}

/// The example of the page, on the vectors.
#[test]
fn the_check_that_the_page_shows_takes_what_is_signed_and_nothing_else() {
    let root = env!("CARGO_MANIFEST_DIR");
    let page = fs::read_to_string(format!("{root}/docs/webhooks.md")).unwrap();
    let (_, example) = page.split_once("```python\n").unwrap();
    let (example, _) = example.split_once("```").unwrap();
    let tries = r#"
import json, sys
vectors = json.load(open(sys.argv[1]))
sent = vectors["timestamp"]
assert len(vectors["messages"]) == 2
for message in vectors["messages"]:
    header, body = message["signature"], message["body"].encode()
    for secret in vectors["secrets"]:
        assert is_from_huidu(secret, header, body, sent)
        assert is_from_huidu(secret, header, body, sent + 300) and is_from_huidu(secret, header, body, sent - 300)
        assert not is_from_huidu(secret, header, body, sent + 301)
        assert not is_from_huidu(secret, header, body + b" ", sent)
        assert not is_from_huidu(secret, header.replace("t=", "t=1"), body, sent)
        assert not is_from_huidu(secret, header + ",t=" + str(sent), body, sent)
        assert not is_from_huidu(secret, header.split(",")[0], body, sent)
    assert not is_from_huidu("x" * 32, header, body, sent)
print("checked")
"#;
    let checked = Command::new("python3")
        .args(["-c", &format!("{example}\n{tries}")])
        .arg(format!("{root}/tests/vectors/webhook.json"))
        .output()
        .expect("python3 is missing; install it with `apt-get install python3`");
    let why = String::from_utf8_lossy(&checked.stderr);
    assert_eq!(
        String::from_utf8_lossy(&checked.stdout).trim(),
        "checked",
        "{why}"
    );
}
