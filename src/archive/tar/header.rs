//! A tar header block and the pax records before it, as bytes.
//!
//! Only the two dialects that are written today: POSIX `ustar` (with pax records) and GNU. Fields that
//! readers parse differently (signed checksums, base-256 numbers, text after a NUL) are refused.

pub(super) const BLOCK_BYTES: usize = 512;

/// What a header says.
pub(super) struct Header {
    pub(super) name: Vec<u8>,
    pub(super) bytes: u64,
    pub(super) kind: u8,
}

impl Header {
    /// Parses a block, or names the field that is not clear.
    pub(super) fn parse(block: &[u8; BLOCK_BYTES]) -> Result<Self, &'static str> {
        const CHECKSUM: std::ops::Range<usize> = 148..156;
        let sum: u64 = block
            .iter()
            .enumerate()
            .map(|(at, byte)| u64::from(if CHECKSUM.contains(&at) { b' ' } else { *byte }))
            .sum();
        if octal(&block[CHECKSUM]) != Some(sum) {
            return Err("checksum");
        }
        let is_posix = match &block[257..265] {
            b"ustar\x0000" => true,
            b"ustar  \0" => false,
            _ => return Err("dialect"),
        };
        let mut name = text(&block[..100]).ok_or("name")?.to_vec();
        // GNU keeps times and holes where POSIX keeps the beginning of a long name.
        let prefix = if is_posix {
            text(&block[345..500]).ok_or("name")?
        } else {
            b""
        };
        if !prefix.is_empty() {
            name = [prefix, b"/", &name].concat();
        }
        Ok(Self {
            name,
            bytes: octal(&block[124..136]).ok_or("size")?,
            kind: block[156],
        })
    }
}

/// Text up to a NUL or the end of the field, with nothing behind the NUL.
pub(super) fn text(field: &[u8]) -> Option<&[u8]> {
    let end = field
        .iter()
        .position(|byte| *byte == 0)
        .unwrap_or(field.len());
    let (text, rest) = field.split_at(end);
    rest.iter().all(|byte| *byte == 0).then_some(text)
}

/// Octal digits, spaces before them, then only spaces and NULs.
fn octal(field: &[u8]) -> Option<u64> {
    let start = field.iter().position(|byte| *byte != b' ')?;
    let field = &field[start..];
    let end = field
        .iter()
        .position(|byte| !matches!(byte, b'0'..=b'7'))
        .unwrap_or(field.len());
    let (digits, rest) = field.split_at(end);
    if digits.is_empty() || !rest.iter().all(|byte| matches!(byte, b' ' | 0)) {
        return None;
    }
    // Twelve octal digits are 36 bits.
    Some(
        digits
            .iter()
            .fold(0, |value, digit| value << 3 | u64::from(digit - b'0')),
    )
}

/// What pax records change.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Pax {
    pub(super) path: Option<Vec<u8>>,
    pub(super) bytes: Option<u64>,
}

impl Pax {
    /// Parses records `LENGTH KEY=VALUE\n`, or gives the key that is not accepted.
    pub(super) fn parse(mut records: &[u8]) -> Result<Self, Vec<u8>> {
        let mut pax = Self::default();
        while !records.is_empty() {
            let (key, value, rest) = record(records).ok_or_else(Vec::new)?;
            let refused = || key.to_vec();
            match key {
                b"path" if pax.path.is_none() && !value.contains(&0) => {
                    pax.path = Some(value.to_vec());
                }
                b"size" if pax.bytes.is_none() => {
                    pax.bytes = Some(decimal(value).ok_or_else(refused)?);
                }
                // A second path or size, another encoding of names, a link, holes.
                b"path" | b"size" | b"hdrcharset" | b"linkpath" => return Err(refused()),
                _ if key.starts_with(b"GNU.sparse.") => return Err(refused()),
                // Times, owners, checksums, comments: no reader takes them for a name or a size.
                _ => {}
            }
            records = rest;
        }
        Ok(pax)
    }
}

/// The first record: key, value, and what follows.
fn record(records: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let space = records.iter().position(|byte| *byte == b' ')?;
    let length = usize::try_from(decimal(&records[..space])?).ok()?;
    let (record, rest) = records.split_at_checked(length)?;
    let record = record.get(space + 1..)?.strip_suffix(b"\n")?;
    let equals = record.iter().position(|byte| *byte == b'=')?;
    let (key, value) = (&record[..equals], &record[equals + 1..]);
    (!key.is_empty()).then_some((key, value, rest))
}

fn decimal(digits: &[u8]) -> Option<u64> {
    let is_number = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(digits)
        .ok()
        .filter(|_| is_number)?
        .parse()
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_readers_parse_differently_are_no_numbers() {
        for (field, value) in [
            (&b"00000000017\0"[..], Some(15)),
            (b"     17 \0", Some(15)),
            (b"777777777777", Some((1 << 36) - 1)),
            (b"\0\0\0\0", None),
            (b"    ", None),
            (b"17x", None),
            (b"17\x0017", None),
            (b"-17", None),
            (b"\x80\0\0\x0f", None),
            (b"8", None),
        ] {
            assert_eq!(octal(field), value, "{field:?}");
        }
    }

    #[test]
    fn pax_records_are_read_by_their_length_and_nothing_else() {
        let path = |path: &[u8]| {
            Ok(Pax {
                path: Some(path.to_vec()),
                bytes: None,
            })
        };
        for (records, outcome) in [
            (&b""[..], Ok(Pax::default())),
            (b"12 path=a/b\n", path(b"a/b")),
            (b"16 path=a\nb=c\nd\n", path(b"a\nb=c\nd")),
            (b"9 mtime=\n9 path=a\n", path(b"a")),
            (
                b"9 size=7\n9 path=a\n",
                Ok(Pax {
                    path: Some(b"a".to_vec()),
                    bytes: Some(7),
                }),
            ),
            (b"9 path=a\n9 path=b\n", Err(b"path".to_vec())),
            (b"11 path=a\0\n", Err(b"path".to_vec())),
            (b"11 size=-7\n", Err(b"size".to_vec())),
            (b"13 linkpath=a\n", Err(vec![])),
            (b"14 linkpath=a\n", Err(b"linkpath".to_vec())),
            (
                b"22 GNU.sparse.major=1\n",
                Err(b"GNU.sparse.major".to_vec()),
            ),
            (b"0 path=a\n", Err(vec![])),
            (b"99 path=a\n", Err(vec![])),
            (b"99999999999999999999999 path=a\n", Err(vec![])),
            (b"8 path=a\n", Err(vec![])),
            (b"+9 path=a\n", Err(vec![])),
            (b"garbage", Err(vec![])),
        ] {
            assert_eq!(Pax::parse(records), outcome, "{}", records.escape_ascii());
        }
    }
}
