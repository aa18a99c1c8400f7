//! The query string of a poll: `u=…&p=android&hv=8.2.1&v=2.3.1`, also sent as the `Huidu-Device` header.
//!
//! Values are borrowed from the request; only a value with a `%` or `+` and free attributes are written
//! into the caller's scratch. Nothing is allocated. Never add a key that
//! means something else in an old client.

use super::{
    Attrs, Device, Installed, Pairs, PollError, Problem, Value, Words, attr_among, checked,
    checked_attr_name, checked_failed, checked_tags, wrong,
};
use crate::{limits, version_range::StatedVersion};

/// Where decoded values are kept while a poll is answered. Most polls need none of it, so it is not even
/// cleared before it is needed.
#[derive(Debug, Clone, Default)]
pub struct Scratch(Option<[u8; limits::QUERY_BYTES]>);

/// One app's poll.
#[derive(Debug, Clone)]
pub struct Poll<'a> {
    /// The device.
    pub device: Device<'a>,
    /// What it has of the app.
    pub installed: Installed<'a>,
}

impl Default for Poll<'_> {
    fn default() -> Self {
        Self::new()
    }
}

/// Known keys, each at most once; the order is that of the values they lead to.
const KEYS: [&str; 13] = [
    "u", "p", "r", "c", "l", "m", "ch", "hv", "ov", "v", "t", "x", "pv",
];

/// Where `key` is among [`KEYS`].
const fn known(key: &[u8]) -> Option<usize> {
    Some(match key {
        b"u" => 0,
        b"p" => 1,
        b"r" => 2,
        b"c" => 3,
        b"l" => 4,
        b"m" => 5,
        b"ch" => 6,
        b"hv" => 7,
        b"ov" => 8,
        b"v" => 9,
        b"t" => 10,
        b"x" => 11,
        b"pv" => 12,
        _ => return None,
    })
}

impl<'a> Poll<'a> {
    /// Reads a query string. Keys: `u` unit (required), `p` platform, `r` region, `c` city, `l` language,
    /// `m` model, `ch` channel, `hv` host version, `ov` system version, `v` running version, `t` tags and
    /// `x` failed releases separated by commas, `pv` secret of a preview link, `a.NAME` free attributes. Other keys are ignored.
    pub fn from_query(query: &'a str, scratch: &'a mut Scratch) -> Result<Self, PollError> {
        let mut poll = Self::new();
        poll.read(query, scratch)?;
        Ok(poll)
    }

    /// A poll that states nothing yet.
    pub const fn new() -> Self {
        Self {
            device: Device::new(""),
            installed: Installed::NONE,
        }
    }

    /// Reads as [`Poll::from_query`] does, into the place where the poll is: half a kilobyte is not moved. To
    /// be called once.
    pub fn read(&mut self, query: &'a str, scratch: &'a mut Scratch) -> Result<(), PollError> {
        if query.len() > limits::QUERY_BYTES {
            let most = limits::QUERY_BYTES;
            return Err(PollError::TooLong { most });
        }
        let is_plain = is_plain(query.as_bytes());
        let mut free = Free {
            unused: Some(scratch),
            space: &mut [],
        };
        let (mut given, mut has_attrs) = (0_u16, false);
        let mut at = 0;
        while at < query.len() {
            let (key, text) = next_pair(query, &mut at);
            if let Some(which) = known(key) {
                if given & (1 << which) != 0 {
                    return Err(wrong(KEYS[which], Problem::Twice));
                }
                given |= 1 << which;
                let text = if is_plain {
                    text
                } else {
                    decoded(KEYS[which], text, &mut free)?
                };
                // An empty value states nothing.
                if !text.is_empty() {
                    self.state(which, Value { text, is_plain })?;
                }
            } else if key.starts_with(b"a.") {
                has_attrs = true;
            }
        }
        if has_attrs {
            self.device.attrs = attrs_of(query, free.rest())?;
        }
        if self.device.unit.is_empty() {
            return Err(wrong("u", Problem::Missing));
        }
        Ok(())
    }

