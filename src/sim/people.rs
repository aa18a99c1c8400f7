//! The people of the bank: who founded it, and clerks who submit, approve, list, roll out, kill and take kills
//! back, through whichever node answers, with every doubt a network brings.

use std::{sync::Arc, time::Duration};

use huidu_core::{
    authority::{Role, authorise},
    catalogue::{App, Catalogue},
    command::Command,
    credential::Expiry,
    decide::decide,
    digest::Digest,
    dossier::Dossier,
    envelope::Envelope,
    event::Actor,
    eyes::EyesPolicy,
    key::Signer as _,
    keyring::{Keyring, Online, Quorum, Roles, Trust},
    manifest::OnStale,
    name::AppId,
    op::OpId,
    paper::Paper,
    policy::{Policy, Standing},
    release::Release,
    rollout::Rollout,
    time::Timestamp,
    trust::ReviewPolicy,
    version::{Bundle, BundleFormat, Life, Number, Review, Version},
};
use tokio::time::sleep;

use super::{
    net,
    process::{LOG, Life as Lives, ONLINE, key},
    world::World,
};
use crate::{
    clock::{CountedIds, Ids as _},
    ledger::LedgerError,
    node::{
        Change, WriteError,
        kills::{Killed, Receipt},
    },
};

pub(super) const AUDIENCE: &str = "bank/sim";
pub(super) const HOST: &str = "retail";
pub(super) const APPS: [&str; 2] = ["pingan/travel", "pingan/pay"];
/// When the bank was founded.
pub(super) const NOON: Timestamp = Timestamp::from_unix_ms(1_795_521_600_000);
const NEXT_YEAR_S: u64 = NOON.unix_ms() / 1_000 + 365 * 86_400;
const RELEASE: [u8; 2] = [11, 12];
/// Versions that one app may have: clerks submit no more.
const VERSIONS: usize = 5;

pub(super) fn keyring() -> Keyring {
    let quorum = |threshold, seeds: &[u8]| {
        let kids = seeds.iter().map(|seed| key(*seed).public_key().id());
        Quorum::of(threshold, kids.collect())
    };
    let seeds = [1, 2, 3, 11, 12, 13, 21, 22, ONLINE, LOG];
    let keys = seeds.map(|seed| (key(seed).public_key().id(), key(seed).public_key()));
    Keyring {
        v: 1,
        aud: AUDIENCE.into(),
        version: 1,
        expires: NEXT_YEAR_S,
        trust: Trust::Prod,
        online: Online {
            epoch: 1,
            max_lease_ms: 900_000,
        },
        keys: keys.into_iter().collect(),
        roles: Roles {
            root: quorum(2, &[1, 2, 3]),
            release: quorum(2, &[11, 12, 13]),
            policy: quorum(2, &[21, 22]),
            online: quorum(1, &[ONLINE]),
            log: quorum(1, &[LOG]),
        },
    }
}

fn signed<T: Paper>(paper: &T, seeds: &[u8]) -> String {
    let mut envelope = Envelope::new(T::KIND, paper.to_payload());
    for seed in seeds {
        envelope.sign(&key(*seed)).unwrap();
    }
    String::from_utf8(envelope.to_bytes()).unwrap()
}

fn policy(app: &AppId) -> Policy {
    Policy {
        v: 1,
        aud: AUDIENCE.into(),
        app: app.clone(),
        version: 1,
        expires: NEXT_YEAR_S,
        state: Standing::Live,
        floor_seq: 0,
        revoked: Vec::new(),
        max_permissions: Vec::new(),
        on_stale: OnStale::Run,
        stale_grace_s: 0,
    }
}

fn role(name: &str) -> Role {
    match name {
        "maya" => Role::ReleaseManager,
        "rui" | "rosa" => Role::Reviewer,
        "sven" => Role::Sre,
        "sec" => Role::Security,
        "ping" => Role::Partner("pingan".parse().unwrap()),
        _ => Role::Admin,
    }
}

