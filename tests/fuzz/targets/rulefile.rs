//! The fuzz target `rulefile`; what it asserts stands in harness/rulefile.rs.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| huidu_fuzz::harness::rulefile::run(data));
