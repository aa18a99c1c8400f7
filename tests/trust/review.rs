//! How a version comes to be listed, and who must agree.

use huidu_core::{
    authority::{Role, authorise},
    command::Command,
    decide::decide,
    digest::Digest,
    dossier::{Dossier, Reach, SignedRelease, Vote},
    event::Actor,
    paper::Paper as _,
    release::Release,
    review,
    version::{Life, Review},
};
use proptest::prelude::*;

use crate::world::*;

#[test]
fn a_version_is_submitted_reviewed_approved_and_listed() {
    let mut world = World::new(Review::Required);
    world.submit("ping", "1.0.0", &[]);
    world.no(
        "maya",
        list("1.0.0"),
        "version 1.0.0 of `pingan/travel` is submitted and cannot be listed; a reviewer approves it first",
    );
    let begin = || Command::BeginReview {
        app: app(),
        version: number("1.0.0"),
    };
    world.ok("rui", begin());
    assert_eq!(world.life("1.0.0"), "in review");
    world.no(
        "rui",
        begin(),
        "nothing to change: version 1.0.0 of `pingan/travel` is in review",
    );
    world.ok("rui", approve("1.0.0"));
    assert_eq!(world.life("1.0.0"), "approved");
    let dossier = world.version("1.0.0").dossier.open();
    let votes: Vec<_> = (dossier.approvals.iter())
        .map(|vote| vote.by.as_str())
        .collect();
    assert_eq!(votes, ["member/rui"]);
    assert_eq!(
        world
            .version("1.0.0")
            .dossier
            .open()
            .submitted_by
            .as_deref(),
        Some("member/ping")
    );
    world.ok("maya", list("1.0.0"));
    assert_eq!(world.life("1.0.0"), "listed");
}

#[test]
fn four_eyes_are_two_people_and_a_threshold_counts_people() {
    let mut world = World::new(Review::Required);
    world.ok("sec", policy(2, false));
    world.submit("root", "1.0.0", &[]);
    world.no(
        "root",
        approve("1.0.0"),
        "token `root` belongs to no member, and versions are judged by people; give the reviewer a token with `huidu token add --member`",
    );
    world.ok("root", put_member("ada", Role::Admin));
    world.ok("root", add_token("ada", "ada"));
    world.ok("root", add_token("ada-2", "ada"));
    world.submit("ada", "1.1.0", &[]);
    world.no(
        "ada-2",
        approve("1.1.0"),
        "`member/ada` handed it in: version 1.1.0 of `pingan/travel` is approved by somebody else",
    );
    world.ok("root", add_token("rui-2", "rui"));
    world.ok("rui", approve("1.1.0"));
    assert_eq!(world.life("1.1.0"), "submitted", "one of two");
    for again in ["rui", "rui-2"] {
        let actor = Actor {
            id: again.into(),
            role: Role::Reviewer,
        };
        let authorised = authorise(approve("1.1.0"), &actor, &world.catalogue, NOON).unwrap();
        assert_eq!(
            decide(&world.catalogue, &authorised, NOON)
                .unwrap_err()
                .to_string(),
            "`member/rui` approved it already: version 1.1.0 of `pingan/travel` is approved by somebody else"
        );
    }
    world.no(
        "rosa",
        Command::Approve {
            app: app(),
            version: number("1.1.0"),
            bundle: Digest::of(b"something else"),
            signed: None,
            withheld: None,
        },
        &format!(
            "the bundle of version 1.1.0 of `pingan/travel` is {}, not the one that was approved; review what is there",
            bundle("1.1.0").sha256
        ),
    );
    world.ok("rosa", approve("1.1.0"));
    assert_eq!(world.life("1.1.0"), "approved");
    world.no(
        "rob",
        approve("1.1.0"),
        "version 1.1.0 of `pingan/travel` is approved and cannot be approved; only a submitted version is judged; submit the next number",
    );
}

