//! What a device tells about itself in a poll, borrowed from the bytes it came in.
//!
//! Three written forms lead here: the query string (also the `Huidu-Device` header) of one app's poll, the JSON of
//! a batch, and the context of an OpenFeature client. All are strict where a mistake would change an answer (a duplicate, a control
//! character, a value too long) and ignore keys they do not know, because old servers meet new clients.
//! An error names the field and what is allowed. It never carries a value: what devices say about people
//! must not reach a log line.

mod context;
mod json;
mod query;

use crate::{limits, name::is_name, version_range::StatedVersion};

pub use context::Evaluation;
pub(crate) use context::TARGETING_KEY;
pub use json::{AppPoll, BatchPoll, DeviceDocument, PollLine, Text};
pub use query::{Poll, Scratch};

/// What a device says it is.
#[derive(Debug, Clone)]
pub struct Device<'a> {
    /// What is hashed: a device id or a pseudonymous user id.
    pub unit: &'a str,
    /// Its platform, such as `android`.
    pub platform: Option<&'a str>,
    /// ISO 3166-2 region.
    pub region: Option<&'a str>,
    /// City.
    pub city: Option<&'a str>,
    /// BCP 47 language.
    pub language: Option<&'a str>,
    /// Device model.
    pub model: Option<&'a str>,
    /// Distribution channel of the host app.
    pub channel: Option<&'a str>,
    /// Version of the host app.
    pub host_version: Option<StatedVersion<'a>>,
    /// Version of the operating system.
    pub os_version: Option<StatedVersion<'a>>,
    /// Tags it carries.
    pub tags: Tags<'a>,
    /// Free attributes of the user profile.
    pub attrs: Attrs<'a>,
}

impl<'a> Device<'a> {
    /// A device that states its unit and nothing else.
    pub const fn new(unit: &'a str) -> Self {
        Self {
            unit,
            platform: None,
            region: None,
            city: None,
            language: None,
            model: None,
            channel: None,
            host_version: None,
            os_version: None,
            tags: Tags(Words::NONE),
            attrs: Attrs::NONE,
        }
    }
}

/// What a device has of one app.
#[derive(Debug, Clone, Default)]
pub struct Installed<'a> {
    /// The version it runs now.
    pub version: Option<StatedVersion<'a>>,
    /// Releases that failed on it: never offered to it again.
    pub failed: Failed<'a>,
    /// The secret of the preview link it was opened by.
    pub preview: Option<&'a str>,
}

impl Installed<'_> {
    /// Of a device that has nothing of the app.
    pub const NONE: Self = Self {
        version: None,
        failed: Failed(Words::NONE),
        preview: None,
    };
}

/// Several short texts, as they came: separated by commas, or as a list.
#[derive(Debug, Clone, Copy)]
enum Words<'a> {
    Commas(&'a str),
    List(&'a [Text<'a>]),
}

impl<'a> Words<'a> {
    const NONE: Self = Self::List(&[]);

    /// True when nothing is written; commas alone are something.
    const fn is_empty(self) -> bool {
        match self {
            Self::Commas(text) => text.is_empty(),
            Self::List(words) => words.is_empty(),
        }
    }

    fn any(self, mut wanted: impl FnMut(&'a str) -> bool) -> bool {
        match self {
            Self::Commas(text) => {
                // By hand: the texts are short, and a searcher costs more than it finds.
                let mut rest = text;
                loop {
                    let end = rest.bytes().position(|byte| byte == b',');
                    let word = &rest[..end.unwrap_or(rest.len())];
                    if !word.is_empty() && wanted(word) {
                        return true;
                    }
                    match end {
                        Some(end) => rest = &rest[end + 1..],
                        None => return false,
                    }
                }
            }
            Self::List(words) => words.iter().any(|word| wanted(word.as_str())),
        }
    }

    fn count(self) -> usize {
        let mut count = 0;
        self.any(|_| {
            count += 1;
            false
        });
        count
    }
}

/// The tags a device carries.
#[derive(Debug, Clone, Copy)]
pub struct Tags<'a>(Words<'a>);

impl<'a> Tags<'a> {
    /// Tags separated by commas, unchecked: for tests and tools; a poll checks its own.
    pub const fn from_commas(text: &'a str) -> Self {
        Self(Words::Commas(text))
    }

