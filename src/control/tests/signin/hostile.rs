//! A provider, or somebody in its place, that states what does not hold. Every line of the tables is a whole
//! sign-in; all of them are refused, and the honest ones beside them are not.

use data_encoding::BASE64;
use ring::hmac;

use super::{
    provider::{compact, ec_jwk, encoded, p256},
    *,
};

/// A statement, and what the refusal must say.
type Case = (String, Value, &'static str);

const FORM: &str = "not a signed token";
const ALGORITHM: &str = "not taken";
const UNKNOWN: &str = "does not publish";
const OTHER: &str = "not for it";
const SIGNATURE: &str = "wrong signature";

fn with(mut claims: Value, name: &str, value: Value) -> Value {
    claims[name] = value;
    claims
}

fn without(mut claims: Value, name: &str) -> Value {
    claims.as_object_mut().unwrap().remove(name);
    claims
}

/// What is wrong with how it is signed.
fn forged(desk: &Desk, claims: &Value) -> Vec<Case> {
    let provider = &desk.provider;
    let ec = |message: &[u8]| provider.by_ec(message);
    let ed = |message: &[u8]| provider.by_ed(message);
    let thief = p256();
    let by_thief = |message: &[u8]| {
        let random = ring::rand::SystemRandom::new();
        thief.sign(&random, message).unwrap().as_ref().to_vec()
    };
    let hmac_by = |secret: &[u8]| {
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
        move |message: &[u8]| hmac::sign(&key, message).as_ref().to_vec()
    };
    let point = provider.point();
    let mut der = data_encoding::HEXLOWER
        .decode(b"3059301306072a8648ce3d020106082a8648ce3d030107034200")
        .unwrap();
    der.extend(&point);
    let pem = format!(
        "-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n",
        BASE64.encode(&der)
    );
    let jwk = provider.keys()["keys"][0].to_string();
    let mut cases: Vec<Case> = Vec::new();
    let mut add = |name: &str, text: String, says| cases.push((name.to_owned(), json!(text), says));
    for none in ["none", "None", "NONE", "nOnE", ""] {
        let head = json!({ "alg": none, "kid": "ec" });
        add(
            &format!("alg `{none}` without signature"),
            compact(&head, claims, |_| Vec::new()),
            ALGORITHM,
        );
        add(
            &format!("alg `{none}` with a signature"),
            compact(&head, claims, ec),
            ALGORITHM,
        );
    }
    for (what, secret) in [
        ("point", &point),
        ("DER", &der),
        ("PEM", &pem.into_bytes()),
        ("JWK", &jwk.into_bytes()),
    ] {
        for kid in ["ec", "nobody"] {
            let head = json!({ "alg": "HS256", "kid": kid });
            add(
                &format!("HS256 by the public key as {what}, kid {kid}"),
                compact(&head, claims, hmac_by(secret)),
                ALGORITHM,
            );
            let head = json!({ "alg": "ES256", "kid": kid });
            let says = if kid == "ec" { SIGNATURE } else { UNKNOWN };
            add(
                &format!("an HMAC by {what} that says ES256, kid {kid}"),
                compact(&head, claims, hmac_by(secret)),
                says,
            );
        }
    }
    for alg in ["HS256", "HS384", "HS512"] {
        let head = json!({ "alg": alg, "kid": "oct" });
        add(
            &format!("{alg} by a published symmetric key"),
            compact(&head, claims, hmac_by(b"known to everybody")),
            ALGORITHM,
        );
    }
    for (name, head, says) in [
        ("no algorithm", json!({ "kid": "ec" }), FORM),
        (
            "a number as algorithm",
            json!({ "alg": 256, "kid": "ec" }),
            FORM,
        ),
        (
            "an unknown algorithm",
            json!({ "alg": "ES257", "kid": "ec" }),
            ALGORITHM,
        ),
        (
            "an algorithm in small letters",
            json!({ "alg": "es256", "kid": "ec" }),
            ALGORITHM,
        ),
        (
            "RS256 for an EC key",
            json!({ "alg": "RS256", "kid": "ec" }),
            OTHER,
        ),
        (
            "PS256 for an EC key",
            json!({ "alg": "PS256", "kid": "ec" }),
            OTHER,
        ),
        (
            "ES384 for a P-256 key",
            json!({ "alg": "ES384", "kid": "ec" }),
            OTHER,
        ),
        (
            "EdDSA for an EC key",
            json!({ "alg": "EdDSA", "kid": "ec" }),
            OTHER,
        ),
        (
            "ES256 for an Ed25519 key",
            json!({ "alg": "ES256", "kid": "ed" }),
            OTHER,
        ),
        (
            "a key that names another algorithm",
            json!({ "alg": "ES256", "kid": "es384" }),
            UNKNOWN,
        ),
        (
            "a key for encryption",
            json!({ "alg": "ES256", "kid": "enc" }),
            UNKNOWN,
        ),
        (
            "a symmetric key",
            json!({ "alg": "ES256", "kid": "oct" }),
            UNKNOWN,
        ),
        (
            "an unknown key",
            json!({ "alg": "ES256", "kid": "nobody" }),
            UNKNOWN,
        ),
        ("no key among several", json!({ "alg": "ES256" }), UNKNOWN),
        (
            "an empty key name",
            json!({ "alg": "ES256", "kid": "" }),
            UNKNOWN,
        ),
        (
            "critical parts",
            json!({ "alg": "ES256", "kid": "ec", "crit": ["exp"] }),
            "critical",
        ),
        (
            "empty critical parts",
            json!({ "alg": "ES256", "kid": "ec", "crit": [] }),
            "critical",
        ),
    ] {
        let says = if name == "a key that names another algorithm" {
            OTHER
        } else {
            says
        };
        add(name, compact(&head, claims, ec), says);
    }
    for (name, head, says) in [
        (
            "another's key under a known name",
            json!({ "alg": "ES256", "kid": "ec" }),
            SIGNATURE,
        ),
        (
            "another's key, brought along",
            json!({ "alg": "ES256", "kid": "ec", "jwk": ec_jwk("ec", &thief) }),
            SIGNATURE,
        ),
        (
            "another's key, brought along nameless",
            json!({ "alg": "ES256", "jwk": ec_jwk("x", &thief) }),
            UNKNOWN,
        ),
        (
            "another's key, to be fetched",
            json!({ "alg": "ES256", "kid": "ec", "jku": format!("{}/thief", desk.provider.url) }),
            SIGNATURE,
        ),
        (
            "another's certificate, to be fetched",
            json!({ "alg": "ES256", "kid": "ec", "x5u": format!("{}/thief", desk.provider.url) }),
            SIGNATURE,
        ),
    ] {
        add(name, compact(&head, claims, by_thief), says);
    }
    let head = json!({ "alg": "ES256", "kid": "ec" });
    for (name, signature) in [
        ("zeros", vec![0; 64]),
        ("nothing", Vec::new()),
        ("half", vec![1; 32]),
        ("too much", vec![1; 65]),
        ("ones", vec![0xff; 64]),
    ] {
        add(
            &format!("a signature of {name}"),
            compact(&head, claims, |_| signature.clone()),
            SIGNATURE,
        );
    }
    add(
        "Ed25519's signature under the EC key's name",
        compact(&head, claims, ed),
        SIGNATURE,
    );
    let honest = provider.signed(claims);
    let [head, body, signature]: [&str; 3] =
        honest.split('.').collect::<Vec<_>>().try_into().unwrap();
    for at in 0..64 {
        let mut bytes = BASE64URL_NOPAD.decode(signature.as_bytes()).unwrap();
        bytes[at] ^= 1 << (at % 8);
        add(
            &format!("a bit of byte {at} of the signature"),
            format!("{head}.{body}.{}", encoded(bytes)),
            SIGNATURE,
        );
    }
    let other_body = encoded(with(claims.clone(), "sub", json!("u-8")).to_string());
    let other_head = encoded(json!({ "kid": "ec", "alg": "ES256" , "typ": "JWT" }).to_string());
    for (name, text, says) in [
        (
            "claims of somebody else",
            format!("{head}.{other_body}.{signature}"),
            SIGNATURE,
        ),
        (
            "another head",
            format!("{other_head}.{body}.{signature}"),
            SIGNATURE,
        ),
        ("no signature part", format!("{head}.{body}"), FORM),
        ("four parts", format!("{honest}.x"), FORM),
        ("five parts", format!("{honest}.x.y"), FORM),
        ("no parts", "x".to_owned(), FORM),
        ("nothing", String::new(), FORM),
        ("padding", format!("{honest}="), FORM),
        ("a space", format!("{honest} "), FORM),
        (
            "a head that is no JSON",
            format!("{}.{body}.{signature}", encoded("x")),
            FORM,
        ),
        ("a head in plain", format!("{{}}.{body}.{signature}"), FORM),
    ] {
        add(name, text, says);
    }
    add(
        "more than any statement",
        provider.signed(&with(claims.clone(), "x", json!("x".repeat(16_384)))),
        FORM,
    );
    cases
}

/// What is wrong with what is stated, under an honest signature.
fn untrue(desk: &Desk, claims: &Value) -> Vec<Case> {
    let (url, now) = (&desk.provider.url, desk.now_s());
    let mut cases: Vec<Case> = Vec::new();
    let mut add = |name: &str, claims: Value, says| {
        cases.push((name.to_owned(), json!(desk.provider.signed(&claims)), says));
    };
    let lines: [(&str, Value, &'static str); 33] = [
        (
            "iss",
            json!("https://evil.example"),
            "another identity provider",
        ),
        ("iss", json!(format!("{url}/")), "another identity provider"),
        (
            "iss",
            json!(url.to_uppercase()),
            "another identity provider",
        ),
        ("iss", json!(""), "another identity provider"),
        ("iss", json!([url]), FORM),
        ("aud", json!("other"), "another application"),
        ("aud", json!("huidu2"), "another application"),
        ("aud", json!(""), "another application"),
        ("aud", json!([]), "another application"),
        ("aud", json!(["other", "third"]), "another application"),
        ("aud", json!(["huidu", "other"]), "another application"),
        ("aud", json!({ "huidu": true }), FORM),
        ("azp", json!("other"), "another application"),
        ("azp", json!(""), "another application"),
        ("exp", json!(now - 60), "expired"),
        ("exp", json!(now - 86_400), "expired"),
        ("exp", json!(0), "expired"),
        ("exp", json!(-1), "expired"),
        ("exp", json!("tomorrow"), FORM),
        ("iat", json!(now - 600), "expired"),
        ("iat", json!(now + 61), "future"),
        ("iat", json!(null), FORM),
        ("nbf", json!(now + 61), "future"),
        ("nbf", json!(1e300), "future"),
        ("auth_time", json!(now + 61), "future"),
        ("nonce", json!("other"), "another sign-in"),
        ("nonce", json!(""), "another sign-in"),
        ("nonce", json!(null), "another sign-in"),
        ("nonce", json!(["x"]), FORM),
        ("sub", json!(""), "nobody"),
        ("sub", json!("u".repeat(256)), "nobody"),
        ("sub", json!(7), FORM),
        ("sub", json!(null), FORM),
    ];
    for (name, value, says) in lines {
        add(
            &format!("{name} {value:.60}"),
            with(claims.clone(), name, value),
            says,
        );
    }
    for name in ["iss", "aud", "exp", "iat", "sub"] {
        add(&format!("no {name}"), without(claims.clone(), name), FORM);
    }
    add(
        "no nonce",
        without(claims.clone(), "nonce"),
        "another sign-in",
    );
    for (name, text) in [
        (
            "twice",
            claims.to_string().replacen('{', "{\"sub\":\"u-8\",", 1),
        ),
        ("an array", "[]".to_owned()),
        ("no JSON", "{".to_owned()),
        ("nothing", String::new()),
    ] {
        let signed = format!(
            "{}.{}",
            encoded(r#"{"alg":"ES256","kid":"ec"}"#),
            encoded(text)
        );
        let signature = encoded(desk.provider.by_ec(signed.as_bytes()));
        cases.push((
            format!("claims: {name}"),
            json!(format!("{signed}.{signature}")),
            FORM,
        ));
    }
    for (name, value) in [
        ("null", json!(null)),
        ("a number", json!(7)),
        ("an object", json!({})),
    ] {
        let says = if value.is_null() {
            "states nothing"
        } else {
            "not the document"
        };
        cases.push((format!("no statement but {name}"), value, says));
    }
    cases
}

#[tokio::test]
async fn no_statement_that_does_not_hold_signs_anybody_in() {
    let desk = Desk::new().await;
    let mut refused = 0;
    for table in [forged, untrue] {
        let under = desk.begin("").await;
        let count = table(&desk, &desk.claims(&under)).len();
        for at in 0..count {
            // Each in a sign-in of its own, so that nothing else can be at fault.
            let under = desk.begin("").await;
            let (name, statement, says) = table(&desk, &desk.claims(&under)).swap_remove(at);
            desk.provider.states(statement);
            let reply = desk.end(&under).await;
            assert!(
                !reply.status.is_success() && !reply.status.is_redirection(),
                "{name}: {reply}"
            );
            assert_eq!(set_cookie(&reply, "__Host-huidu"), None, "{name}");
            assert!(detail(&reply).contains(says), "{name}: {reply}");
            refused += 1;
        }
    }
    assert!(
        desk.provider.asked("/thief").is_empty(),
        "nothing is fetched that a statement names"
    );
    println!("figure: hostile statements {refused} refused, 0 believed");
    assert!(refused > 150, "{refused}");
}

#[tokio::test]
async fn an_honest_statement_signs_in_up_to_the_edge_of_what_holds() {
    let desk = Desk::new().await;
    let now = desk.now_s();
    let mut believed = 0;
    for (name, value) in [
        ("sub", json!(SUBJECT)),
        ("aud", json!(["huidu"])),
        ("azp", json!("huidu")),
        ("exp", json!(now - 59)),
        ("exp", json!(now + 86_400)),
        ("nbf", json!(now + 60)),
        ("nbf", json!(0)),
        ("iat", json!(now + 60)),
        ("iat", json!(now - 599)),
        ("exp", json!(f64::from(i32::try_from(now).unwrap()) + 0.5)),
        ("auth_time", json!(0)),
        ("email", json!("lin@bank.example")),
    ] {
        let under = desk.begin("").await;
        let claims = with(desk.claims(&under), name, value.clone());
        desk.provider.states(desk.provider.signed(&claims));
        let reply = desk.end(&under).await;
        assert_eq!(reply.status, StatusCode::OK, "{name} {value}: {reply}");
        believed += 1;
    }
    let two = ["huidu", "other"];
    for (name, head, aud) in [
        (
            "EdDSA",
            json!({ "alg": "EdDSA", "kid": "ed" }),
            json!("huidu"),
        ),
        (
            "Ed25519",
            json!({ "alg": "Ed25519", "kid": "ed", "typ": "JWT" }),
            json!("huidu"),
        ),
        (
            "several, and made for us",
            json!({ "alg": "EdDSA", "kid": "ed" }),
            json!(two),
        ),
    ] {
        let under = desk.begin("").await;
        let claims = with(with(desk.claims(&under), "aud", aud), "azp", json!("huidu"));
        desk.provider.states(compact(&head, &claims, |message| {
            desk.provider.by_ed(message)
        }));
        let reply = desk.end(&under).await;
        assert_eq!(reply.status, StatusCode::OK, "{name}: {reply}");
        believed += 1;
    }
    println!("figure: honest statements {believed} believed");
}

#[tokio::test]
async fn a_provider_that_is_not_itself_is_not_used() {
    let redirect = |to: &str| Answer::Raw(302, "location: /elsewhere\r\n", to.as_bytes().to_vec());
    let mut refused = 0;
    let discovery = "/.well-known/openid-configuration";
    for (name, patch, says) in [
        (
            "another issuer",
            json!({ "issuer": "https://evil.example" }),
            "names another issuer",
        ),
        (
            "a token endpoint in plain",
            json!({ "token_endpoint": "http://10.0.0.1/token" }),
            "not https",
        ),
        (
            "keys in plain",
            json!({ "jwks_uri": "http://keys.bank/jwks" }),
            "not https",
        ),
        (
            "keys in a file",
            json!({ "jwks_uri": "file:///etc/passwd" }),
            "not https",
        ),
        (
            "a script to go to",
            json!({ "authorization_endpoint": "javascript:alert(1)" }),
            "not https",
        ),
        (
            "a user to go to",
            json!({ "authorization_endpoint": "https://id.bank@evil.example/" }),
            "not https",
        ),
        (
            "no code flow",
            json!({ "response_types_supported": ["id_token"] }),
            "the code flow",
        ),
        (
            "no PKCE",
            json!({ "code_challenge_methods_supported": ["plain"] }),
            "PKCE",
        ),
        (
            "symmetric alone",
            json!({ "id_token_signing_alg_values_supported": ["HS256", "none"] }),
            "signature",
        ),
        (
            "no secrets",
            json!({ "token_endpoint_auth_methods_supported": ["private_key_jwt"] }),
            "client secrets",
        ),
    ] {
        let desk = Desk::new().await;
        let mut document = desk.provider.discovery();
        document
            .as_object_mut()
            .unwrap()
            .extend(patch.as_object().unwrap().clone());
        desk.provider.says(discovery, Answer::Json(document));
        let reply = desk.plane.nobody("GET /api/v1/signin").send().await;
        assert_eq!(
            (code(&reply).as_str(), reply.status.as_u16()),
            ("identity-provider", 503),
            "{name}: {reply}"
        );
        assert!(detail(&reply).contains(says), "{name}: {reply}");
        refused += 1;
    }
    for (name, answer, says) in [
        (
            "no JSON",
            Answer::Raw(200, "", b"<html>".to_vec()),
            "not the document",
        ),
        ("no document", Answer::Json(json!({})), "not the document"),
        ("not there", Answer::Raw(404, "", Vec::new()), "answers 404"),
        ("a redirect", redirect(""), "answers 302"),
        ("too much", Answer::Endless, "too long"),
        (
            "too much, announced",
            Answer::Raw(200, "", vec![b' '; 65_537]),
            "too long",
        ),
        (
            "a head without end",
            Answer::Raw(
                200,
                Box::leak(format!("x: {}\r\n", "x".repeat(70_000)).into_boxed_str()),
                Vec::new(),
            ),
            "does not answer",
        ),
        ("silence", Answer::Silence, "does not answer"),
    ] {
        for (path, is_there) in [(discovery, true), ("/jwks", true), ("/token", false)] {
            if matches!(answer, Answer::Silence) && path != "/token" {
                continue; // Once is enough: every call has the same limit.
            }
            let desk = Desk::new().await;
            desk.provider
                .says("/elsewhere", Answer::Json(desk.provider.discovery()));
            if path == discovery {
                desk.provider.says(path, answer.clone());
                let reply = desk.plane.nobody("GET /api/v1/signin").send().await;
                assert!(detail(&reply).contains(says), "{name} {path}: {reply}");
            } else {
                let under = desk.begin("").await;
                desk.provider
                    .states(desk.provider.signed(&desk.claims(&under)));
                desk.provider.says(path, answer.clone());
                let reply = desk.end(&under).await;
                assert_eq!(set_cookie(&reply, "__Host-huidu"), None, "{name} {path}");
                // A token endpoint may well answer an empty document; it states nothing.
                let empty = name == "no document" && !is_there;
                let says = if empty { "states nothing" } else { says };
                assert!(detail(&reply).contains(says), "{name} {path}: {reply}");
            }
            assert!(
                desk.provider.asked("/elsewhere").is_empty(),
                "no redirect is followed"
            );
            refused += 1;
        }
    }
    println!("figure: providers that are not themselves {refused} refused");
}
