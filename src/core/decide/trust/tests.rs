//! Named people ask for things, one after another; what is refused says why.

use proptest::prelude::*;

use crate::{
    authority::{Role, authorise},
    catalogue::{Catalogue, Touched},
    command::Command,
    compile::{Context, compile, no_segments},
    decide::decide,
    digest::Digest,
    event::{Actor, Event},
    manifest::{KillList, Manifest, Reason},
    name::AppId,
    poll::{Device, Installed},
    revision::Revision,
    time::Timestamp,
    trust::{Dossier, Preview, ReviewPolicy},
    version::{Bundle, BundleFormat, Life, Number, Review, Version},
};

const NOON: Timestamp = Timestamp::from_unix_ms(1_795_521_600_000);

/// A ledger in memory, and the people who write to it.
struct World {
    catalogue: Catalogue,
    touched: Touched,
}

fn role(name: &str) -> Role {
    match name {
        "maya" => Role::ReleaseManager,
        "rui" | "rosa" | "rob" => Role::Reviewer,
        "sven" => Role::Sre,
        "sec" => Role::Security,
        "audrey" => Role::Auditor,
        "ping" => Role::Partner("pingan".parse().unwrap()),
        _ => Role::Admin,
    }
}

fn app() -> AppId {
    "pingan/travel".parse().unwrap()
}

fn number(text: &str) -> Number {
    text.parse().unwrap()
}

