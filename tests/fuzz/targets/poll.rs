//! The fuzz target `poll`; what it asserts stands in harness/poll.rs.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| huidu_fuzz::harness::poll::run(data));
