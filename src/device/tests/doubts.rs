//! What devices did not believe, as they report it; and bundles that nobody is told of.

use huidu_core::{
    name::HostId,
    trust::Trial,
    verify::{Doubt, OF_DEVICES},
    version::Life,
};

use super::*;

#[tokio::test]
async fn doubts_are_counted_by_codes_of_a_fixed_list() {
    let plane = plane().await;
    let report = r#"{"host":"retail-bank","events":[
        {"event":"doubted","code":"sig","count":4},
        {"app":"pingan/travel","event":"doubted","code":"sig"},
        {"app":"pingan/unknown","version":"1.0.0","event":"doubted","code":"stale-node"},
        {"app":"pingan/travel","event":"doubted","code":"made-up"},
        {"app":"pingan/travel","version":"1.1.0","event":"activate"}]}"#;
    let reply = ask(&plane, "POST", "/v1/events", &[], report).await;
    assert_eq!(
        (reply.status, &*reply.body),
        (202, &br#"{"accepted":5}"#[..])
    );
    let told = plane.origin.metrics.render();
    let doubts = told
        .lines()
        .filter(|line| line.starts_with("huidu_doubts_total"));
    insta::assert_snapshot!(doubts.collect::<Vec<_>>().join("\n"), @r#"
    huidu_doubts_total{code="other"} 1
    huidu_doubts_total{code="sig"} 5
    huidu_doubts_total{code="stale-node"} 1
    "#);
    // Nothing that a device makes up becomes a label, and no doubt is counted as what happened to a release.
    for n in 0..100 {
        let event = format!(r#"{{"event":"doubted","code":"made-up-{n}"}}"#);
        let report = format!(r#"{{"host":"retail-bank","events":[{event}]}}"#);
        assert_eq!(
            ask(&plane, "POST", "/v1/events", &[], &report).await.status,
            202
        );
    }
    let told = plane.origin.metrics.render();
    assert!(told.contains(r#"huidu_doubts_total{code="other"} 101"#));
    let series = told
        .lines()
        .filter(|line| line.starts_with("huidu_doubts_total"));
    assert_eq!(series.count(), 3);
    let counted = plane.origin.feedback.snapshot();
    assert_eq!(counted.len(), 1, "{counted:?}");
}

#[tokio::test]
async fn every_code_there_is_is_counted_under_its_name() {
    let plane = plane().await;
    let verified = Doubt::ALL.into_iter().map(Doubt::code);
    let codes: Vec<&str> = verified.chain(OF_DEVICES).collect();
    for code in &codes {
        let event = format!(r#"{{"event":"doubted","code":"{code}"}}"#);
        let report = format!(r#"{{"host":"retail-bank","events":[{event}]}}"#);
        assert_eq!(
            ask(&plane, "POST", "/v1/events", &[], &report).await.status,
            202
        );
        let line = format!(r#"huidu_doubts_total{{code="{code}"}} 1"#);
        assert!(plane.origin.metrics.render().contains(&line), "{code}");
    }
    assert_eq!(codes.len(), 30);
}

#[tokio::test]
async fn a_doubt_without_a_code_and_an_event_without_an_app_are_refused() {
    let plane = plane().await;
    for (event, field) in [
        (r#"{"event":"doubted"}"#, "events.code"),
        (r#"{"event":"doubted","code":"NOT A CODE"}"#, "events.code"),
        (
            r#"{"event":"doubted","code":"sig","app":"travel"}"#,
            "events.app",
        ),
        (r#"{"event":"crash","version":"1.0.0"}"#, "events.app"),
        (r#"{"event":"crash","app":"a/b"}"#, "events.version"),
    ] {
        let body = format!(r#"{{"host":"retail-bank","events":[{event}]}}"#);
        let reply = ask(&plane, "POST", "/v1/events", &[], &body).await;
        let problem: serde_json::Value = serde_json::from_slice(&reply.body).unwrap();
        let told = (reply.status, problem["field"].as_str());
        assert_eq!(told, (400, Some(field)), "{problem}");
    }
}

/// A digest is no secret: what was handed in is its tenant's own until devices are told of it.
#[tokio::test]
async fn a_bundle_is_had_while_its_version_is_listed_or_on_trial_and_no_sooner() {
    let plane = plane().await;
    let version = "5.0.0";
    let bytes = Bytes::from(format!("bundle of {version}"));
    let key = Key::Cas(bundle(version));
    plane.origin.store.put_new(&key, bytes).await.unwrap();
    let number: huidu_core::version::Number = version.parse().unwrap();
    let sandbox: HostId = "retail-test".parse().unwrap();
    let trial = Trial {
        devices: [("t-17".to_owned(), [sandbox].into())].into(),
        ..Trial::default()
    };
    for (life, tried, expected) in [
        (Life::Submitted, false, 404),
        (Life::InReview, false, 404),
        (Life::Approved, false, 404),
        (Life::Submitted, true, 200),
        (Life::Approved, true, 200),
        (Life::Listed, false, 200),
    ] {
        let mut known = app("pingan/new", &[version], "hosts = []\nstable = \"5.0.0\"");
        Arc::make_mut(known.versions.get_mut(&number).unwrap()).life = life.clone();
        let trials = &mut known.trust.trials;
        trials.insert(
            number.clone(),
            if tried {
                trial.clone()
            } else {
                Trial::default()
            },
        );
        let live = live_app(&known, &stamper(), &Metrics::new());
        let live = plane.origin.live.load().with_app(live);
        plane.origin.live.store(Arc::new(live));
        let path = format!("/v1/bundles/sha256/{}", bundle(version));
        let status = ask(&plane, "GET", &path, &[], "").await.status;
        assert_eq!(status, expected, "{life:?}, on trial: {tried}");
    }
}