    /// True when `wanted` holds for one of them.
    pub fn any(self, wanted: impl FnMut(&'a str) -> bool) -> bool {
        self.0.any(wanted)
    }

    /// True when `tag` is among them.
    pub fn contains(self, tag: &str) -> bool {
        self.any(|carried| carried == tag)
    }
}

/// The releases that failed on a device: version numbers, or beginnings of a bundle's SHA-256.
#[derive(Debug, Clone, Copy)]
pub struct Failed<'a>(Words<'a>);

impl Default for Failed<'_> {
    fn default() -> Self {
        Self(Words::NONE)
    }
}

impl<'a> Failed<'a> {
    /// Releases separated by commas, unchecked: for tests and tools; a poll checks its own.
    pub const fn from_commas(text: &'a str) -> Self {
        Self(Words::Commas(text))
    }

    /// True when there are none.
    pub const fn is_empty(self) -> bool {
        self.0.is_empty()
    }

    /// True when the release with this number, or with this digest, is among them.
    pub fn names(self, number: &str, sha256: &str) -> bool {
        self.0
            .any(|word| word == number || (word.len() >= FAILED_HEX && sha256.starts_with(word)))
    }
}

/// Fewest hexadecimal digits that name a bundle: 64 bits, so that no two releases of an app share them.
const FAILED_HEX: usize = 16;

/// The free attributes of a device.
#[derive(Debug, Clone)]
pub struct Attrs<'a>(Pairs<'a>);

#[derive(Debug, Clone, Copy)]
enum Pairs<'a> {
    /// `name=value` and a zero byte, one after the other.
    Written(&'a str),
    List(&'a [(Text<'a>, Text<'a>)]),
    Borrowed(&'a [(&'a str, &'a str)]),
}

impl<'a> Attrs<'a> {
    const NONE: Self = Self(Pairs::List(&[]));

    /// The attributes of these pairs, unchecked: for tests and tools.
    pub const fn from_pairs(pairs: &'a [(&'a str, &'a str)]) -> Self {
        Self(Pairs::Borrowed(pairs))
    }

    /// The value stated for `name`.
    pub fn get(&self, name: &str) -> Option<&'a str> {
        match self.0 {
            Pairs::Written(text) => attr_among(text, name),
            Pairs::List(pairs) => pairs
                .iter()
                .find_map(|(key, value)| (key.as_str() == name).then_some(value.as_str())),
            Pairs::Borrowed(pairs) => pairs
                .iter()
                .find_map(|(key, value)| (*key == name).then_some(*value)),
        }
    }
}

/// The value of `name` among attributes written as `name=value` and a zero byte.
fn attr_among<'a>(written: &'a str, name: &str) -> Option<&'a str> {
    written.split_terminator('\0').find_map(|pair| {
        let (key, value) = pair.split_once('=')?;
        (key == name).then_some(value)
    })
}

/// Why a poll is not understood. Names fields, never values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PollError {
    /// The whole is too long.
    #[error("a poll has at most {most} bytes here")]
    TooLong {
        /// How many are allowed.
        most: usize,
    },
    /// One field is wrong.
    #[error("field `{field}` {problem}")]
    Field {
        /// Its name as it is written.
        field: &'static str,
        /// What is wrong with it.
        problem: Problem,
    },
    /// The body is not the JSON of a poll.
    #[error("the body is not the JSON of a poll at line {line} column {column}: {problem}")]
    Json {
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
        /// What is wrong there.
        problem: &'static str,
    },
}

/// What is wrong with one field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// It must be there.
    #[error("is missing; every poll states it")]
    Missing,
    /// It is there twice.
    #[error("is given twice; give it once")]
    Twice,
    /// A percent sign without two hexadecimal digits, or bytes that are no UTF-8.
    #[error("is not percent-encoded UTF-8")]
    Encoding,
    /// A control character.
    #[error("holds a control character; leave it out")]
    Control,
    /// Too many bytes.
    #[error("has at most {0} bytes")]
    Bytes(usize),
    /// Too many members.
    #[error("has at most {0} members")]
    Many(usize),
    /// Not of the allowed form.
    #[error("must be {0}")]
    Form(&'static str),
}

fn wrong(field: &'static str, problem: Problem) -> PollError {
    PollError::Field { field, problem }
}

/// A text that a device states, decoded.
#[derive(Clone, Copy)]
struct Value<'a> {
    text: &'a str,
    /// Printable ASCII alone, so that nobody needs to look for control characters.
    is_plain: bool,
}

impl<'a> Value<'a> {
    /// A text that nobody has looked at.
    const fn unknown(text: &'a str) -> Self {
        Self {
            text,
            is_plain: false,
        }
    }
}

