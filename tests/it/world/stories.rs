//! What happens in a bank when nothing is broken.

use std::{collections::BTreeSet, path::Path};

use huidu::{
    client::{
        Patience,
        device::{Device, DeviceConfig, Starter, What},
        profile::Profile,
        root::Root,
        uptime,
    },
    clock::{Clock as _, System},
};
use huidu_core::{digest::Digest, name::AppId, version::Number};
use serde_json::json;

use super::{HOST, World, phones, refused::refused};
use crate::support::server::{Backing, until};

/// What happens in a world.
type Story = fn(&World);

/// Every story, by name.
const STORIES: [(&str, Story); 11] = [
    ("a ramp, a hotfix over it, a kill, and the way back", ramp),
    ("these people and a percentage of the rest", staff),
    (
        "a version is delisted when nobody is served it any more",
        delisted,
    ),
    (
        "a release that failed on a phone is never offered to it again",
        failed,
    ),
    ("a phone asks for all its apps at once", batch),
    ("a broken download goes on where it broke off", download),
    ("the same wish through two nodes happens once", idempotent),
    ("two managers do not overwrite each other", two_managers),
    ("the history says who, when, what and why", history),
    ("what phones report is counted and is about nobody", reports),
    ("who may not, or asks wrongly, is told why", refused),
];

/// The stories, one test each, on one node with a directory.
macro_rules! embedded {
    ($($story:ident),*) => {
        $(#[test]
        fn $story() {
            let world = World::new(Backing::Embedded);
            super::$story(&world);
            world.logs_hold_nobody();
        })*

        #[test]
        fn none_is_forgotten() {
            let told = [$(super::$story as super::Story),*];
            assert_eq!(told.len(), super::STORIES.len());
        }
    };
}

mod embedded {
    use super::{Backing, World};

    embedded!(
        ramp,
        staff,
        delisted,
        failed,
        batch,
        download,
        idempotent,
        two_managers,
        history,
        reports,
        refused
    );
}

/// All of them in one world, because a SeaweedFS takes its time to start.
#[test]
fn all_stories_on_three_nodes_with_s3_and_redis() {
    let world = World::new(Backing::S3Redis);
    for (name, story) in STORIES {
        println!("{name}");
        story(&world);
    }
    world.logs_hold_nobody();
}

fn ramp(world: &World) {
    let app = world.app(&["1.0.0", "1.1.0", "1.0.1"]);
    let units = phones(600);
    let rollout = |stable: &str, share: &str| {
        format!(
            "stable = \"{stable}\"\n[[rule]]\nname = \"ramp\"\nshare = \"{share}\"\n\
             split = {{ a = {{ serve = \"1.1.0\", weight = 1 }}, b = {{ serve = \"1.1.0\", weight = 3, params = {{ skin = \"b\" }} }} }}\n"
        )
    };
    world.rollout(&app, &rollout("1.0.0", "5%"));
    let five = world.versions(&app, &units, "");
    let on = |told: &[(String, String)], version: &str| {
        told.iter().filter(|(v, _)| v == version).count()
    };
    assert!(
        (10..60).contains(&on(&five, "1.1.0")),
        "{} of 600 at 5%",
        on(&five, "1.1.0")
    );

    let path = format!("/apps/{app}/rollout/rules/ramp/share");
    let raised = world
        .by(&world.mo, "PUT", &path)
        .if_match("*")
        .json(&json!({"share": "50%"}))
        .send();
    world.done(&raised);
    let fifty = world.versions(&app, &units, "");
    assert!(
        (240..360).contains(&on(&fifty, "1.1.0")),
        "{} of 600 at 50%",
        on(&fifty, "1.1.0")
    );
    for (before, after) in five.iter().zip(&fifty) {
        if before.0 == "1.1.0" {
            assert_eq!(before, after, "no phone goes back, none switches its arm");
        }
    }

    world.rollout(&app, &rollout("1.0.1", "50%"));
    let fixed = world.versions(&app, &units, "");
    assert_eq!(
        on(&fixed, "1.0.1"),
        on(&fifty, "1.0.0"),
        "everybody outside the ramp got the hotfix"
    );
    assert_eq!(on(&fixed, "1.1.0"), on(&fifty, "1.1.0"), "the ramp went on");

    // Sven stands at the last node, and the phones ask all of them.
    let kill = world.by(&world.sven, "POST", &format!("/apps/{app}/kill"));
    let revision = world.done(
        &kill
            .json(&json!({"version": "1.1.0", "reason": "it loses orders"}))
            .send(),
    );
    let killed = world.versions(&app, &units, "");
    assert_eq!(on(&killed, "1.0.1"), units.len());
    for node in &world.cluster.nodes {
        let kills = node.wire().get("/v1/kills", &[]).unwrap();
        let bundle = Digest::of(&world.bundle(&app, "1.1.0"));
        let since = kills.json()["kills"][0]["since"].clone();
        let expected = json!({"v": 1, "aud": "bank/dev", "rev": revision, "keyring": 1, "kills": [{
            "app": app, "version": "1.1.0", "sha256": bundle, "reason": "it loses orders", "since": since,
        }]});
        assert_eq!(kills.json(), expected);
    }

    let unkill = world
        .by(&world.maya, "POST", &format!("/apps/{app}/unkill"))
        .if_match("*");
    world.done(
        &unkill
            .json(&json!({"version": "1.1.0", "reason": "it was the network"}))
            .send(),
    );
    assert_eq!(
        world.versions(&app, &units, ""),
        fixed,
        "everybody has what they had before"
    );
}

