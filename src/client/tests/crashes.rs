//! Releases that fail when they are started, and devices that die meanwhile.

use super::*;

#[test]
fn a_release_that_failed_here_is_rolled_back_named_and_never_installed_again() {
    let mut world = World::new();
    world.site(|site| site.run(5, "1.0.0"));
    world.wake();
    world.phone.crashes_on = vec!["2.0.0"];
    world.site(|site| site.run(6, "2.0.0"));
    assert_eq!(
        world.wake(),
        ["downloaded 2.0.0", "crashed 2.0.0", "rolled-back 1.0.0"]
    );
    assert_eq!(world.code().unwrap(), "run('1.0.0')");
    world.server.seen();
    // The server insists; the device names the release and stays.
    for _ in 0..3 {
        assert_eq!(world.wake(), ["failed-before 2.0.0"]);
    }
    let seen = world.server.seen();
    assert!(
        seen.iter()
            .all(|request| !request.path().starts_with("/v1/bundles"))
    );
    assert!(
        seen.iter()
            .any(|request| request.target.ends_with("v=1.0.0&x=2.0.0")),
        "{seen:?}"
    );
    assert_eq!(world.phone.started, ["1.0.0", "2.0.0"]);
}

#[test]
fn a_release_whose_start_ends_the_process_twice_counts_as_failed() {
    struct Dies;
    impl Starter for Dies {
        fn start(&mut self, _: &AppId, _: &Number, _: &Path) -> Result<(), String> {
            std::panic::panic_any("the process ends here");
        }
    }
    let mut world = World::new();
    world.site(|site| site.run(5, "1.0.0"));
    world.wake();
    world.site(|site| site.run(6, "2.0.0"));
    for _ in 0..2 {
        let mut device = world.device();
        let cycle = std::panic::AssertUnwindSafe(|| device.cycle(at(NOW), &mut Dies).map(drop));
        assert!(std::panic::catch_unwind(cycle).is_err());
        // Restarted, it runs what ran before.
        drop(world.device());
        assert_eq!(world.code().unwrap(), "run('1.0.0')");
    }
    assert_eq!(world.wake(), ["failed-before 2.0.0"]);
}

#[test]
fn a_crash_between_download_and_switch_leaves_the_old_release() {
    let mut world = World::new();
    world.site(|site| site.run(5, "1.0.0"));
    world.wake();
    // Downloaded and unpacked, the link not moved: as a crash before the switch leaves it.
    let new = world
        .dir
        .path()
        .join("apps/pingan/travel/releases")
        .join("a".repeat(64));
    fs::create_dir_all(&new).unwrap();
    fs::write(world.dir.path().join("state.new"), b"{\"half").unwrap();
    assert_eq!(
        world.device().running(&travel()).unwrap().to_string(),
        "1.0.0"
    );
    assert_eq!(world.code().unwrap(), "run('1.0.0')");
    // The link moved, the state not: as a crash after the switch and before the start leaves it.
    let place = super::super::install::Place::of(world.dir.path(), &travel());
    place
        .switch(Some(&"a".repeat(64).parse().unwrap()))
        .unwrap();
    drop(world.device());
    assert_eq!(world.code().unwrap(), "run('1.0.0')");
    world.site(|site| site.run(6, "2.0.0"));
    assert_eq!(world.wake(), ["downloaded 2.0.0", "activated 2.0.0"]);
    assert!(!new.exists(), "what nobody runs is swept");
}
