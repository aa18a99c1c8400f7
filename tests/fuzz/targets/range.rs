//! The fuzz target `range`; what it asserts stands in harness/range.rs.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| huidu_fuzz::harness::range::run(data));
