//! What a mini-program may do, and what it has no more.

use huidu_core::{command::Command, manifest::KillList, version::Review};

use crate::world::*;

#[test]
fn what_is_asked_for_beyond_grade_and_grant_is_not_approved() {
    let mut world = World::new(Review::Required);
    world.submit("ping", "1.0.0", &["camera", "location", "storage"]);
    world.no(
        "rui",
        grades(),
        "the role reviewer may not change the catalogue of permissions; ask somebody whose role allows it",
    );
    world.ok("sec", grades());
    let too_much = |what: &str| {
        format!(
            "version 1.0.0 of `pingan/travel` asks for too much: {what}; grant it to the app, grade the tenant, or reject the version"
        )
    };
    world.no(
        "rui",
        approve("1.0.0"),
        &too_much("`camera` is not in the catalogue of permissions, `location` is above the tenant's grade"),
    );
    let grant = |permission: &str| Command::Grant {
        app: app(),
        permission: permission.parse().unwrap(),
    };
    world.no(
        "rui",
        grant("camera"),
        "there is no permission `camera`; the catalogue of permissions must name it first",
    );
    world.ok("rui", grant("location"));
    world.no(
        "rui",
        approve("1.0.0"),
        &too_much("`camera` is not in the catalogue of permissions"),
    );

    world.submit("ping", "1.0.1", &["storage", "location", "storage"]);
    assert_eq!(world.version("1.0.1").permissions.len(), 2, "each once");
    world.ok(
        "sec",
        Command::WithdrawGrant {
            app: app(),
            permission: "location".parse().unwrap(),
        },
    );
    let above = too_much("`location` is above the tenant's grade").replace("1.0.0", "1.0.1");
    world.no("rui", approve("1.0.1"), &above);
    world.ok(
        "sec",
        Command::SetGrade {
            tenant: "pingan".parse().unwrap(),
            grade: huidu_core::grade::Grade::Sensitive,
        },
    );
    world.ok("rui", approve("1.0.1"));
}

#[test]
fn one_permission_is_revoked_for_one_app_wherever_a_kill_reaches() {
    let mut world = running();
    let told = |world: &World| world.told("retail", "u", None, NOON);
    assert_eq!(told(&world), "1.0.0 stable [camera+location+storage] -[]");
    world.ok("sven", revoke("location"));
    assert!(world.touched.kills && world.touched.apps.contains(&app()));
    assert_eq!(told(&world), "1.0.0 stable [camera+storage] -[location]");
    let kills = KillList::of(&world.catalogue);
    let [revoked] = &*kills.permissions else {
        panic!("{kills:?}")
    };
    assert_eq!(
        (
            revoked.app.as_str(),
            revoked.permission.as_str(),
            &*revoked.reason
        ),
        ("pingan/travel", "location", "leaks")
    );
    world.no(
        "sec",
        revoke("location"),
        "nothing to change: `location` is revoked for `pingan/travel` already",
    );
    // A new version does not bring it back.
    world.submit("ping", "1.1.0", &["location"]);
    world.ok("rui", approve("1.1.0"));
    world.ok("maya", list("1.1.0"));
    let rollout =
        toml::from_str("app = \"pingan/travel\"\nhosts = [\"retail\"]\nstable = \"1.1.0\"")
            .unwrap();
    world.ok("maya", Command::PutRollout { rollout });
    assert_eq!(told(&world), "1.1.0 stable [] -[location]");

    let restore = || Command::RestorePermission {
        app: app(),
        permission: "location".parse().unwrap(),
        reason: "fixed".into(),
    };
    world.no(
        "sven",
        restore(),
        "the role SRE may not restore a permission; ask somebody whose role allows it",
    );
    world.ok("sec", restore());
    assert!(world.touched.kills);
    assert_eq!(told(&world), "1.1.0 stable [location] -[]");
    assert_eq!(KillList::of(&world.catalogue).permissions, []);
}
