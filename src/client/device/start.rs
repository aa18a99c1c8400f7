//! Bringing a release to life, and everything that may go wrong with it.

use data_encoding::HEXLOWER;
use huidu_core::{
    digest::Digest,
    feedback::Why,
    manifest::Manifest,
    name::AppId,
    verify::{Now, Start},
    version::Number,
};

use super::{Device, DeviceError, Happened, What};
use crate::client::{
    download::{DownloadError, Wanted, download},
    install::InstallError,
    state::{By, Event},
};

/// Starts a release from its directory; says why when it does not start.
pub trait Starter {
    /// Starts `version` of `app`, whose files are in `path`.
    fn start(
        &mut self,
        app: &AppId,
        version: &Number,
        path: &std::path::Path,
    ) -> Result<(), String>;

    /// `bytes` of `total` of a bundle are there.
    fn progress(&mut self, app: &AppId, bytes: u64, total: u64) {
        let _ = (app, bytes, total);
    }
}

impl Device {
    /// Undoes what a crash left half done: the link follows the state, and a release whose start ended the
    /// process twice counts as failed.
    pub(super) fn mend(&mut self) -> Result<(), DeviceError> {
        let apps: Vec<AppId> = self
            .state
            .apps
            .keys()
            .filter_map(|app| app.parse().ok())
            .collect();
        for app in apps {
            let kept = self.app_state(&app);
            if let Some(digest) = kept.start_that_never_ended() {
                kept.starting = None;
                let by = kept.by.clone().unwrap_or_default();
                if let Some(version) = kept.releases.get(&digest).cloned() {
                    kept.fail(&version);
                    self.note(&app, &version, "crashed", None, &by);
                }
            }
            let (running, place) = (self.app_state(&app).running, self.place(&app));
            if place.running() != running {
                place.switch(running.as_ref())?;
            }
            self.keep()?;
        }
        Ok(())
    }

    /// Makes what `manifest` says run. The answer is already believed and kept.
    pub(super) fn bring(
        &mut self,
        app: &AppId,
        manifest: &Manifest,
        now: Now,
        starter: &mut dyn Starter,
    ) -> Result<Vec<Happened>, DeviceError> {
        let (Some(bundle), Some(version)) = (&manifest.bundle, &manifest.version) else {
            return Ok(vec![Happened::to(
                app,
                What::Nothing,
                None,
                manifest.reason.word(),
            )]);
        };
        let by = By::of(manifest);
        let kept = self.app_state(app);
        if kept.running == Some(bundle.sha256) {
            // The same archive, by a newer word and perhaps with other permissions.
            let joins = by.is_compared() && kept.by.as_ref() != Some(&by);
            kept.by = Some(by.clone());
            self.trusted = self.trusted.clone().activated(app);
            if joins {
                // Whoever is compared with others says once that it is there.
                self.note(app, version, "activated", None, &by);
            }
            self.keep()?;
            return Ok(vec![Happened::to(app, What::Unchanged, Some(version), "")]);
        }
        if kept.has_failed(version) {
            let detail = "it failed here before and is not tried again";
            return Ok(vec![Happened::to(
                app,
                What::FailedBefore,
                Some(version),
                detail,
            )]);
        }
        let mut happened = Vec::new();
        if !self.place(app).release(&bundle.sha256).is_dir() {
            if let Err(trouble) = self.fetch(app, manifest, starter) {
                self.note(app, version, "load-failed", None, &by);
                let told = trouble.told();
                self.note_code(Some(app), &told);
                if matches!(trouble, Trouble::Archive(_)) {
                    // The bytes are as signed, so they will never unpack.
                    self.app_state(app).fail(version);
                }
                self.keep()?;
                happened.push(Happened::to(app, What::LoadFailed, Some(version), told));
                return Ok(happened);
            }
            self.note(app, version, "downloaded", None, &by);
            happened.push(Happened::to(
                app,
                What::Downloaded,
                Some(version),
                bundle.sha256.to_hex(),
            ));
        }
        self.start(
            app,
            manifest,
            &bundle.sha256,
            version,
            now,
            starter,
            &mut happened,
        )?;
        Ok(happened)
    }

