//! The fuzz target `stamp`; what it asserts stands in harness/stamp.rs.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| huidu_fuzz::harness::stamp::run(data));
