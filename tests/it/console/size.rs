//! What a browser fetches before somebody sees a page for the first time: counted from what was built, for every page.

use std::{collections::BTreeSet, fs};

use serde_json::{Map, Value};

use super::{NOT_BUILT, console};

/// Bytes, packed.
const MOST: u64 = 350 * 1024;

/// The files of `chunk` and of everything that it needs at once.
fn needs(chunks: &Map<String, Value>, chunk: &str, files: &mut BTreeSet<String>) {
    let told = &chunks[chunk];
    if !files.insert(told["file"].as_str().unwrap().to_owned()) {
        return;
    }
    for style in told["css"].as_array().into_iter().flatten() {
        files.insert(style.as_str().unwrap().to_owned());
    }
    for other in told["imports"].as_array().into_iter().flatten() {
        needs(chunks, other.as_str().unwrap(), files);
    }
}

#[test]
fn the_first_page_is_at_most_350_kb_whichever_it_is() {
    let dist = console().join("dist");
    let manifest = fs::read_to_string(dist.join("manifest.json")).expect(NOT_BUILT);
    let chunks: Map<String, Value> = serde_json::from_str(&manifest).unwrap();
    let entry = &chunks["index.html"];
    let pages = entry["dynamicImports"].as_array().unwrap();
    assert!(
        pages.len() >= 10,
        "a page is no chunk of its own: {pages:?}"
    );
    let mut most = (0, "");
    for page in pages.iter().map(|page| page.as_str().unwrap()) {
        let mut files = BTreeSet::from(["index.html".to_owned()]);
        needs(&chunks, "index.html", &mut files);
        needs(&chunks, page, &mut files);
        // What the page of an app shows at once.
        for part in ["src/rollout.tsx", "src/versions.tsx"] {
            if page == "src/pages/app.tsx" && chunks.contains_key(part) {
                needs(&chunks, part, &mut files);
            }
        }
        let packed = files.iter().map(|file| {
            let packed = dist.join(format!("{file}.gz"));
            fs::metadata(&packed)
                .unwrap_or_else(|_| panic!("{}", packed.display()))
                .len()
        });
        let bytes: u64 = packed.sum();
        assert!(
            bytes <= MOST,
            "{page}: {bytes} bytes in {} files",
            files.len()
        );
        most = most.max((bytes, page));
    }
    println!(
        "first load, packed: {} KiB at most ({}), of {} pages",
        most.0 / 1024,
        most.1,
        pages.len()
    );
}
