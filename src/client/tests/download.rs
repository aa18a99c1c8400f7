//! Downloads that break, lie and go on.

use std::{
    fs,
    sync::atomic::{AtomicUsize, Ordering},
};

use super::*;
use crate::client::{
    download::{DownloadError, Wanted, download},
    http::Patience,
};

fn fetch(wanted: &Wanted, to: &Path, progress: &mut dyn FnMut(u64)) -> Result<(), DownloadError> {
    let patience = Patience::default();
    download(&patience.loading_agent(), patience, wanted, to, progress)
}

fn bytes() -> Vec<u8> {
    (0..300_000_u32).map(|n| (n * 7 / 3) as u8).collect()
}

fn wanted(server: &Double) -> Wanted {
    let bytes = bytes();
    Wanted {
        url: format!("{}/bundle", server.url),
        bytes: bytes.len() as u64,
        sha256: Digest::of(&bytes),
    }
}

fn ranged(request: &Request, bytes: &[u8]) -> Response {
    let range = request
        .header("range")
        .and_then(|range| range.strip_prefix("bytes="));
    match range.and_then(|range| range.strip_suffix('-')) {
        Some(first) => {
            let first: usize = first.parse().unwrap();
            let (last, total) = (bytes.len() - 1, bytes.len());
            Response::new(206, &bytes[first..])
                .with("content-range", format!("bytes {first}-{last}/{total}"))
        }
        None => Response::new(200, bytes),
    }
}

#[test]
fn a_download_that_breaks_is_resumed_where_it_broke() {
    let server = Double::start(|request| Response {
        cut: Some(100_001),
        ..ranged(request, &bytes())
    });
    let dir = tempfile::tempdir().unwrap();
    let to = dir.path().join("b.bundle");
    // The last piece is shorter than the cut, so the third request ends it.
    let cut = AtomicUsize::new(0);
    server.now(move |request| {
        let mut response = ranged(request, &bytes());
        if cut.fetch_add(1, Ordering::Relaxed) < 2 {
            response.cut = Some(100_001);
        }
        response
    });
    let mut heard = Vec::new();
    fetch(&wanted(&server), &to, &mut |at| heard.push(at)).unwrap();
    assert_eq!(fs::read(&to).unwrap(), bytes());
    let ranges: Vec<_> = server
        .seen()
        .iter()
        .map(|r| r.header("range").map(ToOwned::to_owned))
        .collect();
    assert_eq!(ranges[0], None);
    assert_eq!(ranges[1].as_deref(), Some("bytes=100001-"));
    assert_eq!(ranges[2].as_deref(), Some("bytes=200002-"));
    assert!(heard.is_sorted());
}

#[test]
fn what_an_earlier_process_fetched_is_kept_and_checked_again() {
    let server = Double::start(|request| ranged(request, &bytes()));
    let dir = tempfile::tempdir().unwrap();
    let to = dir.path().join("b.bundle");
    fs::write(dir.path().join("b.part"), &bytes()[..1_234]).unwrap();
    fetch(&wanted(&server), &to, &mut |_| {}).unwrap();
    let seen = server.seen();
    assert_eq!(seen[0].header("range"), Some("bytes=1234-"));
    assert_eq!(seen[0].header("if-range").map(str::len), Some(66));
    // All of it is there already: nothing is asked for, everything is hashed.
    fetch(&wanted(&server), &to, &mut |_| {}).unwrap();
    assert!(server.seen().is_empty());
    fs::write(&to, vec![0; 300_000]).unwrap();
    let error = fetch(&wanted(&server), &to, &mut |_| {}).unwrap_err();
    assert!(matches!(error, DownloadError::Hash { .. }), "{error}");
    assert!(!to.exists());
}

#[test]
fn a_server_that_answers_a_range_with_the_whole_starts_over() {
    let server = Double::start(|_| Response::new(200, bytes()));
    let dir = tempfile::tempdir().unwrap();
    let to = dir.path().join("b.bundle");
    fs::write(dir.path().join("b.part"), b"of another file").unwrap();
    fetch(&wanted(&server), &to, &mut |_| {}).unwrap();
    assert_eq!(fs::read(&to).unwrap(), bytes());
}

#[test]
fn more_bytes_than_signed_are_refused_and_none_kept() {
    let server = Double::start(|_| Response::new(200, [bytes(), vec![0]].concat()));
    let dir = tempfile::tempdir().unwrap();
    let error = fetch(&wanted(&server), &dir.path().join("b.bundle"), &mut |_| {});
    assert!(matches!(error, Err(DownloadError::Length { .. })));
    assert_eq!(fs::metadata(dir.path().join("b.part")).unwrap().len(), 0);
}

#[test]
fn other_bytes_of_the_right_length_are_refused_and_none_kept() {
    let server = Double::start(|_| Response::new(200, vec![0; 300_000]));
    let dir = tempfile::tempdir().unwrap();
    let error = fetch(&wanted(&server), &dir.path().join("b.bundle"), &mut |_| {});
    assert!(matches!(error, Err(DownloadError::Hash { .. })));
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn a_server_that_brings_nothing_is_given_up_on() {
    let server = Double::start(|_| Response {
        hang_up: true,
        ..Response::default()
    });
    let dir = tempfile::tempdir().unwrap();
    let error = fetch(&wanted(&server), &dir.path().join("b.bundle"), &mut |_| {});
    assert!(matches!(error, Err(DownloadError::Broken { at: 0, .. })));
    server.now(|_| Response::new(503, "").with("retry-after", "7"));
    let error = fetch(&wanted(&server), &dir.path().join("b.bundle"), &mut |_| {});
    assert!(matches!(
        error,
        Err(DownloadError::Status {
            retry_after: Some(7),
            ..
        })
    ));
}
