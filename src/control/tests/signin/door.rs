//! Sessions at the door: whom they stand for, how they end, who may make a browser use them, and what takes a
//! fresh proof.

use ed25519_dalek::SigningKey;
use huidu_core::{
    envelope::Envelope,
    key::Signer as _,
    keyring::{Keyring, Online, Quorum, Roles, Trust},
    paper::Paper as _,
};

use super::{
    super::matrix::{body, filled},
    *,
};
use crate::signin::Required;

#[tokio::test]
async fn who_signs_in_is_a_member_with_the_members_role() {
    let desk = Desk::new().await;
    let session = desk.signed_in("").await;
    insta::assert_snapshot!(desk.page(&session, "GET /api/v1/whoami").send().await, @r#"
    200 OK
    content-type: application/json

    {
      "id": "member/lin",
      "member": "lin",
      "role": "security",
      "session": {
        "auth_time": "2026-11-24T12:00:00Z",
        "begun": "2026-11-24T12:00:00Z",
        "fresh": true,
        "until": "2026-11-24T12:30:00Z"
      },
      "title": "林"
    }
    "#);
    let members = desk.page(&session, "GET /api/v1/members").send().await;
    assert_eq!(members.status, StatusCode::OK);
    let kill = json!({ "reason": "x" });
    let ask = desk
        .page(&session, "POST /api/v1/hosts")
        .json(json!({ "host": "retail" }));
    assert_eq!(code(&ask.send().await), "forbidden", "not by this role");
    // The history names the person.
    let put = desk
        .page(&session, "PUT /api/v1/review-policy")
        .json(json!({ "approvals": 2 }));
    assert_eq!(put.send().await.status, StatusCode::OK);
    let history = desk.plane.root("GET /api/v1/history").send().await;
    assert!(history.body.contains("member/lin"), "{history}");
    // Another role holds at the very next request.
    desk.admit("lin", Role::Sre, SUBJECT).await;
    assert_eq!(
        code(&desk.page(&session, "GET /api/v1/members").send().await),
        "forbidden"
    );
    let ask = desk.page(&session, "POST /api/v1/apps/a/b/kill").json(kill);
    assert_eq!(code(&ask.send().await), "unknown-app");
}

#[tokio::test]
async fn whoever_is_no_member_is_told_what_to_do() {
    let desk = Desk::new().await;
    let under = desk.begin("").await;
    let mut claims = desk.claims(&under);
    claims["sub"] = json!("u-8");
    desk.provider.states(desk.provider.signed(&claims));
    let reply = desk.end(&under).await;
    assert_eq!(
        (code(&reply).as_str(), reply.status.as_u16()),
        ("unknown-person", 403)
    );
    let told = format!(
        "huidu member put NAME ROLE --issuer {} --subject u-8",
        desk.provider.url
    );
    assert!(detail(&reply).contains(&told), "{reply}");
    assert_eq!(set_cookie(&reply, "__Host-huidu"), None);
    let under = desk.begin("").await;
    claims = desk.claims(&under);
    claims["sub"] = json!("$(reboot)'; reboot");
    desk.provider.states(desk.provider.signed(&claims));
    let told = r"--subject '$(reboot)'\''; reboot'`";
    assert!(
        detail(&desk.end(&under).await).ends_with(told),
        "an administrator pastes it"
    );
}

#[tokio::test]
async fn who_is_let_go_is_nobody_at_the_very_next_request() {
    let desk = Desk::new().await;
    let session = desk.signed_in("").await;
    let whoami = || desk.page(&session, "GET /api/v1/whoami").send();
    assert_eq!(whoami().await.status, StatusCode::OK);
    // Known to the provider as somebody else now.
    desk.admit("lin", Role::Security, "u-9").await;
    assert_eq!(code(&whoami().await), "no-member");
    desk.admit("lin", Role::Security, SUBJECT).await;
    assert_eq!(whoami().await.status, StatusCode::OK);
    let member = "lin".parse().unwrap();
    desk.plane.change(Command::RemoveMember { member }).await;
    let reply = whoami().await;
    assert_eq!(
        (code(&reply).as_str(), reply.status.as_u16()),
        ("no-member", 401),
        "{reply}"
    );
    let put = desk
        .page(&session, "PUT /api/v1/review-policy")
        .json(json!({ "approvals": 2 }));
    assert_eq!(code(&put.send().await), "no-member");
}

#[tokio::test]
async fn a_session_ends_when_it_is_not_used_and_after_some_hours_anyway() {
    let desk = Desk::new().await;
    let session = desk.signed_in("").await;
    desk.pass(59);
    let soon = desk.page(&session, "GET /api/v1/whoami").send().await;
    assert_eq!(
        set_cookie(&soon, "__Host-huidu"),
        None,
        "not written anew at every request"
    );
    let mut used = session.clone();
    // Two hours from the beginning, less than half an hour apart.
    for _ in 0..4 {
        desk.pass(29 * 60);
        let reply = desk.page(&used, "GET /api/v1/whoami").send().await;
        assert_eq!(reply.status, StatusCode::OK, "{reply}");
        used = set_cookie(&reply, "__Host-huidu").unwrap();
    }
    let idle = desk.page(&session, "GET /api/v1/whoami").send().await;
    assert_eq!(
        code(&idle),
        "session-over",
        "what was not written anew is over: {idle}"
    );
    assert_eq!(set_cookie(&idle, "__Host-huidu"), None);
    desk.pass(4 * 60);
    let over = desk.page(&used, "GET /api/v1/whoami").send().await;
    assert!(detail(&over).contains("is over"), "{over}");
}

#[tokio::test]
async fn a_session_that_was_ended_is_over_and_every_sign_in_draws_another() {
    let desk = Desk::new().await;
    let (session, other) = (desk.signed_in("").await, desk.signed_in("").await);
    assert_ne!(session, other);
    let out = desk.page(&session, "POST /api/v1/signout").send().await;
    assert_eq!(out.status, StatusCode::NO_CONTENT);
    let gone = out.headers["set-cookie"].to_str().unwrap();
    assert!(
        gone.starts_with("__Host-huidu=;") && gone.contains("Max-Age=0"),
        "{gone}"
    );
    let reply = desk.page(&session, "GET /api/v1/whoami").send().await;
    assert!(detail(&reply).contains("was ended"), "{reply}");
    assert_eq!(
        desk.page(&other, "GET /api/v1/whoami").send().await.status,
        StatusCode::OK
    );
    let nobody = desk.plane.nobody("POST /api/v1/signout").send().await;
    assert_eq!(
        nobody.status,
        StatusCode::NO_CONTENT,
        "whoever is out is out"
    );
}

#[tokio::test]
async fn what_is_no_session_opens_nothing() {
    let desk = Desk::new().await;
    let session = desk.signed_in("").await;
    let under = desk.begin("").await;
    let mut refused = 0;
    for at in (0..session.len()).step_by(7) {
        let other = if session.as_bytes()[at] == b'A' {
            "B"
        } else {
            "A"
        };
        let changed = format!("{}{other}{}", &session[..at], &session[at + 1..]);
        assert_eq!(
            code(&desk.page(&changed, "GET /api/v1/whoami").send().await),
            "session-over"
        );
        refused += 1;
    }
    for wrong in ["", "x", &session[1..], &under.cookie, &"A".repeat(5_000)] {
        assert_eq!(
            code(&desk.page(wrong, "GET /api/v1/whoami").send().await),
            "session-over",
            "{wrong}"
        );
        refused += 1;
    }
    // A cookie is no token, nor two cookies one.
    let ask = desk
        .plane
        .nobody("GET /api/v1/whoami")
        .header("authorization", &format!("Bearer hs_{session}"));
    assert_eq!(code(&ask.send().await), "session-over");
    let twice = desk
        .page(&session, "GET /api/v1/whoami")
        .header("cookie", &format!("__Host-huidu={session}"));
    assert_eq!(code(&twice.send().await), "no-token");
    // Sealed by somebody else.
    let thief = Sealer::from_text(&"6".repeat(64)).unwrap();
    let elsewhere = SignIn::new(settings(&desk.provider.url), thief).unwrap();
    let now = desk.plane.node.now();
    let identity = Identity {
        issuer: desk.provider.url.clone(),
        subject: SUBJECT.into(),
    };
    let forged = elsewhere
        .begin_session("lin".parse().unwrap(), identity, Some(now), now)
        .unwrap();
    let forged = elsewhere.cookie(&forged).unwrap();
    assert_eq!(
        code(&desk.page(&forged, "GET /api/v1/whoami").send().await),
        "session-over"
    );
    println!("figure: forged sessions {} refused", refused + 3);
}

#[tokio::test]
async fn no_other_page_makes_a_browser_change_anything() {
    let desk = Desk::new().await;
    let session = desk.signed_in("").await;
    let document = super::super::super::document();
    let mut refused = 0;
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let line = format!(
                "{} {}",
                method.to_uppercase(),
                path.replace(['{', '}'], "x")
            );
            let changes = method != "get"
                && (operation.get("security").is_some() || path.ends_with("signout"));
            if !changes {
                continue;
            }
            for headers in [
                &[
                    ("origin", "https://evil.example"),
                    ("sec-fetch-site", "cross-site"),
                ][..],
                &[
                    ("origin", "https://evil.huidu.bank"),
                    ("sec-fetch-site", "same-site"),
                ],
                &[("origin", "http://huidu.bank")],
                &[("origin", "null")],
                &[("sec-fetch-site", "none")],
                &[],
            ] {
                let mut ask = desk.browser(&session, &line).any();
                for (name, value) in headers {
                    ask = ask.header(name, value);
                }
                let reply = ask
                    .header("content-type", "text/plain")
                    .bytes("{}")
                    .send()
                    .await;
                assert_eq!(
                    (code(&reply).as_str(), reply.status.as_u16()),
                    ("cross-site", 403),
                    "{line} {headers:?}: {reply}"
                );
                refused += 1;
            }
        }
    }
    let whoami = desk.page(&session, "GET /api/v1/whoami").send().await;
    assert_eq!(whoami.status, StatusCode::OK, "nor was it signed out");
    println!("figure: cross-site changes {refused} refused");
    assert!(refused > 150, "{refused}");
}

