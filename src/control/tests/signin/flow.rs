//! There and back: what the browser must bring, what the provider is asked, and how often.

use super::*;

#[tokio::test]
async fn the_provider_is_asked_for_a_code_that_only_we_can_use() {
    let desk = Desk::new().await;
    let under = desk.begin("?next=/console").await;
    for (name, value) in [
        ("response_type", "code"),
        ("client_id", "huidu"),
        ("scope", "openid"),
        (
            "redirect_uri",
            "https%3A%2F%2Fhuidu.bank%2Fapi%2Fv1%2Fsignin%2Fcallback",
        ),
        ("code_challenge_method", "S256"),
        ("prompt", ""),
    ] {
        assert_eq!(under.told(name), value, "{name} of {}", under.location);
    }
    let again = desk.begin("?fresh").await;
    assert_eq!(
        (again.told("prompt"), again.told("max_age")),
        ("login".into(), "300".into())
    );
    for name in ["state", "nonce", "code_challenge"] {
        assert_eq!(under.told(name).len(), 43, "{name}");
        assert_ne!(under.told(name), again.told(name), "{name}");
        assert!(
            !under.cookie.contains(&under.told(name)),
            "the cookie is sealed"
        );
    }
    desk.provider
        .states(desk.provider.signed(&desk.claims(&under)));
    let reply = desk.end(&under).await;
    assert!(reply.body.contains("url=/console\""), "{reply}");
    assert_eq!(reply.headers["referrer-policy"], "no-referrer");
    let asked = desk.provider.asked("/token");
    let (_, authorization, form) = &asked[0];
    // The pair is percent-encoded before it is encoded (RFC 6749, 2.3.1).
    let pair = data_encoding::BASE64.encode(b"huidu:s3cret%20%26%20more");
    assert_eq!(authorization, &format!("Basic {pair}"));
    let verifier = form.split("code_verifier=").nth(1).unwrap();
    let verifier = verifier.split('&').next().unwrap();
    assert_eq!(s256(verifier), under.told("code_challenge"));
    assert!(
        form.contains("grant_type=authorization_code&code=c&"),
        "{form}"
    );
    assert!(!form.contains("secret"), "{form}");
}

#[tokio::test]
async fn only_the_browser_that_began_ends_a_sign_in_once_and_in_time() {
    let desk = Desk::new().await;
    let mut refused = 0;
    let (mine, other) = (desk.begin("").await, desk.begin("").await);
    desk.provider
        .states(desk.provider.signed(&desk.claims(&mine)));
    let state = mine.told("state");
    let no_cookie = desk
        .plane
        .nobody(&format!("GET {CALLBACK}?code=c&state={state}"));
    let session = desk.signed_in("").await;
    desk.provider
        .states(desk.provider.signed(&desk.claims(&mine)));
    let swapped = Under {
        cookie: session,
        ..mine.clone()
    };
    let flipped = Under {
        cookie: mine.cookie.replacen(&mine.cookie[..1], "~", 1),
        ..mine.clone()
    };
    for (name, ask) in [
        ("no cookie", no_cookie),
        (
            "another sign-in's cookie",
            desk.back(&other, &format!("code=c&state={state}")),
        ),
        (
            "another sign-in's state",
            desk.back(&mine, &format!("code=c&state={}", other.told("state"))),
        ),
        (
            "a session as the state's cookie",
            desk.back(&swapped, &format!("code=c&state={state}")),
        ),
        (
            "a changed cookie",
            desk.back(&flipped, &format!("code=c&state={state}")),
        ),
        ("no state", desk.back(&mine, "code=c")),
        ("an empty state", desk.back(&mine, "code=c&state=")),
        (
            "half a state",
            desk.back(&mine, &format!("code=c&state={}", &state[..20])),
        ),
    ] {
        let reply = ask.send().await;
        assert_eq!(
            (code(&reply).as_str(), reply.status.as_u16()),
            ("sign-in-state", 400),
            "{name}: {reply}"
        );
        assert_eq!(set_cookie(&reply, "__Host-huidu"), None, "{name}");
        refused += 1;
    }
    assert_eq!(
        desk.provider.asked("/token").len(),
        1,
        "no code was handed in for them"
    );
    assert_eq!(
        desk.end(&mine).await.status,
        StatusCode::OK,
        "and none of them spoilt it"
    );
    let again = desk.end(&mine).await;
    assert!(detail(&again).contains("ended already"), "{again}");
    let late = desk.begin("").await;
    desk.provider
        .states(desk.provider.signed(&desk.claims(&late)));
    desk.pass(600);
    let reply = desk.end(&late).await;
    assert!(detail(&reply).contains("too long ago"), "{reply}");
    for (query, expected) in [
        ("", "sign-in-state"),
        ("&code=", "sign-in-state"),
        (
            "&error=access_denied&error_description=%3Cb%3E",
            "sign-in-denied",
        ),
        ("&code=c&iss=https://evil.example", "statement"),
    ] {
        let under = desk.begin("").await;
        desk.provider
            .states(desk.provider.signed(&desk.claims(&under)));
        let reply = desk
            .back(&under, &format!("state={}{query}", under.told("state")))
            .send()
            .await;
        assert_eq!(code(&reply), expected, "{query}: {reply}");
        refused += 1;
    }
    println!(
        "figure: sign-ins that do not belong together {} refused",
        refused + 2
    );
}

