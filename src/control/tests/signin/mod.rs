//! Sign-in against a provider that lies, and sessions at the door. The clock stands still unless it is moved.

mod door;
mod flow;
mod hostile;
mod provider;

use data_encoding::BASE64URL_NOPAD;
use huidu_core::trust::Identity;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::*;
use crate::signin::{Required, SignInSettings, address::Address, seal::Sealer};
use provider::{Answer, Provider};

const HOME: &str = "https://huidu.bank";
const SUBJECT: &str = "u-7";
const CALLBACK: &str = "/api/v1/signin/callback";

/// A plane where people sign in by a provider that does as it is told; `lin` is a security officer.
struct Desk {
    plane: Plane,
    provider: Provider,
}

/// A sign-in under way: what the browser keeps, and what the provider was told.
#[derive(Clone)]
struct Under {
    cookie: String,
    location: String,
}

impl Under {
    fn told(&self, name: &str) -> String {
        let query = self.location.split_once('?').unwrap().1;
        let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        let value = pairs.find(|(key, _)| *key == name).map(|(_, value)| value);
        value.unwrap_or_default().to_owned()
    }
}

impl Desk {
    async fn new() -> Self {
        Self::with(|_| {}).await
    }

    async fn with(change: impl FnOnce(&mut SignInSettings)) -> Self {
        let provider = Provider::start();
        let mut settings = settings(&provider.url);
        change(&mut settings);
        let sealer = Sealer::from_text(&"5".repeat(64)).unwrap();
        let signin = SignIn::new(settings, sealer).unwrap();
        let store = Arc::new(MemoryStore::new());
        let plane = Plane::built(store, Review::Required, Some(signin), |_| {}).await;
        let desk = Self { plane, provider };
        desk.admit("lin", Role::Security, SUBJECT).await;
        desk
    }

    async fn admit(&self, member: &str, role: Role, subject: &str) {
        let put = Command::PutMember {
            member: member.parse().unwrap(),
            title: "林".into(),
            role,
            identity: Some(Identity {
                issuer: self.provider.url.clone(),
                subject: subject.into(),
            }),
        };
        self.plane.change(put).await;
    }

    /// Seconds since 1970, as the desk's clock has it.
    fn now_s(&self) -> i64 {
        i64::try_from(self.plane.node.now().unix_ms() / 1_000).unwrap()
    }

    /// What an honest provider states about `lin` in answer to `under`.
    fn claims(&self, under: &Under) -> Value {
        let now = self.now_s();
        json!({ "iss": self.provider.url, "sub": SUBJECT, "aud": "huidu", "iat": now,
            "exp": now + 300, "auth_time": now, "nonce": under.told("nonce") })
    }

    async fn begin(&self, query: &str) -> Under {
        let reply = self
            .plane
            .nobody(&format!("GET /api/v1/signin{query}"))
            .send()
            .await;
        assert_eq!(reply.status, StatusCode::SEE_OTHER, "{reply}");
        Under {
            cookie: set_cookie(&reply, "__Host-huidu-signin").unwrap(),
            location: reply.headers["location"].to_str().unwrap().to_owned(),
        }
    }

    fn back<'a>(&'a self, under: &Under, query: &str) -> Ask<'a> {
        let cookie = format!("__Host-huidu-signin={}", under.cookie);
        self.plane
            .nobody(&format!("GET {CALLBACK}?{query}"))
            .header("cookie", &cookie)
    }

    async fn end(&self, under: &Under) -> Reply {
        self.back(under, &format!("code=c&state={}", under.told("state")))
            .send()
            .await
    }

    /// Signs `lin` in; the cookie of the session.
    async fn signed_in(&self, query: &str) -> String {
        let under = self.begin(query).await;
        self.provider
            .states(self.provider.signed(&self.claims(&under)));
        let reply = self.end(&under).await;
        assert_eq!(reply.status, StatusCode::OK, "{reply}");
        set_cookie(&reply, "__Host-huidu").unwrap()
    }

    /// Asks as the page of ours that has this session.
    fn page(&self, session: &str, line: &str) -> Ask<'_> {
        self.browser(session, line)
            .header("origin", HOME)
            .header("sec-fetch-site", "same-origin")
    }

    /// Asks as a browser that has this session, whoever made it.
    fn browser(&self, session: &str, line: &str) -> Ask<'_> {
        self.plane
            .nobody(line)
            .header("cookie", &format!("__Host-huidu={session}"))
    }

    fn pass(&self, seconds: u64) {
        self.plane.clock.advance_ms(seconds * 1_000);
    }
}

fn settings(issuer: &str) -> SignInSettings {
    SignInSettings {
        issuer: Address::parse(issuer).unwrap(),
        client_id: "huidu".into(),
        client_secret: Some("s3cret & more".into()),
        scopes: "openid".into(),
        authorities: None,
        home: Address::parse(HOME).unwrap(),
        idle: Duration::from_secs(30 * 60),
        longest: Duration::from_secs(2 * 3_600),
        command_line: Duration::from_secs(3_600),
        required: Required::ForCustomers,
    }
}

/// The value of a cookie that a reply sets; none for one that it takes away.
fn set_cookie(reply: &Reply, name: &str) -> Option<String> {
    let lines = reply.headers.get_all("set-cookie").iter();
    let mut values = lines.filter_map(|line| {
        let line = line.to_str().unwrap();
        let (pair, attributes) = line.split_once(';').unwrap();
        for needed in ["Path=/", "Secure", "HttpOnly", "SameSite="] {
            assert!(attributes.contains(needed), "{line}");
        }
        assert!(!attributes.contains("Domain"), "{line}");
        pair.strip_prefix(name)?.strip_prefix('=')
    });
    values
        .next()
        .filter(|value| !value.is_empty())
        .map(str::to_owned)
}

fn code(reply: &Reply) -> String {
    let body = serde_json::from_str::<Value>(&reply.body).unwrap_or_default();
    body["code"].as_str().unwrap_or_default().to_owned()
}

fn detail(reply: &Reply) -> String {
    let body = serde_json::from_str::<Value>(&reply.body).unwrap_or_default();
    body["detail"].as_str().unwrap_or_default().to_owned()
}

fn s256(verifier: &str) -> String {
    BASE64URL_NOPAD.encode(&Sha256::digest(verifier.as_bytes()))
}
