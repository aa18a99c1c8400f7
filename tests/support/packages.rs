//! Real input: mini-program packages as their makers publish them, packed by the npm client.
//!
//! Each is fetched once and kept below `target/`. What comes is handed to huidu as it is: a tar.gz with
//! everything in a folder `package/`.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// A published package at one version.
#[derive(Debug, Clone, Copy)]
pub struct Package {
    /// Its name in the registry.
    pub name: &'static str,
    /// Its version.
    pub version: &'static str,
}

impl Package {
    /// The file that the npm client makes of it.
    fn file(self) -> String {
        let name = self.name.trim_start_matches('@').replace('/', "-");
        format!("{name}-{}.tgz", self.version)
    }
}

/// Fetches `packages` into `dir`, those that are not there yet, and says where they are, in order.
pub fn fetch(packages: &[Package], dir: &Path) -> Result<Vec<PathBuf>, String> {
    fs::create_dir_all(dir)
        .map_err(|error| format!("{} cannot be made: {error}", dir.display()))?;
    let missing = packages
        .iter()
        .filter(|package| !dir.join(package.file()).exists());
    let missing: Vec<_> = missing
        .map(|p| format!("{}@{}", p.name, p.version))
        .collect();
    if !missing.is_empty() {
        // Into a folder aside: what was cut off half-way must not count as fetched.
        let aside = dir.join("fetching");
        fs::create_dir_all(&aside).map_err(|error| error.to_string())?;
        let packed = Command::new("npm")
            .args(["pack", "--silent", "--pack-destination"])
            .arg(&aside)
            .args(&missing)
            .output()
            .map_err(|error| {
                format!("`npm` cannot be started ({error}); run: apt-get install -y npm")
            })?;
        if !packed.status.success() {
            return Err(format!(
                "npm cannot fetch {}; check that its registry can be reached:\n{}",
                missing.join(" "),
                String::from_utf8_lossy(&packed.stderr)
            ));
        }
        for package in packages {
            let fetched = aside.join(package.file());
            if fetched.exists() {
                fs::rename(fetched, dir.join(package.file())).map_err(|error| error.to_string())?;
            }
        }
    }
    let files = packages.iter().map(|package| dir.join(package.file()));
    files
        .map(|file| {
            file.exists()
                .then(|| file.clone())
                .ok_or(format!("npm made no {}", file.display()))
        })
        .collect()
}