fn staff(world: &World) {
    let app = world.app(&["1.0.0", "1.1.0"]);
    let list = "phone-0003\nphone-0005\n";
    let put = world
        .by(&world.maya, "PUT", "/segments/bank-staff")
        .header("if-match", "*");
    world.done(&put.body("text/plain; charset=utf-8", list.into()).send());
    world.rollout(
        &app,
        "stable = \"1.0.0\"\n[[rule]]\nname = \"staff\"\nwhen = { segment = \"bank-staff\" }\nserve = \"1.1.0\"\n\
         [[rule]]\nname = \"rest\"\nwhen = { region = \"CN-31\" }\nshare = \"10%\"\nserve = \"1.1.0\"\n",
    );
    let units = phones(500);
    let there = world.versions(&app, &units, "&r=CN-31");
    let elsewhere = world.versions(&app, &units, "&r=CN-11");
    for staff in [3, 5] {
        assert_eq!((&*there[staff].0, &*elsewhere[staff].0), ("1.1.0", "1.1.0"));
    }
    let on = |told: &[(String, String)]| {
        told.iter()
            .filter(|(version, _)| version == "1.1.0")
            .count()
    };
    assert_eq!(on(&elsewhere), 2);
    assert!(
        (25..80).contains(&on(&there)),
        "{} of 500 at 10% and two of staff",
        on(&there)
    );
    // Why: staff by their rule, the others by theirs.
    let why = world.by(&world.sven, "POST", &format!("/apps/{app}/explain"));
    let why = why
        .json(&json!({"host": HOST, "device": {"unit": "phone-0003"}}))
        .send()
        .json();
    assert_eq!(
        (&why["rule"], &why["version"]),
        (&json!("staff"), &json!("1.1.0"))
    );
}

fn delisted(world: &World) {
    let app = world.app(&["1.0.0", "1.1.0"]);
    let all = "stable = \"1.0.0\"\n[[rule]]\nname = \"all\"\nshare = \"90%\"\nserve = \"1.1.0\"\n";
    world.rollout(&app, all);
    let units = phones(50);
    let told = world.versions(&app, &units, "");
    assert!(told.iter().any(|(version, _)| version == "1.1.0"));
    // What is served is not delisted under the feet of those who run it: that is what a kill is for.
    let path = format!("/apps/{app}/versions/1.1.0/delist");
    let delist = || {
        let asking = world.by(&world.maya, "POST", &path).if_match("*");
        asking.json(&json!({"reason": "recalled"})).send()
    };
    let refused = delist();
    assert_eq!(
        (refused.status, &refused.json()["code"]),
        (409, &json!("served")),
        "{}",
        refused.text()
    );
    world.rollout(&app, "stable = \"1.0.0\"\n");
    world.done(&delist());
    assert!(
        world
            .versions(&app, &units, "")
            .iter()
            .all(|(version, _)| version == "1.0.0")
    );
    // What is delisted is not rolled out again, and the file says where it is named.
    let again = format!("app = \"{app}\"\nhosts = [\"{HOST}\"]\nstable = \"1.1.0\"\n");
    let put = world
        .by(&world.maya, "PUT", &format!("/apps/{app}/rollout"))
        .if_match("*");
    let refused = put.body("application/toml", again.into_bytes()).send();
    assert_eq!(refused.status, 422, "{}", refused.text());
    let error = &refused.json()["errors"][0];
    assert_eq!(
        (&error["line"], &error["column"]),
        (&json!(3), &json!(10)),
        "{error}"
    );
}

