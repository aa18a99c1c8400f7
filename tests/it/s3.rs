//! The S3 store against a real SeaweedFS. One test, because a test is a process and a SeaweedFS
//! takes seconds to start.

use std::{io::Write as _, sync::Arc, time::Duration};

use bytes::Bytes;
use huidu::store::{
    Folder, Key, Store, contract,
    probe::{self, Depth, Verdict},
    s3::{S3Settings, S3Store},
};
use huidu_core::digest::Digest;
use tempfile::NamedTempFile;

use crate::support::components::Weed;

#[tokio::test(flavor = "multi_thread")]
async fn a_real_bucket_keeps_the_contract_and_passes_the_probe() {
    let weed = tokio::task::spawn_blocking(Weed::shared).await.unwrap();
    contract::all(|| async { Arc::new(S3Store::new(weed.settings())) as Arc<dyn Store> }).await;
    two_gateways_pass_the_probe(weed).await;
    clusters_that_share_a_bucket_never_meet(weed).await;
    a_bucket_is_made_on_request_and_its_absence_is_no_empty_ledger(weed).await;
    a_large_bundle_goes_in_one_piece(weed).await;
    a_wrong_secret_is_unavailable_and_says_why(weed).await;
}

async fn two_gateways_pass_the_probe(weed: &'static Weed) {
    let gateway = tokio::task::spawn_blocking(|| weed.gateway())
        .await
        .unwrap();
    let settings = weed.settings();
    let endpoints = [settings.clone(), gateway.settings(&settings)]
        .map(|settings| Arc::new(S3Store::new(settings)) as Arc<dyn Store>);
    for depth in [Depth::Quick, Depth::Full] {
        let report = probe::check(&endpoints, depth).await;
        assert_eq!(report.verdict, Verdict::MultiWriter, "{report}");
    }
}

async fn clusters_that_share_a_bucket_never_meet(weed: &Weed) {
    let (one, other) = (S3Store::new(weed.settings()), S3Store::new(weed.settings()));
    let key = Key::Log(1);
    one.put_new(&key, Bytes::from("one")).await.unwrap();
    assert!(other.get(&key).await.unwrap_err().is_not_found());
    assert_eq!(other.list(Folder::Log, None).await.unwrap(), []);
    other.put_new(&key, Bytes::from("other")).await.unwrap();
    assert_eq!(one.get(&key).await.unwrap(), "one");
}

async fn a_bucket_is_made_on_request_and_its_absence_is_no_empty_ledger(weed: &Weed) {
    let store = S3Store::new(weed.bucket("made-on-request"));
    let key = Key::Log(1);
    assert!(store.get(&key).await.unwrap_err().is_unavailable());
    for _ in 0..2 {
        store.ensure_bucket().await.unwrap();
    }
    assert!(store.get(&key).await.unwrap_err().is_not_found());
    store.put_new(&key, Bytes::from("first")).await.unwrap();
    assert_eq!(store.list(Folder::Log, None).await.unwrap(), [key]);
}

async fn a_large_bundle_goes_in_one_piece(weed: &Weed) {
    let store = S3Store::new(weed.settings());
    let bytes = Bytes::from_iter((0..60_000_000_u32).map(|i| (i % 253) as u8));
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(&bytes).unwrap();
    let key = Key::Cas(Digest::of(&bytes));
    store.put_file(&key, file.path()).await.unwrap();
    assert_eq!(store.head(&key).await.unwrap(), 60_000_000);
    assert!(
        store.get(&key).await.unwrap() == bytes,
        "the bundle is as it was"
    );
}

async fn a_wrong_secret_is_unavailable_and_says_why(weed: &Weed) {
    let store = S3Store::new(S3Settings {
        secret_key: "wrong".into(),
        timeout: Duration::from_secs(5),
        ..weed.settings()
    });
    let error = store.put_new(&Key::Log(1), Bytes::new()).await.unwrap_err();
    assert!(error.is_unavailable(), "{error}");
    let why = std::error::Error::source(&error).unwrap().to_string();
    assert!(why.contains("403"), "{why}");
    assert!(!why.contains("wrong"), "{why}");
}
