//! A node whose clock is wrong: libfaketime under the real process, led by a file.
//!
//! Only the time of day is faked. What counts how long something takes goes on, as it does on a machine whose
//! clock is set.

use std::{fs, path::Path};

use crate::support::{components::find, server::Node};

const MISSING: &str =
    "`faketime` is missing; run: apt-get install -y --no-install-recommends faketime";
const FILE: &str = "clock.txt";

/// Starts `node` again under a clock that [`jump`] sets.
pub(crate) fn lead(node: &mut Node, dir: &Path) {
    find("faketime", MISSING);
    jump(dir, "+0s");
    let library = [
        "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1",
        "/usr/lib/aarch64-linux-gnu/faketime/libfaketimeMT.so.1",
    ];
    let library = library.into_iter().find(|path| Path::new(path).exists());
    let library = library.expect(MISSING);
    node.started_by = vec![
        "env".into(),
        format!("LD_PRELOAD={library}"),
        format!("FAKETIME_TIMESTAMP_FILE={}", dir.join(FILE).display()),
        "FAKETIME_NO_CACHE=1".into(),
        "FAKETIME_DONT_FAKE_MONOTONIC=1".into(),
    ];
    node.start_again();
}

/// Sets the clock so far off, such as `+600s`.
pub(crate) fn jump(dir: &Path, by: &str) {
    // In one step: the node reads it at any moment.
    let aside = dir.join("clock.new");
    fs::write(&aside, format!("{by}\n")).unwrap();
    fs::rename(&aside, dir.join(FILE)).unwrap();
}

/// Starts `node` again under the clock of the machine.
pub(crate) fn undo(node: &mut Node) {
    node.started_by.clear();
    node.start_again();
}
