//! A ledger of many apps and versions, as an installation that signs and reviews would hold it.
//!
//! The node founds its ledger itself; what would take a million uploads is then put into the catalogue and
//! written by the ledger's own encoder as a checkpoint on the founding record. A checkpoint counts by the word of
//! the node's own key, so one more record, signed with it, names that checkpoint. Every version has what review
//! leaves behind: where it came from, who approved it, and a release record with two real signatures.

use std::{borrow::Cow, fs, path::Path, sync::Arc, thread, time::Duration};

use data_encoding::HEXLOWER;
use ed25519_dalek::SigningKey;
use huidu::{
    backoff::Backoff,
    clock::{self, Ids as _},
    ledger::{Ledger, Parts, Start},
    store::{Key, Store, fs::FsStore},
};
use huidu_core::{
    authority::Role,
    catalogue::{App, Catalogue},
    checkpoint::Checkpoint,
    digest::Digest,
    dossier::{Dossier, Origin, PackedDossier, Reach, SignedRelease, Vote},
    envelope::{Envelope, Kind},
    event::{Actor, Event},
    op::RecentOps,
    paper::Paper as _,
    policy::{OnStale, Policy, Standing},
    record::{CheckpointRef, Record, V1},
    release::Release,
    rules::Rules,
    time::Timestamp,
    trust::SignedPolicy,
    version::{Bundle, BundleFormat, Life, Version},
};

/// The bank app that polls.
pub(crate) const HOST: &str = "retail-bank";
/// The rule whose share is moved.
pub(crate) const RULE: &str = "rule-3";
/// When everything was handed in.
const WHEN: Timestamp = Timestamp::from_unix_ms(1_795_000_000_000);

/// How large an installation.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Size {
    pub(crate) apps: usize,
    pub(crate) versions: usize,
    pub(crate) rules: usize,
    /// Whether the checkpoint has its first shape.
    pub(crate) in_one_piece: bool,
}

/// The name of the `n`th app.
pub(crate) fn app_name(n: usize) -> String {
    format!("tenant-{:03}/app-{n:05}", n % 100)
}

/// The key that the node signs records with.
fn log_key(dir: &Path) -> SigningKey {
    let text = fs::read_to_string(dir.join("log.key")).unwrap();
    let seed = HEXLOWER.decode(text.trim().as_bytes()).unwrap();
    SigningKey::from_bytes(&seed.try_into().unwrap())
}

/// Fills the store in `dir`, whose ledger is founded and which nobody has open.
pub(crate) fn fill(dir: &Path, size: Size) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let store: Arc<dyn Store> = Arc::new(FsStore::open(dir.join("store")).unwrap());
    let ids = clock::RandomIds::new().unwrap();
    let key = log_key(dir);
    let parts = Parts {
        store: Arc::clone(&store),
        clock: Arc::new(clock::System),
        ids: Arc::new(clock::RandomIds::new().unwrap()),
        backoff: Backoff::new(Duration::from_millis(5), Duration::from_secs(1), 1),
        node: "scale".into(),
        signer: Some(Arc::new(key.clone())),
    };
    runtime.block_on(async {
        let opened = Ledger::open(parts, Catalogue::default(), Start::default()).await;
        let mut ledger = opened.unwrap();
        let apps = apps(&ledger.fold().audience, size);
        let catalogue = ledger.fold_mut();
        let host = HOST.parse().unwrap();
        catalogue.hosts.insert(host, "Retail bank".into());
        for app in apps {
            let tenant = app.id.tenant().parse().unwrap();
            catalogue.tenants.insert(tenant, "A merchant".into());
            catalogue.apps.insert(app.id.clone(), app.into());
        }
        let at = ledger.position();
        let name = if size.in_one_piece {
            let whole = Checkpoint {
                v: V1,
                rev: at.rev,
                head: at.head,
                catalogue: Cow::Borrowed(ledger.fold()),
                ops: Cow::Owned(RecentOps::default()),
            };
            let (name, bytes) = whole.encode().unwrap();
            let (rev, digest) = (name.rev.get(), name.root);
            let key = Key::Checkpoint { rev, digest };
            store.put_new(&key, bytes).await.unwrap();
            name
        } else {
            ledger.checkpoint().await.unwrap()
        };
        let word = word(ledger.fold(), &ids, name);
        let word = Record {
            prev: at.head,
            ..word
        };
        let slot = Key::Log(word.rev.get());
        store
            .put_new(&slot, word.seal(&key).unwrap())
            .await
            .unwrap();
    });
}