#[tokio::test]
async fn what_is_grave_takes_a_proof_of_the_last_five_minutes() {
    let desk = Desk::new().await;
    desk.admit("lin", Role::Admin, SUBJECT).await;
    let session = desk.signed_in("").await;
    let app = "/api/v1/apps/pingan/travel";
    let digest = "0".repeat(64);
    let grave = [
        (format!("POST {app}/unkill"), json!({ "reason": "x" })),
        (
            format!("POST {app}/permissions/camera/restore"),
            json!({ "reason": "x" }),
        ),
        (
            format!("POST {app}/versions/1.0.0/approve"),
            json!({ "bundle": digest }),
        ),
        (
            "PUT /api/v1/review-policy".to_owned(),
            json!({ "approvals": 2 }),
        ),
        (
            "PUT /api/v1/members/lan".to_owned(),
            json!({ "role": "sre" }),
        ),
        ("POST /api/v1/tokens".to_owned(), json!({ "role": "sre" })),
    ];
    let ask = async |session: &str, line: &str, body: &Value| {
        code(
            &desk
                .page(session, line)
                .any()
                .json(body.clone())
                .send()
                .await,
        )
    };
    for (line, body) in &grave {
        assert_ne!(
            ask(&session, line, body).await,
            "sign-in-again",
            "{line}: fresh enough"
        );
    }
    desk.pass(300);
    assert_ne!(
        ask(&session, &grave[0].0, &grave[0].1).await,
        "sign-in-again",
        "just"
    );
    desk.pass(1);
    let mut refused = 0;
    for (line, body) in &grave {
        assert_eq!(ask(&session, line, body).await, "sign-in-again", "{line}");
        refused += 1;
    }
    // What stops something never waits for a sign-in.
    let kill = ask(
        &session,
        &format!("POST {app}/kill"),
        &json!({ "reason": "x" }),
    )
    .await;
    assert_eq!(kill, "unknown-app");
    let reply = desk
        .page(&session, &grave[0].0)
        .any()
        .json(grave[0].1.clone())
        .send()
        .await;
    assert_eq!(reply.status, StatusCode::FORBIDDEN);
    assert!(detail(&reply).contains("/api/v1/signin?fresh"), "{reply}");
    // A provider that remembers is not enough: the proof must be newer than the question.
    for (auth_time, expected) in [
        (json!(desk.now_s() - 61), "statement"),
        (json!(null), "statement"),
        (json!(desk.now_s() - 60), ""),
    ] {
        let under = desk.begin("?fresh").await;
        let mut claims = desk.claims(&under);
        claims["auth_time"] = auth_time.clone();
        desk.provider.states(desk.provider.signed(&claims));
        let reply = desk.end(&under).await;
        assert_eq!(code(&reply), expected, "{auth_time}: {reply}");
    }
    let session = desk.signed_in("?fresh").await;
    assert_ne!(
        ask(&session, &grave[0].0, &grave[0].1).await,
        "sign-in-again"
    );
    // A provider that does not say when proves nothing fresh.
    let under = desk.begin("").await;
    let mut claims = desk.claims(&under);
    claims.as_object_mut().unwrap().remove("auth_time");
    desk.provider.states(desk.provider.signed(&claims));
    let session = set_cookie(&desk.end(&under).await, "__Host-huidu").unwrap();
    assert_eq!(
        ask(&session, &grave[0].0, &grave[0].1).await,
        "sign-in-again"
    );
    // Who may not at all is told so.
    desk.admit("lin", Role::Auditor, SUBJECT).await;
    assert_eq!(ask(&session, &grave[0].0, &grave[0].1).await, "forbidden");
    println!(
        "figure: grave changes without a fresh proof {} refused",
        refused + 3
    );
}