fn failed(world: &World) {
    let app = world.app(&["1.0.0", "1.1.0"]);
    world.rollout(&app, "stable = \"1.0.0\"\n[[rule]]\nname = \"ios\"\nwhen = { platform = \"ios\" }\nserve = \"1.1.0\"\n");
    assert_eq!(world.told(&app, "phone-0001", "&p=ios")["version"], "1.1.0");
    assert_eq!(
        world.told(&app, "phone-0001", "&p=ios&x=1.1.0")["version"],
        "1.0.0"
    );
    assert_eq!(
        world.told(&app, "phone-0001", "&p=ios&x=1.1.0,1.0.0")["state"],
        "none"
    );
}

fn batch(world: &World) {
    let apps = [world.app(&["1.0.0"]), world.app(&["2.0.0"])];
    world.rollout(&apps[0], "stable = \"1.0.0\"\n");
    world.rollout(&apps[1], "stable = \"2.0.0\"\n");
    let mut wire = world.cluster.nodes[0].wire();
    let ask = |etags: [&str; 2], wire: &mut crate::support::wire::Wire| {
        let asked = apps
            .iter()
            .zip(etags)
            .map(|(app, etag)| json!({"app": app, "etag": etag}));
        let device = json!({"unit": "phone-0001", "platform": "ios"});
        wire.post(
            "/v1/poll",
            &json!({"host": HOST, "device": device, "apps": asked.collect::<Vec<_>>()}),
        )
        .unwrap()
    };
    let first = ask(["", ""], &mut wire);
    let told = first.json();
    let etags: Vec<_> = told["apps"]
        .as_array()
        .unwrap()
        .iter()
        .map(|app| app["etag"].as_str().unwrap())
        .collect();
    let again = ask([etags[0], etags[1]], &mut wire);
    assert_eq!((again.status, again.body.len()), (304, 0));
    assert_eq!(again.header("etag"), first.header("etag"));
    // One of them changes: only that one comes.
    world.publish(&apps[1], "2.1.0");
    world.rollout(&apps[1], "stable = \"2.1.0\"\n");
    let news = ask([etags[0], etags[1]], &mut wire).json();
    let news = news["apps"].as_array().unwrap();
    assert_eq!(news.len(), 1);
    assert_eq!(
        (&news[0]["app"], &news[0]["manifest"]["version"]),
        (&json!(apps[1]), &json!("2.1.0"))
    );
}

