//! Every setting there is: its key and its default, in the order of `deploy/huidu.toml`.
//!
//! One table, so that a misspelt key can be answered with the right one and the commented example can be
//! compared with the truth. What a value means is read in `mod.rs`; nothing is decided here.

/// A setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key {
    /// Its name, dots between the parts: `store.kind`.
    pub path: &'static str,
    /// What it is when nobody says otherwise; empty: not set.
    pub default: &'static str,
    /// True when the value must not be shown.
    pub secret: bool,
}

const fn key(path: &'static str, default: &'static str) -> Key {
    Key {
        path,
        default,
        secret: false,
    }
}

const fn secret(path: &'static str) -> Key {
    Key {
        path,
        default: "",
        secret: true,
    }
}

/// Every setting.
pub const KEYS: &[Key] = &[
    key("data_dir", "huidu-data"),
    key("audience", "bank/dev"),
    key("review", "required"),
    key("device.listen", "127.0.0.1:8080"),
    key("device.cores", "0"),
    key("device.max_connections", "10000"),
    key("device.max_connections_per_address", "0"),
    key("device.header_timeout", "10s"),
    key("device.idle_timeout", "75s"),
    key("device.poll_after", "15m"),
    key("device.poll_spread", "5m"),
    key("device.lease", "15m"),
    key("device.tls.cert", ""),
    key("device.tls.key", ""),
    key("control.listen", "127.0.0.1:8081"),
    key("control.public_address", ""),
    key("control.tls.cert", ""),
    key("control.tls.key", ""),
    key("signin.issuer", ""),
    key("signin.client_id", ""),
    secret("signin.client_secret"),
    key("signin.client_secret_file", ""),
    key("signin.scopes", "openid"),
    key("signin.ca_file", ""),
    key("signin.session_key_file", ""),
    key("signin.session_idle", "30m"),
    key("signin.session_max", "10h"),
    key("signin.command_line", "1h"),
    key("signin.required", "auto"),
    key("store.kind", "fs"),
    key("store.path", ""),
    key("store.endpoints", ""),
    key("store.region", "us-east-1"),
    key("store.bucket", ""),
    key("store.prefix", ""),
    key("store.access_key", ""),
    secret("store.secret_key"),
    key("store.secret_key_file", ""),
    key("bus.kind", "local"),
    secret("bus.url"),
    key("bus.url_file", ""),
    key("node.name", ""),
    key("node.tick", "1s"),
    key("node.checkpoint_every", "256"),
    key("bundles.packed_max", "20 MiB"),
    key("bundles.unpacked_max", "80 MiB"),
    key("bundles.memory", "256 MiB"),
    key("bundles.disk", "4 GiB"),
    key("log.format", "text"),
    key("log.level", "info"),
];

/// The setting with this name.
pub(super) fn find(path: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.path == path)
}

/// The setting whose name is nearest to `path`, when one is near at all.
pub(super) fn nearest(path: &str) -> Option<&'static str> {
    let last = path.rsplit('.').next().unwrap_or(path);
    let distance = |key: &Key| {
        let whole = edits(path, key.path);
        let end = key.path.rsplit('.').next().unwrap_or(key.path);
        // `listen` alone, or under the wrong table, is still a hint.
        if end == last { whole.min(3) } else { whole }
    };
    KEYS.iter()
        .map(|key| (distance(key), key.path))
        .min()
        .filter(|(distance, _)| *distance <= path.len().div_ceil(3).clamp(3, 4))
        .map(|(_, path)| path)
}

/// How many letters must be typed anew to make `a` of `b` (Levenshtein).
fn edits(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_key_is_answered_with_the_right_one() {
        for (typed, meant) in [
            ("stor.kind", Some("store.kind")),
            ("data-dir", Some("data_dir")),
            ("store.endpoint", Some("store.endpoints")),
            ("devices.lisen", Some("device.listen")),
            ("lease", Some("device.lease")),
            ("colour", None),
        ] {
            assert_eq!(nearest(typed), meant, "{typed}");
        }
    }

    #[test]
    fn no_key_is_there_twice() {
        let mut paths: Vec<_> = KEYS.iter().map(|key| key.path).collect();
        paths.sort_unstable();
        paths.dedup();
        assert_eq!(paths.len(), KEYS.len());
    }
}
