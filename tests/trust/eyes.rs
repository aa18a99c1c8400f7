//! What people agree on: nothing that takes agreement happens without it, whoever writes it into the ledger.

use std::collections::BTreeSet;

use huidu_core::{
    authority::{Role, authorise},
    command::Command,
    decide::decide,
    digest::Digest,
    event::{Actor, Event},
    eyes::{EyesPolicy, Kind, Requirement},
    limits,
    revision::Revision,
    rules::Rules,
    time::Timestamp,
    validity::{self, Invalid},
    version::Review,
};

use crate::world::{NOON, World, app, approve, kill, list, role, unkill};

fn set(policy: EyesPolicy) -> Command {
    Command::SetEyes { policy }
}

fn policy(kinds: &[Kind], approvals: u8, roles: &[Role]) -> EyesPolicy {
    let requirement = Requirement {
        approvals,
        roles: roles.to_vec(),
    };
    EyesPolicy {
        kinds: kinds
            .iter()
            .map(|kind| (*kind, requirement.clone()))
            .collect(),
        ..EyesPolicy::default()
    }
}

fn yes(world: &World) -> Command {
    let (id, proposal) = waiting(world);
    Command::ApproveProposal {
        id,
        hash: proposal.hash,
    }
}

fn waiting(world: &World) -> (String, huidu_core::eyes::Proposal) {
    let mut open = world.catalogue.trust.proposals.iter();
    let (id, proposal) = open.next().expect("something waits");
    (id.clone(), proposal.clone())
}

/// One listed version that was killed; taking that back takes one more person.
fn killed() -> World {
    let mut world = World::new(Review::Required);
    world.submit("ping", "1.0.0", &[]);
    world.ok("rui", approve("1.0.0"));
    world.ok("maya", list("1.0.0"));
    world.ok("sven", kill("1.0.0"));
    let roles = [Role::ReleaseManager, Role::Security];
    world.ok("sec", set(policy(&[Kind::Unkill], 1, &roles)));
    world
}

#[test]
fn stopping_takes_one_and_bringing_back_takes_two() {
    let mut world = killed();
    world.ok("maya", unkill("1.0.0"));
    assert_eq!(world.life("1.0.0"), "killed", "one person asked");
    let (id, proposal) = waiting(&world);
    assert_eq!(
        (
            proposal.by.as_str(),
            proposal.lacks(&world.catalogue, Rules::NEWEST)
        ),
        ("member/maya", 1)
    );
    world.no(
        "maya",
        yes(&world),
        &format!("`member/maya` asked for it: change `{id}` is approved by somebody else"),
    );
    world.no(
        "sven",
        yes(&world),
        &format!("the role SRE does not count for `unkill`; `huidu change policy` says whose agreement change `{id}` takes"),
    );
    world.no(
        "sec",
        Command::ApproveProposal {
            id: id.clone(),
            hash: Digest::of(b"something else"),
        },
        &format!(
            "change `{id}` is {}, not the one that was approved; look at what waits",
            proposal.hash
        ),
    );
    let exists = format!(
        "change that waits `{id}` exists already; it is this very one; somebody else approves it with `huidu change approve`"
    );
    world.no("maya", unkill("1.0.0"), &exists);
    world.ok("sec", yes(&world));
    assert_eq!(world.life("1.0.0"), "listed");
    assert!(world.catalogue.trust.proposals.is_empty());
    // And stopping it again asks nobody.
    world.ok("sven", kill("1.0.0"));
    assert_eq!(world.life("1.0.0"), "killed");
}

#[test]
fn what_would_be_refused_is_refused_before_anybody_is_asked() {
    let mut world = killed();
    world.ok("maya", unkill("1.0.0"));
    world.ok("sec", yes(&world));
    world.no(
        "maya",
        unkill("1.0.0"),
        "nothing to change: version 1.0.0 of `pingan/travel` is not killed",
    );
    assert!(world.catalogue.trust.proposals.is_empty());
    let mistaken = policy(&[Kind::List], 0, &[Role::Admin]);
    world.no(
        "sec",
        set(mistaken),
        "the policy cannot be: each kind names 1 to 10 approvals and roles of the bank's own people",
    );
}

