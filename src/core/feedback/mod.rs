//! Feedback: what happened to releases on devices, counted so that nobody counts anything twice.
//!
//! ```text
//! kind.rs     what can happen: words, reasons, counters of an app's own
//! report.rs   what a device sends
//! recent.rs   ids seen within a window, in bounded memory
//! counts.rs   numbers that only grow; two states of them have one union, whatever the order
//! sheet.rs    such numbers as they are written down: for other nodes, and to be kept
//! book.rs     all numbers a node knows, of all lives of all nodes
//! units.rs    what they say of one cohort: units, and to how many of them something happened
//! ```
//!
//! A number belongs to a *life*: one run of one node, which counts from zero. A life says its numbers whole and never
//! by how much they grew; whoever hears one keeps the larger, and sums over lives. So a number told twice, late or out
//! of order changes nothing. Nothing here knows a person, and no record of one event is kept.

mod book;
mod counts;
mod kind;
mod recent;
mod report;
mod sheet;
mod units;

#[cfg(test)]
mod tests;

pub use book::{Book, Bounds, Place, Total};
pub use counts::{Counts, Register};
pub use kind::{CounterName, Kind, Told, Why};
pub use recent::{Recent, Seen};
pub use report::{Event, EventId, Fault, Report, What};
pub use sheet::{Cell, Life, LifeError, Sheet, SheetError};

/// The minute that holds `ms` milliseconds since 1970.
pub fn minute_of(ms: u64) -> u32 {
    u32::try_from(ms / 60_000).unwrap_or(u32::MAX)
}
