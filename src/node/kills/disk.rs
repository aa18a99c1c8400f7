//! Kills on this node's disk until the ledger has them: one small file each, as it was signed.
//!
//! A kill that was acknowledged survives the end of the process at any moment. A file is whole or not there, and
//! it is gone only when the ledger has settled its kill. What cannot be read is put aside and said, never obeyed.

use std::{
    fmt,
    fs::{self, File},
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use bytes::Bytes;
use huidu_core::{limits, notice::Sealed, op::OpId};

/// What the name of a file that is being written begins with.
const ASIDE: &str = ".kill.";
/// What the name of a file that does not read ends with.
const BAD: &str = ".unreadable";

/// Keeps kills until the ledger has them. Asked from a thread that may wait.
pub trait Keep: fmt::Debug + Send + Sync + 'static {
    /// Keeps a kill: whatever happens to the process, it is there once this has returned.
    fn keep(&self, sealed: &Sealed) -> io::Result<()>;

    /// Forgets one that the ledger has settled.
    fn forget(&self, op: &OpId);

    /// What was kept, in the order of the wants.
    fn load(&self) -> io::Result<Vec<Sealed>>;
}

/// Keeps them in a directory, which nobody else writes to.
#[derive(Debug)]
pub struct Directory {
    dir: PathBuf,
}

impl Directory {
    /// Opens, or makes, the place.
    pub fn open(dir: PathBuf) -> io::Result<Self> {
        fs::create_dir_all(&dir)?;
        Ok(Self { dir })
    }

    fn path(&self, op: &OpId) -> PathBuf {
        self.dir.join(op.as_str())
    }
}

impl Keep for Directory {
    fn keep(&self, sealed: &Sealed) -> io::Result<()> {
        let path = self.path(&sealed.notice().op);
        let aside = self.dir.join(format!("{ASIDE}{}", sealed.notice().op));
        let mut file = File::create(&aside)?;
        file.write_all(sealed.bytes())?;
        file.sync_all()?;
        fs::rename(&aside, &path)?;
        sync(&self.dir)
    }

    fn forget(&self, op: &OpId) {
        // One that stays behind is settled again at the next start.
        let _gone = fs::remove_file(self.path(op));
    }

    /// What does not read is put aside.
    fn load(&self) -> io::Result<Vec<Sealed>> {
        let mut kept = Vec::new();
        for entry in fs::read_dir(&self.dir)? {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if name.starts_with(ASIDE) {
                // Its write did not end, so nobody was told that it was kept.
                fs::remove_file(&path)?;
                continue;
            }
            let Ok(op) = name.parse::<OpId>() else {
                continue;
            };
            let read = fs::read(&path).map(Bytes::from)?;
            match Sealed::read(&read) {
                Ok(sealed) if sealed.notice().op == op => kept.push(sealed),
                wrong => {
                    let why = wrong.err();
                    tracing::error!(file = %path.display(), ?why, "a kill that was kept on this disk does not read; it is put aside and not in force here");
                    fs::rename(&path, path.with_extension(&BAD[1..]))?;
                }
            }
        }
        kept.sort_by_key(|sealed| sealed.notice().op);
        kept.truncate(limits::NOTICES);
        Ok(kept)
    }
}

/// What stands in a directory is on disk when this returns.
fn sync(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}