#[test]
fn what_was_changed_meanwhile_is_asked_for_again() {
    let mut world = killed();
    world.ok("maya", unkill("1.0.0"));
    let (id, _) = waiting(&world);
    world.submit("ping", "1.1.0", &[]);
    let moved = format!(
        "`pingan/travel` was changed since change `{id}` was asked for; take it back and ask again"
    );
    world.no("sec", yes(&world), &moved);
    world.no(
        "sven",
        Command::WithdrawProposal {
            id: id.clone(),
            reason: "no".into(),
        },
        &format!("change `{id}` is taken back by whoever asked for it, by an admin or by security"),
    );
    world.ok(
        "maya",
        Command::WithdrawProposal {
            id,
            reason: "again".into(),
        },
    );
    world.ok("maya", unkill("1.0.0"));
    world.ok("sec", yes(&world));
    assert_eq!(world.life("1.0.0"), "listed");
}

#[test]
fn whoever_asked_and_left_does_not_count() {
    let mut world = killed();
    world.ok("maya", unkill("1.0.0"));
    let (id, _) = waiting(&world);
    world.ok(
        "root",
        Command::RemoveMember {
            member: "maya".parse().unwrap(),
        },
    );
    let gone = format!(
        "`member/maya`, who asked for change `{id}`, may not any more; somebody else asks again"
    );
    world.no("sec", yes(&world), &gone);
}

#[test]
fn changing_what_takes_agreement_takes_agreement() {
    let mut world = World::new(Review::Required);
    let two = policy(
        &[Kind::Eyes, Kind::List],
        2,
        &[Role::Admin, Role::Security, Role::ReleaseManager],
    );
    world.ok("sec", set(two));
    world.ok("sec", set(EyesPolicy::default()));
    assert_eq!(world.catalogue.trust.eyes.kinds.len(), 2, "it waits");
    world.ok("maya", yes(&world));
    assert_eq!(world.catalogue.trust.eyes.kinds.len(), 2, "one of two");
    let (id, _) = waiting(&world);
    world.no(
        "maya",
        yes(&world),
        &format!("`member/maya` approved it already: change `{id}` is approved by somebody else"),
    );
    // The first token belongs to nobody: two tokens may be one person's.
    assert!(
        world
            .ask("root", yes(&world))
            .unwrap_err()
            .contains("belongs to no member")
    );
}

#[test]
fn raising_beyond_what_one_may_takes_two_and_lowering_takes_one() {
    let mut world = killed();
    world.ok("maya", unkill("1.0.0"));
    world.ok("sec", yes(&world));
    let rollout = serde_json::from_str(
        r#"{"app":"pingan/travel","hosts":["retail"],"stable":"1.0.0","rule":[{"name":"ramp","share":"1%","serve":"1.0.0"}]}"#,
    );
    world.ok(
        "maya",
        Command::PutRollout {
            rollout: Box::new(rollout.unwrap()),
        },
    );
    let mut eyes = EyesPolicy::for_customers();
    eyes.kinds.remove(&Kind::Eyes);
    world.ok("sec", set(eyes));
    let share = |share: &str| Command::SetShare {
        app: app(),
        rule: "ramp".parse().unwrap(),
        share: share.parse().unwrap(),
    };
    let is = |world: &World| {
        world.catalogue.apps[&app()].rollout.as_ref().unwrap().rules[0]
            .share
            .to_string()
    };
    world.ok("maya", share("5%"));
    assert_eq!(is(&world), "5%", "within what one person may");
    world.ok("maya", share("50%"));
    assert_eq!(is(&world), "5%");
    world.ok("sec", yes(&world));
    assert_eq!(is(&world), "50%");
    world.ok("maya", share("20%"));
    assert_eq!(is(&world), "20%", "lowering asks nobody");
}

