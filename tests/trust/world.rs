//! A ledger in memory, the people who write to it, and what they ask for.

use std::collections::BTreeSet;

use huidu_core::{
    authority::{Role, authorise},
    catalogue::{Catalogue, Touched},
    command::Command,
    compile::{Context, compile, no_segments},
    credential::Expiry,
    decide::decide,
    digest::Digest,
    event::{Actor, Event},
    eyes::EyesPolicy,
    manifest::{Manifest, Reason},
    name::AppId,
    poll::{Device, Installed},
    revision::Revision,
    time::Timestamp,
    trust::ReviewPolicy,
    validity,
    version::{Bundle, BundleFormat, Number, Review, Version},
};

pub(crate) const NOON: Timestamp = Timestamp::from_unix_ms(1_795_521_600_000);

/// A ledger in memory, and the people who write to it.
pub(crate) struct World {
    pub(crate) catalogue: Catalogue,
    pub(crate) touched: Touched,
    /// The time of day.
    pub(crate) now: Timestamp,
    /// What happened so far.
    pub(crate) log: Vec<Step>,
}

/// What is kept of a change.
#[derive(Debug, Clone)]
pub(crate) struct Step {
    pub(crate) at: Timestamp,
    pub(crate) actor: Actor,
    pub(crate) events: Vec<Event>,
    /// What was asked for, which is not kept.
    pub(crate) command: Command,
    pub(crate) enact_at: Option<Timestamp>,
}

pub(crate) fn role(name: &str) -> Role {
    match name {
        "maya" | "mo" | "wei" => Role::ReleaseManager,
        "rui" | "rosa" | "rob" => Role::Reviewer,
        "sven" => Role::Sre,
        "sec" => Role::Security,
        "audrey" => Role::Auditor,
        "ping" => Role::Partner("pingan".parse().unwrap()),
        _ => Role::Admin,
    }
}

pub(crate) fn app() -> AppId {
    "pingan/travel".parse().unwrap()
}

pub(crate) fn number(text: &str) -> Number {
    text.parse().unwrap()
}

pub(crate) fn bundle(text: &str) -> Bundle {
    Bundle {
        sha256: Digest::of(text.as_bytes()),
        bytes: 9,
        format: BundleFormat::Zip,
        files: 1,
        unpacked_bytes: 9,
    }
}

impl World {
    /// `root` founds it; everybody is a member with one token of the same name.
    pub(crate) fn new(review: Review) -> Self {
        let mut world = Self {
            catalogue: Catalogue::default(),
            touched: Touched::default(),
            now: NOON,
            log: Vec::new(),
        };
        world.ok(
            validity::NODE,
            Command::Found {
                audience: "bank/test".into(),
                review,
                token: ("root".into(), Digest::of(b"root")),
                keyring: None,
                eyes: EyesPolicy::default(),
                reviews: ReviewPolicy::default(),
            },
        );
        for name in [
            "maya", "rui", "rosa", "rob", "sven", "sec", "audrey", "ping",
        ] {
            world.ok("root", put_member(name, role(name)));
            world.ok("root", add_token(name, name));
        }
        for (host, sandbox) in [("retail", false), ("retail-test", true)] {
            world.ok(
                "root",
                Command::AddHost {
                    host: host.parse().unwrap(),
                    title: String::new(),
                    sandbox,
                },
            );
        }
        world.ok(
            "root",
            Command::AddApp {
                app: app(),
                title: "Travel".into(),
            },
        );
        world
    }

    pub(crate) fn ask(&mut self, who: &str, command: Command) -> Result<Vec<Event>, String> {
        self.ask_for(who, command, None)
    }

    /// The same, to happen at a later time.
    pub(crate) fn ask_for(
        &mut self,
        who: &str,
        command: Command,
        enact_at: Option<Timestamp>,
    ) -> Result<Vec<Event>, String> {
        let actor = Actor {
            id: who.into(),
            role: role(who),
        };
        let now = self.now;
        let authorised = authorise(command.clone(), &actor, &self.catalogue, now)
            .map_err(|error| error.to_string())?
            .at(enact_at);
        let events =
            decide(&self.catalogue, &authorised, now).map_err(|error| error.to_string())?;
        // What is kept is what was decided, byte by byte.
        let kept = serde_json::to_string(&events).unwrap();
        assert_eq!(serde_json::from_str::<Vec<Event>>(&kept).unwrap(), events);
        // What is decided counts on every node that reads it.
        let counts = validity::check(&self.catalogue, now, &actor, &events);
        assert_eq!(counts, Ok(()), "{events:?}");
        let next = Revision::new(self.catalogue.revision.get() + 1);
        self.touched = self.catalogue.apply(next, now, &events);
        let bytes = serde_json::to_vec(&self.catalogue).unwrap();
        assert_eq!(
            serde_json::from_slice::<Catalogue>(&bytes).unwrap(),
            self.catalogue
        );
        self.log.push(Step {
            at: now,
            actor,
            events: events.clone(),
            command,
            enact_at,
        });
        Ok(events)
    }

    #[track_caller]
    pub(crate) fn ok(&mut self, who: &str, command: Command) {
        if let Err(error) = self.ask(who, command) {
            panic!("{who}: {error}");
        }
    }

