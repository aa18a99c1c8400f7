//! The control plane, called without a socket: a real node over a memory store, real tokens, whole replies.
//!
//! A [`Plane`] has named people, one for each role; a [`Reply`] prints as it came, with what is drawn by
//! chance covered, so that a test asserts all of it.

mod apps;
mod experiments;
mod faults;
mod foreign;
mod history;
mod isolation;
mod kills;
mod matrix;
mod members;
mod office;
mod ops;
mod permissions;
mod review;
mod rollouts;
mod scopes;
mod segments;
mod signin;
mod status;
mod tokens;
mod trials;
mod versions;

use std::{collections::BTreeSet, fmt, io::Write as _, sync::Arc, time::Duration};

use axum::{
    Router,
    body::Body,
    http::{HeaderMap, Request, StatusCode, header::HeaderName},
};
use http_body_util::BodyExt as _;
use huidu_core::{
    authority::Role, command::Command, credential::Expiry, event::Actor, eyes::EyesPolicy,
    version::Review,
};
use serde_json::Value;
use tower::ServiceExt as _;

use super::{
    ControlSettings, router,
    token::{Kind, Token},
};
use crate::{
    bus::local::LocalBus,
    clock::{CountedIds, Manual},
    metrics::Metrics,
    node::{Change, Node, NodeParts, NodeSettings},
    signin::SignIn,
    store::{Store, memory::MemoryStore},
};

/// What replies are asked for beside their bodies.
const SHOWN: [&str; 7] = [
    "allow",
    "cache-control",
    "content-type",
    "etag",
    "location",
    "retry-after",
    "www-authenticate",
];

/// A control plane with people.
struct Plane {
    router: Router,
    node: Arc<Node>,
    clock: Arc<Manual>,
    spool: tempfile::TempDir,
    /// Everything.
    root: Token,
    /// Releases.
    maya: Token,
    /// Keeps it running.
    sven: Token,
    /// Partner of `pingan`.
    ping: Token,
    /// Reads.
    audrey: Token,
}

impl Plane {
    /// A plane where a submitter lists directly.
    async fn new() -> Self {
        Self::with(|_| {}).await
    }

    /// A plane where versions are approved before they are listed.
    async fn reviewing() -> Self {
        Self::made(Review::Required, |_| {}).await
    }

    async fn with(change: impl FnOnce(&mut ControlSettings)) -> Self {
        Self::made(Review::Skipped, change).await
    }

    async fn made(review: Review, change: impl FnOnce(&mut ControlSettings)) -> Self {
        Self::over(Arc::new(MemoryStore::new()), review, change).await
    }

    async fn over(
        store: Arc<dyn Store>,
        review: Review,
        change: impl FnOnce(&mut ControlSettings),
    ) -> Self {
        Self::built(store, review, None, change).await
    }

