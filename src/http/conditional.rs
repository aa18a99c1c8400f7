//! Conditional and range requests: RFC 9110's lists of entity tags, `If-Range` and `Range`.
//!
//! Only strong tags exist here: every body is named by its digest. What cannot be read is treated as
//! absent, as the RFC asks, except a range that lies wholly beyond the end.

use http::{HeaderMap, HeaderValue, header};

/// True when a header named `name` lists `etag` (quoted), or is `*`. A weak mark is ignored: bodies
/// with equal tags are equal bytes.
pub fn lists_etag(headers: &HeaderMap, name: &header::HeaderName, etag: &[u8]) -> bool {
    let mut values = headers.get_all(name).iter();
    values.any(|value| value_lists_etag(value, etag))
}

/// True when this line of such a header does. Nearly always it is the tag itself.
pub fn value_lists_etag(value: &HeaderValue, etag: &[u8]) -> bool {
    value.as_bytes() == etag || in_list(value.as_bytes(), etag)
}

fn in_list(mut list: &[u8], etag: &[u8]) -> bool {
    loop {
        list = list.trim_ascii_start();
        list = list.strip_prefix(b"W/").unwrap_or(list);
        let Some(quoted) = list.strip_prefix(b"\"") else {
            return list.first() == Some(&b'*') && list.trim_ascii_end().len() == 1;
        };
        let Some(close) = quoted.iter().position(|b| *b == b'"') else {
            return false;
        };
        if list[..close + 2] == *etag {
            return true;
        }
        list = quoted[close + 1..].trim_ascii_start();
        match list.strip_prefix(b",") {
            Some(rest) => list = rest,
            None => return false,
        }
    }
}

/// What part of a body is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// All of it: no range, one that is not understood, or several.
    Whole,
    /// The bytes `start ..= last`.
    Range {
        /// First byte.
        start: u64,
        /// Last byte, included.
        last: u64,
    },
    /// Nothing that exists.
    Unsatisfiable,
}

/// The part of a body of `bytes` bytes, tagged `etag`, that `headers` ask for.
pub fn part(headers: &HeaderMap, etag: &[u8], bytes: u64) -> Part {
    let mut ranges = headers.get_all(header::RANGE).iter();
    let (Some(range), None) = (ranges.next(), ranges.next()) else {
        return Part::Whole;
    };
    // `If-Range` must match strongly; a date never does, because there are no dates here.
    let stale = |tag: &HeaderValue| tag.as_bytes() != etag;
    if headers.get(header::IF_RANGE).is_some_and(stale) {
        return Part::Whole;
    }
    range
        .to_str()
        .ok()
        .and_then(|range| parse(range, bytes))
        .unwrap_or(Part::Whole)
}

fn parse(range: &str, bytes: u64) -> Option<Part> {
    let (unit, set) = range.split_once('=')?;
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return None;
    }
    let (start, last) = set.trim().split_once('-')?;
    match (start, last) {
        ("", suffix) => {
            let suffix = number(suffix)?.min(bytes);
            if suffix == 0 {
                return Some(Part::Unsatisfiable);
            }
            let (start, last) = (bytes - suffix, bytes - 1);
            Some(Part::Range { start, last })
        }
        (start, last) => {
            let start = number(start)?;
            let last = if last.is_empty() {
                u64::MAX
            } else {
                number(last)?
            };
            if last < start {
                return None;
            }
            if start >= bytes {
                return Some(Part::Unsatisfiable);
            }
            let last = last.min(bytes - 1);
            Some(Part::Range { start, last })
        }
    }
}

/// Digits only: `parse` alone would also take a sign. A number beyond all bodies is the largest.
fn number(digits: &str) -> Option<u64> {
    let exact = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    exact.then(|| digits.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use http::header::{IF_NONE_MATCH, IF_RANGE, RANGE};
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_etag_is_found_in_every_form_of_list() {
        for (list, found) in [
            ("\"ab\"", true),
            ("W/\"ab\"", true),
            ("*", true),
            (" * ", true),
            ("\"x\", \"ab\"", true),
            ("\"x\",W/\"ab\" , \"y\"", true),
            ("\"a,b\", \"ab\"", true),
            ("\"abc\"", false),
            ("ab", false),
            ("\"ab", false),
            ("\"x\" \"ab\"", false),
            ("**", false),
            ("", false),
            (",", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(IF_NONE_MATCH, HeaderValue::from_static(list));
            assert_eq!(
                lists_etag(&headers, &IF_NONE_MATCH, b"\"ab\""),
                found,
                "{list}"
            );
        }
        assert!(!lists_etag(&HeaderMap::new(), &IF_NONE_MATCH, b"\"ab\""));
    }

    #[test]
    fn a_range_is_one_part_of_what_exists_or_the_whole() {
        let range = |start, last| Part::Range { start, last };
        for (asked, part_of_ten) in [
            ("bytes=0-0", range(0, 0)),
            ("bytes=2-5", range(2, 5)),
            ("Bytes = 2-5", range(2, 5)),
            ("bytes=2-", range(2, 9)),
            ("bytes=2-99", range(2, 9)),
            ("bytes=-3", range(7, 9)),
            ("bytes=-99", range(0, 9)),
            ("bytes=9-99999999999999999999999", range(9, 9)),
            ("bytes=10-", Part::Unsatisfiable),
            ("bytes=99999999999999999999999-", Part::Unsatisfiable),
            ("bytes=-0", Part::Unsatisfiable),
            ("bytes=5-2", Part::Whole),
            ("bytes=0-1,3-4", Part::Whole),
            ("bytes=+0-1", Part::Whole),
            ("bytes=-", Part::Whole),
            ("bytes=", Part::Whole),
            ("lines=0-1", Part::Whole),
            ("0-1", Part::Whole),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(RANGE, HeaderValue::from_static(asked));
            assert_eq!(part(&headers, b"\"ab\"", 10), part_of_ten, "{asked}");
        }
    }

    #[test]
    fn if_range_keeps_a_range_only_for_the_same_bytes() {
        for (condition, kept) in [
            ("\"ab\"", true),
            ("W/\"ab\"", false),
            ("\"x\"", false),
            ("Mon, 23 Nov 2026 00:00:00 GMT", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(RANGE, HeaderValue::from_static("bytes=1-1"));
            headers.insert(IF_RANGE, HeaderValue::from_static(condition));
            let asked = part(&headers, b"\"ab\"", 10);
            assert_eq!(asked != Part::Whole, kept, "{condition}");
        }
    }

    #[test]
    fn an_empty_body_has_no_range() {
        let mut headers = HeaderMap::new();
        for asked in ["bytes=0-", "bytes=-1"] {
            headers.insert(RANGE, HeaderValue::from_static(asked));
            assert_eq!(part(&headers, b"\"ab\"", 0), Part::Unsatisfiable);
        }
    }

    proptest! {
        #[test]
        fn every_range_lies_within_the_body(asked in "bytes=[0-9]{0,3}-[0-9]{0,3}", bytes in 0_u64..500) {
            let mut headers = HeaderMap::new();
            headers.insert(RANGE, HeaderValue::from_str(&asked).unwrap());
            if let Part::Range { start, last } = part(&headers, b"\"ab\"", bytes) {
                prop_assert!(start <= last && last < bytes);
            }
        }
    }
}
