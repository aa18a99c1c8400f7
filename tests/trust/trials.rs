//! Versions under review, in sandboxes alone.

use huidu_core::{command::Command, digest::Digest, time::Timestamp, trust::Preview};

use crate::world::*;

#[test]
fn a_version_under_review_reaches_named_devices_in_sandboxes_and_nobody_else() {
    let mut world = running();
    world.submit("ping", "2.0.0", &["camera"]);
    world.no(
        "rui",
        trial(&["retail-test", "retail"], &["t-1"]),
        "`retail` is no sandbox; what is under review is delivered in sandboxes alone",
    );
    world.no(
        "rui",
        trial(&[], &["t-1"]),
        "`hosts` must not be empty; say in which sandboxes the devices are served",
    );
    world.ok("rui", trial(&["retail-test"], &["t-1", "t-2"]));
    for (host, unit, expected) in [
        ("retail-test", "t-1", "2.0.0 trial [camera] -[]"),
        ("retail-test", "t-2", "2.0.0 trial [camera] -[]"),
        ("retail-test", "t-3", "nothing"),
        (
            "retail",
            "t-1",
            "1.0.0 stable [camera+location+storage] -[]",
        ),
    ] {
        assert_eq!(
            world.told(host, unit, None, NOON),
            expected,
            "{host} {unit}"
        );
    }
    world.ok("rui", trial(&["retail-test"], &["t-2"]));
    assert_eq!(world.told("retail-test", "t-1", None, NOON), "nothing");
    world.ok("sven", kill("2.0.0"));
    assert_eq!(world.told("retail-test", "t-2", None, NOON), "nothing");
    world.ok("maya", unkill("2.0.0"));
    assert_eq!(
        world.told("retail-test", "t-2", None, NOON),
        "2.0.0 trial [camera] -[]"
    );
    world.ok("rui", reject("2.0.0"));
    assert_eq!(world.told("retail-test", "t-2", None, NOON), "nothing");
    assert!(
        world.catalogue.apps[&app()].trust.trials.is_empty(),
        "nothing of it is left"
    );
    world.no(
        "rui",
        trial(&["retail-test"], &["t-2"]),
        "version 2.0.0 of `pingan/travel` is rejected and cannot be tried; submit the next number",
    );
}

#[test]
fn a_preview_opens_in_its_sandbox_until_it_ends_or_is_taken_back() {
    let mut world = running();
    world.submit("ping", "2.0.0", &[]);
    let until = NOON.plus_ms(60_000);
    let preview = |host: &str, secret: &str, until| Command::AddPreview {
        app: app(),
        version: number("2.0.0"),
        id: Digest::of(secret.as_bytes()),
        preview: Preview {
            host: host.parse().unwrap(),
            until,
        },
    };
    world.no(
        "maya",
        preview("retail", "s", until),
        "`retail` is no sandbox; what is under review is delivered in sandboxes alone",
    );
    for bad in [NOON, NOON.plus_ms(huidu_core::limits::PREVIEW_MS + 1)] {
        world.no(
            "maya",
            preview("retail-test", "s", bad),
            "a preview is open until a time in the future, at most 14 days ahead; choose another",
        );
    }
    world.ok("maya", preview("retail-test", "s", until));
    let last = Timestamp::from_unix_ms(until.unix_ms() - 1);
    for (host, secret, now, expected) in [
        ("retail-test", Some("s"), last, "2.0.0 trial [] -[]"),
        ("retail-test", Some("s"), until, "nothing"),
        ("retail-test", Some("t"), last, "nothing"),
        ("retail-test", None, last, "nothing"),
        (
            "retail",
            Some("s"),
            last,
            "1.0.0 stable [camera+location+storage] -[]",
        ),
    ] {
        assert_eq!(
            world.told(host, "u", secret, now),
            expected,
            "{host} {secret:?}"
        );
    }
    world.ok(
        "rui",
        Command::RemovePreview {
            app: app(),
            version: number("2.0.0"),
            id: Digest::of(b"s"),
        },
    );
    assert_eq!(world.told("retail-test", "u", Some("s"), NOON), "nothing");
}
