//! What the documentation tells people to type is what this build understands: every `huidu …` in a fenced block.

use std::{fs, path::Path};

use clap::Parser as _;

use crate::cli::Cli;

/// The words of one line as a shell would hand them over, up to its comment; of several commands, each.
fn commands(line: &str) -> Vec<Vec<String>> {
    let mut all = vec![Vec::new()];
    let (mut word, mut quote): (Option<String>, Option<char>) = (None, None);
    for c in line.chars() {
        match (c, quote) {
            (c, Some(open)) if c == open => quote = None,
            (c, Some(_)) => word.get_or_insert_default().push(c),
            ('\'' | '"', None) => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            ('#', None) if word.is_none() => break,
            (c, None) if c.is_whitespace() => match word.take().as_deref() {
                Some("&&" | "|") => all.push(Vec::new()),
                Some(">") => break,
                Some(text) => all.last_mut().unwrap().push(text.to_owned()),
                None => {}
            },
            (c, None) => word.get_or_insert_default().push(c),
        }
    }
    if let Some(word) = word {
        all.last_mut().unwrap().push(word);
    }
    all
}

/// The words of `huidu …`: by itself, in a loop (`do huidu …;`) or in a container (`kubectl exec … -- huidu …`).
fn ours(words: &[String]) -> Option<Vec<String>> {
    let is_run = |at: usize| at == 0 || matches!(words[at - 1].as_str(), "do" | "--");
    let mut named = (0..words.len()).filter(|at| words[*at] == "huidu");
    let at = named.find(|at| is_run(*at))?;
    let mut ours = words[at..].to_vec();
    if let Some(end) = ours.iter().position(|word| word.ends_with(';')) {
        ours.truncate(end + 1);
        ours[end].pop();
    }
    Some(ours)
}

/// Every `huidu …` of a page, with the number of its line.
fn typed(page: &str) -> Vec<(usize, Vec<String>)> {
    let mut is_inside = false;
    let mut found = Vec::new();
    for (at, line) in page.lines().enumerate() {
        if line.starts_with("```") {
            is_inside = !is_inside;
            continue;
        }
        if is_inside {
            let line = line.trim_start_matches("$ ");
            let all = commands(line).into_iter();
            let ours = all.filter_map(|words| ours(&words));
            found.extend(ours.map(|words| (at + 1, words)));
        }
    }
    found
}

#[test]
fn what_the_documentation_says_can_be_typed() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut pages = vec![root.join("README.md"), root.join("deploy/README.md")];
    for entry in fs::read_dir(root.join("docs/operations")).unwrap() {
        pages.push(entry.unwrap().path());
    }
    let (mut count, mut wrong) = (0, Vec::new());
    for page in pages {
        for (line, words) in typed(&fs::read_to_string(&page).unwrap()) {
            count += 1;
            if let Err(error) = Cli::try_parse_from(&words) {
                wrong.push(format!("{}:{line}: {words:?}\n{error}", page.display()));
            }
        }
    }
    assert!(
        count > 40,
        "only {count} commands were found: are blocks still fenced?"
    );
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_line_that_cannot_be_typed_would_be_found() {
    let page = "huidu nonsense\n```\n$ huidu keys rotate 'a b' --old x   # why\ncp a b && huidu status > out\nfor n in 0 1; do huidu kill a/$n --why \"c d\"; done\nkubectl -n huidu exec huidu-0 -- huidu nothing\n```\n";
    let typed = typed(page);
    assert_eq!(
        typed,
        [
            (
                3,
                ["huidu", "keys", "rotate", "a b", "--old", "x"]
                    .map(String::from)
                    .to_vec()
            ),
            (4, ["huidu", "status"].map(String::from).to_vec()),
            (
                5,
                ["huidu", "kill", "a/$n", "--why", "c d"]
                    .map(String::from)
                    .to_vec()
            ),
            (6, ["huidu", "nothing"].map(String::from).to_vec()),
        ]
    );
    assert!(Cli::try_parse_from(&typed[0].1).is_err());
    assert!(Cli::try_parse_from(&typed[1].1).is_ok());
}
