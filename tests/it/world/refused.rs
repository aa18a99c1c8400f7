//! What people and phones are told when the answer is no: whole replies, as they come over the wire, the
//! same on every backing.

use serde_json::{Value, json};

use super::{HOST, Person, World};
use crate::support::wire::Reply;

const ROLLOUT: &str =
    "stable = \"1.0.0\"\n[[rule]]\nname = \"ramp\"\nshare = \"1%\"\nserve = \"1.1.0\"\n";

pub(super) fn refused(world: &World) {
    let app = world.app(&["1.0.0", "1.1.0"]);
    world.rollout(&app, ROLLOUT);
    let people = told_to_people(world, &app);
    insta::assert_snapshot!(people, @r#"
    a stranger: 401 www-authenticate: Bearer realm="huidu"
      {"type":"urn:huidu:problem:bad-token","title":"Not let in","status":401,"detail":"this is not a token; one looks like `hd_<kind>_<id>_<secret>_<checksum>`","code":"bad-token"}
    Ping kills: 403
      {"type":"urn:huidu:problem:forbidden","title":"Not allowed","status":403,"detail":"the role partner of `pingan` may not kill; ask somebody whose role allows it","code":"forbidden"}
    Ping looks at another bank's app: 404
      {"type":"urn:huidu:problem:unknown-app","title":"Not there","status":404,"detail":"there is no app `cmb/pay`; `huidu app list` shows them","code":"unknown-app"}
    Sven raises a share: 409
      {"type":"urn:huidu:problem:not-lower","title":"Not lower","status":409,"detail":"share of rule `ramp` is 1%; 99% is not lower, and raising it needs a release manager","code":"not-lower"}
    Maya does not say for which revision: 428
      {"type":"urn:huidu:problem:if-match-required","title":"If-Match required","status":428,"detail":"this changes something that exists; read it and send its ETag as `If-Match`, or `*` to change whichever it is at","code":"if-match-required","field":"If-Match"}
    Maya has an old page open: 412
      {"type":"urn:huidu:problem:stale","title":"Changed meanwhile","status":412,"detail":"`APP` is at revision N, not 1; read it again and repeat the change if it still holds","code":"stale"}
    Maya mistypes a share: 422
      {"type":"urn:huidu:problem:bad-field","title":"A field does not fit","status":422,"detail":"`5 percent` is not a share; write a percentage from \"0%\" to \"100%\" with at most six decimals, such as \"5%\" or \"0.000001%\" at line 1 column N","code":"bad-field","field":"share"}
    Maya sends a field that there is not: 422
      {"type":"urn:huidu:problem:bad-field","title":"A field does not fit","status":422,"detail":"unknown field `force`, expected `share` at line 1 column N","code":"bad-field","field":"force"}
    Maya adds what is there: 409
      {"type":"urn:huidu:problem:exists","title":"There already","status":409,"detail":"app `APP` exists already; nothing is left to do","code":"exists"}
    Maya puts a rollout with mistakes: 422
      {"type":"urn:huidu:problem:rollout","title":"Mistakes in the rollout","status":422,"detail":"the rollout has 3 mistake(s); each names its place and what to do","code":"rollout","errors":[{"column":25,"help":"add it by `huidu host add`, or correct its name","line":2,"message":"`nowhere` is not a known host","pointer":"/hosts"},{"column":10,"help":"submit and list it first, or take a listed one such as `1.1.0`, `1.0.0`","line":3,"message":"`9.9.9` is not a version of `APP`","pointer":"/stable"},{"column":9,"help":"submit and list it first, or take a listed one such as `1.1.0`, `1.0.0`","line":7,"message":"`1.2.0` is not a version of `APP`","pointer":"/rule/0/serve"}]}
    Maya delists what is served: 409
      {"type":"urn:huidu:problem:served","title":"Still served","status":409,"detail":"version 1.1.0 of `APP` is served by rule `ramp`; serve another version there first, or kill it","code":"served"}
    Maya takes back a kill that nobody ordered: 409
      {"type":"urn:huidu:problem:nothing","title":"Nothing to change","status":409,"detail":"nothing to change: version 1.0.0 of `APP` is not killed","code":"nothing"}
    Ping hands in a picture: 422
      {"type":"urn:huidu:problem:archive","title":"Bundle refused","status":422,"detail":"the bundle is refused for 1 reason(s)","code":"archive","errors":[{"message":"this is neither a zip nor a tar.gz; pack the mini-program as one of them"}]}
    Sven asks about an op that is none: 404
      {"type":"urn:huidu:problem:unknown-op","title":"Not there","status":404,"detail":"there is no op `yesterday`; name the op id of a change's answer, or the `Idempotency-Key` that you asked under","code":"unknown-op"}
    Sven goes astray: 404
      {"type":"urn:huidu:problem:no-route","title":"No such path","status":404,"detail":"there is nothing here; `/api/v1/openapi.json` lists what there is","code":"no-route"}
    Sven uses another verb: 405 allow: GET,HEAD
      {"type":"urn:huidu:problem:no-method","title":"No such method","status":405,"detail":"this path does not take that method; `/api/v1/openapi.json` lists those it takes","code":"no-method"}
    "#);
    let phones = told_to_phones(world, &app);
    insta::assert_snapshot!(phones, @r#"
    an app that there is not: 404
      {"type":"urn:huidu:problem:unknown-app","title":"Unknown app","status":404,"detail":"this app is not known here; check host, tenant and app in the path","code":"unknown-app"}
    nobody asks: 400
      {"type":"urn:huidu:problem:bad-poll","title":"The poll is not understood","status":400,"detail":"field `u` is missing; every poll states it","code":"bad-poll","field":"u"}
    a unit twice: 400
      {"type":"urn:huidu:problem:bad-poll","title":"The poll is not understood","status":400,"detail":"field `u` is given twice; give it once","code":"bad-poll","field":"u"}
    a unit without end: 400
      {"type":"urn:huidu:problem:bad-poll","title":"The poll is not understood","status":400,"detail":"field `u` has at most 128 bytes","code":"bad-poll","field":"u"}
    a bundle that is none: 400
      {"type":"urn:huidu:problem:bad-digest","title":"The digest is not understood","status":400,"detail":"a digest is 64 lowercase hexadecimal digits (SHA-256), not 3 bytes of something else","code":"bad-digest","field":"hex"}
    a bundle that nobody published: 404
      {"type":"urn:huidu:problem:unknown-bundle","title":"Unknown bundle","status":404,"detail":"no version that devices may have has this bundle; poll for a manifest and use its bundle","code":"unknown-bundle"}
    a page that there is not: 404
      {"type":"urn:huidu:problem:unknown-path","title":"Unknown path","status":404,"detail":"this path is not served here; the device plane serves /v1/manifest/{host}/{tenant}/{app}, /v1/poll, /v1/kills, /v1/kills/events, /v1/bundles/sha256/{hex} and /v1/events","code":"unknown-path"}
    a poll of nothing: 400
      {"type":"urn:huidu:problem:bad-poll","title":"The poll is not understood","status":400,"detail":"the body is not the JSON of a poll at line 1 column N: field `apps` is missing","code":"bad-poll"}
    a poll that asks twice: 400
      {"type":"urn:huidu:problem:bad-poll","title":"The poll is not understood","status":400,"detail":"field `apps.app` is given twice; give it once","code":"bad-poll","field":"apps.app"}
    a poll of nobody: 400
      {"type":"urn:huidu:problem:bad-poll","title":"The poll is not understood","status":400,"detail":"the body is not the JSON of a poll at line 1 column N: field `device.unit` is missing","code":"bad-poll"}
    a report of something else: 400
      {"type":"urn:huidu:problem:bad-report","title":"The report is not understood","status":400,"detail":"field `events[0].event` must be one of downloaded, activated, load-failed, script-error, crashed, rolled-back, converted, counter, doubted","code":"bad-report","field":"events.event"}
    a kill by a phone: 405 allow: GET, HEAD
      {"type":"urn:huidu:problem:wrong-method","title":"Wrong method","status":405,"detail":"this path is not served by this method; use one that the Allow header names","code":"wrong-method"}
    "#);
}

/// The control plane's refusals, one paragraph each.
fn told_to_people(world: &World, app: &str) -> String {
    let nobody = Person {
        token: "hd_admin_0000000000_00000000000000000000000000000000_000000".into(),
        node: 0,
    };
    let share = format!("/apps/{app}/rollout/rules/ramp/share");
    let text = format!(
        "app = \"{app}\"\nhosts = [\"{HOST}\", \"nowhere\"]\nstable = \"9.9.9\"\n[[rule]]\nname = \"r\"\nshare = \"5%\"\nserve = \"1.2.0\"\n"
    );
    let five = json!({"share": "5%"});
    let send = |who: &Person, method: &str, path: &str, if_match: &str, body: Option<&Value>| {
        let mut asking = world.by(who, method, path);
        if !if_match.is_empty() {
            asking = asking.if_match(if_match);
        }
        body.map_or(asking.clone(), |body| asking.json(body)).send()
    };
    let killed = json!({"version": "1.0.0", "reason": "fraud"});
    let replies = [
        ("a stranger", send(&nobody, "GET", "/status", "", None)),
        (
            "Ping kills",
            send(
                &world.ping,
                "POST",
                &format!("/apps/{app}/kill"),
                "",
                Some(&killed),
            ),
        ),
        (
            "Ping looks at another bank's app",
            send(&world.ping, "GET", "/apps/cmb/pay", "", None),
        ),
        (
            "Sven raises a share",
            send(
                &world.sven,
                "PUT",
                &share,
                "*",
                Some(&json!({"share": "99%"})),
            ),
        ),
        (
            "Maya does not say for which revision",
            send(&world.maya, "PUT", &share, "", Some(&five)),
        ),
        (
            "Maya has an old page open",
            send(&world.maya, "PUT", &share, "1", Some(&five)),
        ),
        (
            "Maya mistypes a share",
            send(
                &world.maya,
                "PUT",
                &share,
                "*",
                Some(&json!({"share": "5 percent"})),
            ),
        ),
        (
            "Maya sends a field that there is not",
            send(
                &world.maya,
                "PUT",
                &share,
                "*",
                Some(&json!({"share": "5%", "force": true})),
            ),
        ),
        (
            "Maya adds what is there",
            send(&world.maya, "POST", "/apps", "", Some(&json!({"app": app}))),
        ),
        (
            "Maya puts a rollout with mistakes",
            world
                .by(&world.maya, "PUT", &format!("/apps/{app}/rollout"))
                .if_match("*")
                .body("application/toml", text.into_bytes())
                .send(),
        ),
        (
            "Maya delists what is served",
            send(
                &world.maya,
                "POST",
                &format!("/apps/{app}/versions/1.1.0/delist"),
                "*",
                Some(&json!({"reason": "recalled"})),
            ),
        ),
        (
            "Maya takes back a kill that nobody ordered",
            send(
                &world.maya,
                "POST",
                &format!("/apps/{app}/unkill"),
                "*",
                Some(&killed),
            ),
        ),
        (
            "Ping hands in a picture",
            world
                .by(
                    &world.ping,
                    "POST",
                    &format!("/apps/{app}/versions?version=2.0.0"),
                )
                .body("application/gzip", b"GIF89a".to_vec())
                .send(),
        ),
        (
            "Sven asks about an op that is none",
            send(&world.sven, "GET", "/ops/yesterday", "", None),
        ),
        (
            "Sven goes astray",
            send(&world.sven, "GET", "/everything", "", None),
        ),
        (
            "Sven uses another verb",
            send(&world.sven, "PATCH", "/status", "", None),
        ),
    ];
    paragraphs(app, &replies)
}

/// The device plane's.
fn told_to_phones(world: &World, app: &str) -> String {
    let mut wire = world.cluster.nodes[0].wire();
    let mut get = |path: &str| wire.get(path, &[]).unwrap();
    let mut replies = vec![
        (
            "an app that there is not",
            get(&format!("/v1/manifest/{HOST}/pingan/none?u=phone-1")),
        ),
        ("nobody asks", get(&format!("/v1/manifest/{HOST}/{app}"))),
        (
            "a unit twice",
            get(&format!("/v1/manifest/{HOST}/{app}?u=phone-1&u=phone-2")),
        ),
        (
            "a unit without end",
            get(&format!(
                "/v1/manifest/{HOST}/{app}?u=phone-1{}",
                "0".repeat(200)
            )),
        ),
        ("a bundle that is none", get("/v1/bundles/sha256/abc")),
        (
            "a bundle that nobody published",
            get(&format!("/v1/bundles/sha256/{}", "0".repeat(64))),
        ),
        ("a page that there is not", get("/v2/manifest")),
    ];
    let post = |path: &str, body: Value| wire_post(world, path, &body);
    let device = json!({"unit": "phone-1"});
    replies.extend([
        ("a poll of nothing", post("/v1/poll", json!({"host": HOST, "device": device}))),
        (
            "a poll that asks twice",
            post(
                "/v1/poll",
                json!({"host": HOST, "device": device, "apps": [{"app": app}, {"app": app}]}),
            ),
        ),
        (
            "a poll of nobody",
            post(
                "/v1/poll",
                json!({"host": HOST, "device": {}, "apps": [{"app": app}]}),
            ),
        ),
        (
            "a report of something else",
            post(
                "/v1/events",
                json!({"host": HOST, "events": [{"app": app, "version": "1.0.0", "event": "explode"}]}),
            ),
        ),
        ("a kill by a phone", post("/v1/kills", json!({}))),
    ]);
    paragraphs(app, &replies)
}

fn wire_post(world: &World, path: &str, body: &Value) -> Reply {
    world.cluster.nodes[0].wire().post(path, body).unwrap()
}

/// Who asked for what, and the whole reply, without what differs from run to run.
fn paragraphs(app: &str, replies: &[(&str, Reply)]) -> String {
    let shown = replies.iter().map(|(who, reply)| {
        assert_eq!(
            reply.header("content-type"),
            "application/problem+json",
            "{who}"
        );
        assert_eq!(reply.json()["status"], reply.status, "{who}");
        let mut more = String::new();
        for name in ["www-authenticate", "allow", "retry-after"] {
            if !reply.header(name).is_empty() {
                more.push_str(&format!(" {name}: {}", reply.header(name)));
            }
        }
        let text = without_numbers(&reply.text().replace(app, "APP"));
        format!("{who}: {}{more}\n  {text}\n", reply.status)
    });
    shown.collect()
}

/// `text` with `N` for every revision and column of this run.
fn without_numbers(text: &str) -> String {
    let mut words = Vec::new();
    let mut varies = false;
    for word in text.split(' ') {
        let digits = word.trim_end_matches(|c: char| !c.is_ascii_digit());
        let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        words.push(if varies && is_number {
            word.replacen(digits, "N", 1)
        } else {
            word.to_owned()
        });
        // Where a mistake stands in a line depends on the app's name.
        varies = matches!(word, "revision" | "column");
    }
    words.join(" ")
}
