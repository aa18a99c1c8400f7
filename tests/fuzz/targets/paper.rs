//! The fuzz target `paper`; what it asserts stands in harness/paper.rs.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| huidu_fuzz::harness::paper::run(data));
