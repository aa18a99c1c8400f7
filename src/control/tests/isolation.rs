//! What a partner is told of what belongs to others: every route, whatever names it (path, body, query, the
//! names of changes, people, tokens and segments), compared with the same request for what does not exist.
//!
//! What tells them apart is counted, not assumed to be none; and planes with mistakes planted in them show that
//! it would be found.

use axum::{
    Json,
    extract::Path,
    http::StatusCode,
    response::{IntoResponse as _, Response},
    routing::{get, post},
};
use huidu_core::{
    eyes::{Kind as Eyes, Requirement},
    op::OpId,
};
use serde_json::json;

use super::{matrix::body, *};

/// Stands in whatever belongs to `cmb` and is no name.
const MARK: &str = "nobody else reads this";
const OWN: &str = "pingan/travel";
const ULID: &str = "01ARZ3NDEKTSV4RRFFQ69G5FAV";

/// What a request names.
#[derive(Clone)]
struct Names {
    path: String,
    body: String,
    op: String,
    id: String,
    member: String,
    segment: String,
}

impl Names {
    fn of(path: &str, body: &str) -> Self {
        Self {
            path: path.into(),
            body: body.into(),
            op: ULID.into(),
            id: "0".repeat(16),
            member: "nobody".into(),
            segment: "nobody".into(),
        }
    }

    fn line(&self, method: &str, path: &str) -> String {
        let (tenant, name) = self.path.split_once('/').unwrap();
        let path = path
            .replace("{tenant}", tenant)
            .replace("{app}", name)
            .replace("{version}", "1.0.0")
            .replace("{rule}", "ramp")
            .replace("{experiment}", "copy")
            .replace("{permission}", "camera")
            .replace("{member}", &self.member)
            .replace("{op}", &self.op)
            .replace("{id}", &self.id)
            .replace("{revision}", "999")
            .replace("{segment}", &self.segment);
        assert!(!path.contains('{'), "{path}: what stands here?");
        let query = match path.rsplit('/').next() {
            Some("versions") if method == "post" => "?version=1.0.0".to_owned(),
            Some("history") => format!("?app={}", self.body),
            _ => String::new(),
        };
        format!("{} {path}{query}", method.to_uppercase())
    }

    /// A text with these names covered.
    fn covered(&self, text: &str) -> String {
        let mut text = text.to_owned();
        let tenant = |app: &str| app.split_once('/').unwrap().0.to_owned();
        for (name, stands) in [
            (self.path.clone(), "<app>"),
            (self.body.clone(), "<app>"),
            (self.op.clone(), "<op>"),
            (self.id.clone(), "<id>"),
            (self.member.clone(), "<member>"),
            (self.segment.clone(), "<segment>"),
            (tenant(&self.path), "<tenant>"),
            (tenant(&self.body), "<tenant>"),
        ] {
            text = text.replace(&name, stands);
        }
        text
    }
}

/// A plane where `cmb` has something of everything.
struct Bank {
    plane: Plane,
    /// What is there and foreign.
    there: Names,
}

async fn bank() -> Bank {
    let plane = Plane::furnished().await;
    let member = "wang-of-cmb".to_owned();
    plane
        .change(Command::PutMember {
            member: member.parse().unwrap(),
            title: MARK.into(),
            role: Role::Admin,
            identity: None,
        })
        .await;
    let lin = Token::generate_for(Kind::Admin, "lin").unwrap();
    plane.change(given(&lin, Role::Admin, Some(&member))).await;
    let second = Requirement {
        approvals: 1,
        roles: vec![Role::Admin],
    };
    let policy = EyesPolicy {
        kinds: [(Eyes::Unkill, second)].into(),
        ..EyesPolicy::default()
    };
    plane.change(Command::SetEyes { policy }).await;
    let add = json!({ "tenant": "cmb-2", "title": MARK });
    let tenant = plane.root("POST /api/v1/tenants").json(add).send().await;
    assert_eq!(tenant.status, StatusCode::CREATED, "{tenant}");
    let version = plane.root("POST /api/v1/apps/cmb/pay/versions?version=1.0.0&notes=secret");
    let version = version.bytes(bundle(MARK)).send().await;
    assert_eq!(version.status, StatusCode::CREATED, "{version}");
    let kill = plane.root("POST /api/v1/apps/cmb/pay/kill");
    let kill = kill.json(json!({ "reason": MARK })).send().await;
    let op = kill.json()["op"].as_str().unwrap().to_owned();
    let unkill = plane.ask(&lin, "POST /api/v1/apps/cmb/pay/unkill").any();
    let unkill = unkill.json(json!({ "reason": MARK })).send().await;
    assert_eq!(unkill.status, StatusCode::ACCEPTED, "{unkill}");
    let id = unkill.json()["waits"]["id"].as_str().unwrap().to_owned();
    let staff = plane.root("PUT /api/v1/segments/staff").any();
    let staff = staff.header("content-type", "text/plain").bytes("u-1\n");
    assert!(staff.send().await.status.is_success());
    let there = Names {
        op,
        id,
        member,
        segment: "staff".into(),
        ..Names::of("cmb/pay", "cmb/pay")
    };
    Bank { plane, there }
}