/// The first keyring of an installation, signed by its root.
fn keyring_of(trust: Trust) -> String {
    let key = |seed| SigningKey::from_bytes(&[seed; 32]);
    let quorum = |seed| Quorum::of(1, vec![key(seed).public_key().id()]);
    let keys = [1, 2, 3, 4, 5].map(|seed| (key(seed).public_key().id(), key(seed).public_key()));
    let keyring = Keyring {
        v: 1,
        aud: "bank/test".into(),
        version: 1,
        expires: 1_900_000_000,
        trust,
        online: Online {
            epoch: 1,
            max_lease_ms: 900_000,
        },
        keys: keys.into_iter().collect(),
        roles: Roles {
            root: quorum(1),
            release: quorum(2),
            policy: quorum(3),
            online: quorum(4),
            log: quorum(5),
        },
    };
    let mut envelope = Envelope::new(Keyring::KIND, keyring.to_payload());
    envelope.sign(&key(1)).unwrap();
    String::from_utf8(envelope.to_bytes()).unwrap()
}

/// Every route whose change is grave, and none beside them: the whole document is asked by a session that is no
/// longer fresh.
#[tokio::test]
async fn every_grave_change_takes_a_fresh_proof() {
    let desk = Desk::new().await;
    desk.admit("lin", Role::Admin, SUBJECT).await;
    let session = desk.signed_in("").await;
    desk.pass(301);
    let mut asked_again = String::new();
    let mut asked = 0;
    let document = super::super::super::document();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            if operation.get("security").is_none() {
                continue;
            }
            let query = match (method.as_str(), path.rsplit('/').next()) {
                ("post", Some("versions")) => "?version=9.9.9",
                _ => "",
            };
            let line = format!("{} {}{query}", method.to_uppercase(), filled(path, "a/b"));
            let (kind, body) = body(method, path, "a/b");
            let mut ask = desk.page(&session, &line).any();
            if let Some(kind) = kind {
                ask = ask.header("content-type", kind);
            }
            asked += 1;
            if code(&ask.bytes(body).send().await) == "sign-in-again" {
                asked_again.push_str(&format!("{} {path}\n", method.to_uppercase()));
            }
        }
    }
    println!("figure: requests by a session that is no longer fresh {asked}");
    insta::assert_snapshot!(asked_again, @r#"
    PUT /api/v1/apps/{tenant}/{app}/internal
    POST /api/v1/apps/{tenant}/{app}/permissions/{permission}/restore
    PUT /api/v1/apps/{tenant}/{app}/policy
    POST /api/v1/apps/{tenant}/{app}/unkill
    POST /api/v1/apps/{tenant}/{app}/versions/{version}/approve
    PUT /api/v1/apps/{tenant}/{app}/versions/{version}/record
    POST /api/v1/changes/{id}/approve
    PUT /api/v1/eyes
    POST /api/v1/keyring
    PUT /api/v1/members/{member}
    PUT /api/v1/review-policy
    POST /api/v1/tokens
    "#);
}

