//! What somebody who can write into the store would like to have happened, hole by hole: none of it counts.

use huidu_core::{
    authority::Role,
    command::Command,
    digest::Digest,
    event::{Actor, Event},
    eyes::EyesPolicy,
    keyring::Trust,
    release::Release,
    share::Share,
    trust::ReviewPolicy,
    validity,
    version::{Life, Review},
};

mod versions;

use crate::{
    signed::{approve_signed, keyring, policy, put_keyring, put_policy, signed},
    world::*,
};

/// One line of the table: what it is, by whom, and what it says happened.
type Forged = (&'static str, Actor, Vec<Event>);

fn by(who: &str) -> Actor {
    Actor {
        id: who.into(),
        role: role(who),
    }
}

fn node() -> Actor {
    Actor {
        id: validity::NODE.into(),
        role: Role::Admin,
    }
}

fn person(who: &str) -> String {
    format!("member/{who}")
}

/// A bank whose customers are served by keys, with a version in every state that somebody might wish to change.
fn bank() -> World {
    let mut world = World::new(Review::Required);
    world.ok("sec", crate::world::policy(2, false));
    world.ok("sec", crate::signed::graded());
    world.ok("sec", put_keyring(&keyring(Trust::Prod), &[1, 2]));
    world.ok("sec", put_policy(&policy(1), &[21, 22]));
    for version in ["1.0.0", "1.1.0", "1.2.0", "1.4.0"] {
        world.submit("ping", version, &["camera"]);
        let record = draft(&world, version);
        world.ok("rui", approve_signed(version, signed(&record, &[11, 12])));
        world.ok("rob", approve_signed(version, signed(&record, &[13])));
    }
    for version in ["1.0.0", "1.1.0", "1.4.0"] {
        world.ok("maya", list(version));
    }
    world.ok(
        "maya",
        Command::Delist {
            app: app(),
            version: number("1.4.0"),
            reason: "over".into(),
        },
    );
    world.submit("ping", "1.3.0", &["camera"]);
    let record = draft(&world, "1.3.0");
    world.ok("rosa", approve_signed("1.3.0", signed(&record, &[11])));
    world.submit("ping", "2.0.0", &[]);
    let rules = "app = \"pingan/travel\"\nhosts = [\"retail\"]\nstable = \"1.0.0\"\n\
         [[rule]]\nname = \"ramp\"\nshare = \"1%\"\nserve = \"1.1.0\"\n\
         [[rule]]\nname = \"ab\"\nlayer = \"home\"\nshare = \"20%\"\nserve = \"1.1.0\"\n";
    world.ok(
        "maya",
        Command::PutRollout {
            rollout: Box::new(toml::from_str(rules).unwrap()),
        },
    );
    world.ok(
        "maya",
        Command::PutSegment {
            segment: "staff".parse().unwrap(),
            sha256: Digest::of(b"staff"),
            units: 1,
        },
    );
    world.ok("sven", kill("1.1.0"));
    world.ok(
        "sec",
        Command::SetEyes {
            policy: EyesPolicy::for_customers(),
        },
    );
    world.ok("maya", unkill("1.1.0"));
    world
}

fn draft(world: &World, version: &str) -> Release {
    Release::draft("bank/test", &app(), world.version(version))
}

fn listed(version: &str) -> Event {
    Event::VersionListed {
        app: app(),
        version: number(version),
    }
}

fn approved(version: &str, release: Option<String>) -> Event {
    Event::VersionApproved {
        app: app(),
        version: number(version),
        release,
    }
}

fn vote(version: &str, who: &str, signed: Option<&str>) -> Event {
    serde_json::from_value(serde_json::json!({
        "event": "review-approved", "app": app(), "version": version, "by": who, "signed": signed,
    }))
    .unwrap()
}

fn credential(id: &str, role: Role, member: Option<&str>) -> Event {
    Event::TokenAdded {
        id: id.into(),
        sha256: Digest::of(id.as_bytes()),
        role,
        note: String::new(),
        member: member.map(|name| name.parse().unwrap()),
        expires: None,
        scopes: std::collections::BTreeSet::new(),
    }
}

fn admitted(name: &str, role: Role) -> Event {
    Event::MemberPut {
        member: name.parse().unwrap(),
        title: String::new(),
        role,
        identity: None,
    }
}

/// A node that does what nobody asked for.
fn by_nodes() -> Vec<Forged> {
    let failed = Event::ProposalFailed {
        id: "0123456789abcdef".into(),
        why: "x".into(),
    };
    vec![
        (
            "a node gives itself an administrator behind a change that never was",
            node(),
            vec![
                failed.clone(),
                admitted("eve", Role::Admin),
                credential("eve", Role::Admin, Some("eve")),
            ],
        ),
        ("a node says that nothing failed", node(), vec![failed]),
        ("a node lists", node(), vec![listed("1.2.0")]),
        (
            "a node voids by name alone",
            node(),
            vec![Event::ProposalWithdrawn {
                id: "x".into(),
                by: person("maya"),
                reason: "r".into(),
            }],
        ),
    ]
}

/// Papers that are not those that follow.
fn papers(world: &World) -> Vec<Forged> {
    let mut later = policy(2);
    later.app = "pingan/pay".parse().unwrap();
    let mut over = policy(2);
    over.expires = world.now.unix_ms() / 1_000;
    let put = |policy, seeds: &[u8]| Event::PolicyPut {
        app: app(),
        envelope: signed(&policy, seeds),
    };
    let mut next = keyring(Trust::Prod);
    next.version = 2;
    let ring = |keyring, seeds: &[u8]| Event::KeyringPut {
        envelope: signed(&keyring, seeds),
    };
    let mut skips = next.clone();
    skips.version = 3;
    let mut expired = next.clone();
    expired.expires = world.now.unix_ms() / 1_000;
    let sec = || by("sec");
    vec![
        (
            "the same policy once more",
            sec(),
            vec![put(policy(1), &[21, 22])],
        ),
        ("another app's policy", sec(), vec![put(later, &[21, 22])]),
        ("an expired policy", sec(), vec![put(over, &[21, 22])]),
        ("a policy signed by one", sec(), vec![put(policy(2), &[21])]),
        (
            "the first keyring once more",
            sec(),
            vec![ring(keyring(Trust::Prod), &[1, 2])],
        ),
        ("a keyring that skips", sec(), vec![ring(skips, &[1, 2])]),
        (
            "a keyring that is expired",
            sec(),
            vec![ring(expired, &[1, 2])],
        ),
        (
            "two keyrings in one record",
            sec(),
            vec![ring(next.clone(), &[1, 2]), ring(next, &[1, 2])],
        ),
    ]
}

/// Stops that do something else, and things of a rollout that nobody checked.
fn stops(world: &World) -> Vec<Forged> {
    let rule = || "ab".parse().unwrap();
    let moved = |share: &str, slots: std::ops::Range<u16>| Event::ShareSet {
        app: app(),
        rule: rule(),
        share: share.parse().unwrap(),
        slots: huidu_core::slots::Slots::from_slots(slots),
    };
    let killed = |version: &str, before: Option<Life>| Event::Killed {
        app: app(),
        version: Some(number(version)),
        reason: "x".into(),
        before: before.map(Box::new),
    };
    let put = |change: fn(&mut huidu_core::rollout::Rollout)| {
        let mut rollout = world.catalogue.apps[&app()].rollout.clone().unwrap();
        change(&mut rollout);
        Event::RolloutPut {
            rollout: Box::new(rollout),
        }
    };
    let sven = || by("sven");
    vec![
        (
            "a lower share with every slot",
            sven(),
            vec![moved("1%", 0..10_000)],
        ),
        (
            "a lower share with other slots",
            sven(),
            vec![moved("1%", 9_000..9_100)],
        ),
        (
            "a share of a rule that there is not",
            sven(),
            vec![Event::ShareSet {
                app: app(),
                rule: "none".parse().unwrap(),
                share: Share::NONE,
                slots: huidu_core::slots::Slots::default(),
            }],
        ),
        (
            "a kill that makes it listed afterwards",
            sven(),
            vec![killed("2.0.0", Some(Life::Listed))],
        ),
        (
            "a kill that makes it approved afterwards",
            sven(),
            vec![killed("2.0.0", Some(Life::Approved))],
        ),
        (
            "a kill of what was submitted, that forgets it",
            sven(),
            vec![killed("2.0.0", None)],
        ),
        (
            "a kill of a version that there is not",
            sven(),
            vec![killed("9.0.0", None)],
        ),
        (
            "a kill for no reason",
            sven(),
            vec![Event::Killed {
                app: app(),
                version: None,
                reason: " ".into(),
                before: None,
            }],
        ),
        (
            "what was never killed comes back",
            by("maya"),
            vec![Event::Unkilled {
                app: app(),
                version: Some(number("2.0.0")),
                reason: "x".into(),
            }],
        ),
        (
            "a rollout to versions that nobody listed",
            by("maya"),
            vec![put(|r| r.stable = number("2.0.0"))],
        ),
        (
            "a rollout for hosts that there are not",
            by("maya"),
            vec![put(|r| {
                r.hosts = ["elsewhere".parse().unwrap()].into();
            })],
        ),
        ("a rollout of itself", by("maya"), vec![put(|_| {})]),
        (
            "a pause of what is paused by nobody",
            sven(),
            vec![Event::PauseSet {
                app: app(),
                rule: "none".parse().unwrap(),
                paused: true,
            }],
        ),
        (
            "a delisting of what is served",
            sven(),
            vec![Event::VersionDelisted {
                app: app(),
                version: number("1.0.0"),
                reason: "x".into(),
            }],
        ),
        (
            "a segment that is gone and asked about",
            by("maya"),
            vec![Event::SegmentRemoved {
                segment: "none".parse().unwrap(),
            }],
        ),
        (
            "a segment without end",
            by("maya"),
            vec![Event::SegmentPut {
                segment: "staff".parse().unwrap(),
                sha256: Digest::of(b"x"),
                units: u64::MAX,
            }],
        ),
    ]
}

/// What waits, and whose it is.
fn changes(world: &World) -> Vec<Forged> {
    let (id, proposal) = world.catalogue.trust.proposals.iter().next().unwrap();
    let withdrawn = |by: &str| Event::ProposalWithdrawn {
        id: id.clone(),
        by: person(by),
        reason: "x".into(),
    };
    let later = |change: fn(&mut huidu_core::eyes::Proposal)| {
        let mut proposal = proposal.clone();
        change(&mut proposal);
        Event::Proposed {
            id: "f".repeat(16),
            proposal: Box::new(proposal),
        }
    };
    let agreed = |hash: &Digest| {
        serde_json::from_value::<Event>(serde_json::json!({
            "event": "proposal-approved", "id": id, "by": person("sec"), "hash": hash,
        }))
    };
    let mut all = vec![
        (
            "taken back by somebody else",
            by("sven"),
            vec![withdrawn("sven")],
        ),
        (
            "taken back in its author's name",
            by("sven"),
            vec![withdrawn("maya")],
        ),
        (
            "failed, and it is not due",
            node(),
            vec![Event::ProposalFailed {
                id: id.clone(),
                why: "x".into(),
            }],
        ),
        ("waits under another name", by("maya"), vec![later(|_| {})]),
        (
            "waits for ever",
            by("maya"),
            vec![later(|p| p.until = p.until.plus_ms(1 << 40))],
        ),
        (
            "waits as no kind",
            by("maya"),
            vec![later(|p| p.kind = None)],
        ),
        (
            "is agreed on from elsewhere",
            by("maya"),
            vec![later(|p| p.base = None)],
        ),
        (
            "how versions are approved, by one",
            by("sec"),
            vec![Event::ReviewPolicySet {
                policy: ReviewPolicy {
                    approvals: 1,
                    filing_required: false,
                },
            }],
        ),
        (
            "nothing takes agreement any more, by one",
            by("sec"),
            vec![Event::EyesSet {
                policy: EyesPolicy::default(),
            }],
        ),
        (
            "a policy nobody can meet",
            by("sec"),
            vec![Event::EyesSet {
                policy: serde_json::from_str(r#"{"kinds":{"eyes":{"approvals":200,"roles":[]}}}"#)
                    .unwrap(),
            }],
        ),
    ];
    // Where approvals name what was shown, another hash is another change.
    if let Ok(agreed) = agreed(&Digest::of(b"something else")) {
        all.push(("agreed to something else", by("sec"), vec![agreed]));
    }
    all
}

/// People and credentials.
fn people() -> Vec<Forged> {
    let root = || by("root");
    vec![
        (
            "an admin invents a second person",
            root(),
            vec![admitted("eve", Role::ReleaseManager)],
        ),
        (
            "an admin makes herself a credential of somebody else's",
            root(),
            vec![credential("mayas", Role::ReleaseManager, Some("maya"))],
        ),
        (
            "a credential above its owner",
            root(),
            vec![credential("pings", Role::Admin, Some("ping"))],
        ),
        (
            "a credential twice",
            root(),
            vec![credential(
                "maya",
                Role::Partner("cmb".parse().unwrap()),
                None,
            )],
        ),
        (
            "the last administrator",
            by("sec"),
            vec![Event::TokenRevoked { id: "root".into() }],
        ),
        (
            "a person who leaves and keeps the credentials",
            by("sec"),
            vec![Event::MemberRemoved {
                member: "rui".parse().unwrap(),
            }],
        ),
        (
            "a tenant twice",
            by("maya"),
            vec![Event::TenantAdded {
                tenant: "pingan".parse().unwrap(),
                title: "mine".into(),
            }],
        ),
        (
            "an app twice",
            by("maya"),
            vec![Event::AppAdded {
                app: app(),
                title: "mine".into(),
            }],
        ),
        (
            "a host twice",
            by("maya"),
            vec![Event::HostAdded {
                host: "retail".parse().unwrap(),
                title: "mine".into(),
                sandbox: true,
            }],
        ),
        (
            "two wants in one record",
            by("sven"),
            vec![
                Event::PermissionRevoked {
                    app: app(),
                    permission: "camera".parse().unwrap(),
                    reason: "x".into(),
                },
                Event::PermissionRevoked {
                    app: app(),
                    permission: "storage".parse().unwrap(),
                    reason: "x".into(),
                },
            ],
        ),
        (
            "a trial in a bank app of customers",
            by("rui"),
            vec![Event::TrialPut {
                app: app(),
                version: number("2.0.0"),
                hosts: ["retail".parse().unwrap()].into(),
                devices: ["phone-1".to_owned()].into(),
            }],
        ),
        (
            "a preview without end",
            by("rui"),
            vec![Event::PreviewAdded {
                app: app(),
                version: number("2.0.0"),
                id: Digest::of(b"x"),
                preview: huidu_core::trust::Preview {
                    host: "retail-test".parse().unwrap(),
                    until: NOON.plus_ms(1 << 40),
                },
            }],
        ),
        (
            "a permission restored by one",
            by("maya"),
            vec![Event::PermissionRestored {
                app: app(),
                permission: "camera".parse().unwrap(),
                reason: "x".into(),
            }],
        ),
        (
            "nothing at all, by nobody",
            Actor {
                id: "nobody".into(),
                role: Role::Admin,
            },
            vec![],
        ),
    ]
}

#[test]
fn nothing_that_was_written_past_the_servers_counts() {
    let world = bank();
    let table = [
        by_nodes(),
        versions::versions(&world),
        versions::approvals(&world),
        papers(&world),
        stops(&world),
        changes(&world),
        people(),
    ]
    .concat();
    let counted: Vec<&str> = (table.iter())
        .filter(|(_, actor, events)| {
            validity::check(&world.catalogue, world.now, actor, events).is_ok()
        })
        .map(|(name, ..)| *name)
        .collect();
    println!("{} forgeries, counted: {}", table.len(), counted.len());
    assert_eq!(counted, Vec::<&str>::new());
}
