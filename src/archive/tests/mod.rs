//! The corpus: archives that are made to be wrong in one place each, and honest ones beside them.

mod canonical;
mod honest;
mod hostile_tar;
mod hostile_zip;
mod make;

use std::io::Cursor;

use super::{ArchiveError, ArchiveLimits, Inventory, NameFault, inspect};

fn look(bytes: &[u8]) -> Result<Inventory, Vec<ArchiveError>> {
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
