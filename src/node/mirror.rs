//! The mirror: the last-known-good copy of the ledger on this node's own disk.
//!
//! A node that starts while the store and the bus are down serves from here what it last knew. The layout
//! is that of a directory store (`log/…`, `snap/…`, `cas/…`), so it is opened by the same code that opens
//! the real one and every byte is checked by hash on the way in. It is written behind the node's back, in
//! order, and is never read while the store answers; losing it costs nothing but a cold start.
//!
//! `end` says where the copy ends. Objects are named by their digests and each record names the one before it, so
//! with the digest of the last one every bit of the copy is vouched for: one that was damaged, cut off or set back
//! is not served. What the store gives takes the place of whatever is damaged here.
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
use huidu_core::{digest::Digest, revision::Revision};

use crate::{ledger::Position, store::Key};

/// Objects on their way to the disk; beyond that the newest are dropped and the mirror ends earlier.
const QUEUE: usize = 65_536;

/// What the name of a copy that is being written begins with.
const ASIDE: &str = ".mirror.";

/// Where the copy ends.
const END: &str = "end";

/// Takes copies, and puts them where they survive a restart.
pub trait Copies: fmt::Debug + Send + Sync + 'static {
    /// Keeps a copy of an object, soon; whole, or not at all. Never waits for a disk.
    fn put(&self, key: Key, bytes: Bytes);

    /// Where the copy ended when it was opened.
    fn end_at_start(&self) -> End;

    /// Removes all checkpoints, once what was handed in before is kept: a copy of all records needs none, and they
    /// may hold what is wrong.
    fn forget_checkpoints(&self);

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
    end: End,
}

/// Where a copy ended when it was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Nobody has said: it is empty, or of an earlier version of huidu.
    Unsaid,
    /// Here.
    At(Position),
    /// What said so is damaged.
    Damaged,
}

enum Task {
    Put(Key, Bytes),
    ForgetCheckpoints,
    End(mpsc::Sender<()>),
}

impl Mirror {
    /// Opens, or makes, a mirror under `root`.
    fn open(root: &Path) -> io::Result<Self> {
        for folder in ["log", "snap", "cas/sha256"] {
            fs::create_dir_all(root.join(folder))?;
        }
        sweep(root)?;
        let end = read_end(root)?;
        let (queue, tasks) = mpsc::sync_channel(QUEUE);
        let at = root.to_owned();
        thread::Builder::new()
            .name("mirror".into())
            .spawn(move || run(&at, &tasks))?;
        Ok(Self { queue, end })
    }
}

impl Copies for Mirror {
    fn end_at_start(&self) -> End {
        self.end
    }

    fn put(&self, key: Key, bytes: Bytes) {
        // Disconnected: it has ended, and so does the node.
        if let Err(mpsc::TrySendError::Full(_)) = self.queue.try_send(Task::Put(key, bytes)) {
            tracing::warn!(
                "the mirror cannot keep up; a cold start without the store will know less"
            );
        }
    }