    #[track_caller]
    pub(crate) fn no(&mut self, who: &str, command: Command, says: &str) {
        let before = self.catalogue.clone();
        assert_eq!(self.ask(who, command), Err(says.to_owned()));
        assert_eq!(self.catalogue, before, "a refusal changes nothing");
    }

    pub(crate) fn submit(&mut self, who: &str, version: &str, permissions: &[&str]) {
        self.ok(who, submit(version, permissions));
    }

    pub(crate) fn version(&self, version: &str) -> &Version {
        &self.catalogue.apps[&app()].versions[&number(version)]
    }

    pub(crate) fn life(&self, version: &str) -> &'static str {
        self.version(version).life.word()
    }

    /// What the device `unit` is told in `host`: version, why, permissions, and those that are revoked.
    pub(crate) fn told(
        &self,
        host: &str,
        unit: &str,
        preview: Option<&str>,
        now: Timestamp,
    ) -> String {
        let context = Context {
            audience: "bank/test".into(),
            poll_after_ms: 1,
            poll_spread_ms: 1,
            keyring: None,
        };
        let compiled = compile(&self.catalogue.apps[&app()], &context, &no_segments);
        let installed = Installed {
            preview,
            ..Installed::default()
        };
        let outcome = compiled.resolve(host, &Device::new(unit), &installed, now);
        assert_eq!(
            compiled
                .explain(host, &Device::new(unit), &installed, now)
                .reason,
            outcome.reason
        );
        let manifest: Manifest = serde_json::from_slice(&outcome.answer.body).unwrap();
        let words = |permissions: &[huidu_core::name::Permission]| {
            permissions
                .iter()
                .map(|p| p.as_str())
                .collect::<Vec<_>>()
                .join("+")
        };
        match (manifest.version, outcome.reason) {
            (Some(version), reason) => format!(
                "{version} {} [{}] -[{}]",
                reason.word(),
                words(&manifest.permissions),
                words(&manifest.revoked)
            ),
            (None, Reason::Killed) => "killed".into(),
            (None, _) => "nothing".into(),
        }
    }
}

pub(crate) fn put_member(name: &str, role: Role) -> Command {
    Command::PutMember {
        member: name.parse().unwrap(),
        title: String::new(),
        role,
        identity: None,
    }
}

pub(crate) fn add_token(id: &str, member: &str) -> Command {
    Command::AddToken {
        id: id.into(),
        sha256: Digest::of(id.as_bytes()),
        role: role(member),
        note: String::new(),
        member: Some(member.parse().unwrap()),
        expires: Expiry::Usual,
        scopes: BTreeSet::new(),
    }
}

pub(crate) fn submit(version: &str, permissions: &[&str]) -> Command {
    Command::SubmitVersion {
        app: app(),
        number: number(version),
        bundle: bundle(version),
        permissions: permissions.iter().map(|p| p.parse().unwrap()).collect(),
        notes: String::new(),
        dossier: Default::default(),
    }
}

pub(crate) fn approve(version: &str) -> Command {
    Command::Approve {
        app: app(),
        version: number(version),
        bundle: bundle(version).sha256,
        signed: None,
        withheld: None,
    }
}

pub(crate) fn reject(version: &str) -> Command {
    Command::Reject {
        app: app(),
        version: number(version),
        reason: "it reads contacts".into(),
    }
}

pub(crate) fn list(version: &str) -> Command {
    Command::List {
        app: app(),
        version: number(version),
    }
}

pub(crate) fn kill(version: &str) -> Command {
    Command::Kill {
        app: app(),
        version: Some(number(version)),
        reason: "crashes".into(),
    }
}

pub(crate) fn unkill(version: &str) -> Command {
    Command::Unkill {
        app: app(),
        version: Some(number(version)),
        reason: "it did not".into(),
    }
}

pub(crate) fn policy(approvals: u8, filing_required: bool) -> Command {
    Command::SetReviewPolicy {
        policy: ReviewPolicy {
            approvals,
            filing_required,
        },
    }
}

pub(crate) fn revoke(permission: &str) -> Command {
    Command::RevokePermission {
        app: app(),
        permission: permission.parse().unwrap(),
        reason: "leaks".into(),
    }
}

pub(crate) fn grades() -> Command {
    let text = r#"
        [permissions]
        storage = { grade = "basic" }
        location = { grade = "sensitive", title = "where somebody is" }
        "transfer.confirm" = { grade = "critical", surface = "page" }
    "#;
    Command::PutPermissions {
        catalogue: Box::new(huidu_core::grade::PermissionCatalogue::from_toml(text).unwrap()),
    }
}

/// A world whose devices get 1.0.0 with three permissions.
pub(crate) fn running() -> World {
    let mut world = World::new(Review::Required);
    world.submit("ping", "1.0.0", &["camera", "location", "storage"]);
    world.ok("rui", approve("1.0.0"));
    world.ok("maya", list("1.0.0"));
    let rollout =
        toml::from_str("app = \"pingan/travel\"\nhosts = [\"retail\"]\nstable = \"1.0.0\"")
            .unwrap();
    world.ok("maya", Command::PutRollout { rollout });
    world
}

pub(crate) fn trial(hosts: &[&str], devices: &[&str]) -> Command {
    Command::PutTrial {
        app: app(),
        version: number("2.0.0"),
        hosts: hosts.iter().map(|host| host.parse().unwrap()).collect(),
        devices: devices.iter().map(|unit| (*unit).into()).collect(),
    }
}
