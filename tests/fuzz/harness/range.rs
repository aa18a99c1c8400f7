//! Ranges of versions: a range on the first line, versions on the others.
//!
//! Nothing panics; a range prints as it was written and is read back the same; for whole versions it says
//! what the semver crate says, and dotted ranges what plain lists of numbers say.

use huidu_core::version_range::{DOTTED_FIELDS, DottedRange, StatedVersion, VersionRange};
use semver::{Version, VersionReq};

pub fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let (range, versions) = text.split_once('\n').unwrap_or((text, "1.0.0"));
    let semantic = range.parse::<VersionRange>();
    let dotted = range.parse::<DottedRange>();
    match &semantic {
        Ok(read) => assert_eq!(read.to_string().parse().as_ref(), Ok(read)),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
    match &dotted {
        Ok(read) => assert_eq!(read.to_string().parse().as_ref(), Ok(read)),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
    for version in versions.lines().take(16) {
        let stated = StatedVersion::new(version);
        if let (Ok(semantic), Some(version)) = (&semantic, &stated.semver) {
            agrees(range, semantic, version);
        }
        if let Ok(dotted) = &dotted {
            assert_eq!(
                dotted.matches(version),
                by_numbers(range, version),
                "{range} {version}"
            );
        }
    }
}

fn agrees(text: &str, range: &VersionRange, version: &Version) {
    let is_inside = range.matches(version);
    let plain = Version::new(version.major, version.minor, version.patch);
    let req = VersionReq::parse(text).expect("a range is comparators");
    // The crate hides pre-releases, and its numbers end where a successor is wanted: there we differ.
    let ends = |number: &u64| *number == u64::MAX;
    let parts = |c: &semver::Comparator| [Some(c.major), c.minor, c.patch];
    let at_the_end = req
        .comparators
        .iter()
        .any(|c| parts(c).iter().flatten().any(ends));
    if *version == plain && !at_the_end {
        assert_eq!(is_inside, req.matches(version), "{text} {version}");
    }
}

fn by_numbers(range: &str, version: &str) -> bool {
    let Some(version) = numbers(version) else {
        return false;
    };
    range.split(',').all(|term| {
        let term = term.trim();
        let bound = numbers(term.trim_start_matches(['<', '>', '=']).trim()).expect("it was read");
        match term {
            _ if term.starts_with(">=") => version >= bound,
            _ if term.starts_with("<=") => version <= bound,
            _ if term.starts_with('>') => version > bound,
            _ if term.starts_with('<') => version < bound,
            _ => version == bound,
        }
    })
}

/// The fields, filled up with zeros.
fn numbers(text: &str) -> Option<Vec<u64>> {
    let field = |part: &str| part.parse().ok().filter(|_| !part.starts_with('+'));
    let mut fields: Vec<u64> = text.split('.').map(field).collect::<Option<_>>()?;
    if fields.len() > DOTTED_FIELDS {
        return None;
    }
    fields.resize(DOTTED_FIELDS, 0);
    Some(fields)
}
