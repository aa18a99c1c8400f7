//! Redis's wire form (RESP3), just enough to tell where one message ends and which of them are hints.
//!
//! A hint is lost whole or not at all: half a message would break the connection, which is another fault.

/// Deeper nesting than Redis ever sends.
const DEPTH: usize = 8;

/// The length of the first message in `bytes`, once it is there whole.
pub(super) fn message(bytes: &[u8]) -> Option<usize> {
    value(bytes, 0, DEPTH)
}

/// True for what Redis pushes to a subscriber because somebody published.
pub(super) fn is_hint(message: &[u8]) -> bool {
    message.starts_with(b">") && message.windows(13).any(|part| part == b"$7\r\nmessage\r\n")
}

/// Where the value that begins at `at` ends.
fn value(bytes: &[u8], at: usize, depth: usize) -> Option<usize> {
    let (kind, rest) = (*bytes.get(at)?, bytes.get(at + 1..)?);
    let line = rest.windows(2).position(|pair| pair == b"\r\n")?;
    let end = at + 1 + line + 2;
    let count = || str::from_utf8(&rest[..line]).ok()?.parse::<i64>().ok();
    match kind {
        b'$' | b'!' | b'=' => {
            let Ok(length) = usize::try_from(count()?) else {
                return Some(end);
            };
            (bytes.len() >= end + length + 2).then_some(end + length + 2)
        }
        b'*' | b'>' | b'~' | b'%' | b'|' if depth > 0 => {
            let pairs = if matches!(kind, b'%' | b'|') { 2 } else { 1 };
            let mut end = end;
            for _ in 0..count()?.max(0) * pairs {
                end = value(bytes, end, depth - 1)?;
            }
            Some(end)
        }
        _ => Some(end),
    }
}
