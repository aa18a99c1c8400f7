//! Reads an uploaded list, one unit a line, as the bytes arrive.
//!
//! The whole text is never held: a line that is not finished waits for the next chunk, and a line may
//! not be longer than a unit. An error names the line and never repeats it, because a unit may be a
//! person.

use crate::limits;

use super::{Segment, SegmentBuilder, SegmentError};

/// Bytes that some editors put before a text to say that it is UTF-8.
const BYTE_ORDER_MARK: &str = "\u{feff}";
/// The longest line: a unit, a byte order mark before it, a carriage return after it.
const LINE_BYTES: usize = limits::UNIT_BYTES + BYTE_ORDER_MARK.len() + 1;

/// A push parser: [`feed`](Self::feed) it the chunks of a body, then [`finish`](Self::finish).
#[derive(Debug, Default)]
pub struct SegmentText {
    builder: SegmentBuilder,
    /// The beginning of a line whose end has not arrived.
    pending: Vec<u8>,
    /// Lines that were read whole.
    lines: u64,
}

/// Why a text is not a list of units.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SegmentTextError {
    /// A line is not a unit.
    #[error("line {line} {fault}")]
    Line {
        /// Number of the line, from 1.
        line: u64,
        /// What is wrong with it.
        fault: LineFault,
    },
    /// The list as a whole is refused.
    #[error(transparent)]
    Segment(#[from] SegmentError),
}

/// What is wrong with a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LineFault {
    /// More bytes than a unit has.
    #[error("is longer than {} bytes; write one unit a line", limits::UNIT_BYTES)]
    TooLong,
    /// Some other encoding.
    #[error("is not UTF-8; save the list as UTF-8")]
    NotUtf8,
    /// It would match nobody, and nobody would see why.
    #[error("begins or ends with white space; remove it")]
    Padded,
    /// A NUL, a tab, a lone carriage return or their like.
    #[error("holds a control character; write one unit a line and nothing else")]
    Control,
}

impl SegmentText {
    /// Nothing read yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads the next bytes of the list. After an error the list is refused; feed it no more.
    pub fn feed(&mut self, chunk: &[u8]) -> Result<(), SegmentTextError> {
        let mut lines = chunk.split(|byte| *byte == b'\n');
        // What follows the last line feed is not a whole line yet; `split` always yields it.
        let unfinished = lines.next_back().unwrap_or_default();
        for line in lines {
            if self.pending.is_empty() {
                self.line(line)?;
            } else {
                self.wait(line)?;
                let whole = std::mem::take(&mut self.pending);
                self.line(&whole)?;
            }
        }
        self.wait(unfinished)
    }

    /// The set of all units that were read. The last line needs no line feed.
    pub fn finish(mut self) -> Result<Segment, SegmentTextError> {
        let last = std::mem::take(&mut self.pending);
        self.line(&last)?;
        Ok(self.builder.finish()?)
    }

    fn wait(&mut self, bytes: &[u8]) -> Result<(), SegmentTextError> {
        if self.pending.len() + bytes.len() > LINE_BYTES {
            return Err(self.refuse(LineFault::TooLong));
        }
        self.pending.extend_from_slice(bytes);
        Ok(())
    }

    fn line(&mut self, line: &[u8]) -> Result<(), SegmentTextError> {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.len() > LINE_BYTES {
            return Err(self.refuse(LineFault::TooLong));
        }
        let text = std::str::from_utf8(line).map_err(|_| self.refuse(LineFault::NotUtf8))?;
        let unit = match text.strip_prefix(BYTE_ORDER_MARK) {
            Some(rest) if self.lines == 0 => rest,
            _ => text,
        };
        let trimmed = unit.trim();
        if !trimmed.is_empty() {
            if unit.len() > limits::UNIT_BYTES {
                return Err(self.refuse(LineFault::TooLong));
            }
            if trimmed.len() != unit.len() {
                return Err(self.refuse(LineFault::Padded));
            }
            if unit.chars().any(char::is_control) {
                return Err(self.refuse(LineFault::Control));
            }
            self.builder.push(unit)?;
        }
        self.lines += 1;
        Ok(())
    }

    fn refuse(&self, fault: LineFault) -> SegmentTextError {
        SegmentTextError::Line {
            line: self.lines + 1,
            fault,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &[u8], chunk: usize) -> Result<Segment, SegmentTextError> {
        let mut reader = SegmentText::new();
        for chunk in text.chunks(chunk.max(1)) {
            reader.feed(chunk)?;
        }
        reader.finish()
    }

    fn of(units: &[&str]) -> Segment {
        let mut builder = SegmentBuilder::new();
        units.iter().for_each(|unit| builder.push(unit).unwrap());
        builder.finish().unwrap()
    }

    #[test]
    fn reads_one_unit_a_line_however_the_lines_end() {
        let longest = "x".repeat(limits::UNIT_BYTES);
        let marked = format!("\u{feff}{longest}\r\nb");
        for (text, units) in [
            ("", &[][..]),
            ("\n\r\n  \n", &[]),
            ("a", &["a"]),
            ("a\nb\n", &["a", "b"]),
            ("a\r\nb\r\n\r\nc", &["a", "b", "c"]),
            ("\u{feff}设备-1\n用户 2\na\na", &["设备-1", "用户 2", "a"]),
            (&marked, &[&longest, "b"]),
        ] {
            for chunk in [1, 2, 3, 7, 1_000] {
                assert_eq!(
                    read(text.as_bytes(), chunk),
                    Ok(of(units)),
                    "{text:?} by {chunk}"
                );
            }
        }
    }

    #[test]
    fn an_error_names_the_line_and_not_the_unit() {
        let long = "x".repeat(limits::UNIT_BYTES + 1);
        let endless = "x".repeat(10_000);
        for (bytes, line, fault) in [
            (format!("a\n\n{long}\nb").as_bytes(), 3, LineFault::TooLong),
            (format!("a\n{endless}").as_bytes(), 2, LineFault::TooLong),
            (&b"a\n\xff\xfe\n"[..], 2, LineFault::NotUtf8),
            (b"a\n\xe8\xae", 2, LineFault::NotUtf8),
            (b"a\nb\n c\n", 3, LineFault::Padded),
            (b"a\t\nb", 1, LineFault::Padded),
            (b"a\rb\n", 1, LineFault::Control),
            (b"a\0b\n", 1, LineFault::Control),
        ] {
            for chunk in [1, 5, 100_000] {
                let error = Err(SegmentTextError::Line { line, fault });
                assert_eq!(read(bytes, chunk), error, "{bytes:?} by {chunk}");
            }
        }
        insta::assert_snapshot!(
            read(b"a\n13800138000 \n", 64).unwrap_err(),
            @"line 2 begins or ends with white space; remove it"
        );
    }

    proptest! {
        #[test]
        fn where_the_chunks_are_cut_changes_nothing(
            text in "[a-c\n\r \u{e9}]{0,60}",
            chunk in 1..20_usize,
        ) {
            prop_assert_eq!(read(text.as_bytes(), chunk), read(text.as_bytes(), usize::MAX));
        }
    }
}