    /// Takes in what stands under the key at `which` in [`KEYS`].
    #[inline]
    fn state(&mut self, which: usize, value: Value<'a>) -> Result<(), PollError> {
        let (device, field) = (&mut self.device, KEYS[which]);
        // Lists say themselves what is wrong with them.
        match which {
            10 => {
                device.tags = checked_tags(field, Words::Commas(value.text))?;
                return Ok(());
            }
            11 => {
                self.installed.failed = checked_failed(field, Words::Commas(value.text))?;
                return Ok(());
            }
            _ => {}
        }
        let most = if which == 0 {
            limits::UNIT_BYTES
        } else {
            limits::ATTR_BYTES
        };
        let text = checked(field, value, most)?;
        match which {
            0 => device.unit = text,
            1 => device.platform = Some(text),
            2 => device.region = Some(text),
            3 => device.city = Some(text),
            4 => device.language = Some(text),
            5 => device.model = Some(text),
            6 => device.channel = Some(text),
            7 => device.host_version = Some(StatedVersion::new(text)),
            8 => device.os_version = Some(StatedVersion::new(text)),
            9 => self.installed.version = Some(StatedVersion::new(text)),
            _ => self.installed.preview = Some(text),
        }
        Ok(())
    }
}

/// True when `bytes` are printable ASCII that stands for itself, as nearly every query is: then nobody needs
/// to look at its values one by one. Sixteen bytes at a time, the last sixteen perhaps twice.
fn is_plain(bytes: &[u8]) -> bool {
    fn all(bytes: &[u8]) -> bool {
        let each = |b: &u8| (0x20..0x7f).contains(b) & (*b != b'%') & (*b != b'+');
        bytes.iter().fold(true, |plain, b| plain & each(b))
    }
    let Some(last) = bytes.last_chunk::<16>() else {
        return all(bytes);
    };
    let (chunks, _) = bytes.as_chunks::<16>();
    chunks
        .iter()
        .fold(all(last), |plain, chunk| plain & all(chunk))
}

/// The pair `key=value` that begins at `at`, which goes on behind it; what has no `=` is a key without a
/// value.
#[inline]
fn next_pair<'a>(query: &'a str, at: &mut usize) -> (&'a [u8], &'a str) {
    let rest = query.as_bytes().get(*at..).unwrap_or_default();
    // Nearly every key is one or two letters.
    let length = match rest {
        [first, b'=', ..] if *first != b'&' => 1,
        [first, second, b'=', ..] if *first != b'&' && *second != b'&' => 2,
        _ => {
            let ends = |b: &u8| matches!(b, b'=' | b'&');
            rest.iter().position(ends).unwrap_or(rest.len())
        }
    };
    let (key, behind) = rest.split_at(length);
    let Some((b'=', value)) = behind.split_first() else {
        *at += length + 1;
        return (key, "");
    };
    let (from, length) = (*at + length + 1, end_of(value));
    *at = from + length + 1;
    // Both ends lie beside ASCII, so they are ends of characters.
    (key, query.get(from..from + length).unwrap_or(""))
}

/// Where the first `&` is, or the end. Eight bytes at a time: values are short, and there are many.
#[inline]
fn end_of(bytes: &[u8]) -> usize {
    const ONES: u64 = u64::MAX / 255;
    let mut at = 0;
    while let Some(eight) = bytes.get(at..).and_then(<[u8]>::first_chunk::<8>) {
        // A byte of `differs` is zero where there is a `&`; the lowest mark is never a false one.
        let differs = u64::from_le_bytes(*eight) ^ (ONES * b'&' as u64);
        let marks = differs.wrapping_sub(ONES) & !differs & (ONES << 7);
        if marks != 0 {
            return at + marks.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    let tail = &bytes[at..];
    at + tail.iter().position(|b| *b == b'&').unwrap_or(tail.len())
}

/// `value` itself, or its percent-decoded form in what is free.
#[cold]
fn decoded<'a>(
    field: &'static str,
    value: &'a str,
    free: &mut Free<'a>,
) -> Result<&'a str, PollError> {
    if !value.bytes().any(|b| matches!(b, b'%' | b'+')) {
        return Ok(value);
    }
    let encoding = || wrong(field, Problem::Encoding);
    let space = free.take(value.len()).ok_or_else(encoding)?;
    let length = decode(value, space).ok_or_else(encoding)?;
    std::str::from_utf8(&space[..length]).map_err(|_| encoding())
}

/// The part of a scratch that holds nothing yet.
#[derive(Default)]
struct Free<'a> {
    unused: Option<&'a mut Scratch>,
    space: &'a mut [u8],
}

