//! The fuzz target `feedback`; what it asserts stands in harness/feedback.rs.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| huidu_fuzz::harness::feedback::run(data));