    fn fetch(
        &mut self,
        app: &AppId,
        manifest: &Manifest,
        starter: &mut dyn Starter,
    ) -> Result<(), Trouble> {
        let Some(bundle) = &manifest.bundle else {
            return Ok(());
        };
        let wanted = Wanted {
            // Signed, but still only a path below the server that was asked.
            url: format!("{}/v1/bundles/sha256/{}", self.config.server, bundle.sha256),
            bytes: bundle.len,
            sha256: bundle.sha256,
        };
        let archive = self
            .config
            .dir
            .join("downloads")
            .join(format!("{}.bundle", bundle.sha256));
        let patience = self.config.patience;
        download(&self.loading, patience, &wanted, &archive, &mut |bytes| {
            starter.progress(app, bytes, bundle.len);
        })
        .map_err(Trouble::Download)?;
        let record = self.trusted.app(app).and_then(|app| app.release.as_ref());
        let record = record.filter(|(_, record)| record.bundle.sha256 == bundle.sha256);
        let files = record.and_then(|(_, record)| record.files_sha256);
        let unpacked = self.place(app).unpack(&archive, &bundle.sha256, files);
        // The release is there, or never will be: the archive has done its work.
        let _ = std::fs::remove_file(&archive);
        unpacked.map_err(|error| match error {
            InstallError::Unpack(_) | InstallError::Files { .. } => Trouble::Archive(error),
            InstallError::Disk { .. } => Trouble::Disk(error),
        })
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "everything about one start meets here, once"
    )]
    fn start(
        &mut self,
        app: &AppId,
        manifest: &Manifest,
        digest: &Digest,
        version: &Number,
        now: Now,
        starter: &mut dyn Starter,
        happened: &mut Vec<Happened>,
    ) -> Result<(), DeviceError> {
        let place = self.place(app);
        let by = By::of(manifest);
        let kept = self.app_state(app);
        let before = kept.running;
        kept.by = Some(by.clone());
        kept.releases.insert(*digest, version.clone());
        kept.begin_start(*digest);
        self.keep()?;
        place.switch(Some(digest))?;
        match starter.start(app, version, &place.release(digest)) {
            Ok(()) => {
                let kept = self.app_state(app);
                (kept.running, kept.previous, kept.starting) = (Some(*digest), before, None);
                let keep: Vec<Digest> = before.into_iter().chain([*digest]).collect();
                kept.releases.retain(|release, _| keep.contains(release));
                self.trusted = self.trusted.clone().activated(app);
                self.note(app, version, "activated", None, &by);
                self.keep()?;
                place.sweep(&keep);
                happened.push(Happened::to(app, What::Activated, Some(version), ""));
            }
            Err(why) => {
                let stopped = matches!(
                    self.trusted.start(app, now),
                    Start::Nothing | Start::Forbidden
                );
                let kept = self.app_state(app);
                kept.fail(version);
                kept.starting = None;
                let back = before.filter(|_| !stopped);
                kept.running = back;
                let back_to = kept.version().cloned();
                self.note(app, version, "crashed", None, &by);
                happened.push(Happened::to(app, What::Crashed, Some(version), why));
                if back_to.is_some() {
                    let why = Some(Why::Crashed.word());
                    self.note(app, version, "rolled-back", why, &by);
                }
                self.keep()?;
                place.switch(back.as_ref())?;
                if let Some(back_to) = back_to {
                    happened.push(Happened::to(app, What::RolledBack, Some(&back_to), ""));
                }
            }
        }
        Ok(())
    }

    pub(super) fn note(
        &mut self,
        app: &AppId,
        version: &Number,
        event: &str,
        code: Option<&str>,
        by: &By,
    ) {
        let mut id = [0; 16];
        // Without chance it has no name, and is shown in metrics alone.
        let is_named = getrandom::fill(&mut id).is_ok();
        self.state.note(Event {
            id: if is_named {
                HEXLOWER.encode(&id)
            } else {
                String::new()
            },
            tried_ms: None,
            app: app.to_string(),
            version: version.to_string(),
            rule: by.rule.as_ref().map(ToString::to_string),
            arm: by.arm.as_ref().map(ToString::to_string),
            event: event.to_owned(),
            code: code.map(ToOwned::to_owned),
            count: 1,
        });
    }
}

/// Why a bundle did not become a release.
enum Trouble {
    Download(DownloadError),
    Archive(InstallError),
    Disk(InstallError),
}

impl Trouble {
    fn told(&self) -> String {
        match self {
            Self::Download(error @ DownloadError::Hash { .. }) => format!("hash: {error}"),
            Self::Download(error @ DownloadError::Length { .. }) => format!("len: {error}"),
            Self::Download(error @ DownloadError::Slow { .. }) => format!("slow: {error}"),
            Self::Download(error) => format!("download: {error}"),
            Self::Archive(error @ InstallError::Files { .. }) => format!("files: {error}"),
            Self::Archive(error) => format!("archive: {error}"),
            Self::Disk(error) => format!("disk: {error}"),
        }
    }
}