/// A change that vouches for the checkpoint called `name`: the administrator admits one more merchant.
fn word(catalogue: &Catalogue, ids: &clock::RandomIds, name: CheckpointRef) -> Record {
    let mut tokens = catalogue.tokens.iter();
    let (id, _) = tokens.find(|(_, token)| token.role == Role::Admin).unwrap();
    Record {
        v: Rules::NEWEST,
        rev: name.rev.next(),
        prev: name.root,
        op: ids.op(),
        ask: None,
        put: ids.put(),
        node: "scale".into(),
        at: catalogue.written_at().plus_ms(1),
        actor: Actor {
            id: id.clone(),
            role: Role::Admin,
        },
        approvals: Vec::new(),
        why: None,
        events: vec![Event::TenantAdded {
            tenant: "vouching".parse().unwrap(),
            title: "Vouching".into(),
        }],
        void: None,
        ck: Some(name),
    }
}

fn apps(audience: &str, size: Size) -> Vec<App> {
    let parts = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        let part = |part| {
            let numbers = (part..size.apps).step_by(parts);
            move || numbers.map(|n| app(audience, n, size)).collect::<Vec<_>>()
        };
        let running: Vec<_> = (0..parts).map(|at| scope.spawn(part(at))).collect();
        running
            .into_iter()
            .flat_map(|one| one.join().unwrap())
            .collect()
    })
}

fn app(audience: &str, n: usize, size: Size) -> App {
    let id = app_name(n);
    let mut app = App::new(id.parse().unwrap(), format!("Mini-program {n} 小程序"));
    app.revision = huidu_core::revision::Revision::new(1);
    for v in 0..size.versions {
        let version = version(audience, &app, v);
        app.versions.insert(version.number.clone(), version.into());
    }
    app.trust.seq = size.versions as u64;
    app.trust.signed = Some(policy(audience, &app));
    let rule = |rule: usize| {
        format!(
            "[[rule]]\nname = \"rule-{rule}\"\nwhen = {{ region = \"CN-{}\" }}\nshare = \"5%\"\nserve = \"1.{}.0\"\n",
            11 + rule,
            size.versions - 1 - rule % size.versions.min(20)
        )
    };
    let rules: String = (0..size.rules).map(rule).collect();
    let text = format!("app = \"{id}\"\nhosts = [\"{HOST}\"]\nstable = \"1.0.0\"\n{rules}");
    app.rollout = Some(toml::from_str(&text).unwrap());
    app
}

fn version(audience: &str, app: &App, v: usize) -> Version {
    let named = |what: &str| Digest::of(format!("{what} {} {v}", app.id).as_bytes());
    let bytes = 200_000 + 1_000 * v as u64;
    let vote = |who: &str| Vote {
        by: format!("member/{who}"),
        at: WHEN,
        signed: None,
    };
    let mut version = Version {
        number: format!("1.{v}.0").parse().unwrap(),
        bundle: Bundle {
            sha256: named("bundle"),
            bytes,
            format: BundleFormat::Zip,
            files: 120,
            unpacked_bytes: bytes * 3,
        },
        permissions: ["camera", "location.city", "pay"]
            .iter()
            .map(|name| name.parse().unwrap())
            .collect(),
        notes: "修复若干问题 and makes the list of orders faster".into(),
        life: Life::Listed,
        submitted_at: WHEN,
        dossier: PackedDossier::default(),
    };
    let mut dossier = Dossier {
        origin: Some(Origin {
            sha256: named("origin"),
            bytes: bytes + 77,
            format: BundleFormat::TarGz,
        }),
        files: Some(named("files")),
        filing: Some("京ICP备2026012345号-7A".into()),
        reach: Reach::default(),
        withheld: Default::default(),
        submitted_by: Some("member/partner-zhou".into()),
        approvals: vec![vote("lin"), vote("wei")],
        seq: v as u64 + 1,
        release: None,
    };
    version.dossier = dossier.clone().into();
    let payload = Release::draft(audience, &app.id, &version).to_payload();
    let envelope = signed(Kind::Release, payload);
    dossier.release = Some(SignedRelease {
        address: envelope.address(),
        envelope: String::from_utf8(envelope.to_bytes()).unwrap(),
    });
    version.dossier = dossier.into();
    version
}

fn policy(audience: &str, app: &App) -> SignedPolicy {
    let policy = Policy {
        v: 1,
        aud: audience.into(),
        app: app.id.clone(),
        version: 1,
        expires: 2_000_000_000,
        state: Standing::Live,
        floor_seq: 1,
        revoked: Vec::new(),
        max_permissions: ["camera", "location.city", "pay"]
            .map(|name| name.parse().unwrap())
            .into(),
        on_stale: OnStale::Run,
        stale_grace_s: 0,
    };
    let envelope = signed(Kind::Policy, policy.to_payload());
    let envelope = String::from_utf8(envelope.to_bytes()).unwrap();
    SignedPolicy { policy, envelope }
}

fn signed(kind: Kind, payload: Vec<u8>) -> Envelope {
    let mut envelope = Envelope::new(kind, payload);
    for seed in [21, 22] {
        let key = SigningKey::from_bytes(&[seed; 32]);
        envelope.sign(&key).unwrap();
    }
    envelope
}
