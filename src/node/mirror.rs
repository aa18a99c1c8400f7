//! The mirror: the last-known-good copy of the ledger on this node's own disk.
//!
//! A node that starts while the store and the bus are down serves from here what it last knew. The layout
//! is that of a directory store (`log/…`, `snap/…`, `cas/…`), so it is opened by the same code that opens
//! the real one and every byte is checked by hash on the way in. It is written behind the node's back, in
//! order, and is never read while the store answers; losing it costs nothing but a cold start.
//!
//! [`Copies`] is the seam between what is kept and where: a directory, or a disk that a simulation crashes.

use std::{
    fmt,
    fs::{self, File},
    io::{self, Write as _},
    path::{Path, PathBuf},
    sync::{Arc, mpsc},
    thread,
};

use bytes::Bytes;

use crate::store::Key;

/// Objects on their way to the disk; beyond that the newest are dropped and the mirror ends earlier.
const QUEUE: usize = 65_536;

/// What the name of a copy that is being written begins with.
const ASIDE: &str = ".mirror.";

/// Takes copies, and puts them where they survive a restart.
pub trait Copies: fmt::Debug + Send + Sync + 'static {
    /// Keeps a copy of an object, soon; whole, or not at all. Never waits for a disk.
    fn put(&self, key: Key, bytes: Bytes);

    /// Waits until everything handed in so far is kept. Nothing is kept after that: the process may end at
    /// any moment, and a copy half written would be left behind.
    fn end(&self);
}

/// Where a node keeps its copy.
#[derive(Debug, Clone)]
pub enum Shelf {
    /// In this directory.
    Directory(PathBuf),
    /// Where this puts it.
    Other(Arc<dyn Copies>),
}

impl From<PathBuf> for Shelf {
    fn from(root: PathBuf) -> Self {
        Self::Directory(root)
    }
}

impl Shelf {
    /// Opens, or makes, what takes the copies.
    pub(super) fn open(self) -> io::Result<Arc<dyn Copies>> {
        Ok(match self {
            Self::Directory(root) => Arc::new(Mirror::open(&root)?),
            Self::Other(copies) => copies,
        })
    }
}

/// The writing end of a mirror in a directory.
#[derive(Debug, Clone)]
struct Mirror {
    queue: mpsc::SyncSender<Task>,
}

enum Task {
    Put(Key, Bytes),
    End(mpsc::Sender<()>),
}

impl Mirror {
    /// Opens, or makes, a mirror under `root`.
    fn open(root: &Path) -> io::Result<Self> {
        for folder in ["log", "snap", "cas/sha256"] {
            fs::create_dir_all(root.join(folder))?;
        }
        sweep(root)?;
        let (queue, tasks) = mpsc::sync_channel(QUEUE);
        let at = root.to_owned();
        thread::Builder::new()
            .name("mirror".into())
            .spawn(move || run(&at, &tasks))?;
        Ok(Self { queue })
    }
}

impl Copies for Mirror {
    fn put(&self, key: Key, bytes: Bytes) {
        // Disconnected: it has ended, and so does the node.
        if let Err(mpsc::TrySendError::Full(_)) = self.queue.try_send(Task::Put(key, bytes)) {
            tracing::warn!(
                "the mirror cannot keep up; a cold start without the store will know less"
            );
        }
    }

    fn end(&self) {
        let (done, wait) = mpsc::channel();
        if self.queue.send(Task::End(done)).is_ok() {
            let _stopped = wait.recv();
        }
    }
}

fn run(root: &Path, tasks: &mpsc::Receiver<Task>) {
    let mut failing = false;
    while let Ok(task) = tasks.recv() {
        match task {
            Task::Put(key, bytes) => {
                let result = put(root, &key, &bytes);
                if let (Err(error), false) = (&result, failing) {
                    tracing::error!(%key, %error, "the mirror cannot be written; this node may not restart without the store");
                }
                failing = result.is_err();
            }
            Task::End(done) => {
                let _gone = done.send(());
                return;
            }
        }
    }
}

/// Removes what a process that was killed in the middle of a write left behind. A directory has one node.
fn sweep(root: &Path) -> io::Result<()> {
    for entry in fs::read_dir(root)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(ASIDE) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// Written aside, synced and renamed: a torn write, or a machine that loses its power, leaves the old object
/// or none, never half of one. A name whose bytes were lost would look like a ledger that somebody rewrote.
fn put(root: &Path, key: &Key, bytes: &[u8]) -> io::Result<()> {
    let path = root.join(key.to_string());
    if path.exists() {
        return Ok(());
    }
    let aside = root.join(format!("{ASIDE}{}", std::process::id()));
    let mut file = File::create(&aside)?;
    file.write_all(bytes)?;
    file.sync_data()?;
    fs::rename(&aside, &path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_killed_process_left_behind_is_swept_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        fs::create_dir_all(root.join("log")).unwrap();
        fs::write(root.join(".mirror.4711"), b"half of it").unwrap();
        fs::write(root.join("log/kept"), b"whole").unwrap();
        let mirror = Mirror::open(root).unwrap();
        mirror.end();
        assert!(!root.join(".mirror.4711").exists());
        assert!(root.join("log/kept").exists());
    }
}