impl<'a> Free<'a> {
    /// The next `length` bytes of it. Decoded text is never longer than encoded text, so what fits a query
    /// fits the scratch.
    fn take(&mut self, length: usize) -> Option<&'a mut [u8]> {
        let space = std::mem::take(self).rest();
        let (taken, rest) = space.split_at_mut_checked(length)?;
        self.space = rest;
        Some(taken)
    }

    /// All of it.
    fn rest(self) -> &'a mut [u8] {
        match self.unused {
            Some(scratch) => scratch.0.get_or_insert([0; limits::QUERY_BYTES]),
            None => self.space,
        }
    }
}

/// How free attributes are named in errors: their own names are the client's words.
const ATTR: &str = "a.NAME";

/// The free attributes of a query, written into `space` one after the other as `name=value` and a zero
/// byte, which no value holds.
#[cold]
fn attrs_of<'a>(query: &str, space: &'a mut [u8]) -> Result<Attrs<'a>, PollError> {
    let encoding = || wrong(ATTR, Problem::Encoding);
    let (mut length, mut count) = (0, 0);
    for pair in query.split('&') {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        let Some(name) = key.strip_prefix("a.") else {
            continue;
        };
        checked_attr_name(ATTR, name)?;
        let (written, free) = space.split_at_mut_checked(length).ok_or_else(encoding)?;
        let written = std::str::from_utf8(written).map_err(|_| encoding())?;
        if attr_among(written, name).is_some() {
            return Err(wrong(ATTR, Problem::Twice));
        }
        if count == limits::POLL_ATTRS {
            return Err(wrong(ATTR, Problem::Many(limits::POLL_ATTRS)));
        }
        let room = name.len() + value.len() + 2;
        let free = free.get_mut(..room).ok_or_else(encoding)?;
        let (named, free) = free.split_at_mut(name.len() + 1);
        named[..name.len()].copy_from_slice(name.as_bytes());
        named[name.len()] = b'=';
        let bytes = decode(value, free).ok_or_else(encoding)?;
        let value = std::str::from_utf8(&free[..bytes]).map_err(|_| encoding())?;
        checked(ATTR, Value::unknown(value), limits::ATTR_BYTES)?;
        free[bytes] = 0;
        length += name.len() + 1 + bytes + 1;
        count += 1;
    }
    let written = std::str::from_utf8(&space[..length]).map_err(|_| encoding())?;
    Ok(Attrs(Pairs::Written(written)))
}

