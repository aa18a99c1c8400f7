//! What is written about what happens: the set-up, and the names of the fields.
//!
//! One line per change and per trouble, none per poll. What devices say about people (the unit, tags,
//! attributes) never reaches a line; [`FIELDS`] is the list of what may. Lines go to standard error, so that
//! a command's answer on standard output stays clean.

use std::io;

use tracing_subscriber::{filter::Targets, fmt, layer::SubscriberExt as _, registry};

use crate::settings::{LogFormat, LogSettings};

/// The names of fields that log lines may carry.
pub const FIELDS: &[&str] = &[
    "node",
    "tenant",
    "app",
    "host",
    "version",
    "rule",
    "revision",
    "op",
    "actor",
    "segment",
    "digest",
    "reason",
    "problem",
    "status",
    "bytes",
    "duration_ms",
    "listen",
    "store",
    "bus",
    "behind",
];

/// Checks a level: `error`, `warn`, `info`, `debug`, `trace`, `off`, also per module (`info,huidu::node=debug`).
pub fn checked_level(text: &str) -> Result<String, String> {
    let is_plain = !text.is_empty()
        && text.split(',').all(|part| {
            let level = part.rsplit('=').next().unwrap_or(part);
            level
                .parse::<tracing_subscriber::filter::LevelFilter>()
                .is_ok()
                && level.parse::<u8>().is_err()
        });
    if is_plain && text.parse::<Targets>().is_ok() {
        Ok(text.to_owned())
    } else {
        Err("write one of off, error, warn, info, debug, trace, also by module: \"info,huidu::node=debug\"".into())
    }
}

/// Sets logging up for the whole process; a second call changes nothing.
pub fn start(settings: &LogSettings) {
    let filter: Targets = settings.level.parse().unwrap_or_default();
    let line = fmt::layer().with_writer(io::stderr).with_target(true);
    let installed = match settings.format {
        LogFormat::Text => {
            let line = line.with_ansi(false).compact();
            tracing::subscriber::set_global_default(registry().with(filter).with(line))
        }
        LogFormat::Json => {
            let line = line.json().flatten_event(true);
            tracing::subscriber::set_global_default(registry().with(filter).with(line))
        }
    };
    // Only a test that runs two servers in one process gets here twice.
    drop(installed);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_words_also_per_module() {
        for good in ["info", "off", "warn,huidu::node=debug"] {
            assert!(checked_level(good).is_ok(), "{good}");
        }
        for bad in ["", "loud", "info,huidu=loud", "3"] {
            assert!(checked_level(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn no_field_tells_of_a_person() {
        for personal in ["unit", "user", "device", "tags", "attr", "token"] {
            assert!(!FIELDS.contains(&personal), "{personal}");
        }
    }
}
