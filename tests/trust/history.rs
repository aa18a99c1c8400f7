//! One long history in which every kind of event happens, by many people: what a ledger may hold.
//!
//! The golden ledger is this history as bytes, and the property tests change it field by field.

use std::collections::BTreeSet;

use huidu_core::{
    authority::Role,
    command::Command,
    credential::Expiry,
    digest::Digest,
    eyes::{EyesPolicy, Kind, Requirement},
    grade::Grade,
    keyring::Trust,
    policy::Standing,
    release::Release,
    time::Timestamp,
    trust::{Identity, Preview},
    validity,
    version::Review,
};

use crate::{
    signed::{approve_signed, keyring, policy, put_keyring, put_policy, quorum, signed},
    world::*,
};

const MINUTE: u64 = 60_000;

fn rollout(rest: &str) -> Command {
    let text = format!("app = \"pingan/travel\"\nhosts = [\"retail\"]\n{rest}");
    Command::PutRollout {
        rollout: Box::new(toml::from_str(&text).unwrap()),
    }
}

fn eyes(kinds: &[(Kind, u8)]) -> Command {
    let roles = vec![Role::Admin, Role::ReleaseManager, Role::Security];
    Command::SetEyes {
        policy: EyesPolicy {
            kinds: (kinds.iter())
                .map(|(kind, approvals)| {
                    let roles = roles.clone();
                    let approvals = *approvals;
                    (*kind, Requirement { approvals, roles })
                })
                .collect(),
            free_share: "5%".parse().unwrap(),
        },
    }
}

fn share(rule: &str, share: &str) -> Command {
    Command::SetShare {
        app: app(),
        rule: rule.parse().unwrap(),
        share: share.parse().unwrap(),
    }
}

fn pause(rule: &str, paused: bool) -> Command {
    Command::SetPause {
        app: app(),
        rule: rule.parse().unwrap(),
        paused,
    }
}

fn yes(world: &World) -> Command {
    let mut open = world.catalogue.trust.proposals.iter();
    let (id, proposal) = open.next().expect("something waits");
    Command::ApproveProposal {
        id: id.clone(),
        hash: proposal.hash,
    }
}

fn waiting(world: &World) -> String {
    let mut open = world.catalogue.trust.proposals.keys();
    open.next().expect("something waits").clone()
}

fn enact(world: &mut World) {
    let id = waiting(world);
    world.ok(validity::NODE, Command::EnactProposal { id });
}

fn begin(version: &str) -> Command {
    Command::BeginReview {
        app: app(),
        version: number(version),
    }
}

fn draft(world: &World, version: &str) -> Release {
    Release::draft("bank/test", &app(), world.version(version))
}

fn preview(secret: &str, until: Timestamp) -> Command {
    Command::AddPreview {
        app: app(),
        version: number("2.0.0"),
        id: Digest::of(secret.as_bytes()),
        preview: Preview {
            host: "retail-test".parse().unwrap(),
            until,
        },
    }
}

/// What happened, from the beginning.
pub(crate) fn history() -> World {
    let mut world = World::new(Review::Required);
    tick(&mut world);
    people(&mut world);
    papers(&mut world);
    rollouts(&mut world);
    permissions(&mut world);
    trials(&mut world);
    agreement(&mut world);
    endings(&mut world);
    world
}

fn tick(world: &mut World) {
    world.now = world.now.plus_ms(MINUTE);
}

