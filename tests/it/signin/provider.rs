//! A real OpenID provider: the npm package `oidc-provider`, started on loopback by `provider.mjs`.

use std::{
    fs,
    net::TcpStream,
    path::{Path, PathBuf},
    process::Command,
};

use tempfile::TempDir;

use crate::support::components::{Leash, free_ports};

const NODE_MISSING: &str =
    "`node` is missing; run: apt-get install -y --no-install-recommends nodejs npm";
const PACKAGES_MISSING: &str =
    "the provider's packages are missing; run: npm ci --prefix tests/it/signin/provider";

pub(super) const CLIENT_ID: &str = "huidu";
pub(super) const CLIENT_SECRET: &str = "only-for-tests & not a secret";

/// A running provider. It is `localhost` and huidu is `127.0.0.1`: to a browser two different sites.
pub(super) struct Provider {
    pub(super) issuer: String,
    _leash: Leash,
    _dir: TempDir,
}

impl Provider {
    /// Starts one that leads back to `home`, and waits until it takes connections.
    pub(super) fn start(home: &str) -> Self {
        let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/signin/provider");
        let version = Command::new("node").arg("--version").output();
        assert!(
            version.is_ok_and(|said| said.status.success()),
            "{NODE_MISSING}"
        );
        assert!(
            here.join("node_modules/oidc-provider").is_dir(),
            "{PACKAGES_MISSING}"
        );
        let [port] = free_ports();
        let issuer = format!("http://localhost:{port}");
        let dir = TempDir::new().unwrap();
        let log = dir.path().join("provider.log");
        let args = [
            here.join("provider.mjs").display().to_string(),
            issuer.clone(),
            port.to_string(),
            CLIENT_ID.to_owned(),
            CLIENT_SECRET.to_owned(),
            format!("{home}/api/v1/signin/callback"),
        ];
        let leash = Leash::start(&PathBuf::from("node"), &args, &log);
        leash.wait("the provider", || {
            let log = fs::read_to_string(&log).unwrap_or_default();
            assert!(!log.contains("Error"), "{log}");
            TcpStream::connect(("127.0.0.1", port)).is_ok()
        });
        Self {
            issuer,
            _leash: leash,
            _dir: dir,
        }
    }
}
