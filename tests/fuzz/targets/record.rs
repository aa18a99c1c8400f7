//! The fuzz target `record`; what it asserts stands in harness/record.rs.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| huidu_fuzz::harness::record::run(data));