/// What everybody at the bank asked for before the simulation begins.
fn beginning() -> Vec<(&'static str, Command)> {
    let mut commands = Vec::new();
    for name in ["maya", "rui", "rosa", "sven", "sec", "ping"] {
        let member = name.parse().unwrap();
        commands.push((
            "root",
            Command::PutMember {
                member,
                title: String::new(),
                role: role(name),
                identity: None,
            },
        ));
        commands.push((
            "root",
            Command::AddToken {
                id: name.into(),
                sha256: Digest::of(name.as_bytes()),
                role: role(name),
                note: String::new(),
                member: Some(name.parse().unwrap()),
                expires: Expiry::Usual,
                scopes: Default::default(),
            },
        ));
    }
    commands.push((
        "root",
        Command::AddHost {
            host: HOST.parse().unwrap(),
            title: String::new(),
            sandbox: false,
        },
    ));
    commands.push((
        "root",
        Command::SetReviewPolicy {
            policy: ReviewPolicy {
                approvals: 1,
                filing_required: false,
            },
        },
    ));
    commands.push((
        "sec",
        Command::PutKeyring {
            envelope: signed(&keyring(), &[1, 2]),
        },
    ));
    for app in APPS {
        let app: AppId = app.parse().unwrap();
        let title = String::new();
        commands.push((
            "root",
            Command::AddApp {
                app: app.clone(),
                title,
            },
        ));
        let envelope = signed(&policy(&app), &[21, 22]);
        commands.push(("sec", Command::PutPolicy { app, envelope }));
    }
    commands
}

fn submit(app: &AppId, number: Number) -> Command {
    let bundle = Bundle {
        sha256: Digest::of(format!("{app} {number}").as_bytes()),
        bytes: 9,
        format: BundleFormat::Zip,
        files: 1,
        unpacked_bytes: 9,
    };
    Command::SubmitVersion {
        app: app.clone(),
        number,
        bundle,
        permissions: Vec::new(),
        notes: String::new(),
        dossier: Box::<Dossier>::default(),
    }
}

fn approve(app: &AppId, version: &Version, seeds: &[u8]) -> Command {
    let record = Release::draft(AUDIENCE, app, version);
    Command::Approve {
        app: app.clone(),
        version: version.number.clone(),
        bundle: version.bundle.sha256,
        signed: Some(signed(&record, seeds)),
        withheld: None,
    }
}

