//! Who may ask for what, and whose tokens are whose.

use huidu_core::{
    authority::{Role, authorise},
    command::Command,
    digest::Digest,
    event::Actor,
    eyes::EyesPolicy,
    trust::{Preview, ReviewPolicy},
    version::Review,
};

use crate::world::*;

#[test]
fn who_leaves_or_changes_roles_loses_its_tokens() {
    let mut world = World::new(Review::Required);
    world.no(
        "root",
        Command::AddToken {
            id: "x".into(),
            sha256: Digest::of(b"x"),
            role: Role::Admin,
            note: String::new(),
            member: Some("rui".parse().unwrap()),
        },
        "member `rui` is a reviewer; give the token that role, or change the member's first",
    );
    world.ok("root", add_token("rui-2", "rui"));
    let tokens = |world: &World| world.catalogue.tokens.len();
    let before = tokens(&world);
    world.ok("root", put_member("rui", Role::Auditor));
    assert_eq!(tokens(&world), before - 2);
    let remove = |name: &str| Command::RemoveMember {
        member: name.parse().unwrap(),
    };
    world.ok("sec", remove("rosa"));
    assert_eq!(tokens(&world), before - 3);
    world.no(
        "sec",
        remove("rosa"),
        "there is no member `rosa`; `huidu member list` shows them",
    );

    world.ok("root", put_member("ada", Role::Admin));
    world.ok("root", add_token("ada", "ada"));
    world.ok("ada", Command::RevokeToken { id: "root".into() });
    world.no(
        "sec",
        remove("ada"),
        "revoking the last admin token is limited to 0; add another admin token first",
    );
}

/// Who may ask for what: one letter each for admin, release manager, SRE, reviewer, security, partner,
/// auditor.
#[test]
fn every_role_may_ask_for_exactly_this() {
    let host = || "retail-test".parse().unwrap();
    let permission = || "camera".parse().unwrap();
    let version = || number("1.0.0");
    let reason = || "because".to_owned();
    let rollout = || {
        toml::from_str("app = \"pingan/travel\"\nhosts = [\"retail\"]\nstable = \"1.0.0\"").unwrap()
    };
    let rule = || "ramp".parse().unwrap();
    let share = || "1%".parse().unwrap();
    let table = [
        (
            Command::Found {
                audience: "a/b".into(),
                review: Review::Required,
                token: ("t".into(), Digest::of(b"")),
                keyring: None,
                eyes: EyesPolicy::default(),
                reviews: ReviewPolicy::default(),
            },
            "A",
        ),
        (add_token("x", "rui"), "A"),
        (Command::RevokeToken { id: "x".into() }, "A,Y"),
        (put_member("x", Role::Sre), "A"),
        (
            Command::RemoveMember {
                member: "x".parse().unwrap(),
            },
            "A,Y",
        ),
        (
            Command::AddTenant {
                tenant: "t".parse().unwrap(),
                title: String::new(),
            },
            "A,M",
        ),
        (
            Command::AddHost {
                host: host(),
                title: String::new(),
                sandbox: true,
            },
            "A,M",
        ),
        (
            Command::AddApp {
                app: app(),
                title: String::new(),
            },
            "A,M",
        ),
        (submit("1.0.0", &[]), "A,M,P"),
        (
            Command::BeginReview {
                app: app(),
                version: version(),
            },
            "A,R",
        ),
        (approve("1.0.0"), "A,R"),
        (reject("1.0.0"), "A,R"),
        (list("1.0.0"), "A,M"),
        (
            Command::Delist {
                app: app(),
                version: version(),
                reason: reason(),
            },
            "A,M,S",
        ),
        (kill("1.0.0"), "A,M,S,Y"),
        (unkill("1.0.0"), "A,M"),
        (Command::PutRollout { rollout: rollout() }, "A,M"),
        (
            Command::SetShare {
                app: app(),
                rule: rule(),
                share: share(),
            },
            "A,M",
        ),
        (
            Command::LowerShare {
                app: app(),
                rule: rule(),
                share: share(),
            },
            "A,M,S",
        ),
        (
            Command::SetPause {
                app: app(),
                rule: rule(),
                paused: true,
            },
            "A,M,S",
        ),
        (
            Command::SetPause {
                app: app(),
                rule: rule(),
                paused: false,
            },
            "A,M",
        ),
        (
            Command::PutSegment {
                segment: "s".parse().unwrap(),
                sha256: Digest::of(b""),
                units: 0,
            },
            "A,M",
        ),
        (
            Command::RemoveSegment {
                segment: "s".parse().unwrap(),
            },
            "A,M",
        ),
        (grades(), "A,Y"),
        (
            Command::SetGrade {
                tenant: "t".parse().unwrap(),
                grade: huidu_core::grade::Grade::Basic,
            },
            "A,Y",
        ),
        (
            Command::SetInternal {
                app: app(),
                internal: true,
                reason: "r".into(),
            },
            "A,Y",
        ),
        (policy(2, false), "A,Y"),
        (
            Command::Grant {
                app: app(),
                permission: permission(),
            },
            "A,R",
        ),
        (
            Command::WithdrawGrant {
                app: app(),
                permission: permission(),
            },
            "A,R,Y",
        ),
        (revoke("camera"), "A,M,S,Y"),
        (
            Command::RestorePermission {
                app: app(),
                permission: permission(),
                reason: reason(),
            },
            "A,M,Y",
        ),
        (trial(&["retail-test"], &["t"]), "A,M,R"),
        (
            Command::AddPreview {
                app: app(),
                version: version(),
                id: Digest::of(b""),
                preview: Preview {
                    host: host(),
                    until: NOON,
                },
            },
            "A,M,R",
        ),
        (
            Command::RemovePreview {
                app: app(),
                version: version(),
                id: Digest::of(b""),
            },
            "A,M,R,Y",
        ),
    ];
    let people = [
        ("root", "A"),
        ("maya", "M"),
        ("sven", "S"),
        ("rui", "R"),
        ("sec", "Y"),
        ("ping", "P"),
        ("audrey", "U"),
    ];
    for (command, expected) in table {
        let may = |name: &str| {
            let actor = Actor {
                id: name.into(),
                role: role(name),
            };
            authorise(command.clone(), &actor, Review::Required).is_ok()
        };
        let allowed: Vec<_> = people
            .iter()
            .filter(|(name, _)| may(name))
            .map(|(_, letter)| *letter)
            .collect();
        assert_eq!(allowed.join(","), expected, "{}", command.verb());
    }
}
