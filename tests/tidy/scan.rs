//! Which paths a Rust file names, and where: enough of Rust's grammar to know, and no more.
//!
//! Comments and the insides of texts are blanked first, then `use` trees are unfolded and other paths
//! are read as they stand. `super` and `self` are resolved, so that `super::super::node` is seen for what
//! it is. It does not expand macros, and a path inside a text (serde's `with = "…"`) is not seen.

use std::collections::BTreeSet;

/// One path a file names: `["crate", "store", "Key"]` or `["tokio", "time", "sleep"]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Named {
    pub(crate) path: Vec<String>,
    pub(crate) line: usize,
    /// Inside an item under `#[cfg(test)]`.
    pub(crate) in_test: bool,
}

/// What a file names, and the files it declares as tests.
#[derive(Debug, Default)]
pub(crate) struct Scan {
    pub(crate) named: Vec<Named>,
    /// Modules in files of their own that stand under `#[cfg(test)]`, by name.
    pub(crate) test_modules: Vec<String>,
}

/// The text with comments and the insides of texts and characters blanked; lines stay where they are.
pub(crate) fn code(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while at < chars.len() {
        let end = blank_end(&chars, at);
        if end == at {
            out.push(chars[at]);
            at += 1;
            continue;
        }
        for c in &chars[at..end] {
            out.push(if *c == '\n' { '\n' } else { ' ' });
        }
        at = end;
    }
    out
}