fn people(world: &mut World) {
    let put = |name: &str, role: Role, subject: Option<&str>| Command::PutMember {
        member: name.parse().unwrap(),
        title: name.to_uppercase(),
        role,
        identity: subject.map(|subject| Identity {
            issuer: "https://id.bank".into(),
            subject: subject.into(),
        }),
    };
    world.ok("root", put("mo", Role::ReleaseManager, Some("u-7")));
    world.ok("root", put("zoe", Role::Reviewer, None));
    world.ok(
        "root",
        Command::AddToken {
            id: "zoe".into(),
            sha256: Digest::of(b"zoe"),
            role: Role::Reviewer,
            note: "at her desk".into(),
            member: Some("zoe".parse().unwrap()),
            expires: Expiry::Usual,
            scopes: BTreeSet::new(),
        },
    );
    // Another role takes her token back; then she leaves.
    world.ok("root", put("zoe", Role::Auditor, None));
    let zoe = || Command::RemoveMember {
        member: "zoe".parse().unwrap(),
    };
    world.ok("root", zoe());
    world.ok("root", put("zed", Role::Sre, None));
    world.ok(
        "root",
        Command::AddToken {
            id: "zed".into(),
            sha256: Digest::of(b"zed"),
            role: Role::Sre,
            note: String::new(),
            member: Some("zed".parse().unwrap()),
            expires: Expiry::Usual,
            scopes: BTreeSet::new(),
        },
    );
    world.ok(
        "sec",
        Command::RemoveMember {
            member: "zed".parse().unwrap(),
        },
    );
    world.ok(
        "root",
        Command::AddToken {
            id: "ci".into(),
            sha256: Digest::of(b"ci"),
            role: Role::Partner("cmb".parse().unwrap()),
            note: "publishes".into(),
            member: None,
            expires: Expiry::Usual,
            scopes: BTreeSet::new(),
        },
    );
    world.ok("root", Command::RevokeToken { id: "ci".into() });
    world.ok(
        "maya",
        Command::AddTenant {
            tenant: "cmb".parse().unwrap(),
            title: "招商".into(),
        },
    );
    for name in ["cmb/pay", "icbc/home"] {
        world.ok(
            "maya",
            Command::AddApp {
                app: name.parse().unwrap(),
                title: String::new(),
            },
        );
    }
    tick(world);
}

fn papers(world: &mut World) {
    world.ok("sec", policy_of_review(2));
    world.ok("sec", crate::signed::graded());
    world.submit("ping", "0.9.0", &["camera", "contacts"]);
    let mut first = approve("0.9.0");
    if let Command::Approve { withheld, .. } = &mut first {
        *withheld = Some(BTreeSet::from(["contacts".parse().unwrap()]));
    }
    world.ok("rui", first);
    world.ok("rob", approve("0.9.0"));
    let exempt = Command::SetInternal {
        app: app(),
        internal: true,
        reason: "the bank's own".into(),
    };
    world.ok("sec", exempt);
    world.ok("sec", put_keyring(&keyring(Trust::Prod), &[1, 2]));
    world.submit("ping", "1.0.0", &["camera"]);
    world.ok("rui", begin("1.0.0"));
    let record = draft(world, "1.0.0");
    world.ok("rui", approve_signed("1.0.0", signed(&record, &[11])));
    world.ok("rosa", approve_signed("1.0.0", signed(&record, &[12])));
    world.ok("sec", put_policy(&policy(1), &[21, 22]));
    world.ok("maya", list("1.0.0"));
    for version in ["1.1.0", "1.2.0"] {
        world.submit("ping", version, &["camera"]);
        let record = draft(world, version);
        world.ok("rui", approve_signed(version, signed(&record, &[11, 12])));
        world.ok("rob", approve_signed(version, signed(&record, &[13])));
        world.ok("maya", list(version));
        tick(world);
    }
    world.submit("ping", "1.3.0", &[]);
    world.ok("rosa", reject("1.3.0"));
    let mut next = keyring(Trust::Prod);
    next.version = 2;
    next.roles.release = quorum(2, &[12, 13]);
    world.ok("sec", put_keyring(&next, &[2, 3]));
    for version in ["1.0.0", "1.1.0", "1.2.0"] {
        let record = draft(world, version);
        world.ok(
            "rui",
            Command::SignRelease {
                app: app(),
                version: number(version),
                signed: signed(&record, &[12, 13]),
            },
        );
    }
    tick(world);
}

fn policy_of_review(approvals: u8) -> Command {
    crate::world::policy(approvals, false)
}

