//! Durations (`10s`, `15m`, `1h 30m`) and sizes (`20 MiB`, `512 KB`) as people type them.
//!
//! A number without a unit is refused: nobody should have to know whether 60 meant seconds or minutes.

use std::time::Duration;

/// Why a text is not a duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("write a duration with its unit, such as \"250ms\", \"10s\", \"15m\", \"2h\" or \"7d\"")]
pub struct DurationError;

/// Why a text is not a size.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("write a size with its unit, such as \"512 KiB\", \"20 MiB\", \"2 GiB\" or \"100 MB\"")]
pub struct SizeError;

/// Reads a duration: one or more whole numbers, each with `ms`, `s`, `m`, `h` or `d`.
pub fn duration(text: &str) -> Result<Duration, DurationError> {
    let mut rest = text.trim();
    let mut sum: Option<u64> = None;
    while !rest.is_empty() {
        let (number, after) = leading_number(rest).ok_or(DurationError)?;
        let letters = after.trim_start();
        let end = letters
            .find(|c: char| !c.is_ascii_alphabetic())
            .unwrap_or(letters.len());
        let scale = match &letters[..end] {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return Err(DurationError),
        };
        let part = number.checked_mul(scale).ok_or(DurationError)?;
        sum = Some(sum.unwrap_or(0).checked_add(part).ok_or(DurationError)?);
        rest = letters[end..].trim_start();
    }
    sum.map(Duration::from_millis).ok_or(DurationError)
}

/// Reads a size in bytes: a whole number with `B`, `KB`, `MB`, `GB`, `KiB`, `MiB` or `GiB`.
pub fn size(text: &str) -> Result<u64, SizeError> {
    let (number, unit) = leading_number(text.trim()).ok_or(SizeError)?;
    let scale = match unit.trim() {
        "B" => 1,
        "KB" | "kB" => 1_000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return Err(SizeError),
    };
    number.checked_mul(scale).ok_or(SizeError)
}

/// A size as people read it: `1.5 MiB`.
#[expect(clippy::cast_precision_loss, reason = "for reading only")]
pub fn bytes(count: u64) -> String {
    let steps = [(1_u64 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    steps.iter().find(|(scale, _)| count >= *scale).map_or_else(
        || format!("{count} B"),
        |(scale, unit)| {
            let number = format!("{:.1}", count as f64 / *scale as f64);
            format!("{} {unit}", number.trim_end_matches(".0"))
        },
    )
}

fn leading_number(text: &str) -> Option<(u64, &str)> {
    let end = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    Some((text[..end].parse().ok()?, &text[end..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_durations() {
        for (text, ms) in [
            ("250ms", 250),
            ("10s", 10_000),
            ("15m", 900_000),
            ("1h 30m", 5_400_000),
            ("2h30m", 9_000_000),
            ("7 d", 604_800_000),
            ("0s", 0),
        ] {
            assert_eq!(duration(text), Ok(Duration::from_millis(ms)), "{text}");
        }
        for text in [
            "",
            "10",
            "s",
            "-1s",
            "1.5s",
            "10 seconds",
            "99999999999999999999s",
            "1w",
        ] {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn reads_sizes() {
        for (text, bytes) in [
            ("0 B", 0),
            ("512KiB", 524_288),
            ("20 MiB", 20_971_520),
            ("100 MB", 100_000_000),
            ("2 GiB", 2_147_483_648),
        ] {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        for text in [
            "",
            "20",
            "MiB",
            "-1 MiB",
            "1.5 MiB",
            "20 mib",
            "99999999999 GiB",
        ] {
            assert!(size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn prints_sizes() {
        assert_eq!(bytes(12), "12 B");
        assert_eq!(bytes(1_572_864), "1.5 MiB");
        assert_eq!(bytes(200 << 20), "200 MiB");
    }
}