fn bundle(text: &str) -> Bundle {
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
    fn new(review: Review) -> Self {
        let mut world = Self {
            catalogue: Catalogue::default(),
            touched: Touched::default(),
        };
        world.ok(
            "root",
            Command::Found {
                audience: "bank/test".into(),
                review,
                token: ("root".into(), Digest::of(b"root")),
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

    fn ask(&mut self, who: &str, command: Command) -> Result<Vec<Event>, String> {
        let actor = Actor {
            id: who.into(),
            role: role(who),
        };
        let authorised =
            authorise(command, &actor, self.catalogue.review).map_err(|error| error.to_string())?;
        let events =
            decide(&self.catalogue, &authorised, NOON).map_err(|error| error.to_string())?;
        // What is kept is what was decided, byte by byte.
        let kept = serde_json::to_string(&events).unwrap();
        assert_eq!(serde_json::from_str::<Vec<Event>>(&kept).unwrap(), events);
        let next = Revision::new(self.catalogue.revision.get() + 1);
        self.touched = self.catalogue.apply(next, NOON, &events);
        let bytes = serde_json::to_vec(&self.catalogue).unwrap();
        assert_eq!(
            serde_json::from_slice::<Catalogue>(&bytes).unwrap(),
            self.catalogue
        );
        Ok(events)
    }

    #[track_caller]
    fn ok(&mut self, who: &str, command: Command) {
        if let Err(error) = self.ask(who, command) {
            panic!("{who}: {error}");
        }
    }

    #[track_caller]
    fn no(&mut self, who: &str, command: Command, says: &str) {
        let before = self.catalogue.clone();
        assert_eq!(self.ask(who, command), Err(says.to_owned()));
        assert_eq!(self.catalogue, before, "a refusal changes nothing");
    }

    fn submit(&mut self, who: &str, version: &str, permissions: &[&str]) {
        self.ok(who, submit(version, permissions));
    }

    fn version(&self, version: &str) -> &Version {
        &self.catalogue.apps[&app()].versions[&number(version)]
    }

    fn life(&self, version: &str) -> &'static str {
        self.version(version).life.word()
    }

    /// What the device `unit` is told in `host`: version, why, permissions, and those that are revoked.
    fn told(&self, host: &str, unit: &str, preview: Option<&str>, now: Timestamp) -> String {
        let context = Context {
            audience: "bank/test".into(),
            poll_after_ms: 1,
            poll_spread_ms: 1,
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
        let words = |permissions: &[crate::name::Permission]| {
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

fn put_member(name: &str, role: Role) -> Command {
    Command::PutMember {
        member: name.parse().unwrap(),
        title: String::new(),
        role,
        identity: None,
    }
}

fn add_token(id: &str, member: &str) -> Command {
    Command::AddToken {
        id: id.into(),
        sha256: Digest::of(id.as_bytes()),
        role: role(member),
        note: String::new(),
        member: Some(member.parse().unwrap()),
    }
}

fn submit(version: &str, permissions: &[&str]) -> Command {
    Command::SubmitVersion {
        app: app(),
        number: number(version),
        bundle: bundle(version),
        permissions: permissions.iter().map(|p| p.parse().unwrap()).collect(),
        notes: String::new(),
        dossier: Box::default(),
    }
}

fn approve(version: &str) -> Command {
    Command::Approve {
        app: app(),
        version: number(version),
        bundle: bundle(version).sha256,
    }
}

fn reject(version: &str) -> Command {
    Command::Reject {
        app: app(),
        version: number(version),
        reason: "it reads contacts".into(),
    }
}

fn list(version: &str) -> Command {
    Command::List {
        app: app(),
        version: number(version),
    }
}

fn kill(version: &str) -> Command {
    Command::Kill {
        app: app(),
        version: Some(number(version)),
        reason: "crashes".into(),
    }
}

fn unkill(version: &str) -> Command {
    Command::Unkill {
        app: app(),
        version: Some(number(version)),
        reason: "it did not".into(),
    }
}

fn policy(approvals: u8, filing_required: bool) -> Command {
    Command::SetReviewPolicy {
        policy: ReviewPolicy {
            approvals,
            filing_required,
        },
    }
}

fn revoke(permission: &str) -> Command {
    Command::RevokePermission {
        app: app(),
        permission: permission.parse().unwrap(),
        reason: "leaks".into(),
    }
}

fn grades() -> Command {
    let text = r#"
        [permissions]
        storage = { grade = "basic" }
        location = { grade = "sensitive", title = "where somebody is" }
        "transfer.confirm" = { grade = "critical", surface = "page" }
    "#;
    Command::PutPermissions {
        catalogue: Box::new(crate::grade::PermissionCatalogue::from_toml(text).unwrap()),
    }
}

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
    let votes: Vec<_> = (world.version("1.0.0").dossier.approvals.iter())
        .map(|vote| vote.by.as_str())
        .collect();
    assert_eq!(votes, ["member/rui"]);
    assert_eq!(
        world.version("1.0.0").dossier.submitted_by.as_deref(),
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
        let authorised = authorise(approve("1.1.0"), &actor, Review::Required).unwrap();
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
            grade: crate::grade::Grade::Sensitive,
        },
    );
    world.ok("rui", approve("1.0.1"));
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
        "version 1.0.0 of `pingan/travel` carries no filing number, and unfiled mini-programs are not distributed here; submit the next number with one",
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
        approvals: vec![crate::trust::Vote {
            by: "member/rob".into(),
            at: NOON,
        }],
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
        *world.version("1.0.1").dossier,
        Dossier {
            filing: Some("沪ICP备12345678号".into()),
            submitted_by: Some("member/ping".into()),
            ..Dossier::default()
        }
    );
    world.ok("rui", approve("1.0.1"));
    world.ok("maya", list("1.0.1"));
}

/// A world whose devices get 1.0.0 with three permissions.
fn running() -> World {
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

#[test]
fn one_permission_is_revoked_for_one_app_wherever_a_kill_reaches() {
    let mut world = running();
    let told = |world: &World| world.told("retail", "u", None, NOON);
    assert_eq!(told(&world), "1.0.0 stable [camera+location+storage] -[]");
    world.ok("sven", revoke("location"));
    assert!(world.touched.kills && world.touched.apps.contains(&app()));
    assert_eq!(told(&world), "1.0.0 stable [camera+storage] -[location]");
    let list = KillList::of(&world.catalogue);
    let [revoked] = &*list.permissions else {
        panic!("{list:?}")
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
    world.ok("maya", list_of("1.1.0"));
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

fn list_of(version: &str) -> Command {
    list(version)
}

fn trial(hosts: &[&str], devices: &[&str]) -> Command {
    Command::PutTrial {
        app: app(),
        version: number("2.0.0"),
        hosts: hosts.iter().map(|host| host.parse().unwrap()).collect(),
        devices: devices.iter().map(|unit| (*unit).into()).collect(),
    }
}

#[test]
fn a_version_under_review_reaches_named_devices_in_sandboxes_and_nobody_else() {
    let mut world = running();
    world.submit("ping", "2.0.0", &["camera"]);
    world.no(
        "rui",
        trial(&["retail-test", "retail"], &["t-1"]),
        "`retail` is no sandbox; what is under review is delivered in sandboxes alone",
    );
    world.no(
        "rui",
        trial(&[], &["t-1"]),
        "`hosts` must not be empty; say in which sandboxes the devices are served",
    );
    world.ok("rui", trial(&["retail-test"], &["t-1", "t-2"]));
    for (host, unit, expected) in [
        ("retail-test", "t-1", "2.0.0 trial [camera] -[]"),
        ("retail-test", "t-2", "2.0.0 trial [camera] -[]"),
        ("retail-test", "t-3", "nothing"),
        (
            "retail",
            "t-1",
            "1.0.0 stable [camera+location+storage] -[]",
        ),
    ] {
        assert_eq!(
            world.told(host, unit, None, NOON),
            expected,
            "{host} {unit}"
        );
    }
    world.ok("rui", trial(&["retail-test"], &["t-2"]));
    assert_eq!(world.told("retail-test", "t-1", None, NOON), "nothing");
    world.ok("sven", kill("2.0.0"));
    assert_eq!(world.told("retail-test", "t-2", None, NOON), "nothing");
    world.ok("maya", unkill("2.0.0"));
    assert_eq!(
        world.told("retail-test", "t-2", None, NOON),
        "2.0.0 trial [camera] -[]"
    );
    world.ok("rui", reject("2.0.0"));
    assert_eq!(world.told("retail-test", "t-2", None, NOON), "nothing");
    assert!(
        world.catalogue.apps[&app()].trust.is_default(),
        "nothing of it is left"
    );
    world.no(
        "rui",
        trial(&["retail-test"], &["t-2"]),
        "version 2.0.0 of `pingan/travel` is rejected and cannot be tried; submit the next number",
    );
}

#[test]
fn a_preview_opens_in_its_sandbox_until_it_ends_or_is_taken_back() {
    let mut world = running();
    world.submit("ping", "2.0.0", &[]);
    let until = NOON.plus_ms(60_000);
    let preview = |host: &str, secret: &str, until| Command::AddPreview {
        app: app(),
        version: number("2.0.0"),
        id: Digest::of(secret.as_bytes()),
        preview: Preview {
            host: host.parse().unwrap(),
            until,
        },
    };
    world.no(
        "maya",
        preview("retail", "s", until),
        "`retail` is no sandbox; what is under review is delivered in sandboxes alone",
    );
    for bad in [NOON, NOON.plus_ms(crate::limits::PREVIEW_MS + 1)] {
        world.no(
            "maya",
            preview("retail-test", "s", bad),
            "a preview is open until a time in the future, at most 14 days ahead; choose another",
        );
    }
    world.ok("maya", preview("retail-test", "s", until));
    let last = Timestamp::from_unix_ms(until.unix_ms() - 1);
    for (host, secret, now, expected) in [
        ("retail-test", Some("s"), last, "2.0.0 trial [] -[]"),
        ("retail-test", Some("s"), until, "nothing"),
        ("retail-test", Some("t"), last, "nothing"),
        ("retail-test", None, last, "nothing"),
        (
            "retail",
            Some("s"),
            last,
            "1.0.0 stable [camera+location+storage] -[]",
        ),
    ] {
        assert_eq!(
            world.told(host, "u", secret, now),
            expected,
            "{host} {secret:?}"
        );
    }
    world.ok(
        "rui",
        Command::RemovePreview {
            app: app(),
            version: number("2.0.0"),
            id: Digest::of(b"s"),
        },
    );
    assert_eq!(world.told("retail-test", "u", Some("s"), NOON), "nothing");
}

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
                let dossier = &version.dossier;
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
                grade: crate::grade::Grade::Basic,
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

/// These events are in ledgers out there: what was written before there were reviews reads as it did,
/// and is written again in the same bytes.
#[test]
fn events_from_before_there_were_reviews_keep_their_bytes() {
    for old in [
        r#"{"event":"token-added","id":"t","sha256":"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad","role":{"partner":"pingan"},"note":"ci"}"#,
        r#"{"event":"host-added","host":"retail","title":"零售"}"#,
        r#"{"event":"version-submitted","app":"pingan/travel","version":{"number":"1.0.0","bundle":{"sha256":"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad","bytes":9,"format":"tar-gz","files":1,"unpacked_bytes":9},"permissions":["camera"],"notes":"new","life":{"state":"submitted"},"submitted_at":"2026-01-01T00:00:00Z"}}"#,
        r#"{"event":"killed","app":"pingan/travel","version":"1.0.0","reason":"crashes"}"#,
        r#"{"event":"unkilled","app":"pingan/travel","reason":"it did not"}"#,
    ] {
        let event: Event = serde_json::from_str(old).unwrap();
        assert_eq!(serde_json::to_string(&event).unwrap(), old);
    }
    // And a catalogue that uses none of it is what it was.
    let bytes = serde_json::to_string(&Catalogue::default()).unwrap();
    assert_eq!(
        bytes,
        r#"{"revision":0,"audience":"","review":"required","tokens":{},"tenants":{},"hosts":{},"apps":{},"segments":{}}"#
    );
}

/// An old kill of a version that was not listed was taken back to `listed`; a ledger that did so says the
/// same on every node, for ever.
#[test]
fn a_kill_from_before_there_were_reviews_is_taken_back_as_it_was() {
    let mut world = World::new(Review::Required);
    world.submit("ping", "1.0.0", &[]);
    let events = [
        r#"{"event":"killed","app":"pingan/travel","version":"1.0.0","reason":"r"}"#,
        r#"{"event":"unkilled","app":"pingan/travel","version":"1.0.0","reason":"r"}"#,
    ]
    .map(|text| serde_json::from_str::<Event>(text).unwrap());
    world.catalogue.apply(Revision::new(999), NOON, &events);
    assert_eq!(world.life("1.0.0"), "listed");
}

#[test]
fn events_about_trust_have_exactly_these_bytes() {
    let sha = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    for golden in [
        r#"{"event":"token-added","id":"t","sha256":"SHA","role":"security","note":"","member":"lin"}"#,
        r#"{"event":"host-added","host":"retail-test","title":"","sandbox":true}"#,
        r#"{"event":"member-put","member":"lin","title":"林","role":"reviewer","identity":{"issuer":"https://id.bank","subject":"u-7"}}"#,
        r#"{"event":"member-removed","member":"lin"}"#,
        r#"{"event":"permissions-put","catalogue":{"permissions":{"camera":{"grade":"personal","surface":"page","title":"t"},"storage":{"grade":"basic"}}}}"#,
        r#"{"event":"grade-set","tenant":"pingan","grade":"critical"}"#,
        r#"{"event":"review-policy-set","policy":{"approvals":2,"filing_required":true}}"#,
        r#"{"event":"permission-granted","app":"a/b","permission":"camera"}"#,
        r#"{"event":"grant-withdrawn","app":"a/b","permission":"camera"}"#,
        r#"{"event":"permission-revoked","app":"a/b","permission":"camera","reason":"leaks"}"#,
        r#"{"event":"permission-restored","app":"a/b","permission":"camera","reason":"fixed"}"#,
        r#"{"event":"review-begun","app":"a/b","version":"1.0.0","by":"member/lin"}"#,
        r#"{"event":"review-approved","app":"a/b","version":"1.0.0","by":"member/lin"}"#,
        r#"{"event":"version-approved","app":"a/b","version":"1.0.0"}"#,
        r#"{"event":"version-rejected","app":"a/b","version":"1.0.0","by":"member/lin","reason":"no"}"#,
        r#"{"event":"trial-put","app":"a/b","version":"1.0.0","hosts":["retail-test"],"devices":["d-1"]}"#,
        r#"{"event":"preview-added","app":"a/b","version":"1.0.0","id":"SHA","preview":{"host":"retail-test","until":"2026-01-01T00:00:00Z"}}"#,
        r#"{"event":"preview-removed","app":"a/b","version":"1.0.0","id":"SHA"}"#,
        r#"{"event":"killed","app":"a/b","version":"1.0.0","reason":"r","before":{"state":"in-review"}}"#,
        r#"{"event":"version-submitted","app":"a/b","version":{"number":"1.0.0","bundle":{"sha256":"SHA","bytes":9,"format":"zip","files":1,"unpacked_bytes":9},"life":{"state":"submitted"},"submitted_at":"2026-01-01T00:00:00Z","dossier":{"origin":{"sha256":"SHA","bytes":7,"format":"tar-gz"},"files":"SHA","filing":"沪ICP备1号","submitted_by":"member/ping"}}}"#,
    ] {
        let golden = golden.replace("SHA", sha);
        let event: Event = serde_json::from_str(&golden).unwrap();
        assert_eq!(serde_json::to_string(&event).unwrap(), golden);
    }
}