#[tokio::test]
async fn what_the_provider_says_of_a_code_is_heard() {
    let desk = Desk::new().await;
    for (status, expected) in [
        (400, "sign-in-state"),
        (401, "identity-provider"),
        (500, "identity-provider"),
    ] {
        let under = desk.begin("").await;
        let body = br#"{"error":"invalid_grant"}"#.to_vec();
        desk.provider.says("/token", Answer::Raw(status, "", body));
        let reply = desk.end(&under).await;
        assert_eq!(code(&reply), expected, "{status}: {reply}");
    }
    let mut document = desk.provider.discovery();
    document["authorization_response_iss_parameter_supported"] = json!(true);
    document["token_endpoint_auth_methods_supported"] = json!(["client_secret_post"]);
    document["authorization_endpoint"] = json!(format!("{}/auth?policy=a", desk.provider.url));
    desk.provider
        .says("/.well-known/openid-configuration", Answer::Json(document));
    desk.pass(3_600);
    let under = desk.begin("").await;
    assert!(
        under.location.contains("/auth?policy=a&response_type=code"),
        "{}",
        under.location
    );
    desk.provider
        .states(desk.provider.signed(&desk.claims(&under)));
    let reply = desk.end(&under).await;
    assert_eq!(
        code(&reply),
        "statement",
        "whoever says that it names itself does: {reply}"
    );
    let under = desk.begin("").await;
    desk.provider
        .states(desk.provider.signed(&desk.claims(&under)));
    let query = format!(
        "code=c&state={}&iss={}",
        under.told("state"),
        desk.provider.url
    );
    assert_eq!(
        desk.back(&under, &query).send().await.status,
        StatusCode::OK
    );
    let asked = desk.provider.asked("/token");
    let (_, authorization, form) = asked.last().unwrap();
    assert_eq!(authorization, "");
    assert!(
        form.ends_with("&client_id=huidu&client_secret=s3cret%20%26%20more"),
        "{form}"
    );
}

#[tokio::test]
async fn keys_are_kept_and_whoever_invents_their_names_makes_us_ask_no_oftener() {
    let desk = Desk::new().await;
    let count = || {
        (
            desk.provider.asked("/jwks").len(),
            desk.provider
                .asked("/.well-known/openid-configuration")
                .len(),
        )
    };
    for _ in 0..5 {
        desk.signed_in("").await;
    }
    assert_eq!(count(), (1, 1));
    let new = provider::p256();
    let invented = |claims: &Value, kid: &str| {
        provider::compact(&json!({ "alg": "ES256", "kid": kid }), claims, |message| {
            new.sign(&ring::rand::SystemRandom::new(), message)
                .unwrap()
                .as_ref()
                .to_vec()
        })
    };
    for round in 0..20 {
        let under = desk.begin("").await;
        desk.provider
            .states(invented(&desk.claims(&under), &format!("k{round}")));
        assert_eq!(code(&desk.end(&under).await), "statement");
    }
    assert_eq!(count(), (1, 1), "the keys are 0 s old");
    desk.pass(30);
    for round in 0..20 {
        let under = desk.begin("").await;
        desk.provider
            .states(invented(&desk.claims(&under), &format!("k{round}")));
        assert_eq!(code(&desk.end(&under).await), "statement");
    }
    assert_eq!(count(), (2, 1), "asked once more");
    // The provider takes a new key: found after the pause, and the old one is gone.
    desk.provider.says(
        "/jwks",
        Answer::Json(json!({ "keys": [provider::ec_jwk("new", &new)] })),
    );
    desk.pass(30);
    let under = desk.begin("").await;
    desk.provider.states(invented(&desk.claims(&under), "new"));
    assert_eq!(desk.end(&under).await.status, StatusCode::OK);
    let under = desk.begin("").await;
    desk.provider
        .states(desk.provider.signed(&desk.claims(&under)));
    assert_eq!(code(&desk.end(&under).await), "statement");
    // A statement that names no key is by the only one.
    let under = desk.begin("").await;
    let nameless = provider::compact(
        &json!({ "alg": "ES256" }),
        &desk.claims(&under),
        |message| {
            new.sign(&ring::rand::SystemRandom::new(), message)
                .unwrap()
                .as_ref()
                .to_vec()
        },
    );
    desk.provider.states(nameless);
    assert_eq!(desk.end(&under).await.status, StatusCode::OK);
    // A provider that is down is asked once in five seconds, however many people come.
    desk.provider.says(
        "/.well-known/openid-configuration",
        Answer::Raw(502, "", Vec::new()),
    );
    desk.pass(3_600);
    let before = count().1;
    for _ in 0..20 {
        let reply = desk.plane.nobody("GET /api/v1/signin").send().await;
        assert_eq!(code(&reply), "identity-provider", "{reply}");
    }
    assert_eq!(count().1, before + 1);
}

