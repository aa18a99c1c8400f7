//! The query string of a poll: `u=…&p=android&hv=8.2.1&v=2.3.1`, also sent as the `Huidu-Device` header.
//!
//! Values are borrowed from the request; only a value with a `%` or `+` is decoded, into the caller's
//! scratch. Nothing is allocated. Never add a key that means something else in an old client.

use super::{
    Attrs, Device, Installed, Pairs, PollError, Problem, Words, checked, checked_attr_name,
    checked_failed, checked_tags, checked_unit, optional, wrong,
};
use crate::{limits, version_range::StatedVersion};

/// Where decoded values are kept while a poll is answered.
#[derive(Debug, Clone)]
pub struct Scratch([u8; limits::QUERY_BYTES]);

impl Default for Scratch {
    fn default() -> Self {
        Self([0; limits::QUERY_BYTES])
    }
}

/// One app's poll.
#[derive(Debug, Clone)]
pub struct Poll<'a> {
    /// The device.
    pub device: Device<'a>,
    /// What it has of the app.
    pub installed: Installed<'a>,
}

/// Known keys, each at most once; the order is that of [`Values`].
const KEYS: [&str; 13] = [
    "u", "p", "r", "c", "l", "m", "ch", "hv", "ov", "v", "t", "x", "pv",
];

impl<'a> Poll<'a> {
    /// Reads a query string. Keys: `u` unit (required), `p` platform, `r` region, `c` city, `l` language,
    /// `m` model, `ch` channel, `hv` host version, `ov` system version, `v` running version, `t` tags and
    /// `x` failed releases separated by commas, `pv` secret of a preview link, `a.NAME` free attributes. Other keys are ignored.
    pub fn from_query(query: &'a str, scratch: &'a mut Scratch) -> Result<Self, PollError> {
        if query.len() > limits::QUERY_BYTES {
            let most = limits::QUERY_BYTES;
            return Err(PollError::TooLong { most });
        }
        let mut free = &mut scratch.0[..];
        let mut values: [Option<&'a str>; KEYS.len()] = [None; KEYS.len()];
        let mut attrs = [("", ""); limits::POLL_ATTRS];
        let mut attr_count = 0;
        for pair in query.split('&') {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            if let Some(at) = KEYS.iter().position(|known| *known == key) {
                let value = decoded(KEYS[at], value, &mut free)?;
                if values[at].replace(value).is_some() {
                    return Err(wrong(KEYS[at], Problem::Twice));
                }
            } else if let Some(name) = key.strip_prefix("a.") {
                checked_attr_name(ATTR, name)?;
                if attrs[..attr_count].iter().any(|(known, _)| *known == name) {
                    return Err(wrong(ATTR, Problem::Twice));
                }
                let value = decoded(ATTR, value, &mut free)?;
                *attrs
                    .get_mut(attr_count)
                    .ok_or(wrong(ATTR, Problem::Many(limits::POLL_ATTRS)))? =
                    (name, checked(ATTR, value, limits::ATTR_BYTES)?);
                attr_count += 1;
            }
        }
        Self::of(values, Attrs(Pairs::Few(attrs, attr_count)))
    }

    fn of(values: [Option<&'a str>; KEYS.len()], attrs: Attrs<'a>) -> Result<Self, PollError> {
        let [u, p, r, c, l, m, ch, hv, ov, v, t, x, pv] = values;
        let stated = |field, value: Option<&'a str>| optional(field, value.unwrap_or(""));
        let version = |field, value| Ok(stated(field, value)?.map(StatedVersion::new));
        Ok(Self {
            device: Device {
                unit: checked_unit("u", u.unwrap_or(""))?,
                platform: stated("p", p)?,
                region: stated("r", r)?,
                city: stated("c", c)?,
                language: stated("l", l)?,
                model: stated("m", m)?,
                channel: stated("ch", ch)?,
                host_version: version("hv", hv)?,
                os_version: version("ov", ov)?,
                tags: checked_tags("t", Words::Commas(t.unwrap_or("")))?,
                attrs,
            },
            installed: Installed {
                version: version("v", v)?,
                failed: checked_failed("x", Words::Commas(x.unwrap_or("")))?,
                preview: stated("pv", pv)?,
            },
        })
    }
}

/// How free attributes are named in errors: their own names are the client's words.
const ATTR: &str = "a.NAME";

/// `value` itself, or its percent-decoded form at the beginning of `free`.
fn decoded<'a>(
    field: &'static str,
    value: &'a str,
    free: &mut &'a mut [u8],
) -> Result<&'a str, PollError> {
    if !value.bytes().any(|b| matches!(b, b'%' | b'+')) {
        return Ok(value);
    }
    let encoding = || wrong(field, Problem::Encoding);
    // Decoded text is never longer than encoded text, so what fits the query fits the scratch.
    let space = std::mem::take(free);
    let (space, rest) = space
        .split_at_mut_checked(value.len())
        .ok_or_else(encoding)?;
    *free = rest;
    let mut bytes = value.bytes();
    let mut length = 0;
    while let Some(byte) = bytes.next() {
        space[length] = match byte {
            b'+' => b' ',
            b'%' => {
                let mut digit = || char::from(bytes.next()?).to_digit(16);
                let high = digit().ok_or_else(encoding)?;
                let low = digit().ok_or_else(encoding)?;
                (high * 16 + low) as u8
            }
            other => other,
        };
        length += 1;
    }
    std::str::from_utf8(&space[..length]).map_err(|_| encoding())
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
