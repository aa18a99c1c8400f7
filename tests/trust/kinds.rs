//! What takes agreement goes by what it does: nothing that sends devices on, brings something back or lets somebody
//! in is to be had by another name.

use std::collections::BTreeSet;

use huidu_core::{
    authority::Role,
    command::Command,
    credential::Expiry,
    digest::Digest,
    event::Event,
    eyes::{EyesPolicy, Kind, Requirement},
    grade::Grade,
    keyring::Trust,
    policy::{OnStale, Policy, Standing},
    version::Review,
};

use crate::{
    signed::{approve_signed, keyring, policy, put_keyring, put_policy, signed},
    world::*,
};

/// What a policy says otherwise.
type Change<'a> = &'a dyn Fn(&mut Policy);

const RULES: &str = "[[rule]]\nname = \"old\"\nshare = \"10%\"\nserve = \"1.0.0\"\n\
     [[rule]]\nname = \"ramp\"\nshare = \"1%\"\nserve = \"1.2.0\"\n\
     [[rule]]\nname = \"staff\"\nwhen = { segment = \"staff\" }\nserve = \"1.2.0\"\n";

fn rollout(stable: &str, rules: &str) -> Command {
    let text =
        format!("app = \"pingan/travel\"\nhosts = [\"retail\"]\nstable = \"{stable}\"\n{rules}");
    Command::PutRollout {
        rollout: Box::new(toml::from_str(&text).unwrap()),
    }
}

/// Three listed versions, a rollout with a rule that holds devices back, and the eyes of a bank with customers,
/// but for those kinds that a test leaves out.
fn bank(without: &[Kind]) -> World {
    let mut world = World::new(Review::Required);
    for version in ["1.0.0", "1.1.0", "1.2.0"] {
        world.submit("ping", version, &["camera"]);
        world.ok("rui", approve(version));
        world.ok("maya", list(version));
    }
    world.ok("root", put_member("mo", role("mo")));
    world.ok("root", add_token("mo", "mo"));
    world.ok("maya", segment("staff", b"staff"));
    world.ok("maya", rollout("1.1.0", RULES));
    let mut eyes = EyesPolicy::for_customers();
    eyes.kinds.retain(|kind, _| !without.contains(kind));
    world.ok("sec", Command::SetEyes { policy: eyes });
    world
}

fn segment(name: &str, units: &[u8]) -> Command {
    Command::PutSegment {
        segment: name.parse().unwrap(),
        sha256: Digest::of(units),
        units: 1,
    }
}

fn pause(rule: &str, paused: bool) -> Command {
    Command::SetPause {
        app: app(),
        rule: rule.parse().unwrap(),
        paused,
    }
}

fn share(rule: &str, share: &str) -> Command {
    Command::SetShare {
        app: app(),
        rule: rule.parse().unwrap(),
        share: share.parse().unwrap(),
    }
}

/// Asks, and says what kind of agreement it waits for; nothing where it happened.
#[track_caller]
fn waits(world: &mut World, who: &str, command: Command) -> Option<Kind> {
    match world.ask(who, command).unwrap().as_slice() {
        [Event::Proposed { proposal, .. }] => Some(proposal.kind.expect("a kind")),
        _ => None,
    }
}

fn newest(world: &World) -> Command {
    let open = world.catalogue.trust.proposals.iter();
    let (id, proposal) = open
        .max_by_key(|(_, one)| one.base)
        .expect("something waits");
    Command::ApproveProposal {
        id: id.clone(),
        hash: proposal.hash,
    }
}

#[test]
fn every_kind_takes_a_second_person_where_customers_are_served() {
    let eyes = EyesPolicy::for_customers();
    for kind in Kind::ALL {
        let one = &eyes.kinds[&kind];
        assert!(one.approvals >= 1, "{}", kind.word());
    }
    assert_eq!(eyes.mistake(), None);
}

#[test]
fn resuming_takes_two_and_pausing_one() {
    let mut world = bank(&[]);
    assert_eq!(waits(&mut world, "sven", pause("ramp", true)), None);
    assert_eq!(
        waits(&mut world, "maya", pause("ramp", false)),
        Some(Kind::Resume)
    );
    let paused = |world: &World| {
        let rule = world.catalogue.apps[&app()].rule(&"ramp".parse().unwrap());
        rule.unwrap().paused
    };
    assert!(paused(&world), "one person asked");
    assert!(
        world
            .ask("maya", newest(&world))
            .unwrap_err()
            .contains("asked for it")
    );
    world.ok("mo", newest(&world));
    assert!(!paused(&world));
}

