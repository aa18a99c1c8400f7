//! What the fuzz targets share: the harnesses, and the validator of archives compiled in from its source.
//!
//! The same harnesses run under proptest on a stable toolchain (stable/main.rs).

#[path = "../../src/archive/mod.rs"]
#[allow(
    dead_code,
    reason = "unpacking is not fuzzed: it writes what inspecting let pass"
)]
pub mod archive;
pub mod harness;