/// What a node does by itself at `now`.
fn node(world: &mut World, id: &str, now: Timestamp) -> Result<Vec<Event>, String> {
    let actor = Actor {
        id: validity::NODE.into(),
        role: Role::Admin,
    };
    let command = Command::EnactProposal { id: id.into() };
    let authorised = authorise(command, &actor, &world.catalogue, NOON).unwrap();
    let events = decide(&world.catalogue, &authorised, now).map_err(|error| error.to_string())?;
    validity::check(&world.catalogue, now, &actor, &events).unwrap();
    let next = Revision::new(world.catalogue.revision.get() + 1);
    world.catalogue.apply(next, now, &events);
    Ok(events)
}

#[test]
fn a_change_with_a_time_happens_then_and_not_before() {
    let mut world = killed();
    let later = NOON.plus_ms(3_600_000);
    let ask = |world: &mut World, who: &str, at| {
        let actor = Actor {
            id: who.into(),
            role: role(who),
        };
        let authorised = authorise(unkill("1.0.0"), &actor, &world.catalogue, NOON).unwrap();
        let events = decide(&world.catalogue, &authorised.at(Some(at)), NOON);
        events.map(|events| {
            let next = Revision::new(world.catalogue.revision.get() + 1);
            world.catalogue.apply(next, NOON, &events);
        })
    };
    for wrong in [NOON, NOON.plus_ms(limits::PROPOSAL_MS)] {
        assert!(ask(&mut world, "maya", wrong).is_err());
    }
    ask(&mut world, "maya", later).unwrap();
    let (id, _) = waiting(&world);
    assert!(node(&mut world, &id, later).is_err(), "nobody agreed");
    world.ok("sec", yes(&world));
    assert_eq!(world.life("1.0.0"), "killed", "its time has not come");
    assert!(node(&mut world, &id, later.plus_ms(0)).is_ok());
    assert_eq!(world.life("1.0.0"), "listed");
}

#[test]
fn a_change_that_cannot_happen_when_its_time_comes_says_why() {
    let mut world = killed();
    let later = NOON.plus_ms(3_600_000);
    let actor = Actor {
        id: "maya".into(),
        role: role("maya"),
    };
    let authorised = authorise(unkill("1.0.0"), &actor, &world.catalogue, NOON).unwrap();
    let events = decide(&world.catalogue, &authorised.at(Some(later)), NOON).unwrap();
    world.catalogue.apply(Revision::new(90), NOON, &events);
    world.ok("sec", yes(&world));
    world.submit("ping", "1.1.0", &[]);
    let (id, _) = waiting(&world);
    let events = node(&mut world, &id, later).unwrap();
    let [Event::ProposalFailed { why, .. }] = events.as_slice() else {
        panic!("{events:?}");
    };
    assert!(why.contains("was changed since"), "{why}");
    assert!(world.catalogue.trust.proposals.is_empty());
}