#[test]
fn restoring_a_permission_takes_two_and_revoking_one() {
    let mut world = bank(&[]);
    assert_eq!(waits(&mut world, "sven", revoke("camera")), None);
    let restore = Command::RestorePermission {
        app: app(),
        permission: "camera".parse().unwrap(),
        reason: "mended".into(),
    };
    assert_eq!(
        waits(&mut world, "maya", restore),
        Some(Kind::RestorePermission)
    );
    assert_eq!(world.catalogue.apps[&app()].trust.revoked.len(), 1);
    world.ok("sec", newest(&world));
    assert!(world.catalogue.apps[&app()].trust.revoked.is_empty());
}

/// Whoever may not resume or raise alone does not do it by putting the rollout whole either.
#[test]
fn a_whole_rollout_is_no_way_around() {
    let paused = RULES.replacen("share = \"1%\"", "share = \"1%\"\npaused = true", 1);
    let raised = RULES.replacen("share = \"1%\"", "share = \"50%\"", 1);
    let lowered = RULES.replacen("share = \"1%\"", "share = \"0.5%\"", 1);
    let held = RULES.replacen("share = \"10%\"", "share = \"5%\"", 1);
    let wider = RULES.replacen("when = { segment = \"staff\" }\n", "", 1);
    for (name, before, after, kind) in [
        ("raises", RULES, &*raised, Some(Kind::RaiseShare)),
        ("resumes", &*paused, RULES, Some(Kind::Resume)),
        ("serves everybody", RULES, &*wider, Some(Kind::RaiseShare)),
        (
            "sends on whom a rule held",
            RULES,
            &*held,
            Some(Kind::RaiseShare),
        ),
        ("drops what held", RULES, "", Some(Kind::RaiseShare)),
        ("lowers", RULES, &*lowered, None),
        ("pauses", RULES, &*paused, None),
    ] {
        let mut world = bank(&[Kind::Rollout]);
        if before != RULES {
            world.ok("maya", rollout("1.1.0", before));
        }
        assert_eq!(
            waits(&mut world, "maya", rollout("1.1.0", after)),
            kind,
            "{name}"
        );
    }
    let mut world = bank(&[Kind::Rollout]);
    let newer = rollout("1.2.0", RULES);
    assert_eq!(
        waits(&mut world, "maya", newer),
        Some(Kind::RaiseShare),
        "another stable"
    );
    let mut world = bank(&[]);
    let named = waits(&mut world, "maya", rollout("1.1.0", &lowered));
    assert_eq!(
        named,
        Some(Kind::Rollout),
        "where whole rollouts take agreement, all do"
    );
}

/// A rule that keeps its devices on something older than everybody else gets is no ramp: to stop it is to send them on.
#[test]
fn what_holds_back_is_stopped_by_two() {
    let mut world = bank(&[]);
    assert_eq!(
        waits(&mut world, "sven", pause("old", true)),
        Some(Kind::Resume)
    );
    let lower = Command::LowerShare {
        app: app(),
        rule: "old".parse().unwrap(),
        share: "1%".parse().unwrap(),
    };
    assert_eq!(waits(&mut world, "sven", lower), Some(Kind::RaiseShare));
    assert_eq!(
        waits(&mut world, "maya", share("old", "2%")),
        Some(Kind::RaiseShare)
    );
    assert_eq!(
        waits(&mut world, "sven", pause("ramp", true)),
        None,
        "a ramp is stopped by one"
    );
    assert_eq!(waits(&mut world, "maya", share("ramp", "0.5%")), None);
}

#[test]
fn what_was_delisted_is_listed_again_by_two() {
    for without in [&[][..], &[Kind::List]] {
        let mut world = bank(without);
        let unserved = rollout("1.1.0", "");
        if waits(&mut world, "maya", unserved).is_some() {
            world.ok("mo", newest(&world));
        }
        world.ok(
            "sven",
            Command::Delist {
                app: app(),
                version: number("1.2.0"),
                reason: "over".into(),
            },
        );
        assert_eq!(waits(&mut world, "maya", list("1.2.0")), Some(Kind::Unkill));
        assert_eq!(world.life("1.2.0"), "delisted", "one manager asked");
        world.ok("mo", newest(&world));
        assert_eq!(world.life("1.2.0"), "listed");
    }
}