#[test]
fn a_rejected_version_is_done_with_and_says_why() {
    let mut world = World::new(Review::Required);
    world.submit("ping", "1.0.0", &[]);
    world.no(
        "ping",
        reject("1.0.0"),
        "the role partner of `pingan` may not reject a version; ask somebody whose role allows it",
    );
    world.ok("rui", reject("1.0.0"));
    assert_eq!(
        world.version("1.0.0").life,
        Life::Rejected {
            reason: "it reads contacts".into()
        }
    );
    for (who, command, says) in [
        ("maya", list("1.0.0"), "listed; submit the next number"),
        (
            "rui",
            approve("1.0.0"),
            "approved; only a submitted version is judged; submit the next number",
        ),
        (
            "rui",
            reject("1.0.0"),
            "rejected; delist or kill what is listed; nothing else is left to reject",
        ),
    ] {
        let says = format!("version 1.0.0 of `pingan/travel` is rejected and cannot be {says}");
        world.no(who, command, &says);
    }
    world.submit("ping", "1.0.1", &[]);
    world.ok("rui", approve("1.0.1"));
    world.ok("rosa", reject("1.0.1"));
    assert_eq!(world.life("1.0.1"), "rejected", "approved too soon");
}

#[test]
fn taking_back_a_kill_lists_nothing_that_was_not_listed() {
    for (before, steps) in [
        ("submitted", &[][..]),
        ("approved", &[("rui", "approve")]),
        ("listed", &[("rui", "approve"), ("maya", "list")]),
        (
            "delisted",
            &[("rui", "approve"), ("maya", "list"), ("maya", "delist")],
        ),
    ] {
        let mut world = World::new(Review::Required);
        world.submit("ping", "1.0.0", &[]);
        for (who, step) in steps {
            world.ok(
                who,
                match *step {
                    "approve" => approve("1.0.0"),
                    "list" => list("1.0.0"),
                    _ => Command::Delist {
                        app: app(),
                        version: number("1.0.0"),
                        reason: "old".into(),
                    },
                },
            );
        }
        assert_eq!(world.life("1.0.0"), before);
        world.ok("sven", kill("1.0.0"));
        assert_eq!(world.life("1.0.0"), "killed");
        world.ok("maya", unkill("1.0.0"));
        assert_eq!(world.life("1.0.0"), before);
    }
}

#[test]
fn unfiled_versions_are_not_listed_where_filing_is_required() {
    let mut world = World::new(Review::Required);
    world.ok("sec", policy(1, true));
    world.submit("ping", "1.0.0", &[]);
    world.ok("rui", approve("1.0.0"));
    world.no(
        "maya",
        list("1.0.0"),
        "version 1.0.0 of `pingan/travel` carries no filing number, and unfiled mini-programs are not distributed here; submit the next number with one, or let security exempt the app with `huidu app internal`",
    );
    let Command::SubmitVersion {
        app,
        number,
        bundle,
        permissions,
        notes,
        ..
    } = submit("1.0.1", &[])
    else {
        unreachable!()
    };
    // What only the ledger can know is not taken from whoever asks.
    let forged = Dossier {
        filing: Some(" 沪ICP备12345678号 ".into()),
        submitted_by: Some("member/rui".into()),
        approvals: vec![Vote {
            by: "member/rob".into(),
            at: NOON,
            signed: None,
        }],
        seq: 99,
        release: Some(SignedRelease {
            address: Digest::of(b"forged"),
            envelope: String::new(),
        }),
        ..Dossier::default()
    };
    world.ok(
        "ping",
        Command::SubmitVersion {
            app,
            number,
            bundle,
            permissions,
            notes,
            dossier: Box::new(forged),
        },
    );
    assert_eq!(
        world.version("1.0.1").dossier.open(),
        Dossier {
            filing: Some("沪ICP备12345678号".into()),
            submitted_by: Some("member/ping".into()),
            seq: 2,
            ..Dossier::default()
        }
    );
    world.ok("rui", approve("1.0.1"));
    world.ok("maya", list("1.0.1"));
}

#[test]
fn the_banks_own_apps_are_listed_without_a_filing() {
    let mut world = World::new(Review::Required);
    world.ok("sec", policy(1, true));
    world.submit("ping", "1.0.0", &[]);
    world.ok("rui", approve("1.0.0"));
    let internal = |internal| Command::SetInternal {
        app: app(),
        internal,
        reason: "staff only".into(),
    };
    world.no(
        "maya",
        internal(true),
        "the role release manager may not exempt an app from filing; ask somebody whose role allows it",
    );
    world.ok("sec", internal(true));
    world.no(
        "sec",
        internal(true),
        "nothing to change: `pingan/travel` is the bank's own already",
    );
    world.ok("maya", list("1.0.0"));
    world.submit("ping", "1.1.0", &[]);
    world.ok("rui", approve("1.1.0"));
    world.ok("sec", internal(false));
    assert!(world.ask("maya", list("1.1.0")).is_err());
}