fn download(world: &World) {
    let app = world.app(&["1.0.0"]);
    world.rollout(&app, "stable = \"1.0.0\"\n");
    let bundle = world.told(&app, "phone-0001", "")["bundle"].clone();
    let url = bundle["url"].as_str().unwrap();
    let nodes = &world.cluster.nodes;
    // The first half from one node, the rest from another.
    let half = nodes[0]
        .wire()
        .get(url, &[("range", "bytes=0-99999")])
        .unwrap();
    assert_eq!(
        (half.status, half.body.len()),
        (206, 100_000),
        "{:?}",
        half.headers
    );
    let etag = half.header("etag").to_owned();
    let rest = [("range", "bytes=100000-"), ("if-range", etag.as_str())];
    let rest = nodes[nodes.len() - 1].wire().get(url, &rest).unwrap();
    let bytes = [half.body, rest.body].concat();
    assert_eq!(Digest::of(&bytes).to_string(), bundle["sha256"]);
    assert!(bytes == world.bundle(&app, "1.0.0"));
    // And as a device does it, that believes nothing it has not checked.
    let server = nodes[0].device_url();
    let config = DeviceConfig {
        root: Root::of_server(&server, "bank/dev").unwrap(),
        challenges: false,
        preview: None,
        patience: Patience::default(),
        server,
        dir: world.cluster.path().join(app.replace('/', "-")),
        host: HOST.parse().unwrap(),
        apps: vec![app.parse().unwrap()],
        profile: Profile {
            unit: "phone-0001".into(),
            ..Profile::default()
        },
    };
    let mut phone = Device::open(config).unwrap();
    let happened: Vec<What> = phone
        .cycle(uptime::now(), &mut Runs)
        .unwrap()
        .iter()
        .map(|one| one.what)
        .collect();
    assert_eq!(happened, [What::Downloaded, What::Activated]);
    let kill = world.by(&world.sven, "POST", &format!("/apps/{app}/kill"));
    world.done(&kill.json(&json!({"reason": "fraud"})).send());
    let happened: Vec<What> = phone
        .cycle(uptime::now(), &mut Runs)
        .unwrap()
        .iter()
        .map(|one| one.what)
        .collect();
    assert!(happened.contains(&What::Stopped), "{happened:?}");
    assert_eq!(phone.running(&app.parse().unwrap()), None);
}

/// A phone on which everything starts.
pub(super) struct Runs;

impl Starter for Runs {
    fn start(&mut self, _: &AppId, _: &Number, files: &Path) -> Result<(), String> {
        files
            .join("app.js")
            .exists()
            .then_some(())
            .ok_or_else(|| "there is no app.js".into())
    }

    fn progress(&mut self, _: &AppId, _: u64, _: u64) {}
}

fn idempotent(world: &World) {
    let app = world.app(&["1.0.0", "1.1.0"]);
    world.rollout(
        &app,
        "stable = \"1.0.0\"\n[[rule]]\nname = \"ramp\"\nshare = \"1%\"\nserve = \"1.1.0\"\n",
    );
    let path = format!("/apps/{app}/rollout/rules/ramp/share");
    let mo_here = world.mo.at(0);
    let ask = |person| {
        let asking = world
            .by(person, "PUT", &path)
            .if_match("*")
            .header("idempotency-key", &format!("raise {app}"));
        asking.json(&json!({"share": "2%"})).send()
    };
    let (first, second) = (ask(&world.mo), ask(&mo_here));
    world.done(&first);
    let (first, second) = (first.json(), second.json());
    assert_eq!(
        (&first["revision"], &first["op"]),
        (&second["revision"], &second["op"])
    );
    assert_eq!(second["repeated"], true, "{second}");
    let op = first["op"].as_str().unwrap();
    let state = world
        .by(&world.sven, "GET", &format!("/ops/{op}"))
        .send()
        .json();
    assert_eq!(
        state,
        json!({"op": op, "state": "committed", "revision": first["revision"]})
    );
}

fn two_managers(world: &World) {
    let app = world.app(&["1.0.0", "1.1.0"]);
    world.rollout(
        &app,
        "stable = \"1.0.0\"\n[[rule]]\nname = \"ramp\"\nshare = \"1%\"\nserve = \"1.1.0\"\n",
    );
    let seen = world
        .by(&world.maya, "GET", &format!("/apps/{app}/rollout"))
        .send();
    let revision = seen.header("etag").trim_matches('"').to_owned();
    let path = format!("/apps/{app}/rollout/rules/ramp/share");
    let raise = |person, share: &str| {
        let asking = world.by(person, "PUT", &path).if_match(&revision);
        asking.json(&json!({"share": share})).send()
    };
    world.done(&raise(&world.maya, "2%"));
    let late = raise(&world.mo, "3%");
    assert_eq!(
        (late.status, late.header("content-type")),
        (412, "application/problem+json")
    );
    assert_eq!(late.json()["code"], "stale", "{}", late.text());
    let rollout = world
        .by(&world.mo, "GET", &format!("/apps/{app}/rollout"))
        .send()
        .json();
    assert_eq!(rollout["rule"][0]["share"], "2%", "{rollout}");
}