/// The percent-decoded form of `value` at the beginning of `space`, and its length.
fn decode(value: &str, space: &mut [u8]) -> Option<usize> {
    let mut bytes = value.bytes();
    let mut length = 0;
    while let Some(byte) = bytes.next() {
        *space.get_mut(length)? = match byte {
            b'+' => b' ',
            b'%' => {
                let mut digit = || char::from(bytes.next()?).to_digit(16);
                let (high, low) = (digit()?, digit()?);
                (high * 16 + low) as u8
            }
            other => other,
        };
        length += 1;
    }
    Some(length)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reads_every_key() {
        let query = "u=dev-1&p=android&r=CN-31&c=%E4%B8%8A%E6%B5%B7&l=zh-CN&m=Mate+60&ch=store\
                     &hv=8.2&ov=14&v=2.3.1&t=beta,slow-device&x=2.4.0,ba7816bf8f01cfea&pv=s3cret&a.age=41&new=1";
        let mut scratch = Scratch::default();
        let Poll { device, installed } = Poll::from_query(query, &mut scratch).unwrap();
        assert_eq!(
            (device.unit, device.platform, device.region),
            ("dev-1", Some("android"), Some("CN-31"))
        );
        assert_eq!((device.city, device.model), (Some("上海"), Some("Mate 60")));
        assert_eq!(
            (device.language, device.channel),
            (Some("zh-CN"), Some("store"))
        );
        assert_eq!(
            device.host_version.unwrap().semver,
            Some(semver::Version::new(8, 2, 0))
        );
        assert_eq!(device.os_version.unwrap().text, "14");
        assert!(
            device.tags.contains("beta")
                && device.tags.contains("slow-device")
                && !device.tags.contains("slow")
        );
        assert_eq!(
            (device.attrs.get("age"), device.attrs.get("ag")),
            (Some("41"), None)
        );
        assert_eq!(installed.version.unwrap().text, "2.3.1");
        assert_eq!(installed.preview, Some("s3cret"));
        assert!(installed.failed.names("2.4.0", "") && !installed.failed.names("2.3.1", ""));
    }

    #[test]
    fn pairs_end_where_they_end_whatever_their_length() {
        for length in 0..40 {
            let unit = format!("d{}", "x".repeat(length));
            for query in [
                format!("u={unit}"),
                format!("new&u={unit}&p=ios"),
                format!("&&=&a&u={unit}&"),
                format!("l=\u{e9}\u{a6}\u{27}&u={unit}&m=é"),
            ] {
                let mut scratch = Scratch::default();
                let poll = Poll::from_query(&query, &mut scratch).unwrap();
                assert_eq!(poll.device.unit, unit, "{query}");
            }
        }
    }

    #[test]
    fn attributes_are_decoded_side_by_side() {
        let query = "a.name=%E4%B8%8A+%E6%B5%B7&u=d%31&a.empty&a.x=a%3Db%26c&c=%E4%B8%8A";
        let mut scratch = Scratch::default();
        let device = Poll::from_query(query, &mut scratch).unwrap().device;
        assert_eq!((device.unit, device.city), ("d1", Some("上")));
        let stated = ["name", "empty", "x", "y", "nam"].map(|name| device.attrs.get(name));
        assert_eq!(stated, [Some("上 海"), Some(""), Some("a=b&c"), None, None]);
    }

    #[test]
    fn an_empty_value_states_nothing() {
        let mut scratch = Scratch::default();
        let poll = Poll::from_query("u=d&p=&hv=&t=&x=&", &mut scratch).unwrap();
        assert!(poll.device.platform.is_none() && poll.device.host_version.is_none());
        assert!(!poll.device.tags.any(|_| true));
    }

    #[test]
    fn refuses_what_could_change_an_answer_and_names_the_field() {
        let long_unit = format!("u={}", "d".repeat(limits::UNIT_BYTES + 1));
        let many_tags = format!("u=d&t={}", vec!["a"; limits::POLL_TAGS + 1].join(","));
        let many_failed = format!("u=d&x={}", vec!["1.0.0"; limits::POLL_FAILED + 1].join(","));
        let many_attrs: String = (0..=limits::POLL_ATTRS)
            .map(|n| format!("&a.n{n}=1"))
            .collect();
        let many_attrs = format!("u=d{many_attrs}");
        let whole = format!("u={}", "d".repeat(limits::QUERY_BYTES));
        for (query, said) in [
            ("", "field `u` is missing; every poll states it"),
            ("u=", "field `u` is missing; every poll states it"),
            ("u=a&u=b", "field `u` is given twice; give it once"),
            ("u=a&p=x&p=", "field `p` is given twice; give it once"),
            (
                "u=a&a.k=1&a.k=2",
                "field `a.NAME` is given twice; give it once",
            ),
            ("u=%e4%b8", "field `u` is not percent-encoded UTF-8"),
            ("u=%4", "field `u` is not percent-encoded UTF-8"),
            ("u=%zz", "field `u` is not percent-encoded UTF-8"),
            (
                "u=a%0Ab",
                "field `u` holds a control character; leave it out",
            ),
            (
                "u=a&c=%C2%85",
                "field `c` holds a control character; leave it out",
            ),
            (&long_unit, "field `u` has at most 128 bytes"),
            (&many_tags, "field `t` has at most 64 members"),
            (&many_failed, "field `x` has at most 32 members"),
            (&many_attrs, "field `a.NAME` has at most 32 members"),
            (&whole, "a poll has at most 4096 bytes here"),
        ] {
            let error = Poll::from_query(query, &mut Scratch::default()).unwrap_err();
            assert_eq!(error.to_string(), said, "{query}");
        }
        for query in [
            "u=a&t=Slow",
            "u=a&x=latest",
            "u=a&x=BA7816BF8F01CFEA",
            "u=a&a.=1",
            "u=a&a.X=1",
        ] {
            let error = Poll::from_query(query, &mut Scratch::default()).unwrap_err();
            assert!(
                matches!(
                    error,
                    PollError::Field {
                        problem: Problem::Form(_),
                        ..
                    }
                ),
                "{query}: {error}"
            );
        }
    }

    proptest! {
        #[test]
        fn every_text_is_read_or_refused(query in ".{0,300}") {
            let _ = Poll::from_query(&query, &mut Scratch::default());
        }

        #[test]
        fn an_encoded_unit_is_read_back(unit in "[^\\p{Cc}]{1,20}") {
            let query: String = unit.bytes().map(|b| format!("%{b:02X}")).collect();
            let (query, mut scratch) = (format!("u={query}"), Scratch::default());
            prop_assert_eq!(Poll::from_query(&query, &mut scratch).unwrap().device.unit, unit);
        }
    }
}