/// A text of at most `most` bytes without control characters.
fn checked<'a>(field: &'static str, value: Value<'a>, most: usize) -> Result<&'a str, PollError> {
    let text = value.text;
    if text.len() > most {
        return Err(wrong(field, Problem::Bytes(most)));
    }
    // Two tests, because the first settles nearly every value by one pass over bytes.
    let is_plain = value.is_plain || text.bytes().all(|b| (0x20..0x7f).contains(&b));
    if !is_plain && text.chars().any(char::is_control) {
        return Err(wrong(field, Problem::Control));
    }
    Ok(text)
}

/// A text as [`checked`], or nothing when it is empty: an empty value states nothing.
fn optional<'a>(field: &'static str, value: Value<'a>) -> Result<Option<&'a str>, PollError> {
    if value.text.is_empty() {
        return Ok(None);
    }
    checked(field, value, limits::ATTR_BYTES).map(Some)
}

fn checked_unit<'a>(field: &'static str, value: Value<'a>) -> Result<&'a str, PollError> {
    match checked(field, value, limits::UNIT_BYTES)? {
        "" => Err(wrong(field, Problem::Missing)),
        unit => Ok(unit),
    }
}

fn checked_tags<'a>(field: &'static str, tags: Words<'a>) -> Result<Tags<'a>, PollError> {
    if tags.is_empty() {
        return Ok(Tags(tags));
    }
    if tags.count() > limits::POLL_TAGS {
        return Err(wrong(field, Problem::Many(limits::POLL_TAGS)));
    }
    if tags.any(|tag| !is_name(tag)) {
        let form = "names of 1 to 63 of a-z 0-9 . _ - beginning with a letter or digit";
        return Err(wrong(field, Problem::Form(form)));
    }
    Ok(Tags(tags))
}

fn checked_failed<'a>(field: &'static str, failed: Words<'a>) -> Result<Failed<'a>, PollError> {
    if failed.is_empty() {
        return Ok(Failed(failed));
    }
    if failed.count() > limits::POLL_FAILED {
        return Err(wrong(field, Problem::Many(limits::POLL_FAILED)));
    }
    let release = |word: &str| {
        let hex = word.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        let number = word.bytes().filter(|b| *b == b'.').count() >= 2
            && word
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-'));
        (hex && (FAILED_HEX..=64).contains(&word.len()))
            || (number && word.len() <= limits::UNIT_BYTES)
    };
    if failed.any(|word| !release(word)) {
        let form =
            "version numbers, or 16 to 64 lowercase hexadecimal digits of a bundle's SHA-256";
        return Err(wrong(field, Problem::Form(form)));
    }
    Ok(Failed(failed))
}

fn checked_attr_name(field: &'static str, name: &str) -> Result<(), PollError> {
    if is_name(name) {
        Ok(())
    } else {
        let form = "named by 1 to 63 of a-z 0-9 . _ - beginning with a letter or digit";
        Err(wrong(field, Problem::Form(form)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_release_is_named_by_its_number_or_sixteen_digits_of_its_digest() {
        let sha = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        for (failed, named) in [
            ("2.4.0", true),
            ("2.4.1,2.4.0", true),
            ("2.4.00", false),
            ("ba7816bf8f01cfea", true),
            ("ba7816bf8f01cfe", false),
            (sha, true),
            ("ca7816bf8f01cfea", false),
            ("", false),
        ] {
            assert_eq!(
                Failed::from_commas(failed).names("2.4.0", sha),
                named,
                "{failed}"
            );
        }
    }

    #[test]
    fn words_between_commas_are_what_splitting_yields() {
        for text in ["", ",", "a", "a,b", ",a,,上海,", "a,b,c,"] {
            let mut words = Vec::new();
            Words::Commas(text).any(|word| {
                words.push(word);
                false
            });
            let split: Vec<&str> = text.split(',').filter(|word| !word.is_empty()).collect();
            assert_eq!(words, split, "{text}");
        }
    }

    #[test]
    fn no_error_carries_a_value() {
        let secret = "13800138000\u{7}";
        for error in [
            checked_unit("u", Value::unknown(secret)).unwrap_err(),
            checked_unit("u", Value::unknown(&secret.repeat(50))).unwrap_err(),
            checked_attr_name("a.NAME", secret).unwrap_err(),
            checked_tags("t", Words::Commas(secret)).unwrap_err(),
            checked_failed("x", Words::Commas(secret)).unwrap_err(),
        ] {
            assert!(!format!("{error} {error:?}").contains("138"), "{error}");
        }
    }
}
