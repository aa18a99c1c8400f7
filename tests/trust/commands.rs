//! One command of every kind, whose role includes it, and which scope a credential must have for it.

use huidu_core::{
    authority::Role,
    command::Command,
    digest::Digest,
    eyes::EyesPolicy,
    ramp::{Act, Steer},
    revision::Revision,
    trust::{Preview, ReviewPolicy},
    version::Review,
};

use crate::world::*;

/// Every command: the roles that include it (one letter each for admin, release manager, SRE, reviewer,
/// security, partner, auditor), and the scopes of which a narrowed credential must have one.
#[expect(
    clippy::too_many_lines,
    reason = "one row for each command, so that none is forgotten"
)]
pub(crate) fn table() -> Vec<(Command, &'static str, &'static str)> {
    let host = || "retail-test".parse().unwrap();
    let permission = || "camera".parse().unwrap();
    let version = || number("1.0.0");
    let reason = || "because".to_owned();
    let rollout = || {
        toml::from_str("app = \"pingan/travel\"\nhosts = [\"retail\"]\nstable = \"1.0.0\"").unwrap()
    };
    let rule = || "ramp".parse().unwrap();
    let share = || "1%".parse().unwrap();
    let steer = |act| Command::SteerRamp {
        app: app(),
        rule: rule(),
        act,
        reason: reason(),
    };
    vec![
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
            "none",
        ),
        (add_token("x", "rui"), "A", "tokens"),
        (Command::RevokeToken { id: "x".into() }, "A,Y", "tokens"),
        (put_member("x", Role::Sre), "A", "members"),
        (
            Command::RemoveMember {
                member: "x".parse().unwrap(),
            },
            "A,Y",
            "members",
        ),
        (
            Command::AddTenant {
                tenant: "t".parse().unwrap(),
                title: String::new(),
            },
            "A,M",
            "catalogue",
        ),
        (
            Command::AddHost {
                host: host(),
                title: String::new(),
                sandbox: true,
            },
            "A,M",
            "catalogue",
        ),
        (
            Command::AddApp {
                app: app(),
                title: String::new(),
            },
            "A,M",
            "catalogue",
        ),
        (submit("1.0.0", &[]), "A,M,P", "submit"),
        (
            Command::BeginReview {
                app: app(),
                version: version(),
            },
            "A,R",
            "review",
        ),
        (approve("1.0.0"), "A,R", "review"),
        (reject("1.0.0"), "A,R", "review"),
        (list("1.0.0"), "A,M", "rollout"),
        (
            Command::Delist {
                app: app(),
                version: version(),
                reason: reason(),
            },
            "A,M,S",
            "rollout,kill",
        ),
        (kill("1.0.0"), "A,M,S,Y", "kill"),
        (unkill("1.0.0"), "A,M", "unkill"),
        (Command::PutRollout { rollout: rollout() }, "A,M", "rollout"),
        (
            Command::SetShare {
                app: app(),
                rule: rule(),
                share: share(),
            },
            "A,M",
            "rollout",
        ),
        (
            Command::LowerShare {
                app: app(),
                rule: rule(),
                share: share(),
            },
            "A,M,S",
            "rollout,kill",
        ),
        (
            Command::SetPause {
                app: app(),
                rule: rule(),
                paused: true,
            },
            "A,M,S",
            "rollout,kill",
        ),
        (
            Command::SetPause {
                app: app(),
                rule: rule(),
                paused: false,
            },
            "A,M",
            "rollout",
        ),
        (steer(Steer::Pause), "A,M,S,Y", "rollout,kill,ramp-pause"),
        (steer(Steer::Resume), "A,M", "rollout,ramp-resume"),
        (steer(Steer::Approve), "A,M", "rollout,ramp-resume"),
        (steer(Steer::Abort), "A,M,S", "rollout,kill,ramp-abort"),
        (
            steer(Steer::RollBack),
            "A,M,S,Y",
            "rollout,kill,ramp-roll-back",
        ),
        (
            Command::RedrawRollout {
                rollout: rollout(),
                experiments: Default::default(),
            },
            "A,M",
            "rollout",
        ),
        (
            Command::BeginExperiment {
                app: app(),
                experiment: "copy".parse().unwrap(),
                design: toml::from_str(
                    "rule = \"ramp\"\ncontrol = \"a\"\nprimary = { measure = \"converted\" }",
                )
                .unwrap(),
            },
            "A,M",
            "rollout,experiment",
        ),
        (
            Command::EndExperiment {
                app: app(),
                experiment: "copy".parse().unwrap(),
                arm: None,
                reason: reason(),
            },
            "A,M",
            "rollout,experiment",
        ),
        (
            Command::EndExperiment {
                app: app(),
                experiment: "copy".parse().unwrap(),
                arm: Some("a".parse().unwrap()),
                reason: reason(),
            },
            "A,M",
            "rollout,experiment-promote",
        ),
        (
            Command::DecideRamp {
                app: app(),
                rule: rule(),
                from: Revision::ZERO,
                act: Act::Advance,
                findings: Box::default(),
            },
            "A",
            "none",
        ),
        (
            Command::PutSegment {
                segment: "s".parse().unwrap(),
                sha256: Digest::of(b""),
                units: 0,
            },
            "A,M",
            "segments",
        ),
        (
            Command::RemoveSegment {
                segment: "s".parse().unwrap(),
            },
            "A,M",
            "segments",
        ),
        (grades(), "A,Y", "permissions"),
        (
            Command::SetGrade {
                tenant: "t".parse().unwrap(),
                grade: huidu_core::grade::Grade::Basic,
            },
            "A,Y",
            "permissions",
        ),
        (
            Command::SetInternal {
                app: app(),
                internal: true,
                reason: reason(),
            },
            "A,Y",
            "policies",
        ),
        (policy(2, false), "A,Y", "policies"),
        (
            Command::Grant {
                app: app(),
                permission: permission(),
            },
            "A,R",
            "permissions",
        ),
        (
            Command::WithdrawGrant {
                app: app(),
                permission: permission(),
            },
            "A,R,Y",
            "permissions",
        ),
        (revoke("camera"), "A,M,S,Y", "kill"),
        (
            Command::RestorePermission {
                app: app(),
                permission: permission(),
                reason: reason(),
            },
            "A,M,Y",
            "unkill",
        ),
        (trial(&["retail-test"], &["t"]), "A,M,R", "trial"),
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
            "trial",
        ),
        (
            Command::RemovePreview {
                app: app(),
                version: version(),
                id: Digest::of(b""),
            },
            "A,M,R,Y",
            "trial",
        ),
        (
            Command::SignRelease {
                app: app(),
                version: version(),
                signed: String::new(),
            },
            "A,R",
            "keys",
        ),
        (
            Command::PutKeyring {
                envelope: String::new(),
            },
            "A,Y",
            "keys",
        ),
        (
            Command::PutPolicy {
                app: app(),
                envelope: String::new(),
            },
            "A,Y",
            "keys",
        ),
        (
            Command::SetEyes {
                policy: EyesPolicy::default(),
            },
            "A,Y",
            "policies",
        ),
        (
            Command::ApproveProposal {
                id: String::new(),
                hash: Digest::of(b""),
            },
            "A,M,S,R,Y",
            "changes",
        ),
        (
            Command::WithdrawProposal {
                id: String::new(),
                reason: reason(),
            },
            "A,M,S,R,Y",
            "changes",
        ),
        (Command::EnactProposal { id: String::new() }, "A", "none"),
    ]
}
