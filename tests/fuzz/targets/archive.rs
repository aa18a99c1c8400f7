//! The fuzz target `archive`; what it asserts stands in harness/archive.rs.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| huidu_fuzz::harness::archive::run(data));
