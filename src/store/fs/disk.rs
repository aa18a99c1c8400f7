//! `Disk`: the steps of a write that can fail, so that tests can make each of them fail.
//!
//! It also remembers that a sync failed. From then on it refuses every write: what the kernel threw
//! away cannot be known, and only a fresh start reads back what is really there.

use std::{
    fmt, io,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

/// What files that have no name yet are called; a sweep at the next start removes them.
const ASIDE: &str = ".tmp.";

/// One step of writing an object, in the order of the steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// Writing the bytes aside.
    Write,
    /// Syncing them.
    SyncFile,
    /// Giving them their name.
    Link,
    /// Making the name durable.
    SyncFolder,
    /// Removing the file that was written aside.
    Unlink,
    /// Making that durable too.
    SyncFolderAgain,
}

/// Asked before each step; an error is what the step then answers.
pub(super) type Hook = Arc<dyn Fn(Step) -> io::Result<()> + Send + Sync>;

/// The steps, and whether a sync ever failed.
#[derive(Default)]
pub(super) struct Disk {
    hook: Option<Hook>,
    poisoned: AtomicBool,
    written: AtomicU64,
}

/// A sync failed earlier.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error(
    "the disk failed to sync, so this directory takes no more writes; check the disk, then restart"
)]
pub(super) struct Poisoned;

impl Disk {
    #[cfg(test)]
    pub(super) fn with_hook(hook: Hook) -> Self {
        Self {
            hook: Some(hook),
            ..Self::default()
        }
    }

    /// Takes `step`, unless a test's hook refuses it.
    pub(super) fn take<T>(
        &self,
        step: Step,
        work: impl FnOnce() -> io::Result<T>,
    ) -> io::Result<T> {
        if let Some(hook) = &self.hook {
            hook(step)?;
        }
        work()
    }

    /// Refuses when a sync failed earlier.
    pub(super) fn check(&self) -> Result<(), Poisoned> {
        if self.poisoned.load(Ordering::Acquire) {
            Err(Poisoned)
        } else {
            Ok(())
        }
    }

    /// Takes no more writes.
    pub(super) fn poison(&self) {
        self.poisoned.store(true, Ordering::Release);
    }

    /// A file name nobody has. Counting is enough: the lock keeps other processes out, and the start
    /// sweeps the names of earlier ones.
    pub(super) fn aside(&self) -> String {
        format!("{ASIDE}{}", self.written.fetch_add(1, Ordering::Relaxed))
    }
}

/// True for files that were written aside.
pub(super) fn is_aside(name: &str) -> bool {
    name.starts_with(ASIDE)
}

impl fmt::Debug for Disk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Disk")
            .field("poisoned", &self.poisoned)
            .finish_non_exhaustive()
    }
}