fn rollout(app: &AppId, stable: &Number, ramped: Option<(&Number, u32)>) -> Command {
    let rules = ramped.map_or(String::new(), |(version, percent)| {
        format!(r#","rule":[{{"name":"ramp","share":"{percent}%","serve":"{version}"}}]"#)
    });
    let text = format!(r#"{{"app":"{app}","hosts":["{HOST}"],"stable":"{stable}"{rules}}}"#);
    let rollout: Rollout = serde_json::from_str(&text).unwrap();
    Command::PutRollout {
        rollout: Box::new(rollout),
    }
}

/// A change as `who` asks for it.
fn change(who: &str, command: Command, op: OpId, patience: Duration) -> Change {
    Change {
        actor: Actor {
            id: who.into(),
            role: role(who),
        },
        command,
        op,
        expected: None,
        enact_at: None,
        why: None,
        patience,
    }
}

/// Founds the bank on a quiet day, by one node: its people, its keys, two apps with one version each.
pub(super) async fn found(life: &Lives) {
    let token = ("root".to_owned(), Digest::of(b"root"));
    let node = &life.node;
    let begun = node.found(
        AUDIENCE,
        Review::Required,
        token,
        None,
        EyesPolicy::default(),
    );
    assert!(begun.await.unwrap());
    let does = async |who: &'static str, command| {
        let asked = change(who, command, node.new_op(), Duration::from_secs(60));
        let done = node.write(asked).await;
        assert!(done.is_ok(), "{who}: {done:?}");
    };
    for (who, command) in beginning() {
        does(who, command).await;
    }
    for app in APPS {
        let (app, number): (AppId, Number) = (app.parse().unwrap(), Number::new(1, 0, 0));
        does("ping", submit(&app, number.clone())).await;
        let version = node.catalogue().apps[&app].versions[&number].clone();
        does("rui", approve(&app, &version, &RELEASE)).await;
        let (listed, version) = (app.clone(), number.clone());
        does(
            "maya",
            Command::List {
                app: listed,
                version,
            },
        )
        .await;
        does("maya", rollout(&app, &number, None)).await;
    }
}

/// What somebody may want of an app as it is now.
fn wishes(rng: &mut fastrand::Rng, app: &App) -> Vec<(&'static str, Command)> {
    let id = &app.id;
    let mut wishes = Vec::new();
    let reason = || "as chance has it".to_owned();
    let versions = app.versions.len();
    if versions < VERSIONS {
        let number = Number::new(1, versions as u64, 0);
        wishes.push(("ping", submit(id, number)));
    }
    let listed: Vec<&Number> = app
        .versions
        .iter()
        .filter(|(_, one)| one.life.is_listed())
        .map(|(number, _)| number)
        .collect();
    for (number, version) in &app.versions {
        let (app, version_number) = (id.clone(), number.clone());
        match &version.life {
            Life::Submitted | Life::InReview => {
                let votes = version.dossier.open().approvals.len();
                let (who, seed) = [("rui", 11), ("rosa", 12)][votes % 2];
                wishes.push((who, approve(id, version, &[seed])));
            }
            Life::Approved | Life::Delisted { killed: false, .. } => {
                wishes.push((
                    "maya",
                    Command::List {
                        app,
                        version: version_number,
                    },
                ));
            }
            Life::Delisted { killed: true, .. } => {
                let version = Some(version_number);
                wishes.push((
                    "maya",
                    Command::Unkill {
                        app,
                        version,
                        reason: reason(),
                    },
                ));
            }
            Life::Listed => {
                let stop = if rng.u8(0..4) == 0 {
                    (
                        "maya",
                        Command::Delist {
                            app,
                            version: version_number,
                            reason: reason(),
                        },
                    )
                } else {
                    let version = Some(version_number);
                    (
                        "sven",
                        Command::Kill {
                            app,
                            version,
                            reason: reason(),
                        },
                    )
                };
                wishes.push(stop);
            }
            _ => {}
        }
    }
    if app.killed.is_some() {
        let (app, version) = (id.clone(), None);
        wishes.push((
            "maya",
            Command::Unkill {
                app,
                version,
                reason: reason(),
            },
        ));
    } else if rng.u8(0..6) == 0 {
        let (app, version) = (id.clone(), None);
        wishes.push((
            "sven",
            Command::Kill {
                app,
                version,
                reason: reason(),
            },
        ));
    }
    if let Some(stable) = rng.choice(&listed) {
        let ramped = rng
            .choice(&listed)
            .map(|version| (*version, rng.u32(1..=100)));
        wishes.push(("maya", rollout(id, stable, ramped)));
    }
    wishes
}

/// What a clerk heard of one try.
enum Heard {
    /// It is in force.
    Done { revision: u64 },
    /// A kill that is in force, and that the ledger does not have yet.
    Promised(Box<Receipt>),
    /// It did not happen, by this try.
    Nothing(String),
    /// Nobody knows.
    Unknown,
}

impl World {
    /// A clerk at work until the storm is over.
    pub(super) async fn works(self: Arc<Self>, clerk: usize) {
        let ids = CountedIds::series(self.series());
        while self.elapsed_ms() < self.plan.stormy_ms {
            sleep(self.up_to(700)).await;
            let Some((who, command)) = self.wish() else {
                continue;
            };
            self.say(format_args!(
                "clerk {clerk}: {who} wants {}",
                command.verb()
            ));
            self.insists(clerk, who, command, ids.op()).await;
        }
    }

    fn wish(&self) -> Option<(&'static str, Command)> {
        let at = self.draw(|rng| rng.usize(0..self.places.len()));
        let life = self.places[at].life()?;
        let catalogue = life.node.catalogue();
        let app = self.draw(|rng| APPS[rng.usize(0..APPS.len())]);
        let app = catalogue.apps.get(&app.parse::<AppId>().unwrap())?;
        let mut wishes = self.draw(|rng| wishes(rng, app));
        let taken = (!wishes.is_empty()).then(|| self.draw(|rng| rng.usize(0..wishes.len())));
        taken.map(|at| wishes.swap_remove(at))
    }

    /// Asks for one thing until there is an answer, or patience is over.
    async fn insists(&self, clerk: usize, who: &str, command: Command, op: OpId) {
        let mut is_doubtful = false;
        let mut why = String::new();
        for _ in 0..6 {
            match self.asks(who, &command, op).await {
                Heard::Done { revision } => {
                    self.count("acknowledged");
                    self.say(format_args!(
                        "clerk {clerk}: {op} is in force since {revision}"
                    ));
                    if !self.acknowledged(op, revision)
                        && !self.changes_nothing(who, &command, revision)
                    {
                        self.broken("acknowledged is durable", format_args!("want {op} is said to be in force since {revision}, and is not in the ledger"));
                    }
                    return;
                }
                Heard::Promised(receipt) => {
                    self.promised(&receipt);
                    return;
                }
                Heard::Unknown => is_doubtful = true,
                Heard::Nothing(said) => {
                    self.say(format_args!("clerk {clerk}: {op} did not happen: {said}"));
                    // Whoever is told that nothing happened may leave it at that.
                    let is_over = said.starts_with("refused") || self.draw(|rng| rng.u8(0..3)) == 0;
                    why = said;
                    if is_over {
                        break;
                    }
                }
            }
            sleep(Duration::from_millis(50) + self.up_to(1_000)).await;
        }
        if is_doubtful {
            self.count("wants left unknown");
        } else {
            self.count("refused or not tried");
            self.denied(op, &why);
        }
    }

    /// Whether there was nothing to change, so that no record says so.
    fn changes_nothing(&self, who: &str, command: &Command, revision: u64) -> bool {
        let Some(moment) = self.true_at(revision) else {
            return false;
        };
        let catalogue: &Catalogue = &moment.catalogue;
        let (id, role) = (who.to_owned(), role(who));
        let asked = authorise(command.clone(), &Actor { id, role }, catalogue, self.now());
        let decided = asked.map(|asked| decide(catalogue, &asked, self.now()));
        matches!(decided, Ok(Ok(events)) if events.is_empty())
    }

    /// One try, through a node that chance picks.
    async fn asks(&self, who: &str, command: &Command, op: OpId) -> Heard {
        let at = self.draw(|rng| rng.usize(0..self.places.len()));
        sleep(net::distance(self)).await;
        let Some(life) = self.places[at].life() else {
            return Heard::Nothing("nobody is there".into());
        };
        if self.strikes(30) {
            self.fault("request of a clerk lost");
            return Heard::Unknown;
        }
        if matches!(command, Command::Kill { .. }) {
            self.wants_killed(op);
        }
        let patience = Duration::from_millis(300) + self.up_to(3_000);
        let asked = change(who, command.clone(), op, patience);
        let answer = tokio::select! {
            biased;
            () = life.gate.death() => return Heard::Unknown,
            answer = async {
                life.gate.pass().await;
                let answer = match asked.command {
                    Command::Kill { .. } => heard_of_a_kill(life.node.kill(asked).await),
                    _ => heard(life.node.write(asked).await),
                };
                life.gate.pass().await;
                answer
            } => answer,
        };
        self.look(at);
        sleep(net::distance(self)).await;
        if self.strikes(40) {
            self.fault("reply to a clerk lost");
            return Heard::Unknown;
        }
        answer
    }
}

fn heard_of_a_kill(answer: Result<Killed, WriteError>) -> Heard {
    match answer {
        Ok(Killed {
            written: None,
            receipt: Some(receipt),
        }) => Heard::Promised(Box::new(receipt)),
        Ok(Killed {
            written: Some(written),
            ..
        }) => heard(Ok(written)),
        Ok(_) => Heard::Unknown,
        Err(error) => heard(Err(error)),
    }
}

fn heard(answer: Result<crate::node::Written, WriteError>) -> Heard {
    match answer {
        Ok(written) => Heard::Done {
            revision: written.revision.get(),
        },
        Err(WriteError::Unknown { .. } | WriteError::Stopping) => Heard::Unknown,
        Err(error @ (WriteError::Refused(_) | WriteError::Forbidden(_))) => {
            Heard::Nothing(format!("refused: {error}"))
        }
        Err(WriteError::Ledger(LedgerError::Busy { op })) => Heard::Nothing(format!("behind {op}")),
        Err(error) => Heard::Nothing(error.to_string()),
    }
}