fn history(world: &World) {
    let app = world.app(&["1.0.0"]);
    let kill = world.by(
        &world.sven,
        "POST",
        &format!("/apps/{app}/kill?why=page%2042"),
    );
    let revision = world.done(&kill.json(&json!({"reason": "fraud"})).send());
    let told = world
        .by(&world.ada, "GET", &format!("/history?app={app}&limit=1"))
        .send()
        .json();
    let line = &told[0];
    // Its name, its time and its op are of this run alone.
    let (who, at, op) = (&line["actor"]["id"], &line["at"], &line["op"]);
    assert_eq!(
        told,
        json!([{
            "revision": revision,
            "at": at,
            "actor": {"id": who, "role": "sre"},
            "op": op,
            "why": "page 42",
            "events": [{"event": "killed", "app": app, "reason": "fraud"}],
        }])
    );
    let age = System.now().ms_since(at.as_str().unwrap().parse().unwrap());
    assert!(age < 60_000, "{at} is no time of now");
    let token = world.by(&world.ada, "GET", "/tokens").send().json();
    let given = (token.as_array().unwrap().iter())
        .find(|token| token["id"] == *who)
        .unwrap_or_else(|| panic!("nobody is called {who}: {token}"));
    assert_eq!(given["role"], "sre", "{given}");
    let all: BTreeSet<u64> = (world
        .by(&world.ada, "GET", "/history?limit=500")
        .send()
        .json()
        .as_array()
        .unwrap()
        .iter())
    .map(|line| line["revision"].as_u64().unwrap())
    .collect();
    assert_eq!(
        all.len() as u64,
        *all.last().unwrap(),
        "no revision is missing"
    );
}

fn reports(world: &World) {
    let app = world.app(&["1.0.0"]);
    world.rollout(&app, "stable = \"1.0.0\"\n");
    let node = &world.cluster.nodes[0];
    let events = json!({"host": HOST, "events": [
        {"app": app, "version": "1.0.0", "event": "activate", "count": 3},
        {"app": app, "version": "1.0.0", "event": "crash"},
        {"app": app, "version": "9.9.9", "event": "crash"},
    ]});
    let reply = node.wire().post("/v1/events", &events).unwrap();
    assert_eq!(
        (reply.status, reply.text()),
        (202, r#"{"accepted":3}"#.into())
    );
    let served = format!("huidu_reported_total{{app=\"{app}\"");
    let metrics = crate::support::wire::Wire::connect(node.control)
        .unwrap()
        .get("/metrics", &[])
        .unwrap()
        .text();
    let lines: Vec<_> = metrics
        .lines()
        .filter(|line| line.starts_with(&served))
        .collect();
    let count = |event: &str, version: &str| {
        let line = lines.iter().find(|line| {
            line.contains(&format!("event=\"{event}\""))
                && line.contains(&format!("version=\"{version}\""))
        });
        line.and_then(|line| line.rsplit(' ').next())
            .unwrap_or("none")
            .to_owned()
    };
    assert_eq!(
        (
            count("activated", "1.0.0"),
            count("crashed", "1.0.0"),
            count("crashed", "other")
        ),
        ("3".into(), "1".into(), "1".into()),
        "{lines:#?}"
    );
    // With names they count, once, whichever nodes are told of them; and every node knows the sum.
    let id = |n: u32| format!("{:032x}", fastrand::u128(..) | u128::from(n));
    let named: Vec<_> = (0..4)
        .map(|n| json!({"id": id(n), "app": app, "version": "1.0.0", "event": "activated"}))
        .collect();
    for node in &world.cluster.nodes {
        let told = json!({"host": HOST, "events": named});
        assert_eq!(node.wire().post("/v1/events", &told).unwrap().status, 202);
    }
    for (n, _) in world.cluster.nodes.iter().enumerate() {
        let control = world.cluster.control(n);
        until("the node has heard", || {
            let health = control
                .get(&format!("/api/v1/apps/{app}/health"))
                .unwrap()
                .document;
            health["arms"][0]["events"]["activated"] == 4
        });
    }
    let with_a_unit =
        json!({"host": HOST, "events": [{"app": app, "version": "1.0.0", "event": "explode"}]});
    assert_eq!(
        node.wire().post("/v1/events", &with_a_unit).unwrap().status,
        400
    );
}