    fn forget_checkpoints(&self) {
        let _ended = self.queue.send(Task::ForgetCheckpoints);
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
    let mut reached = Reached::default();
    while let Ok(task) = tasks.recv() {
        // What comes in quick succession has one end.
        for task in std::iter::once(task).chain(tasks.try_iter()) {
            match task {
                Task::Put(key, bytes) => {
                    let result = put(root, &key, &bytes);
                    if let (Err(error), false) = (&result, failing) {
                        tracing::error!(%key, %error, "the mirror cannot be written; this node may not restart without the store");
                    }
                    failing = result.is_err();
                    if let (Key::Log(rev), Ok(())) = (&key, &result) {
                        reached.note(*rev, &bytes);
                    }
                }
                Task::ForgetCheckpoints => {
                    if let Err(error) = forget_checkpoints(root) {
                        tracing::error!(%error, "checkpoints of the mirror cannot be removed; remove the folder `last-known-good` before the next start");
                    }
                }
                Task::End(done) => {
                    write_end(root, &mut reached);
                    let _gone = done.send(());
                    return;
                }
            }
        }
        write_end(root, &mut reached);
    }
}

/// Up to where records were written without a gap.
#[derive(Default)]
struct Reached {
    at: Option<Position>,
    is_new: bool,
}

impl Reached {
    fn note(&mut self, rev: u64, bytes: &[u8]) {
        let rev = Revision::new(rev);
        // One that is put again, when the ledger is gone through again, is behind what was reached.
        if self.at.is_none_or(|at| at.rev.next() == rev) {
            let head = Digest::of(bytes);
            self.at = Some(Position { rev, head });
            self.is_new = true;
        }
    }
}

fn write_end(root: &Path, reached: &mut Reached) {
    let Some(at) = reached.at.filter(|_| reached.is_new) else {
        return;
    };
    reached.is_new = false;
    let line = format!("{} {}", at.rev, at.head);
    let text = format!("{line}\n{}\n", Digest::of(line.as_bytes()));
    if let Err(error) = replace(root, &root.join(END), text.as_bytes()) {
        tracing::error!(%error, "the mirror cannot say where it ends; a cold start without the store may know less");
    }
}

fn read_end(root: &Path) -> io::Result<End> {
    let text = match fs::read(root.join(END)) {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(End::Unsaid),
        Err(error) => return Err(error),
    };
    let read = || {
        let (line, digest) = text.strip_suffix('\n')?.split_once('\n')?;
        let (rev, head) = line.split_once(' ')?;
        let is_whole = Digest::of(line.as_bytes()).to_string() == digest;
        let rev = Revision::new(rev.parse().ok()?);
        let head = head.parse().ok()?;
        is_whole.then_some(Position { rev, head })
    };
    Ok(read().map_or(End::Damaged, End::At))
}

fn forget_checkpoints(root: &Path) -> io::Result<()> {
    for entry in fs::read_dir(root.join("snap"))? {
        fs::remove_file(entry?.path())?;
    }
    Ok(())
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

/// What is there and the same stays; what differs was damaged.
fn put(root: &Path, key: &Key, bytes: &[u8]) -> io::Result<()> {
    let path = root.join(key.to_string());
    match fs::read(&path) {
        Ok(known) if known == bytes => return Ok(()),
        Ok(_) => tracing::warn!(%key, "the mirror's copy was damaged; it is written anew"),
        Err(_) => {}
    }
    replace(root, &path, bytes)
}

/// Written aside, synced and renamed: a torn write, or a machine that loses its power, leaves the old object
/// or none, never half of one. A name whose bytes were lost would look like a copy that somebody damaged.
fn replace(root: &Path, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let aside = root.join(format!("{ASIDE}{}", std::process::id()));
    let mut file = File::create(&aside)?;
    file.write_all(bytes)?;
    file.sync_data()?;
    fs::rename(&aside, path)
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

    #[test]
    fn a_copy_says_where_it_ends_and_no_changed_bit_of_that_is_believed() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        let mirror = Mirror::open(root).unwrap();
        assert_eq!(mirror.end_at_start(), End::Unsaid);
        for rev in [7, 8, 9, 11] {
            mirror.put(Key::Log(rev), Bytes::from(format!("record {rev}")));
        }
        mirror.end();
        // 10 was lost on the way: what comes behind it is no part of the copy.
        let at = Position {
            rev: Revision::new(9),
            head: Digest::of(b"record 9"),
        };
        assert_eq!(read_end(root).unwrap(), End::At(at));
        let head = fs::read(root.join(END)).unwrap();
        for at in 0..head.len() {
            let mut changed = head.clone();
            changed[at] ^= 1;
            fs::write(root.join(END), changed).unwrap();
            assert_eq!(read_end(root).unwrap(), End::Damaged, "byte {at}");
            fs::write(root.join(END), &head[..at]).unwrap();
            assert_eq!(read_end(root).unwrap(), End::Damaged, "cut at {at}");
        }
    }

    #[test]
    fn what_is_damaged_is_written_anew() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        let mirror = Mirror::open(root).unwrap();
        let path = root.join(Key::Log(1).to_string());
        fs::write(&path, b"recorf 1").unwrap();
        mirror.put(Key::Log(1), Bytes::from_static(b"record 1"));
        mirror.end();
        assert_eq!(fs::read(path).unwrap(), b"record 1");
    }
}