/// News that the keys cannot be read is kept too, and not for long.
#[tokio::test]
async fn keys_that_cannot_be_read_are_asked_for_once_in_five_seconds() {
    let desk = Desk::new().await;
    let asked = || desk.provider.asked("/jwks").len();
    let come_back = async || {
        let under = desk.begin("").await;
        desk.provider
            .states(desk.provider.signed(&desk.claims(&under)));
        code(&desk.end(&under).await)
    };
    desk.provider
        .says("/jwks", Answer::Raw(502, "", Vec::new()));
    for _ in 0..10 {
        assert_eq!(come_back().await, "identity-provider");
    }
    assert_eq!(asked(), 1);
    // It is well again, and that is not noticed before the news is old.
    let keys = Answer::Json(desk.provider.keys());
    desk.provider.says("/jwks", keys);
    desk.pass(4);
    assert_eq!(come_back().await, "identity-provider");
    desk.pass(1);
    assert_eq!(come_back().await, "");
    assert_eq!(asked(), 2);
}

#[tokio::test]
async fn one_goes_on_to_a_page_of_ours_alone() {
    let desk = Desk::new().await;
    for query in [
        "?next=https://evil.example",
        "?next=//evil.example",
        "?next=/%5Cevil.example",
        "?next=x",
        "?next=/%22onload=x",
        "?port=80&challenge=x&state=y",
        "?port=8080",
        "?port=x",
        "?port=8080&challenge=0123456789012345678901234567890123456789012&state=short",
    ] {
        let reply = desk
            .plane
            .nobody(&format!("GET /api/v1/signin{query}"))
            .send()
            .await;
        assert_eq!(code(&reply), "bad-field", "{query}: {reply}");
    }
}

#[tokio::test]
async fn a_command_line_claims_its_session_once_with_what_only_it_knows() {
    let desk = Desk::new().await;
    let verifier = "v".repeat(43);
    let begin = format!(
        "?port=40123&challenge={}&state=0123456789abcdef",
        s256(&verifier)
    );
    let grant = async || {
        let under = desk.begin(&begin).await;
        desk.provider
            .states(desk.provider.signed(&desk.claims(&under)));
        let reply = desk.end(&under).await;
        assert_eq!(reply.status, StatusCode::SEE_OTHER, "{reply}");
        assert_eq!(
            set_cookie(&reply, "__Host-huidu"),
            None,
            "the browser gets no session"
        );
        let location = reply.headers["location"].to_str().unwrap().to_owned();
        let rest = location
            .strip_prefix("http://127.0.0.1:40123/?grant=")
            .unwrap();
        let (grant, state) = rest.split_once("&state=").unwrap();
        assert_eq!(state, "0123456789abcdef");
        grant.to_owned()
    };
    let claim = async |grant: &str, verifier: &str| {
        let body = json!({ "grant": grant, "verifier": verifier });
        desk.plane
            .nobody("POST /api/v1/signin/token")
            .json(body)
            .send()
            .await
    };
    let one = grant().await;
    for (name, grant, verifier) in [
        ("another verifier", one.as_str(), "w".repeat(43)),
        ("the challenge", &one, s256(&verifier)),
        ("nothing", "", verifier.clone()),
        (
            "a changed grant",
            &one.replacen(&one[..1], "~", 1),
            verifier.clone(),
        ),
    ] {
        assert_eq!(code(&claim(grant, &verifier).await), "grant", "{name}");
    }
    let claimed = claim(&one, &verifier).await;
    assert_eq!(claimed.status, StatusCode::OK, "{claimed}");
    assert_eq!(claimed.json()["until"], "2026-11-24T13:00:00Z");
    assert_eq!(code(&claim(&one, &verifier).await), "grant", "once");
    let late = grant().await;
    desk.pass(60);
    assert_eq!(code(&claim(&late, &verifier).await), "grant", "late");
    let token = claimed.json()["token"].as_str().unwrap().to_owned();
    let ask = |line: &str, token: &str| {
        desk.plane
            .nobody(line)
            .header("authorization", &format!("Bearer {token}"))
    };
    let whoami = ask("GET /api/v1/whoami", &token).send().await;
    assert_eq!(whoami.json()["member"], "lin", "{whoami}");
    // By hand and not by a browser: no page can have made it so.
    let body = json!({ "approvals": 2 });
    let put = ask("PUT /api/v1/review-policy", &token)
        .header("origin", "https://evil.example")
        .json(body);
    assert_eq!(put.send().await.status, StatusCode::OK);
    assert_eq!(
        code(&ask("GET /api/v1/whoami", &format!("{token}x")).send().await),
        "session-over"
    );
    let out = ask("POST /api/v1/signout", &token).send().await;
    assert_eq!(out.status, StatusCode::NO_CONTENT);
    assert_eq!(
        code(&ask("GET /api/v1/whoami", &token).send().await),
        "session-over"
    );
    let other = claim(&grant().await, &verifier).await.json()["token"]
        .as_str()
        .unwrap()
        .to_owned();
    desk.pass(3_600);
    let over = ask("GET /api/v1/whoami", &other).send().await;
    assert!(detail(&over).contains("is over"), "{over}");
}
