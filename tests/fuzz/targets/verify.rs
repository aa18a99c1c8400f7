//! The fuzz target `verify`; what it asserts stands in harness/verify.rs.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| huidu_fuzz::harness::verify::run(data));
