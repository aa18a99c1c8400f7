//! Devices that are compared with others: they say once that they are there, also when nothing changes on them, and what
//! fails says whose it was.

use super::*;

impl Site {
    /// The version as before, for a cohort that is counted since a time.
    fn in_cohort(&mut self, rev: u64, version: &str, arm: &str, since: u64) {
        self.run(rev, version);
        let manifest = self.manifests.get_mut(travel().as_str()).unwrap();
        manifest.rule = Some("next".parse().unwrap());
        manifest.arm = arm.parse().ok();
        manifest.since = Some(Timestamp::from_unix_ms(since));
    }
}

/// What a device says when it wakes up: events with their arms.
fn says(world: &mut World) -> Vec<String> {
    world.server.seen();
    world.wake();
    let seen = world.server.seen();
    let reports = seen.iter().filter(|request| request.path() == "/v1/events");
    let events = reports.flat_map(|request| {
        let body: serde_json::Value = serde_json::from_slice(&request.body).unwrap();
        body["events"].as_array().unwrap().clone()
    });
    let said = |event: serde_json::Value| {
        let word = |field: &str| event[field].as_str().unwrap_or("-").to_owned();
        format!(
            "{} {} {} {}",
            word("event"),
            word("version"),
            word("rule"),
            word("arm")
        )
    };
    events.map(said).collect()
}

#[test]
fn a_device_says_once_for_each_cohort_and_each_time_that_it_is_there() {
    let mut world = World::new();
    world.site(|site| site.run(5, "1.0.0"));
    assert_eq!(
        says(&mut world),
        ["downloaded 1.0.0 - -", "activated 1.0.0 - -"]
    );
    world.site(|site| site.in_cohort(6, "1.0.0", "control", 60_000));
    assert_eq!(says(&mut world), ["activated 1.0.0 next control"]);
    assert_eq!(says(&mut world), Vec::<String>::new());
    // Another change of the app: nothing of it is about the cohort.
    world.site(|site| site.in_cohort(7, "1.0.0", "control", 60_000));
    assert_eq!(says(&mut world), Vec::<String>::new());
    world.site(|site| site.in_cohort(8, "1.0.0", "control", 120_000));
    assert_eq!(says(&mut world), ["activated 1.0.0 next control"]);
    world.site(|site| site.in_cohort(9, "2.0.0", "candidate", 180_000));
    assert_eq!(
        says(&mut world),
        [
            "downloaded 2.0.0 next candidate",
            "activated 2.0.0 next candidate"
        ]
    );
    assert_eq!(says(&mut world), Vec::<String>::new());
    world.site(|site| site.in_cohort(10, "2.0.0", "candidate", 240_000));
    assert_eq!(says(&mut world), ["activated 2.0.0 next candidate"]);
    // Nobody is compared any more.
    world.site(|site| site.run(11, "2.0.0"));
    assert_eq!(says(&mut world), Vec::<String>::new());
}

#[test]
fn a_start_that_ends_the_process_counts_for_its_cohort() {
    struct Dies;
    impl Starter for Dies {
        fn start(&mut self, _: &AppId, _: &Number, _: &Path) -> Result<(), String> {
            std::panic::panic_any("the process ends here");
        }
    }
    let mut world = World::new();
    world.site(|site| site.run(5, "1.0.0"));
    world.wake();
    world.site(|site| site.in_cohort(6, "2.0.0", "candidate", 60_000));
    for _ in 0..2 {
        let mut device = world.device();
        let cycle = std::panic::AssertUnwindSafe(|| device.cycle(at(NOW), &mut Dies).map(drop));
        assert!(std::panic::catch_unwind(cycle).is_err());
    }
    let said = says(&mut world);
    assert!(
        said.contains(&"crashed 2.0.0 next candidate".to_owned()),
        "{said:?}"
    );
}