#[tokio::test]
async fn where_people_sign_in_their_tokens_open_nothing() {
    for (required, keyring, expected) in [
        (Required::Never, None, ""),
        (Required::Never, Some(Trust::Prod), ""),
        (Required::Always, None, "sign-in"),
        (Required::ForCustomers, None, ""),
        (Required::ForCustomers, Some(Trust::Dev), ""),
        (Required::ForCustomers, Some(Trust::Prod), "sign-in"),
    ] {
        let desk = Desk::with(|settings| settings.required = required).await;
        if let Some(trust) = keyring {
            let envelope = keyring_of(trust);
            desk.plane.change(Command::PutKeyring { envelope }).await;
        }
        let token = Token::generate_for(Kind::Security, "lin").unwrap();
        let add = given(&token, Role::Security, Some("lin"));
        desk.plane.change(add).await;
        let reply = desk.plane.ask(&token, "GET /api/v1/whoami").send().await;
        assert_eq!(code(&reply), expected, "{required:?} {keyring:?}: {reply}");
        let program = desk.plane.maya("GET /api/v1/whoami").send().await;
        assert_eq!(program.status, StatusCode::OK, "programs go on: {program}");
    }
}

#[tokio::test]
async fn a_session_begun_at_one_node_is_one_at_every_node_with_the_same_key() {
    let desk = Desk::new().await;
    let session = desk.signed_in("").await;
    for (key, expected) in [("5", ""), ("6", "session-over")] {
        let sealer = Sealer::from_text(&key.repeat(64)).unwrap();
        let signin = SignIn::new(settings(&desk.provider.url), sealer).unwrap();
        let store = Arc::new(MemoryStore::new());
        let plane = Plane::built(store, Review::Required, Some(signin), |_| {}).await;
        let other = Desk {
            plane,
            provider: Provider::start(),
        };
        let ask = || other.page(&session, "GET /api/v1/whoami").send();
        // The same people: what this node has not heard of yet, it does not know.
        let unheard = if expected.is_empty() {
            "no-member"
        } else {
            expected
        };
        assert_eq!(code(&ask().await), unheard);
        let put = Command::PutMember {
            member: "lin".parse().unwrap(),
            title: String::new(),
            role: Role::Auditor,
            identity: Some(Identity {
                issuer: desk.provider.url.clone(),
                subject: SUBJECT.into(),
            }),
        };
        other.plane.change(put).await;
        assert_eq!(code(&ask().await), expected);
    }
}