/// Where the comment, text or character that begins at `at` ends; `at` when none begins there.
fn blank_end(chars: &[char], at: usize) -> usize {
    let starts = |at: usize, what: &str| {
        what.chars()
            .enumerate()
            .all(|(i, c)| chars.get(at + i) == Some(&c))
    };
    let find = |from: usize, what: &str| {
        let found = (from..chars.len()).find(|at| starts(*at, what));
        found.map_or(chars.len(), |at| at + what.chars().count())
    };
    if starts(at, "//") {
        return (at..chars.len())
            .find(|at| chars[*at] == '\n')
            .unwrap_or(chars.len());
    }
    if starts(at, "/*") {
        let (mut depth, mut here) = (0, at);
        while here < chars.len() {
            match (starts(here, "/*"), starts(here, "*/")) {
                (true, _) => (depth, here) = (depth + 1, here + 2),
                (_, true) => (depth, here) = (depth - 1, here + 2),
                _ => here += 1,
            }
            if depth == 0 {
                break;
            }
        }
        return here.min(chars.len());
    }
    let after_word = at > 0 && is_word(chars[at - 1]);
    if chars[at] == 'r' && (!after_word || matches!(chars[at - 1], 'b' | 'c')) {
        let hashes = chars[at + 1..].iter().take_while(|c| **c == '#').count();
        if chars.get(at + 1 + hashes) == Some(&'"') {
            return find(at + 2 + hashes, &format!("\"{}", "#".repeat(hashes)));
        }
    }
    let quoted_end = |quote: char| {
        let mut here = at + 1;
        while here < chars.len() && chars[here] != quote {
            here += if chars[here] == '\\' { 2 } else { 1 };
        }
        (here + 1).min(chars.len())
    };
    match chars[at] {
        '"' => quoted_end('"'),
        // A lifetime has no closing quote right after its first character.
        '\'' if chars.get(at + 1) == Some(&'\\') || chars.get(at + 2) == Some(&'\'') => {
            quoted_end('\'')
        }
        _ => at,
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Token {
    text: String,
    line: usize,
}

fn tokens(code: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    for (line, text) in code.lines().enumerate() {
        let mut rest = text.trim_start();
        while let Some(first) = rest.chars().next() {
            let end = if is_word(first) {
                rest.find(|c| !is_word(c)).unwrap_or(rest.len())
            } else if rest.starts_with("::") {
                2
            } else {
                first.len_utf8()
            };
            tokens.push(Token {
                text: rest[..end].to_owned(),
                line: line + 1,
            });
            rest = rest[end..].trim_start();
        }
    }
    tokens
}

/// Reads a file whose module path is `module`: `["store", "fs"]` for src/store/fs.rs.
pub(crate) fn scan(text: &str, module: &[String]) -> Scan {
    let mut reader = Reader {
        tokens: tokens(&code(text)),
        at: 0,
        module: module.to_vec(),
        open: Vec::new(),
        under_test: false,
        local: BTreeSet::new(),
        scan: Scan::default(),
    };
    while reader.at < reader.tokens.len() {
        reader.step();
    }
    // A bare path that begins with a name brought in by `use` or declared by `mod` is not a crate's.
    let Reader {
        scan: mut seen,
        local,
        ..
    } = reader;
    seen.named.retain(|named| !local.contains(&named.path[0]));
    seen
}

/// A brace that is open: whether it began a module, and whether it began test code.
struct Open {
    is_module: bool,
    is_test: bool,
}

struct Reader {
    tokens: Vec<Token>,
    at: usize,
    module: Vec<String>,
    open: Vec<Open>,
    /// `#[cfg(test)]` was read and its item has not begun yet.
    under_test: bool,
    local: BTreeSet<String>,
    scan: Scan,
}

impl Reader {
    fn token(&self, ahead: usize) -> &str {
        self.tokens
            .get(self.at + ahead)
            .map_or("", |token| &token.text)
    }

    fn word(&self, ahead: usize) -> bool {
        self.token(ahead)
            .starts_with(|c: char| is_word(c) && !c.is_ascii_digit())
    }

    fn sees(&self, wanted: &[&str]) -> bool {
        wanted
            .iter()
            .enumerate()
            .all(|(ahead, text)| self.token(ahead) == *text)
    }

    fn step(&mut self) {
        if self.sees(&["#", "[", "cfg", "(", "test", ")", "]"]) {
            self.under_test = true;
            self.at += 7;
        } else if self.token(0) == "mod" && self.word(1) {
            self.module_begins();
        } else if self.token(0) == "{" {
            self.push(false);
            self.at += 1;
        } else if self.token(0) == "}" {
            if self.open.pop().is_some_and(|open| open.is_module) {
                self.module.pop();
            }
            self.at += 1;
        } else if self.token(0) == "use" && (self.word(1) || self.token(1) == "::") {
            self.at += 1;
            self.tree(&[]);
            self.under_test = false;
        } else if self.word(0) && self.token(1) == "::" {
            self.path();
        } else {
            // An item without a body ends its attribute.
            self.under_test &= self.token(0) != ";";
            self.at += 1;
        }
    }

    fn push(&mut self, is_module: bool) {
        self.open.push(Open {
            is_module,
            is_test: self.under_test,
        });
        self.under_test = false;
    }

    fn module_begins(&mut self) {
        let name = self.token(1).to_owned();
        if self.token(2) == "{" {
            self.module.push(name);
            self.push(true);
        } else {
            if self.under_test || self.open.iter().any(|open| open.is_test) {
                self.scan.test_modules.push(name.clone());
            }
            self.under_test = false;
            self.local.insert(name);
        }
        self.at += 3;
    }

    /// A path in the middle of code.
    fn path(&mut self) {
        let line = self.tokens[self.at].line;
        let mut path = vec![self.token(0).to_owned()];
        while self.token(1) == "::" && self.word(2) {
            path.push(self.token(2).to_owned());
            self.at += 2;
        }
        self.at += if self.token(1) == "::" { 2 } else { 1 };
        self.name(path, line, false);
    }

    /// One branch of a `use` tree; `before` is what stands before it.
    fn tree(&mut self, before: &[String]) {
        let mut path = before.to_vec();
        loop {
            let line = self.tokens.get(self.at).map_or(0, |token| token.line);
            match self.token(0) {
                "::" => self.at += 1,
                "{" => {
                    self.at += 1;
                    while !matches!(self.token(0), "}" | "") {
                        self.tree(&path);
                    }
                    self.at += 1;
                }
                "," => {
                    self.at += 1;
                    return;
                }
                "}" | ";" | "" => return,
                "as" => self.at += 2,
                text => {
                    path.push(text.to_owned());
                    self.at += 1;
                    if self.token(0) != "::" {
                        self.name(path.clone(), line, true);
                    }
                }
            }
        }
    }

    fn name(&mut self, mut path: Vec<String>, line: usize, is_use: bool) {
        let is_ours = matches!(path[0].as_str(), "crate" | "self" | "super");
        if is_ours && path[0] != "crate" {
            let mut from = self.module.clone();
            let mut rest = &path[..];
            while let [first, after @ ..] = rest {
                match first.as_str() {
                    "self" => {}
                    "super" => drop(from.pop()),
                    _ => break,
                }
                rest = after;
            }
            path = [&["crate".to_owned()], from.as_slice(), rest].concat();
        }
        if is_use && path.last().is_some_and(|last| last == "self") {
            path.pop();
        }
        if is_ours && is_use {
            self.local.extend(path.last().cloned());
        }
        let in_test = self.under_test || self.open.iter().any(|open| open.is_test);
        self.scan.named.push(Named {
            path,
            line,
            in_test,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(text: &str) -> Vec<String> {
        let module = ["store".to_owned(), "fs".to_owned()];
        let scan = scan(text, &module);
        let print = |named: &Named| {
            let test = if named.in_test { " in a test" } else { "" };
            format!("{}: {}{test}", named.line, named.path.join("::"))
        };
        scan.named.iter().map(print).collect()
    }

    #[test]
    fn use_trees_are_unfolded_and_super_is_resolved() {
        let text = "use crate::{\n    bus::{self, Bus as _},\n    node::*,\n};\nuse super::super::ledger;\nuse super::Key;\nfn f() { super::Key::new(); self::g(); tokio::time::sleep(x) }";
        assert_eq!(
            named(text),
            [
                "2: crate::bus",
                "2: crate::bus::Bus",
                "3: crate::node::*",
                "5: crate::ledger",
                "6: crate::store::Key",
                "7: crate::store::Key::new",
                "7: crate::store::fs::g",
                "7: tokio::time::sleep",
            ]
        );
    }

    #[test]
    fn comments_texts_and_characters_are_not_code() {
        let text = "// use crate::bus;\n/* crate::a /* crate::b */ crate::c */\nconst A: &str = \"crate::d \\\" crate::e\";\nconst B: &str = r#\"crate::f \" crate::g\"#;\nconst C: char = '\"';\nfn f<'a>(x: &'a crate::h::I) {}\nconst D: &[u8] = br\"crate::j\";";
        assert_eq!(named(text), ["6: crate::h::I"]);
    }

    #[test]
    fn test_code_is_told_apart_and_its_modules_are_deeper() {
        let text = "#[cfg(test)]\nmod double;\n#[cfg(test)]\nuse redis::cmd;\nuse aws::x;\n#[cfg(test)]\nmod tests {\n    use super::super::super::bus;\n    mod inner { use super::y; }\n}\nfn f() { crate::z::w() }";
        assert_eq!(
            named(text),
            [
                "4: redis::cmd in a test",
                "5: aws::x",
                "8: crate::bus in a test",
                "9: crate::store::fs::tests::y in a test",
                "11: crate::z::w",
            ]
        );
        let module = ["store".to_owned()];
        assert_eq!(scan(text, &module).test_modules, ["double"]);
    }

    #[test]
    fn a_name_that_was_brought_in_is_not_a_crate() {
        assert_eq!(
            named("use super::http;\nfn f() { http::get() }"),
            ["1: crate::store::http"]
        );
        assert_eq!(
            named("mod redis;\nfn f() { redis::get() }"),
            Vec::<String>::new()
        );
        assert_eq!(named("fn f() { redis::get() }"), ["1: redis::get"]);
    }
}