/// What a partner says of where and when a version may run is what reviewers see, and what its record says.
#[test]
fn where_and_when_a_version_may_run_reaches_its_record() {
    let mut world = World::new(Review::Required);
    let soon = NOON.plus_ms(3_600_400);
    let asked = Reach {
        platforms: vec![
            "harmony".parse().unwrap(),
            "android".parse().unwrap(),
            "harmony".parse().unwrap(),
        ],
        host_version: Some(">=8.2".parse().unwrap()),
        not_before: Some(NOON),
        not_after: Some(soon),
    };
    let submit = |version: &str, reach: &Reach| {
        let mut command = submit(version, &[]);
        if let Command::SubmitVersion { dossier, notes, .. } = &mut command {
            dossier.reach = reach.clone();
            "new tickets".clone_into(notes);
        }
        command
    };
    let late = Reach {
        not_after: Some(NOON),
        not_before: None,
        ..asked.clone()
    };
    world.no(
        "ping",
        submit("1.0.0", &late),
        "the version would run nowhere: `not_after` is over",
    );
    let never = Reach {
        not_before: asked.not_after,
        not_after: asked.not_after,
        ..asked.clone()
    };
    world.no(
        "ping",
        submit("1.0.0", &never),
        "the version would run nowhere: `not_after` is not after `not_before`",
    );
    world.ok("ping", submit("1.0.0", &asked));
    let version = world.version("1.0.0");
    let shown = review::difference(
        &world.catalogue,
        &world.catalogue.apps[&app()],
        version,
        None,
    );
    assert_eq!(shown.notes, "new tickets");
    assert_eq!(shown.reach, version.dossier.open().reach);
    let record = Release::draft("bank/test", &app(), version);
    let said = serde_json::to_value(&record).unwrap();
    assert_eq!(said["platforms"], serde_json::json!(["android", "harmony"]));
    assert_eq!(said["host_version"], ">=8.2");
    assert_eq!(said["not_before"], NOON.unix_ms() / 1_000);
    assert_eq!(said["not_after"], soon.unix_ms() / 1_000);
    record.check().unwrap();

    // Whose time is over is listed by nobody.
    world.ok("rui", approve("1.0.0"));
    let list = authorise(list("1.0.0"), &maya(), &world.catalogue, soon).unwrap();
    let refused = decide(&world.catalogue, &list, soon).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "version 1.0.0 of `pingan/travel` was to run until a time that is over; submit the next number"
    );
}

fn maya() -> Actor {
    Actor {
        id: "maya".into(),
        role: Role::ReleaseManager,
    }
}

/// What anybody can ask for about one version, at any time.
fn step() -> impl Strategy<Value = (&'static str, Command)> {
    let who = prop::sample::select(vec![
        "root", "maya", "rui", "rosa", "rob", "sven", "sec", "ping",
    ]);
    let command = prop_oneof![
        Just(submit("1.0.0", &[])),
        Just(approve("1.0.0")),
        Just(approve("1.0.0")),
        Just(reject("1.0.0")),
        Just(list("1.0.0")),
        Just(kill("1.0.0")),
        Just(unkill("1.0.0")),
        Just(Command::BeginReview {
            app: app(),
            version: number("1.0.0")
        }),
        Just(Command::Delist {
            app: app(),
            version: number("1.0.0"),
            reason: "old".into()
        }),
        Just(policy(3, false)),
        Just(trial(&["retail-test"], &["t"])),
    ];
    (who, command)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn whatever_is_asked_for_nothing_is_listed_that_two_others_did_not_approve(
        steps in prop::collection::vec(step(), 0..60),
    ) {
        let mut world = World::new(Review::Required);
        world.ok("sec", policy(2, false));
        for (who, command) in steps {
            let _refused = world.ask(who, command);
            let Some(version) = world.catalogue.apps[&app()].versions.get(&number("1.0.0")) else {
                continue;
            };
            if matches!(version.life, Life::Approved | Life::Listed) {
                let dossier = version.dossier.open();
                let mut people: Vec<_> = dossier.approvals.iter().map(|vote| &vote.by).collect();
                people.sort();
                people.dedup();
                prop_assert!(people.len() >= 2, "{dossier:?}");
                prop_assert!(!people.contains(&dossier.submitted_by.as_ref().unwrap()));
                prop_assert!(people.iter().all(|by| by.starts_with("member/r")), "{dossier:?}");
            }
        }
    }
}