#[test]
fn a_segment_that_a_rule_asks_about_is_replaced_by_two() {
    let mut world = bank(&[]);
    assert_eq!(waits(&mut world, "maya", segment("unused", b"x")), None);
    assert_eq!(
        waits(&mut world, "maya", segment("staff", b"everybody")),
        Some(Kind::Segment)
    );
    let is = |world: &World| world.catalogue.segments["staff"].sha256;
    assert_eq!(is(&world), Digest::of(b"staff"));
    let by_segment = world.catalogue.trust.proposals.iter();
    let (id, proposal) = by_segment.last().unwrap();
    let yes = Command::ApproveProposal {
        id: id.clone(),
        hash: proposal.hash,
    };
    world.ok("mo", yes);
    assert_eq!(is(&world), Digest::of(b"everybody"));
}

#[test]
fn grades_rise_and_permissions_are_given_by_two() {
    let mut world = bank(&[]);
    let grade = |grade| Command::SetGrade {
        tenant: "pingan".parse().unwrap(),
        grade,
    };
    assert_eq!(
        waits(&mut world, "sec", grade(Grade::Critical)),
        Some(Kind::Grades)
    );
    world.ok("maya", newest(&world));
    assert_eq!(
        waits(&mut world, "sec", grade(Grade::Basic)),
        None,
        "falling is a stop"
    );
    assert_eq!(waits(&mut world, "sec", grades()), Some(Kind::Permissions));
    let grant = Command::Grant {
        app: app(),
        permission: "contacts".parse().unwrap(),
    };
    assert_eq!(waits(&mut world, "rui", grant), Some(Kind::Permissions));
}

/// The hole that this closes: one administrator is two people as soon as she has invented the second.
#[test]
fn an_admin_who_invents_a_member_cannot_approve_their_own_change() {
    let mut world = bank(&[]);
    let eve = || Command::PutMember {
        member: "eve".parse().unwrap(),
        title: String::new(),
        role: Role::ReleaseManager,
        identity: None,
    };
    // Another credential of somebody who is there would do as well.
    let token = Command::AddToken {
        id: "mos".into(),
        sha256: Digest::of(b"mine"),
        role: Role::ReleaseManager,
        note: String::new(),
        member: Some("mo".parse().unwrap()),
        expires: Expiry::Usual,
        scopes: BTreeSet::new(),
    };
    assert_eq!(waits(&mut world, "root", token), Some(Kind::People));
    assert_eq!(waits(&mut world, "root", eve()), Some(Kind::People));
    assert!(!world.catalogue.trust.members.contains_key("eve"));
    assert!(!world.catalogue.tokens.contains_key("mos"));
    let (id, proposal) = (world.catalogue.trust.proposals.iter())
        .find(|(_, one)| matches!(*one.command, Command::PutMember { .. }))
        .unwrap();
    let yes = Command::ApproveProposal {
        id: id.clone(),
        hash: proposal.hash,
    };
    // The credential that asked is nobody's, so whoever has it may be anybody of those who agree: two do.
    assert!(world.ask("root", yes.clone()).is_err());
    world.ok("maya", yes.clone());
    assert!(
        !world.catalogue.trust.members.contains_key("eve"),
        "maya may hold that credential"
    );
    world.ok("mo", yes);
    assert!(world.catalogue.trust.members.contains_key("eve"));
    // Partners and auditors agree to nothing; letting them in is no such change, and letting go never is.
    let ping = Command::PutMember {
        member: "pong".parse().unwrap(),
        title: String::new(),
        role: Role::Partner("cmb".parse().unwrap()),
        identity: None,
    };
    assert_eq!(waits(&mut world, "root", ping), None);
    let gone = Command::RemoveMember {
        member: "eve".parse().unwrap(),
    };
    assert_eq!(waits(&mut world, "sec", gone), None);
}

/// Before anything is served, whoever founded names the first people: nobody is there to agree.
#[test]
fn the_first_people_are_named_by_whoever_founded() {
    let mut world = World::new(Review::Required);
    world.ok(
        "sec",
        Command::SetEyes {
            policy: EyesPolicy::for_customers(),
        },
    );
    assert_eq!(
        waits(&mut world, "root", put_member("wei", role("wei"))),
        None
    );
    assert_eq!(waits(&mut world, "root", add_token("wei", "wei")), None);
}