/// What was asked, and what was told that should not have been.
struct Told {
    calls: usize,
    leaks: Vec<String>,
}

impl Bank {
    /// Pairs of what is there and foreign, and what is not there: in the path, in the body, in other names.
    fn pairs(&self) -> Vec<(Names, Names)> {
        let own = |names: &Names| Names {
            path: OWN.into(),
            ..names.clone()
        };
        let bodied = own(&Names::of(OWN, "cmb/pay"));
        let named = Names {
            body: OWN.into(),
            ..own(&self.there)
        };
        vec![
            (self.there.clone(), Names::of("cmc/pay", "cmc/pay")),
            (self.there.clone(), Names::of("cmb/nothing", "cmb/nothing")),
            (bodied, Names::of(OWN, "cmc/pay")),
            (named, Names::of(OWN, OWN)),
        ]
    }

    async fn told(&self) -> Told {
        let mut told = Told {
            calls: 0,
            leaks: Vec::new(),
        };
        // Every role that is bound to a tenant.
        let bound: Vec<_> = [
            (&self.plane.root, Role::Admin),
            (&self.plane.maya, Role::ReleaseManager),
            (&self.plane.sven, Role::Sre),
            (&self.plane.audrey, Role::Auditor),
            (&self.plane.ping, Role::Partner("pingan".parse().unwrap())),
        ]
        .into_iter()
        .filter(|(_, role)| role.tenant().is_some())
        .collect();
        assert!(!bound.is_empty());
        let document = super::super::document();
        for (path, methods) in document["paths"].as_object().unwrap() {
            for (method, operation) in methods.as_object().unwrap() {
                if operation.get("security").is_none() {
                    continue;
                }
                for (who, _) in &bound {
                    for (there, nowhere) in self.pairs() {
                        self.compare(who, method, path, &there, &nowhere, &mut told)
                            .await;
                    }
                }
            }
        }
        told
    }

    async fn compare(
        &self,
        who: &Token,
        method: &str,
        path: &str,
        there: &Names,
        nowhere: &Names,
        told: &mut Told,
    ) {
        let ask = async |names: &Names| {
            let (kind, body) = body(method, path, &names.body);
            let mut ask = self.plane.ask(who, &names.line(method, path)).any();
            if let Some(kind) = kind {
                ask = ask.header("content-type", kind);
            }
            let mut reply = ask.bytes(body).send().await;
            reply.headers.remove("content-length");
            reply
        };
        let before = self.plane.node.catalogue().revision;
        let (one, other) = (ask(there).await, ask(nowhere).await);
        told.calls += 2;
        let line = there.line(method, path);
        let mut leak = |what: &str| told.leaks.push(format!("{line}: {what}: {one}"));
        if self.plane.node.catalogue().revision != before {
            leak("it changed something");
        }
        if one.body.contains(MARK) {
            leak("it tells what belongs to others");
        }
        let is_foreign = path.contains("{tenant}") && there.path != OWN;
        if is_foreign && one.status != StatusCode::NOT_FOUND {
            leak("it is not as if it did not exist");
        }
        let alike = one.status == other.status
            && one.headers == other.headers
            && there.covered(&one.body) == nowhere.covered(&other.body);
        if !alike {
            leak("it differs from what is not there");
        }
    }
}

#[tokio::test]
async fn nobody_is_told_what_belongs_to_another_tenant() {
    let told = bank().await.told().await;
    println!(
        "{} calls for foreign things, leaks: {}",
        told.calls,
        told.leaks.len()
    );
    assert!(told.leaks.is_empty(), "{:#?}", told.leaks);
    assert!(told.calls > 400, "{}", told.calls);
}

