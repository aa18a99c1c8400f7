//! Rollouts: whole, by one share, by one pause; explained.

use serde_json::json;

use super::*;

const ROLLOUT_PATH: &str = "/api/v1/apps/pingan/travel/rollout";

#[tokio::test]
async fn a_rollout_is_read_changed_and_put_back() {
    let plane = Plane::furnished().await;
    let shown = plane.ping(&format!("GET {ROLLOUT_PATH}")).send().await;
    insta::assert_snapshot!(shown, @r#"
    200 OK
    content-type: application/json
    etag: "13"

    {
      "app": "pingan/travel",
      "bucketing": "huidu/1",
      "hosts": [
        "retail"
      ],
      "rule": [
        {
          "name": "ramp",
          "serve": "1.1.0",
          "share": "5%"
        }
      ],
      "stable": "1.0.0"
    }
    "#);
    let mut rollout = shown.json();
    rollout["rule"][0]["share"] = "50%".into();
    let put = || {
        plane
            .maya(&format!("PUT {ROLLOUT_PATH}"))
            .header("if-match", shown.etag())
            .json(rollout.clone())
    };
    insta::assert_snapshot!(put().send().await, @r#"
    200 OK
    content-type: application/json
    etag: "14"

    {
      "op": "<op>",
      "revision": 14
    }
    "#);
    insta::assert_snapshot!(put().send().await, @r#"
    412 Precondition Failed
    content-type: application/problem+json

    {
      "code": "stale",
      "detail": "`pingan/travel` is at revision 14, not 13; read it again and repeat the change if it still holds",
      "status": 412,
      "title": "Changed meanwhile",
      "type": "urn:huidu:problem:stale"
    }
    "#);
    insta::assert_snapshot!(plane.maya("GET /api/v1/apps/cmb/pay/rollout").send().await, @r#"
    404 Not Found
    content-type: application/problem+json

    {
      "code": "unknown-rollout",
      "detail": "there is no rollout `cmb/pay`; put one in place with `huidu rollout put`",
      "status": 404,
      "title": "Not there",
      "type": "urn:huidu:problem:unknown-rollout"
    }
    "#);
}

#[tokio::test]
async fn every_mistake_is_told_with_its_place() {
    let plane = Plane::furnished().await;
    let unreadable = ROLLOUT.replace("5%", "500%").replace("serve =", "server =");
    let put = |body: &str| plane.maya(&format!("PUT {ROLLOUT_PATH}")).any().toml(body);
    insta::assert_snapshot!(put(&unreadable).send().await, @r#"
    422 Unprocessable Entity
    content-type: application/problem+json

    {
      "code": "rollout",
      "detail": "the rollout has 3 mistake(s); each names its place and what to do",
      "errors": [
        {
          "column": 1,
          "help": "add `serve = \"…\"` with a version, or `split` with arms",
          "line": 6,
          "message": "`{…}` serves nothing",
          "pointer": "/rule/0"
        },
        {
          "column": 9,
          "help": "write a percentage from \"0%\" to \"100%\" with at most six decimals, such as \"5%\" or \"0.000001%\"",
          "line": 8,
          "message": "`500%` is not a share",
          "pointer": "/rule/0/share"
        },
        {
          "column": 1,
          "help": "did you mean `serve`?",
          "line": 9,
          "message": "`server` is an unknown key",
          "pointer": "/rule/0/server"
        }
      ],
      "status": 422,
      "title": "Mistakes in the rollout",
      "type": "urn:huidu:problem:rollout"
    }
    "#);
    let unlisted = ROLLOUT
        .replace("1.1.0", "7.0.0")
        .replace("retail", "nowhere");
    insta::assert_snapshot!(put(&unlisted).send().await, @r#"
    422 Unprocessable Entity
    content-type: application/problem+json

    {
      "code": "rollout",
      "detail": "the rollout has 2 mistake(s); each names its place and what to do",
      "errors": [
        {
          "column": 10,
          "help": "add it by `huidu host add`, or correct its name",
          "line": 3,
          "message": "`nowhere` is not a known host",
          "pointer": "/hosts"
        },
        {
          "column": 9,
          "help": "submit and list it first, or take a listed one such as `1.1.0`, `1.0.0`",
          "line": 9,
          "message": "`7.0.0` is not a version of `pingan/travel`",
          "pointer": "/rule/0/serve"
        }
      ],
      "status": 422,
      "title": "Mistakes in the rollout",
      "type": "urn:huidu:problem:rollout"
    }
    "#);
    insta::assert_snapshot!(put(&ROLLOUT.replace("pingan/travel", "cmb/pay")).send().await, @r#"
    422 Unprocessable Entity
    content-type: application/problem+json

    {
      "code": "other-app",
      "detail": "the rollout is for `cmb/pay` and the path names `pingan/travel`; correct one of them",
      "status": 422,
      "title": "Rollout of another app",
      "type": "urn:huidu:problem:other-app"
    }
    "#);
    let json = plane
        .maya(&format!("PUT {ROLLOUT_PATH}"))
        .any()
        .json(json!({"app": "pingan/travel"}));
    insta::assert_snapshot!(json.send().await, @r#"
    422 Unprocessable Entity
    content-type: application/problem+json

    {
      "code": "rollout",
      "detail": "the rollout has 2 mistake(s); each names its place and what to do",
      "errors": [
        {
          "help": "add `hosts = …`: the bank apps that show it, such as `[\"retail-bank\"]`",
          "message": "`hosts` is missing",
          "pointer": ""
        },
        {
          "help": "add `stable = …`: the version every device gets when no rule takes it",
          "message": "`stable` is missing",
          "pointer": ""
        }
      ],
      "status": 422,
      "title": "Mistakes in the rollout",
      "type": "urn:huidu:problem:rollout"
    }
    "#);
    let xml = plane
        .maya(&format!("PUT {ROLLOUT_PATH}"))
        .any()
        .header("content-type", "text/xml");
    insta::assert_snapshot!(xml.bytes("<a/>").send().await, @r#"
    415 Unsupported Media Type
    content-type: application/problem+json

    {
      "code": "media-type",
      "detail": "the body's `Content-Type` must be application/json or application/toml",
      "status": 415,
      "title": "Another media type",
      "type": "urn:huidu:problem:media-type"
    }
    "#);
}

#[tokio::test]
async fn an_sre_lowers_a_share_and_never_raises_it() {
    let plane = Plane::furnished().await;
    let share = |who: &Token, share: &str| {
        let ask = plane.ask(who, &format!("PUT {ROLLOUT_PATH}/rules/ramp/share"));
        ask.any().json(json!({"share": share}))
    };
    insta::assert_snapshot!(share(&plane.sven, "6%").send().await, @r#"
    409 Conflict
    content-type: application/problem+json

    {
      "code": "not-lower",
      "detail": "share of rule `ramp` is 5%; 6% is not lower, and raising it needs a release manager",
      "status": 409,
      "title": "Not lower",
      "type": "urn:huidu:problem:not-lower"
    }
    "#);
    insta::assert_snapshot!(share(&plane.sven, "4%").send().await, @r#"
    200 OK
    content-type: application/json
    etag: "14"

    {
      "op": "<op>",
      "revision": 14
    }
    "#);
    insta::assert_snapshot!(share(&plane.maya, "4%").send().await, @r#"
    409 Conflict
    content-type: application/problem+json

    {
      "code": "nothing",
      "detail": "nothing to change: the share of rule `ramp` is 4%",
      "status": 409,
      "title": "Nothing to change",
      "type": "urn:huidu:problem:nothing"
    }
    "#);
    insta::assert_snapshot!(share(&plane.maya, "101%").send().await, @r#"
    422 Unprocessable Entity
    content-type: application/problem+json

    {
      "code": "bad-field",
      "detail": "`101%` is not a share; write a percentage from \"0%\" to \"100%\" with at most six decimals, such as \"5%\" or \"0.000001%\" at line 1 column 16",
      "field": "share",
      "status": 422,
      "title": "A field does not fit",
      "type": "urn:huidu:problem:bad-field"
    }
    "#);
    assert_eq!(
        share(&plane.maya, "12.5%").send().await.status,
        StatusCode::OK
    );
    let unknown = plane
        .maya(&format!("PUT {ROLLOUT_PATH}/rules/other/share"))
        .any();
    insta::assert_snapshot!(unknown.json(json!({"share": "1%"})).send().await, @r#"
    404 Not Found
    content-type: application/problem+json

    {
      "code": "unknown-rule",
      "detail": "there is no rule `pingan/travel#other`; `huidu rollout show` lists the rules",
      "status": 404,
      "title": "Not there",
      "type": "urn:huidu:problem:unknown-rule"
    }
    "#);
    let unsaid = plane.maya(&format!("PUT {ROLLOUT_PATH}/rules/ramp/share"));
    insta::assert_snapshot!(unsaid.json(json!({"share": "1%"})).send().await, @r#"
    428 Precondition Required
    content-type: application/problem+json

    {
      "code": "if-match-required",
      "detail": "this changes something that exists; read it and send its ETag as `If-Match`, or `*` to change whichever it is at",
      "field": "If-Match",
      "status": 428,
      "title": "If-Match required",
      "type": "urn:huidu:problem:if-match-required"
    }
    "#);
}

#[tokio::test]
async fn an_sre_pauses_and_a_manager_resumes() {
    let plane = Plane::furnished().await;
    let pause = |who: &Token, paused: bool| {
        let ask = plane.ask(who, &format!("PUT {ROLLOUT_PATH}/rules/ramp/paused"));
        ask.any().json(json!({"paused": paused}))
    };
    insta::assert_snapshot!(pause(&plane.sven, true).send().await, @r#"
    200 OK
    content-type: application/json
    etag: "14"

    {
      "op": "<op>",
      "revision": 14
    }
    "#);
    insta::assert_snapshot!(pause(&plane.sven, false).send().await, @r#"
    403 Forbidden
    content-type: application/problem+json

    {
      "code": "forbidden",
      "detail": "the role SRE may not resume a rule; ask somebody whose role allows it",
      "status": 403,
      "title": "Not allowed",
      "type": "urn:huidu:problem:forbidden"
    }
    "#);
    assert_eq!(
        pause(&plane.maya, false).send().await.status,
        StatusCode::OK
    );
}

#[tokio::test]
async fn a_device_is_explained_to_the_bank_and_to_nobody_else() {
    let plane = Plane::furnished().await;
    let explain = |who: &Token, question: Value| {
        plane
            .ask(who, "POST /api/v1/apps/pingan/travel/explain")
            .json(question)
    };
    let question = json!({"host": "retail", "device": {"unit": "device-7"}, "version": "1.0.0"});
    insta::assert_snapshot!(explain(&plane.sven, question.clone()).send().await, @r#"
    200 OK
    content-type: application/json
    etag: "13"

    {
      "app": "pingan/travel",
      "etag": "\"97db81f85d9bf0f33205ee64582873f9\"",
      "index": 3,
      "reason": "rule",
      "revision": 13,
      "rule": "ramp",
      "state": "run",
      "steps": [
        {
          "asked": "rule",
          "name": "ramp",
          "position": {
            "fine": 196883852,
            "salt": "pingan/travel/ramp",
            "share": "5%",
            "smallest_share": "4.58406%",
            "threshold": 214748365
          },
          "took": true,
          "version": "1.1.0",
          "why": "taken"
        }
      ],
      "text": "pingan/travel at revision 13: run 1.1.0 (rule ramp)\n * rule    ramp  gives 1.1.0; position 196883852 of `pingan/travel/ramp`, inside 5% below 214748365, taken from 4.58406%\n",
      "version": "1.1.0"
    }
    "#);
    insta::assert_snapshot!(explain(&plane.ping, question).send().await, @r#"
    403 Forbidden
    content-type: application/problem+json

    {
      "code": "forbidden",
      "detail": "the role partner of `pingan` may not explain what devices get; ask somebody whose role allows it",
      "status": 403,
      "title": "Not allowed",
      "type": "urn:huidu:problem:forbidden"
    }
    "#);
    insta::assert_snapshot!(explain(&plane.sven, json!({"host": "retail", "device": {}})).send().await, @r#"
    422 Unprocessable Entity
    content-type: application/problem+json

    {
      "code": "bad-field",
      "detail": "the body is not the JSON of a poll at line 1 column 34: field `device.unit` is missing",
      "field": "body",
      "status": 422,
      "title": "A field does not fit",
      "type": "urn:huidu:problem:bad-field"
    }
    "#);
    insta::assert_snapshot!(explain(&plane.sven, json!({"hots": "retail"})).send().await, @r#"
    422 Unprocessable Entity
    content-type: application/problem+json

    {
      "code": "bad-field",
      "detail": "there is no field `hots`; a question has host, device, version, failed, now",
      "field": "hots",
      "status": 422,
      "title": "A field does not fit",
      "type": "urn:huidu:problem:bad-field"
    }
    "#);
}

#[tokio::test]
async fn a_plan_counts_what_would_move_and_changes_nothing() {
    let plane = Plane::furnished().await;
    let rollout = plane.maya(&format!("GET {ROLLOUT_PATH}")).send().await;
    let mut asked = json!({"rollout": rollout.json(), "sample": []});
    let plan = |who: &Token, asked: &Value| {
        plane
            .ask(who, "POST /api/v1/apps/pingan/travel/plan")
            .json(asked.clone())
    };
    let nothing = plan(&plane.sven, &asked).send().await;
    assert_eq!(
        (nothing.status, nothing.etag()),
        (StatusCode::OK, rollout.etag()),
        "{nothing}"
    );
    asked["rollout"]["rule"][0]["share"] = "50%".into();
    for unit in 0..20 {
        let poll = json!({"host": "retail", "app": "pingan/travel", "device": {"unit": format!("d{unit}")}});
        asked["sample"].as_array_mut().unwrap().push(poll);
    }
    insta::assert_snapshot!(plan(&plane.sven, &asked).send().await, @r#"
    200 OK
    content-type: application/json
    etag: "13"

    {
      "app": "pingan/travel",
      "rules": [
        {
          "after": "50%",
          "audience_changed": false,
          "before": "5%",
          "fate": "stays",
          "gained": "45%",
          "lost": "0%",
          "reshuffled": false,
          "rule": "ramp",
          "switched": "0%"
        }
      ],
      "sample": {
        "flows": [
          {
            "from": "1.0.0",
            "polls": 6,
            "to": "1.1.0"
          }
        ],
        "gains": 0,
        "loses": 0,
        "polls": 20,
        "switches": 6
      },
      "text": "pingan/travel\nrule    takes      gains  loses  other arm\n  ramp  5% -> 50%  45%    0%     0%\n\na device that every rule means: 45% get something else\n1.0.0  ->  1.0.0  50%\n1.0.0  ->  1.1.0  45%\n1.1.0  ->  1.1.0  5%\n\nof 20 sampled polls: 0 gain, 0 lose, 6 switch\n1.0.0  ->  1.1.0  6\n",
      "walk": {
        "flows": [
          {
            "from": "1.0.0",
            "part": "50%",
            "to": "1.0.0"
          },
          {
            "from": "1.0.0",
            "part": "45%",
            "to": "1.1.0"
          },
          {
            "from": "1.1.0",
            "part": "5%",
            "to": "1.1.0"
          }
        ],
        "kind": "exact",
        "moved": "45%"
      }
    }
    "#);
    insta::assert_snapshot!(plan(&plane.ping, &asked).send().await, @r#"
    403 Forbidden
    content-type: application/problem+json

    {
      "code": "forbidden",
      "detail": "the role partner of `pingan` may not plan a rollout; ask somebody whose role allows it",
      "status": 403,
      "title": "Not allowed",
      "type": "urn:huidu:problem:forbidden"
    }
    "#);
    asked["rollout"]["rule"][0]["serve"] = "9.0.0".into();
    insta::assert_snapshot!(plan(&plane.sven, &asked).send().await, @r#"
    422 Unprocessable Entity
    content-type: application/problem+json

    {
      "code": "rollout",
      "detail": "the rollout has 1 mistake(s); each names its place and what to do",
      "errors": [
        {
          "help": "submit and list it first, or take a listed one such as `1.1.0`, `1.0.0`",
          "message": "`9.0.0` is not a version of `pingan/travel`",
          "pointer": "/rule/0/serve"
        }
      ],
      "status": 422,
      "title": "Mistakes in the rollout",
      "type": "urn:huidu:problem:rollout"
    }
    "#);
    insta::assert_snapshot!(plan(&plane.sven, &json!({"sample": []})).send().await, @r#"
    422 Unprocessable Entity
    content-type: application/problem+json

    {
      "code": "bad-field",
      "detail": "missing field `rollout` at line 1 column 13",
      "field": "body",
      "status": 422,
      "title": "A field does not fit",
      "type": "urn:huidu:problem:bad-field"
    }
    "#);
    let revision = plane.node.catalogue().revision;
    assert_eq!(format!("\"{revision}\""), rollout.etag());
}