    async fn built(
        store: Arc<dyn Store>,
        review: Review,
        signin: Option<SignIn>,
        change: impl FnOnce(&mut ControlSettings),
    ) -> Self {
        let noon = "2026-11-24T12:00:00Z".parse().unwrap();
        let clock = Arc::new(Manual::at(noon));
        let node = Node::start(NodeParts {
            store,
            unproved: Vec::new(),
            mirror: None,
            bundle_disk: None,
            bus: Arc::new(LocalBus::new()),
            clock: Arc::<Manual>::clone(&clock),
            ids: Arc::new(CountedIds::series(7)),
            key: Arc::new(ed25519_dalek::SigningKey::from_bytes(&[7; 32])),
            log_key: Some(Arc::new(ed25519_dalek::SigningKey::from_bytes(&[5; 32]))),
            metrics: Arc::new(Metrics::new()),
            kills: None,
            peers: Arc::new(crate::node::peers::Peers::none()),
            settings: NodeSettings {
                name: "n1".into(),
                tick: Duration::from_secs(1),
                checkpoint_every: 1_000,
                poll_after_ms: 60_000,
                poll_spread_ms: 30_000,
                lease_ms: 60_000,
                bundle_memory: 1 << 20,
            },
        })
        .await
        .unwrap();
        let spool = tempfile::tempdir().unwrap();
        let mut settings = ControlSettings::new(spool.path().to_owned());
        change(&mut settings);
        let token = |kind, name| Token::generate_for(kind, name).unwrap();
        let plane = Self {
            router: router(Arc::clone(&node), signin, settings).unwrap(),
            node,
            clock,
            spool,
            root: token(Kind::Admin, "root"),
            maya: token(Kind::Manager, "maya"),
            sven: token(Kind::Sre, "sven"),
            ping: token(Kind::Partner, "ping"),
            audrey: token(Kind::Auditor, "audrey"),
        };
        let first = (plane.root.id().to_owned(), plane.root.sha256());
        assert!(
            plane
                .node
                .found("bank/test", review, first, None, EyesPolicy::default())
                .await
                .unwrap()
        );
        for (token, role) in [
            (&plane.maya, Role::ReleaseManager),
            (&plane.sven, Role::Sre),
            (&plane.ping, Role::Partner("pingan".parse().unwrap())),
            (&plane.audrey, Role::Auditor),
        ] {
            plane.change(given(token, role, None)).await;
        }
        plane
    }

    /// A plane with the hosts, apps, versions and the rollout that most stories begin with:
    /// `pingan/travel` at 1.0.0 for everybody and 1.1.0 for 5 %, and `cmb/pay` without any.
    async fn furnished() -> Self {
        let plane = Self::new().await;
        plane
            .change(Command::AddHost {
                host: "retail".parse().unwrap(),
                title: "零售".into(),
                sandbox: false,
            })
            .await;
        for app in ["pingan/travel", "cmb/pay"] {
            plane
                .change(Command::AddApp {
                    app: app.parse().unwrap(),
                    title: String::new(),
                })
                .await;
        }
        for version in ["1.0.0", "1.1.0"] {
            let path = format!("/api/v1/apps/pingan/travel/versions?version={version}&list=true");
            let reply = plane
                .maya(&format!("POST {path}"))
                .bytes(bundle(version))
                .send()
                .await;
            assert_eq!(reply.status, StatusCode::CREATED, "{reply}");
        }
        let put = plane.maya("PUT /api/v1/apps/pingan/travel/rollout");
        let reply = put.header("if-match", "*").toml(ROLLOUT).send().await;
        assert_eq!(reply.status, StatusCode::OK, "{reply}");
        plane
    }

    /// Something that the administrator does without a request.
    async fn change(&self, command: Command) {
        let change = Change {
            actor: Actor {
                id: self.root.id().to_owned(),
                role: Role::Admin,
            },
            command,
            op: self.node.new_op(),
            expected: None,
            enact_at: None,
            why: None,
            patience: Duration::from_secs(5),
        };
        self.node.write(change).await.unwrap();
    }

    fn nobody(&self, line: &str) -> Ask<'_> {
        let (method, path) = line.split_once(' ').unwrap();
        let request = Request::builder()
            .method(method)
            .uri(path)
            .body(Body::empty())
            .unwrap();
        Ask {
            plane: self,
            request,
        }
    }

    fn ask(&self, who: &Token, line: &str) -> Ask<'_> {
        self.nobody(line)
            .header("authorization", &format!("Bearer {who}"))
    }

    fn root(&self, line: &str) -> Ask<'_> {
        self.ask(&self.root, line)
    }

    fn maya(&self, line: &str) -> Ask<'_> {
        self.ask(&self.maya, line)
    }

    fn sven(&self, line: &str) -> Ask<'_> {
        self.ask(&self.sven, line)
    }

    fn ping(&self, line: &str) -> Ask<'_> {
        self.ask(&self.ping, line)
    }

    fn audrey(&self, line: &str) -> Ask<'_> {
        self.ask(&self.audrey, line)
    }

    /// Files that wait to be inspected.
    fn spooled(&self) -> usize {
        std::fs::read_dir(self.spool.path()).unwrap().count()
    }
}