fn rollouts(world: &mut World) {
    world.ok(
        "maya",
        Command::PutSegment {
            segment: "staff".parse().unwrap(),
            sha256: Digest::of(b"staff"),
            units: 12,
        },
    );
    world.ok(
        "maya",
        rollout(
            "stable = \"1.0.0\"\n[[holdout]]\nlayer = \"home\"\nshare = \"1%\"\n\
             [[rule]]\nname = \"staff\"\nwhen = { segment = \"staff\" }\nserve = \"1.2.0\"\n\
             [[rule]]\nname = \"old\"\nshare = \"10%\"\nserve = \"1.0.0\"\n\
             [[rule]]\nname = \"ramp\"\nshare = \"1%\"\nserve = \"1.1.0\"\n\
             [[rule]]\nname = \"ab\"\nlayer = \"home\"\nshare = \"20%\"\n\
             split = { one = { serve = \"1.0.0\", weight = 1 }, two = { serve = \"1.1.0\", weight = 1 } }\n",
        ),
    );
    for to in ["5%", "50%", "20%"] {
        world.ok("maya", share("ramp", to));
        tick(world);
    }
    world.ok("maya", share("ab", "30%"));
    world.ok("maya", share("ab", "10%"));
    world.ok(
        "sven",
        Command::LowerShare {
            app: app(),
            rule: "ramp".parse().unwrap(),
            share: "2%".parse().unwrap(),
        },
    );
    world.ok("sven", pause("ramp", true));
    world.ok("maya", pause("ramp", false));
    for name in ["staff", "unused"] {
        world.ok(
            "maya",
            Command::PutSegment {
                segment: name.parse().unwrap(),
                sha256: Digest::of(b"more of it"),
                units: 13,
            },
        );
    }
    world.ok(
        "maya",
        Command::RemoveSegment {
            segment: "unused".parse().unwrap(),
        },
    );
    tick(world);
}

fn permissions(world: &mut World) {
    let text = "[permissions]\ncamera = { grade = \"basic\" }\ncontacts = { grade = \"personal\" }\n\
         location = { grade = \"sensitive\", title = \"where somebody is\" }";
    let catalogue = huidu_core::grade::PermissionCatalogue::from_toml(text).unwrap();
    world.ok(
        "sec",
        Command::PutPermissions {
            catalogue: Box::new(catalogue),
        },
    );
    world.ok(
        "sec",
        Command::SetGrade {
            tenant: "pingan".parse().unwrap(),
            grade: Grade::Personal,
        },
    );
    let location = || "location".parse().unwrap();
    world.ok(
        "rui",
        Command::Grant {
            app: app(),
            permission: location(),
        },
    );
    world.ok(
        "sec",
        Command::WithdrawGrant {
            app: app(),
            permission: location(),
        },
    );
    world.ok("sven", revoke("camera"));
    world.ok(
        "sec",
        Command::RestorePermission {
            app: app(),
            permission: "camera".parse().unwrap(),
            reason: "mended".into(),
        },
    );
    tick(world);
}

fn trials(world: &mut World) {
    world.submit("ping", "2.0.0", &[]);
    world.ok("rui", trial(&["retail-test"], &["phone-1", "phone-2"]));
    let soon = world.now.plus_ms(MINUTE / 2);
    world.ok("maya", preview("one", soon));
    tick(world);
    // What has ended makes room.
    let later = world.now.plus_ms(MINUTE * 60);
    world.ok("maya", preview("two", later));
    world.ok(
        "sec",
        Command::RemovePreview {
            app: app(),
            version: number("2.0.0"),
            id: Digest::of(b"two"),
        },
    );
    world.ok("rui", trial(&[], &[]));
    tick(world);
}