/// A plane with one route of it replaced.
async fn planted(
    path: &str,
    replace: impl FnOnce(Arc<Node>, Token) -> axum::routing::MethodRouter,
) -> Vec<String> {
    let mut bank = bank().await;
    let (node, root) = (Arc::clone(&bank.plane.node), bank.plane.root.clone());
    let honest = bank.plane.router.clone();
    let route = replace(node, root).fallback_service(honest.clone());
    bank.plane.router = Router::new().route(path, route).fallback_service(honest);
    bank.told().await.leaks
}

fn found(leaks: &[String], route: &str, what: &str) {
    let hit = |leak: &&String| leak.starts_with(route) && leak.contains(what);
    assert!(leaks.iter().any(|leak| hit(&leak)), "{route}: {leaks:#?}");
}

/// The tenant is taken from the path and not from who asks.
#[tokio::test]
async fn it_would_notice_a_tenant_that_is_taken_from_the_path() {
    let leaks = planted("/api/v1/apps/{tenant}/{app}", |node, _| {
        get(async move |Path((tenant, app)): Path<(String, String)>| {
            let catalogue = node.catalogue();
            match catalogue.apps.get(format!("{tenant}/{app}").as_str()) {
                Some(app) => Json(json!(**app)).into_response(),
                None => StatusCode::NOT_FOUND.into_response(),
            }
        })
    });
    let leaks = leaks.await;
    found(&leaks, "GET /api/v1/apps/cmb/pay", "it is not as if");
    found(&leaks, "GET /api/v1/apps/cmb/pay", "it tells what belongs");
}

/// Whoever asks is taken for somebody who may.
#[tokio::test]
async fn it_would_notice_an_authoriser_that_lets_everybody_through() {
    let leaks = planted("/api/v1/apps/{tenant}/{app}/kill", |node, root| {
        post(
            async move |Path((tenant, app)): Path<(String, String)>| -> Response {
                let change = Change {
                    actor: Actor {
                        id: root.id().to_owned(),
                        role: Role::Admin,
                    },
                    command: Command::Kill {
                        app: format!("{tenant}/{app}").parse().unwrap(),
                        version: Some("1.0.0".parse().unwrap()),
                        reason: "anybody".into(),
                    },
                    op: node.new_op(),
                    expected: None,
                    enact_at: None,
                    why: None,
                    patience: Duration::from_secs(5),
                };
                match node.write(change).await {
                    Ok(_) => StatusCode::OK.into_response(),
                    Err(_) => StatusCode::NOT_FOUND.into_response(),
                }
            },
        )
    });
    found(
        &leaks.await,
        "POST /api/v1/apps/cmb/pay/kill",
        "it changed something",
    );
}

/// What became of a change is told to whoever asks.
#[tokio::test]
async fn it_would_notice_the_changes_of_others_being_told() {
    let leaks = planted("/api/v1/ops/{op}", |node, _| {
        get(async move |Path(op): Path<OpId>| {
            let state = node.op(op).await;
            Json(json!({ "op": op.to_string(), "state": format!("{state:?}") }))
        })
    });
    found(
        &leaks.await,
        "GET /api/v1/ops/",
        "it differs from what is not there",
    );
}

/// A body's app is looked up before it is asked whose it is.
#[tokio::test]
async fn it_would_notice_a_body_that_is_looked_up_before_it_is_asked_whose_it_is() {
    let leaks = planted("/api/v1/apps", |node, _| {
        post(async move |Json(asked): Json<Value>| {
            let app = asked["app"].as_str().unwrap();
            if node.catalogue().apps.contains_key(app) {
                StatusCode::CONFLICT
            } else {
                StatusCode::NOT_FOUND
            }
        })
    });
    found(
        &leaks.await,
        "POST /api/v1/apps",
        "it differs from what is not there",
    );
}

/// A list holds everybody's.
#[tokio::test]
async fn it_would_notice_a_list_that_holds_everybodys() {
    let leaks = planted("/api/v1/tenants", |node, _| {
        get(async move || Json(json!(node.catalogue().tenants)))
    });
    found(&leaks.await, "GET /api/v1/tenants", "it tells what belongs");
}
