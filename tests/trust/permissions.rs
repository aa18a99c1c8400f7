//! What a mini-program may do, and what it has no more.

use huidu_core::{command::Command, manifest::KillList, release::Release, review, version::Review};

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

/// A reviewer may grant less than was asked for: that is what the record, the manifest and the next reviewer see.
#[test]
fn what_the_first_reviewer_withholds_nobody_has() {
    let mut world = World::new(Review::Required);
    world.ok("sec", policy(2, false));
    world.submit("ping", "1.0.0", &["camera", "location", "storage"]);
    let approve = |withheld: Option<&[&str]>| {
        let mut command = approve("1.0.0");
        if let Command::Approve {
            withheld: field, ..
        } = &mut command
        {
            *field = withheld.map(|names| names.iter().map(|one| one.parse().unwrap()).collect());
        }
        command
    };
    world.no(
        "rui",
        approve(Some(&["contacts"])),
        "there is no permission to withhold that the version asks for, such as `contacts`; `huidu review show` lists what it asks for",
    );
    world.ok("rui", approve(Some(&["camera", "location"])));
    for other in [&[][..], &["camera"][..]] {
        world.no(
            "rosa",
            approve(Some(other)),
            "those who approved version 1.0.0 of `pingan/travel` withheld `camera`, `location`; approve the same, or reject it",
        );
    }
    let version = world.version("1.0.0");
    let shown = review::difference(
        &world.catalogue,
        &world.catalogue.apps[&app()],
        version,
        None,
    );
    let withheld: Vec<_> = shown
        .permissions
        .iter()
        .filter(|line| line.withheld)
        .collect();
    assert_eq!(withheld.len(), 2);
    let record = Release::draft("bank/test", &app(), version);
    assert_eq!(record.permissions, ["storage".parse().unwrap()]);
    // The second needs not repeat it.
    world.ok("rosa", approve(None));
    world.ok("maya", list("1.0.0"));
    let rollout =
        toml::from_str("app = \"pingan/travel\"\nhosts = [\"retail\"]\nstable = \"1.0.0\"")
            .unwrap();
    world.ok("maya", Command::PutRollout { rollout });
    assert_eq!(
        world.told("retail", "u", None, NOON),
        "1.0.0 stable [storage] -[]"
    );
    // What was withheld is new when the next version asks for it again.
    world.submit("ping", "1.1.0", &["camera", "storage"]);
    let version = world.version("1.1.0");
    let shown = review::difference(
        &world.catalogue,
        &world.catalogue.apps[&app()],
        version,
        None,
    );
    let changes: Vec<_> = (shown.permissions.iter())
        .map(|line| (line.permission.as_str(), line.change))
        .collect();
    assert_eq!(
        changes,
        [
            ("camera", review::Change::Added),
            ("storage", review::Change::Kept)
        ]
    );
}

/// Between an approval and the listing a grant can be withdrawn, a grade lowered, a catalogue changed.
#[test]
fn listing_looks_at_grants_and_grades_again() {
    let mut world = World::new(Review::Required);
    world.ok("sec", grades());
    let grant = || Command::Grant {
        app: app(),
        permission: "location".parse().unwrap(),
    };
    world.ok("rui", grant());
    world.submit("ping", "1.0.0", &["location"]);
    world.ok("rui", approve("1.0.0"));
    world.ok(
        "sec",
        Command::WithdrawGrant {
            app: app(),
            permission: "location".parse().unwrap(),
        },
    );
    world.no(
        "maya",
        list("1.0.0"),
        "version 1.0.0 of `pingan/travel` asks for too much: `location` is above the tenant's grade; grant it to the app, grade the tenant, or reject the version",
    );
    world.ok("rui", grant());
    world.ok("maya", list("1.0.0"));
}
