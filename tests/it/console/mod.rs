//! The console in a real browser against the real binary: Debian's Chromium, driven from `console/tests/`.
//!
//! A story is a script that says what somebody does and sees; an error of the browser's console, a refused policy,
//! an answer of 500 or a serious finding of axe-core in it is a fault, whatever else happens. Missing pieces fail the
//! run and say the command that installs them.

mod size;

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::{Value, json};

use crate::{
    support::server::Backing,
    world::{HOST, World},
};

const CHROMIUM_MISSING: &str = "`chromium` is missing; run: apt-get install -y --no-install-recommends chromium fonts-noto-cjk";
const PACKAGES_MISSING: &str = "the console's packages are missing; run: tests/setup.sh console";
const NOT_BUILT: &str = "the console is not built; run: make console";

/// What no page may ever take for anything but text.
const HOSTILE: &str =
    r#"<img src=x onerror="document.title='taken'"><script>alert(1)</script>"'`{{7*7}}"#;

/// Two steps, the second of which somebody lets begin.
const RAMP: &str = r#"
stable = "1.0.0"
[[rule]]
name = "next"
serve = "2.0.0"
[rule.ramp]
step = [{ share = "20%", hold = "1h", units = 500 }, { share = "50%", hold = "1h", approval = true }]
guard = [{ measure = "crashed", action = "roll-back" }]
"#;

fn console() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("console")
}

/// Where stories leave what they saw; `make pictures` says where.
fn pictures() -> PathBuf {
    let place = std::env::var_os("HUIDU_PICTURES");
    place.map_or_else(|| console().join("../target/tmp/console"), PathBuf::from)
}

fn chromium() -> PathBuf {
    let places = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&places)
        .map(|place| place.join("chromium"))
        .find(|place| place.is_file());
    found.expect(CHROMIUM_MISSING)
}

/// Tells a story; what it prints last is what it found out, as JSON.
fn told(story: &str, about: &Value) -> Value {
    assert!(
        console().join("node_modules/playwright-core").is_dir(),
        "{PACKAGES_MISSING}"
    );
    assert!(console().join("dist/index.html").is_file(), "{NOT_BUILT}");
    let told = Command::new("node")
        .arg(console().join("tests").join(story))
        .arg(about.to_string())
        .env("CHROMIUM", chromium())
        .env("PICTURES", pictures())
        .output()
        .expect("`node` is missing; run: apt-get install -y nodejs");
    let said = String::from_utf8_lossy(&told.stdout);
    let complains = String::from_utf8_lossy(&told.stderr);
    println!("{said}{complains}");
    assert!(told.status.success(), "{story}: {complains}");
    let last = said.lines().last().unwrap_or_default();
    serde_json::from_str(last).unwrap_or_else(|_| panic!("{story} said: {said}"))
}

/// A bank with a mini-program that has a version in use, one listed, and one handed in.
fn bank() -> (World, Value) {
    let world = World::new(Backing::Embedded);
    let rui = json!({"role": "reviewer", "title": HOSTILE});
    world.done(
        &world
            .by(&world.ada, "PUT", "/members/rui")
            .json(&rui)
            .send(),
    );
    let reviewer = world.given(&json!({"role": "reviewer", "note": HOSTILE, "member": "rui"}));
    let manager = world.given(&json!({"role": "release-manager"}));
    let app = "pingan/travel";
    let admitted = world.by(&world.maya, "POST", "/tenants");
    world.done(
        &admitted
            .json(&json!({"tenant": "pingan", "title": HOSTILE}))
            .send(),
    );
    let admitted = world.by(&world.maya, "POST", "/apps");
    world.done(&admitted.json(&json!({"app": app, "title": HOSTILE})).send());
    for version in ["1.0.0", "1.1.0"] {
        world.publish(app, version);
    }
    world.hand_in(app, "1.2.0");
    world.rollout(
        app,
        "stable = \"1.0.0\"\n[[rule]]\nname = \"ramp\"\nshare = \"5%\"\nserve = \"1.1.0\"\n\
         [[rule]]\nname = \"ios\"\nwhen = { platform = \"ios\" }\nshare = \"1%\"\nserve = \"1.1.0\"\n",
    );
    let about = json!({
        "home": world.cluster.nodes[0].control_url(), "app": app, "host": HOST, "hostile": HOSTILE,
        "admin": world.cluster.token(), "reviewer": reviewer, "manager": manager,
        "other": world.given(&json!({"role": "release-manager"})),
    });
    (world, about)
}

fn in_language(language: &str) {
    let (world, mut about) = bank();
    about["language"] = json!(language);
    about["dark"] = json!(language == "zh");
    let found = told("release.mjs", &about);
    assert_eq!(found["faults"], json!([]), "{found:#}");
    assert_eq!(found["serious"], json!([]), "{found:#}");
    // What was done in the browser is what devices are told.
    assert_eq!(world.told("pingan/travel", "u1", "")["state"], "killed");
}

