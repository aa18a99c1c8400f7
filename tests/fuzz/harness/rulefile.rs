//! Rule files and rollout documents, and files of cases.
//!
//! Nothing panics; what is refused is refused with a place and something to do; what is taken can be
//! written down, in either form, and is read back the same.

use huidu_core::{
    cases::CaseFile,
    rollout::Rollout,
    rulefile::{Parsed, Problems, parse_json, parse_toml},
};

pub fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    read(parse_toml("rules.toml", text));
    read(parse_json(text));
    if let Err(problems) = CaseFile::parse("cases.toml", text) {
        refused(&problems);
    }
}

fn read(parsed: Result<Parsed, Problems>) {
    let rollout = match parsed {
        Ok(parsed) => parsed.rollout,
        Err(problems) => return refused(&problems),
    };
    let json = serde_json::to_string(&rollout).expect("a rollout has a written form");
    let read: Rollout = serde_json::from_str(&json).expect("the ledger reads what it wrote");
    assert_eq!(read, rollout);
    let parsed = parse_json(&json).unwrap_or_else(|problems| panic!("{json}\n{problems}"));
    assert_eq!(parsed.rollout, rollout);
    let text = toml::to_string(&rollout).expect("a rollout has a written form");
    let parsed =
        parse_toml("again.toml", &text).unwrap_or_else(|problems| panic!("{text}\n{problems}"));
    assert_eq!(parsed.rollout, rollout);
}

fn refused(problems: &Problems) {
    assert!(!problems.is_empty() && problems.list().len() <= 1_000);
    for problem in problems.list() {
        assert!(!problem.message.is_empty() && !problem.help.is_empty());
        // 64 characters, each at most as `\u{10ffff}`, and an ellipsis.
        assert!(problem.value.chars().count() <= 641, "{}", problem.value);
        assert!(
            problem.message.len() + problem.help.len() <= 4_096,
            "{problem}"
        );
    }
    assert!(!problems.to_string().is_empty());
}