const ROLLOUT: &str = r#"
app = "pingan/travel"
hosts = ["retail"]
stable = "1.0.0"

[[rule]]
name = "ramp"
share = "5%"
serve = "1.1.0"
"#;

/// A token given out, to a member where one is named.
fn given(token: &Token, role: Role, member: Option<&str>) -> Command {
    Command::AddToken {
        id: token.id().to_owned(),
        sha256: token.sha256(),
        role,
        note: String::new(),
        member: member.map(|member| member.parse().unwrap()),
        expires: Expiry::Usual,
        scopes: BTreeSet::new(),
    }
}

/// A request that is being written.
struct Ask<'a> {
    plane: &'a Plane,
    request: Request<Body>,
}

impl Ask<'_> {
    fn header(mut self, name: &'static str, value: &str) -> Self {
        let value = value.parse().unwrap();
        self.request
            .headers_mut()
            .append(HeaderName::from_static(name), value);
        self
    }

    fn any(self) -> Self {
        self.header("if-match", "*")
    }

    #[expect(
        clippy::needless_pass_by_value,
        reason = "read as it is written: `.json(json!(…))`"
    )]
    fn json(self, body: Value) -> Self {
        self.header("content-type", "application/json")
            .bytes(body.to_string())
    }

    fn toml(self, body: &str) -> Self {
        self.header("content-type", "application/toml")
            .bytes(body.to_owned())
    }

    fn bytes(mut self, body: impl Into<Body>) -> Self {
        *self.request.body_mut() = body.into();
        self
    }

    async fn send(self) -> Reply {
        let response = self
            .plane
            .router
            .clone()
            .oneshot(self.request)
            .await
            .unwrap();
        let (head, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Reply {
            status: head.status,
            headers: head.headers,
            // Archives come from here as well.
            body: String::from_utf8_lossy(&body).into_owned(),
        }
    }
}

/// A reply that came.
struct Reply {
    status: StatusCode,
    headers: HeaderMap,
    body: String,
}

impl Reply {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    fn etag(&self) -> &str {
        self.headers["etag"].to_str().unwrap()
    }
}

impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.status)?;
        for name in SHOWN {
            for value in self.headers.get_all(name) {
                let value = covered(value.to_str().unwrap());
                // Every reply says so; it is worth a line only where it says something else.
                if (name, value.as_str()) != ("cache-control", "no-store") {
                    writeln!(f, "{name}: {value}")?;
                }
            }
        }
        let body = match serde_json::from_str::<Value>(&self.body) {
            Ok(body) => format!("{body:#}"),
            Err(_) => self.body.clone(),
        };
        write!(f, "\n{}", covered(&body))
    }
}

/// The text with op ids and tokens covered.
fn covered(text: &str) -> String {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut covered = String::new();
    let mut rest = text;
    while let Some(start) = rest.find(word) {
        let length = rest[start..]
            .find(|c| !word(c))
            .unwrap_or(rest.len() - start);
        let (before, found) = (&rest[..start], &rest[start..start + length]);
        covered.push_str(before);
        covered.push_str(match found {
            op if op.parse::<huidu_core::op::OpId>().is_ok() => "<op>",
            token if token.parse::<Token>().is_ok() => "<token>",
            other => other,
        });
        rest = &rest[start + length..];
    }
    covered + rest
}

/// A small honest bundle; another one for every `salt`.
fn bundle(salt: &str) -> Vec<u8> {
    zipped(&[("app.json", salt), ("pages/index.js", "Page({})")])
}

fn zipped(files: &[(&str, &str)]) -> Vec<u8> {
    let mut archive = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (path, text) in files {
        let stored = zip::write::SimpleFileOptions::default()
            .compression_method(zip::CompressionMethod::Stored)
            .last_modified_time(zip::DateTime::default());
        archive.start_file(*path, stored).unwrap();
        archive.write_all(text.as_bytes()).unwrap();
    }
    archive.finish().unwrap().into_inner()
}
