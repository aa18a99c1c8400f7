//! The corpus: archives that are made to be wrong in one place each, and honest ones beside them.

mod canonical;
mod corpus;
mod honest;
mod hostile_tar;
mod hostile_zip;
mod make;

use std::{cell::RefCell, io::Cursor};

use super::{ArchiveError, ArchiveLimits, Inventory, NameFault, inspect};

thread_local! {
    /// Every archive that was looked at, while somebody collects them: so the corpus is whatever the tables
    /// of these tests hold, and no second list of it.
    static SEEN: RefCell<Option<Vec<Vec<u8>>>> = const { RefCell::new(None) };
}

fn look(bytes: &[u8]) -> Result<Inventory, Vec<ArchiveError>> {
    SEEN.with_borrow_mut(|seen| {
        if let Some(seen) = seen {
            seen.push(bytes.to_vec());
        }
    });
    inspect(&mut Cursor::new(bytes), &ArchiveLimits::default())
}

fn refused(bytes: &[u8]) -> Vec<ArchiveError> {
    look(bytes).expect_err("a hostile archive was accepted")
}

fn name(name: &str, fault: NameFault) -> ArchiveError {
    ArchiveError::Name {
        name: name.into(),
        fault,
    }
}