#[test]
fn a_release_goes_from_review_to_kill_in_english() {
    in_language("en");
}

#[test]
fn a_release_goes_from_review_to_kill_in_chinese() {
    in_language("zh");
}

/// A ramp of an app with two versions, as it is watched.
fn watched(language: &str) {
    let (world, mut about) = bank();
    let app = world.app(&["1.0.0", "2.0.0"]);
    world.rollout(&app, RAMP);
    about["ramped"] = json!(app);
    about["device"] = json!(world.cluster.nodes[0].device_url());
    about["language"] = json!(language);
    about["dark"] = json!(language == "en");
    let found = told("ramp.mjs", &about);
    assert_eq!(found["faults"], json!([]), "{found:#}");
    assert_eq!(found["serious"], json!([]), "{found:#}");
}

#[test]
fn a_guard_takes_a_ramp_back_before_somebodys_eyes_in_english() {
    watched("en");
}

#[test]
fn a_guard_takes_a_ramp_back_before_somebodys_eyes_in_chinese() {
    watched("zh");
}

fn tested_in(language: &str) {
    let (world, mut about) = bank();
    world.rollout(
        "pingan/travel",
        "stable = \"1.0.0\"\n[[rule]]\nname = \"copy\"\npaused = true\n[rule.split]\n\
         a = { serve = \"1.0.0\", weight = 50 }\nb = { serve = \"1.1.0\", weight = 50 }\n",
    );
    about["language"] = json!(language);
    let found = told("experiment.mjs", &about);
    assert_eq!(found["faults"], json!([]), "{found:#}");
    assert_eq!(found["serious"], json!([]), "{found:#}");
    // The arm that was promoted is what everybody is told.
    for unit in ["u1", "u2", "u3", "u4"] {
        assert_eq!(world.told("pingan/travel", unit, "")["version"], "1.1.0");
    }
}

#[test]
fn a_test_goes_from_its_beginning_to_a_promoted_arm_in_english() {
    tested_in("en");
}

#[test]
fn a_test_goes_from_its_beginning_to_a_promoted_arm_in_chinese() {
    tested_in("zh");
}

#[test]
fn two_people_see_each_others_change_instead_of_overwriting_it() {
    let (world, about) = bank();
    let found = told("together.mjs", &about);
    assert_eq!(found["faults"], json!([]), "{found:#}");
    let rollout = world
        .by(&world.maya, "GET", "/apps/pingan/travel/rollout")
        .send()
        .json();
    // Both are in force: the share of the one, the pause of the other.
    assert_eq!(rollout["rule"][0]["share"], "12.345678%", "{rollout:#}");
    assert_eq!(rollout["rule"][1]["paused"], true, "{rollout:#}");
}

#[test]
fn every_page_is_for_everybody_and_text_stays_text() {
    let (_world, about) = bank();
    let found = told("pages.mjs", &about);
    assert_eq!(found["faults"], json!([]), "{found:#}");
    assert_eq!(found["serious"], json!([]), "{found:#}");
    assert_eq!(found["taken"], json!([]), "{found:#}");
    assert!(found["hostile"].as_u64().unwrap() >= 5, "{found:#}");
    assert_eq!(
        found["kept"],
        json!([]),
        "no credential is where a script reads: {found:#}"
    );
}

/// Pictures of the pages for people are those that stories take, all of them are there, and none is left over.
#[test]
fn every_picture_in_the_documents_is_taken_by_a_story() {
    let docs = console().join("../docs/for");
    let read = |path: &Path| std::fs::read_to_string(path).unwrap();
    let files = |dir: &Path, ends: &str| -> Vec<PathBuf> {
        let files = std::fs::read_dir(dir)
            .unwrap()
            .map(|file| file.unwrap().path());
        files
            .filter(|path| path.to_string_lossy().ends_with(ends))
            .collect()
    };
    let pages: String = files(&docs, ".md").iter().map(|page| read(page)).collect();
    let stories = console().join("tests");
    let stories: String = files(&stories, ".mjs")
        .iter()
        .map(|one| read(one))
        .collect();
    let named = pages.split("](pictures/").skip(1);
    let mut named: Vec<&str> = named.map(|rest| rest.split(')').next().unwrap()).collect();
    named.sort_unstable();
    let mut there: Vec<String> = (files(&docs.join("pictures"), ".png").iter())
        .map(|path| path.file_name().unwrap().to_string_lossy().into_owned())
        .collect();
    there.sort_unstable();
    assert_eq!(named, there, "run: make pictures");
    for name in &named {
        let taken = name.trim_start_matches("en-").trim_end_matches(".png");
        assert!(
            stories.contains(&format!("see('{taken}')")),
            "no story takes {name}"
        );
    }
    assert!(named.len() > 5, "{named:?}");
}