#[tokio::test]
async fn a_session_may_exactly_what_a_token_of_the_same_role_may() {
    let desk = Desk::new().await;
    let mut compared = 0;
    for role in [
        Role::Admin,
        Role::ReleaseManager,
        Role::Sre,
        Role::Reviewer,
        Role::Security,
        Role::Auditor,
        Role::Partner("pingan".parse().unwrap()),
    ] {
        desk.admit("lin", role.clone(), SUBJECT).await;
        let session = desk.signed_in("?fresh").await;
        let token = Token::generate_for(Kind::of(&role), &role.word()).unwrap();
        let add = given(&token, role, Some("lin"));
        desk.plane.change(add).await;
        let document = super::super::super::document();
        for (path, methods) in document["paths"].as_object().unwrap() {
            for (method, operation) in methods.as_object().unwrap() {
                if operation.get("security").is_none() {
                    continue;
                }
                let path = path
                    .replace("{tenant}", "cmb")
                    .replace("{app}", "pay")
                    .replace("{version}", "1.0.0")
                    .replace("{id}", &"0".repeat(64))
                    .replace(['{', '}'], "");
                let line = format!("{} {path}", method.to_uppercase());
                let odd =
                    async |ask: Ask<'_>| ask.any().header("content-type", "image/png").send().await;
                let by_token = odd(desk.plane.ask(&token, &line)).await;
                let by_session = odd(desk.page(&session, &line)).await;
                // Neither sends a body that fits, so nothing changes in between.
                let whoami = path.ends_with("whoami") || path.ends_with("status");
                assert_eq!(
                    by_token.status, by_session.status,
                    "{line}: {by_token} {by_session}"
                );
                assert!(
                    whoami || by_token.body == by_session.body,
                    "{line}: {by_token} {by_session}"
                );
                compared += 1;
            }
        }
    }
    println!("figure: requests that a session and a token answer alike {compared}");
    assert!(compared > 350, "{compared}");
}