fn agreement(world: &mut World) {
    world.ok(
        "sec",
        eyes(&[
            (Kind::Unkill, 1),
            (Kind::Eyes, 2),
            (Kind::RaiseShare, 1),
            (Kind::ReviewPolicy, 1),
        ]),
    );
    // Killed, asked for, agreed to.
    world.ok("sven", kill("1.2.0"));
    world.ok("maya", unkill("1.2.0"));
    world.ok("sec", yes(world));
    // Killed, and the app changed before anybody agreed.
    world.ok("sven", kill("1.2.0"));
    let unkill_later = world.now.plus_ms(MINUTE * 5);
    let asked = world.ask_for("maya", unkill("1.2.0"), Some(unkill_later));
    asked.unwrap();
    world.ok("sec", yes(world));
    world.ok("sven", pause("ramp", true));
    world.now = world.now.plus_ms(MINUTE * 6);
    enact(world);
    // At its time, and nothing in between.
    let soon = world.now.plus_ms(MINUTE * 5);
    world.ask_for("maya", unkill("1.2.0"), Some(soon)).unwrap();
    world.ok("sec", yes(world));
    world.now = world.now.plus_ms(MINUTE * 6);
    enact(world);
    // A stop at its time takes nobody's agreement.
    let soon = world.now.plus_ms(MINUTE);
    let delist = Command::Delist {
        app: app(),
        version: number("1.2.0"),
        reason: "over".into(),
    };
    let served = world.ask("maya", delist.clone());
    assert!(served.unwrap_err().contains("serve"), "a rule serves it");
    world.ask_for("maya", share("old", "15%"), None).unwrap();
    world.ok(
        "maya",
        Command::WithdrawProposal {
            id: waiting(world),
            reason: "too soon".into(),
        },
    );
    world
        .ask_for("maya", pause("ab", true), Some(soon))
        .unwrap();
    world.now = world.now.plus_ms(MINUTE * 2);
    enact(world);
    // Two agree to what takes two.
    world.ok("sec", eyes(&[(Kind::Unkill, 1)]));
    world.ok("maya", yes(world));
    let agree = yes(world);
    world.ok("root", put_member("wei", Role::ReleaseManager));
    world.ok(
        "root",
        Command::AddToken {
            id: "wei".into(),
            sha256: Digest::of(b"wei"),
            role: Role::ReleaseManager,
            note: String::new(),
            member: Some("wei".parse().unwrap()),
            expires: Expiry::Usual,
            scopes: BTreeSet::new(),
        },
    );
    world.ok("wei", agree);
    tick(world);
}

fn endings(world: &mut World) {
    let whole = |reason: &str| Command::Kill {
        app: "cmb/pay".parse().unwrap(),
        version: None,
        reason: reason.into(),
    };
    world.ok("sven", whole("fraud"));
    world.ok(
        "maya",
        Command::Unkill {
            app: "cmb/pay".parse().unwrap(),
            version: None,
            reason: "solved".into(),
        },
    );
    world.ok("sec", yes(world));
    // Killed while under review, and brought back as it was.
    world.ok("sven", kill("2.0.0"));
    world.ok("maya", rollout("stable = \"1.0.0\"\n"));
    world.ok(
        "sven",
        Command::Delist {
            app: app(),
            version: number("1.1.0"),
            reason: "over".into(),
        },
    );
    customers(world);
    let mut floor = policy(2);
    floor.floor_seq = 3;
    floor.revoked = vec![bundle("1.0.0").sha256];
    world.ok("sec", put_policy(&floor, &[21, 22]));
    let mut last = policy(3);
    last.state = Standing::Delisted;
    world.ok("sec", put_policy(&last, &[21, 22]));
}

/// What takes agreement by its effect, asked for by a person and by a credential that is nobody's.
fn customers(world: &mut World) {
    let policy = EyesPolicy::for_customers();
    world.ok("sec", Command::SetEyes { policy });
    world.ok("maya", list("1.1.0"));
    world.ok("sec", yes(world));
    assert_eq!(world.life("1.1.0"), "listed");
    world.ok("root", put_member("eve", Role::Reviewer));
    for who in ["maya", "wei"] {
        world.ok(who, yes(world));
    }
    tick(world);
}

/// The tags of all events of a history.
pub(crate) fn tags(world: &World) -> BTreeSet<String> {
    let events = world.log.iter().flat_map(|step| &step.events);
    let tag = |event| serde_json::to_value(event).unwrap()["event"].clone();
    events
        .map(|event| tag(event).as_str().unwrap().to_owned())
        .collect()
}