/// What somebody who can write into the store would like to have happened.
#[test]
fn a_forged_record_does_not_count() {
    let mut world = killed();
    world.ok("maya", unkill("1.0.0"));
    let (id, proposal) = waiting(&world);
    let actor = |who: &str| Actor {
        id: who.into(),
        role: role(who),
    };
    let unkilled = Event::Unkilled {
        app: app(),
        version: Some("1.0.0".parse().unwrap()),
        reason: "sorry".into(),
    };
    let enacted = Event::ProposalEnacted { id: id.clone() };
    let agreed = |by: &str| Event::ProposalApproved {
        id: id.clone(),
        by: format!("member/{by}"),
        hash: Some(proposal.hash),
    };
    let listed = |version: &str| Event::VersionListed {
        app: app(),
        version: version.parse().unwrap(),
    };
    let stranger = Actor {
        id: "nobody".into(),
        role: Role::Admin,
    };
    let huidu = Actor {
        id: validity::NODE.into(),
        role: Role::Admin,
    };
    let raised = Actor {
        id: "sven".into(),
        role: Role::Admin,
    };
    let admin = Event::TokenAdded {
        id: "mine".into(),
        sha256: Digest::of(b"mine"),
        role: Role::Admin,
        note: String::new(),
        member: None,
        expires: None,
        scopes: BTreeSet::new(),
    };
    let founded = Event::Founded {
        audience: "bank/test".into(),
        review: Review::Skipped,
    };
    let mut forged = proposal.clone();
    forged.approvals.push(huidu_core::eyes::Agreement {
        by: "member/sec".into(),
        at: NOON,
    });
    let proposed = Event::Proposed {
        id: "0".repeat(16),
        proposal: Box::new(forged),
    };
    let cases: Vec<(&str, Actor, Vec<Event>)> = vec![
        (
            "a change that takes two, by one",
            actor("maya"),
            vec![unkilled.clone()],
        ),
        (
            "as if it had been agreed on",
            actor("maya"),
            vec![unkilled.clone(), enacted.clone()],
        ),
        (
            "agreed to by whoever asked",
            actor("maya"),
            vec![agreed("maya"), unkilled.clone(), enacted.clone()],
        ),
        (
            "agreed to in somebody's name",
            actor("maya"),
            vec![agreed("sec"), unkilled.clone(), enacted.clone()],
        ),
        (
            "agreed to by somebody who does not count",
            actor("sven"),
            vec![agreed("sven"), unkilled.clone(), enacted.clone()],
        ),
        (
            "an agreement in somebody's name alone",
            actor("maya"),
            vec![agreed("sec")],
        ),
        (
            "another change than the one agreed on",
            actor("sec"),
            vec![agreed("sec"), listed("1.0.0"), enacted.clone()],
        ),
        (
            "more than what was agreed on",
            actor("sec"),
            vec![
                agreed("sec"),
                unkilled.clone(),
                listed("1.0.0"),
                enacted.clone(),
            ],
        ),
        (
            "a change that came with its agreement",
            actor("maya"),
            vec![proposed],
        ),
        (
            "by a credential that nobody has",
            stranger,
            vec![listed("1.0.0")],
        ),
        (
            "by a node, out of nothing",
            huidu.clone(),
            vec![unkilled.clone()],
        ),
        (
            "by a node, agreed on by nobody",
            huidu,
            vec![unkilled, enacted],
        ),
        (
            "by a credential with a higher role than it has",
            raised,
            vec![listed("1.0.0")],
        ),
        (
            "by somebody whose role does not include it",
            actor("sven"),
            vec![listed("1.0.0")],
        ),
        ("a credential out of nothing", actor("audrey"), vec![admin]),
        ("the beginning once more", actor("root"), vec![founded]),
        (
            "an approval in somebody's name",
            actor("ping"),
            vec![Event::ReviewApproved {
                app: app(),
                version: "1.0.0".parse().unwrap(),
                by: "member/rui".into(),
                bundle: None,
                signed: None,
            }],
        ),
        (
            "an approval by whoever handed it in",
            actor("ping"),
            vec![Event::ReviewApproved {
                app: app(),
                version: "1.0.0".parse().unwrap(),
                by: "member/ping".into(),
                bundle: None,
                signed: None,
            }],
        ),
        (
            "a keyring that follows nothing",
            actor("sec"),
            vec![Event::KeyringPut {
                envelope: "{}".into(),
            }],
        ),
        (
            "a policy that nobody signed",
            actor("sec"),
            vec![Event::PolicyPut {
                app: app(),
                envelope: "{}".into(),
            }],
        ),
        (
            "an app of somebody else",
            actor("ping"),
            vec![Event::VersionDelisted {
                app: "cmb/pay".parse().unwrap(),
                version: "1.0.0".parse().unwrap(),
                reason: "x".into(),
            }],
        ),
    ];
    let tried = cases.len();
    for (name, actor, events) in cases {
        let checked = validity::check(&world.catalogue, NOON, &actor, &events);
        assert!(checked.is_err(), "{name}");
    }
    println!("{tried} forged records, counted: 0");
    // And the true ones do count.
    let right = [agreed("sec")].into_iter().chain(
        decide(
            &world.catalogue,
            &authorise(yes(&world), &actor("sec"), &world.catalogue, NOON).unwrap(),
            NOON,
        )
        .unwrap()
        .into_iter()
        .skip(1),
    );
    let right: Vec<_> = right.collect();
    assert_eq!(
        validity::check(&world.catalogue, NOON, &actor("sec"), &right),
        Ok(())
    );
    assert_eq!(
        validity::check(&world.catalogue, NOON, &actor("maya"), &right[1..]),
        Err(Invalid::Other { id })
    );
}