#[test]
fn whose_agreement_counts_is_looked_at_again_when_it_happens() {
    let mut world = bank(&[Kind::People]);
    let mut eyes = world.catalogue.trust.eyes.clone();
    eyes.kinds.insert(
        Kind::Unkill,
        Requirement {
            approvals: 2,
            roles: vec![Role::ReleaseManager, Role::Security],
        },
    );
    eyes.kinds.remove(&Kind::Eyes);
    waits(&mut world, "sec", Command::SetEyes { policy: eyes });
    world.ok("maya", newest(&world));
    world.ok("sven", kill("1.2.0"));
    assert_eq!(
        waits(&mut world, "maya", unkill("1.2.0")),
        Some(Kind::Unkill)
    );
    world.ok("mo", newest(&world));
    // Mo becomes a reviewer, whose agreement to this does not count.
    world.ok("root", put_member("mo", Role::Reviewer));
    world.ok("sec", newest(&world));
    assert_eq!(world.life("1.2.0"), "killed", "one of two");
    let (_, proposal) = world.catalogue.trust.proposals.iter().next().unwrap();
    assert_eq!(proposal.approvals.len(), 2);
    world.ok("root", put_member("wei", role("wei")));
    world.ok("root", add_token("wei", "wei"));
    world.ok("wei", newest(&world));
    assert_eq!(world.life("1.2.0"), "listed");
}

/// What stops is never kept waiting; what lets run what did not run before is.
#[test]
fn a_policy_that_stops_takes_one_and_one_that_loosens_takes_two() {
    let mut world = World::new(Review::Required);
    world.ok("sec", crate::signed::graded());
    world.ok("sec", put_keyring(&keyring(Trust::Prod), &[1, 2]));
    world.ok("root", put_member("mo", role("mo")));
    world.ok("root", add_token("mo", "mo"));
    world.ok(
        "sec",
        Command::SetEyes {
            policy: EyesPolicy::for_customers(),
        },
    );
    let put = |policy| put_policy(&policy, &[21, 22]);
    assert_eq!(
        waits(&mut world, "sec", put(policy(1))),
        Some(Kind::AppPolicy),
        "the first one"
    );
    world.ok("mo", newest(&world));
    world.submit("ping", "1.0.0", &["camera"]);
    let record = crate::signed::record(&world, "1.0.0");
    world.ok("rui", approve_signed("1.0.0", signed(&record, &[11, 12])));
    let mut version = 1;
    let mut next = |change: Change| {
        version += 1;
        let mut policy = policy(version);
        (policy.floor_seq, policy.revoked) = (1, vec![bundle("9.9.9").sha256]);
        (policy.on_stale, policy.stale_grace_s) = (OnStale::Block, 5);
        change(&mut policy);
        put(policy)
    };
    assert_eq!(
        waits(&mut world, "sec", next(&|_| {})),
        None,
        "tighter in all"
    );
    let loosening: [(&str, Change); 5] = [
        ("a lower floor", &|policy| policy.floor_seq = 0),
        ("an archive given back", &|policy| policy.revoked.clear()),
        ("a wider most", &|policy| {
            policy.max_permissions.push("contacts".parse().unwrap());
        }),
        ("goes on without news", &|policy| {
            policy.on_stale = OnStale::Run;
        }),
        ("for longer without news", &|policy| {
            policy.stale_grace_s = 6;
        }),
    ];
    for (name, change) in loosening {
        assert_eq!(
            waits(&mut world, "sec", next(change)),
            Some(Kind::AppPolicy),
            "{name}"
        );
    }
    let delisted = next(&|policy| policy.state = Standing::Delisted);
    assert_eq!(
        waits(&mut world, "sec", delisted),
        None,
        "the hard delisting waits for nobody"
    );
    assert_eq!(
        waits(&mut world, "sec", next(&|_| {})),
        Some(Kind::AppPolicy),
        "listed again"
    );
    let mut second = keyring(Trust::Prod);
    second.version = 2;
    let ring = put_keyring(&second, &[1, 2]);
    assert_eq!(waits(&mut world, "sec", ring), Some(Kind::Keyring));
}
