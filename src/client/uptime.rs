//! What time it is on this device: a clock anybody can set, and one nobody can.
//!
//! Leases run on the second one. On Linux that is the time since the machine started, which goes on over
//! restarts of the process; elsewhere it is the process's own, and every restart counts as one.

use std::{fs, sync::OnceLock, time::Instant};

use huidu_core::verify::Now;
use sha2::{Digest as _, Sha256};

use crate::clock::{Clock as _, System};

/// What time it is.
pub fn now() -> Now {
    let (boot, mono_ms) = machine().unwrap_or_else(process);
    Now {
        wall: System.now(),
        mono_ms,
        boot,
    }
}

fn machine() -> Option<(u64, u64)> {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let uptime = fs::read_to_string("/proc/uptime").ok()?;
    let (seconds, rest) = uptime.split_whitespace().next()?.split_once('.')?;
    let (seconds, hundredths): (u64, u64) = (seconds.parse().ok()?, rest.parse().ok()?);
    let digest = Sha256::digest(boot.trim());
    let boot = digest
        .iter()
        .take(8)
        .fold(0, |id, byte| id << 8 | u64::from(*byte));
    // State files are JSON, and JSON's numbers are exact to 53 bits.
    Some((boot >> 11, seconds * 1_000 + hundredths * 10))
}

fn process() -> (u64, u64) {
    static START: OnceLock<(u64, Instant)> = OnceLock::new();
    let (boot, start) = START.get_or_init(|| (System.now().unix_ms(), Instant::now()));
    let since = u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX);
    (*boot, since)
}

#[cfg(test)]
mod tests {
    use super::now;

    #[test]
    fn what_nobody_can_set_only_goes_on() {
        let (first, second) = (now(), now());
        assert_eq!(first.boot, second.boot);
        assert!(first.mono_ms <= second.mono_ms);
    }
}
