//! Answers without end, and answers that take for ever: whatever it asked for, the device gives up in time,
//! keeps what it has and believes nothing.

use std::{
    thread,
    time::{Duration, Instant},
};

use super::*;
use crate::client::{
    double::Manner,
    download::{DownloadError, Wanted, download},
};

/// Quick, so that the tests are.
const PATIENCE: Patience = Patience {
    whole: Duration::from_millis(250),
    rate_over: Duration::from_millis(250),
    rate_bytes: 1_024,
};
/// No single thing may take longer than this many of its periods.
const MOST: Duration = Duration::from_secs(5);
const DRIP: Duration = Duration::from_millis(20);

/// The attacks, by name.
const MANNERS: [(&str, Manner); 5] = [
    ("endless, its length said", Manner::Endless),
    ("endless, its length unsaid", Manner::EndlessUnsaid),
    ("the body byte by byte", Manner::Trickle(DRIP)),
    ("the head byte by byte", Manner::TrickleHead(DRIP)),
    ("never a byte", Manner::TrickleHead(Duration::from_secs(3))),
];

/// A world whose server answers whatever `path` begins with in this manner.
fn attacked(path: &'static str, manner: Manner) -> World {
    let mut world = World::new();
    world.patience = PATIENCE;
    world.site(|site| site.run(5, "1.0.0"));
    assert_eq!(world.wake(), ["downloaded 1.0.0", "activated 1.0.0"]);
    world.site(|site| site.run(6, "2.0.0"));
    let site = Arc::clone(&world.site);
    world.server.now(move |request| {
        let mut response = site.lock().unwrap().answer(request);
        if request.path().starts_with(path) {
            if response.body.is_empty() {
                response.body = vec![b'{'; 512];
            }
            // Too large for whatever it stands for, and too long to wait for.
            response.body.resize(response.body.len().max(2_048), b' ');
            response.manner = manner;
        }
        response
    });
    world
}

#[test]
fn nobody_holds_a_device_up_and_nothing_of_it_is_believed() {
    let (mut tried, mut accepted) = (0, 0);
    for path in ["/v1/manifest/", "/v1/bundles/", "/v1/kills", "/v1/events"] {
        for (name, manner) in MANNERS {
            let mut world = attacked(path, manner);
            let begun = Instant::now();
            let mut device = world.device();
            let happened = device.cycle(at(NOW), &mut world.phone);
            let took = begun.elapsed();
            assert!(took < MOST, "{path} {name}: took {took:?}");
            tried += 1;
            if matches!(path, "/v1/manifest/" | "/v1/bundles/") {
                // What runs goes on; the new version did not come.
                accepted += usize::from(world.code().unwrap() != "run('1.0.0')");
                let told = happened.map(|happened| told(&happened));
                let failed = told
                    .as_ref()
                    .is_ok_and(|told| *told == ["load-failed 2.0.0"]);
                assert!(told.is_err() || failed, "{path} {name}: {told:?}");
            } else {
                // It is not needed to go on.
                assert_eq!(world.code().unwrap(), "run('2.0.0')", "{path} {name}");
            }
        }
    }
    assert_eq!(accepted, 0);
    println!("figure: endless and slow answers {tried} tried, accepted: {accepted}");
}

#[test]
fn a_paper_without_end_is_no_paper() {
    for (name, manner) in MANNERS {
        let mut world = attacked("/v1/k/", manner);
        world.site(|site| {
            site.manifests
                .get_mut("pingan/travel")
                .unwrap()
                .binding
                .keyring = Some(2);
        });
        let begun = Instant::now();
        assert_eq!(world.wake(), ["doubted paper"], "{name}");
        assert!(begun.elapsed() < MOST, "{name}");
        assert_eq!(world.code().unwrap(), "run('1.0.0')", "{name}");
    }
}

#[test]
fn a_manifest_larger_than_any_is_not_read_to_its_end() {
    let mut world = attacked("/v1/manifest/", Manner::Endless);
    let error = world.device().cycle(at(NOW), &mut world.phone).unwrap_err();
    assert!(
        matches!(error, DeviceError::Endless { most: 65_536, .. }),
        "{error}"
    );
}

#[test]
fn a_download_that_dribbles_is_given_up_however_many_connections_it_takes() {
    let bytes = vec![7; 4_096];
    let whole = bytes.clone();
    let server = Double::start(move |request| {
        let from = request
            .header("range")
            .and_then(|range| range.strip_prefix("bytes="));
        let from = from.and_then(|from| from.trim_end_matches('-').parse().ok());
        // Each connection brings one byte more, and breaks.
        let from: usize = from.unwrap_or(0);
        let last = whole.len() - 1;
        let mut response = Response::new(if from == 0 { 200 } else { 206 }, &whole[from..]);
        response.cut = Some(1);
        thread::sleep(Duration::from_millis(10));
        response.with(
            "content-range",
            format!("bytes {from}-{last}/{}", whole.len()),
        )
    });
    let dir = tempfile::tempdir().unwrap();
    let to = dir.path().join("b.bundle");
    let wanted = Wanted {
        url: format!("{}/bundle", server.url),
        bytes: bytes.len() as u64,
        sha256: Digest::of(&bytes),
    };
    let begun = Instant::now();
    let agent = PATIENCE.loading_agent();
    let error = download(&agent, PATIENCE, &wanted, &to, &mut |_| {}).unwrap_err();
    assert!(matches!(error, DownloadError::Slow { .. }), "{error}");
    assert!(begun.elapsed() < MOST);
    // What came is kept, and whoever is quicker brings the rest.
    let kept = fs::metadata(dir.path().join("b.part")).unwrap().len();
    assert!((1..4_096).contains(&kept), "{kept}");
}

#[test]
fn these_are_the_patience_and_the_rate_that_customers_have() {
    let usual = Patience::default();
    assert_eq!(usual.whole, Duration::from_secs(10));
    assert_eq!(usual.rate_over, Duration::from_secs(30));
    assert_eq!(usual.least_bytes(), 30 * 1_024);
}
