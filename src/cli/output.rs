//! What commands say, and how they fail.
//!
//! Answers go to standard output, everything else to standard error. A reader who went away (`| head`) is
//! no failure.

use std::io::{self, Write as _};

use serde_json::Value;

use crate::{client::control::ControlError, client::device::DeviceError, settings::SettingsError};

/// How a verb ended well: its exit code.
pub(super) type Done = Result<u8, Failure>;

/// Why a verb ended badly.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// The server's client.
    #[error(transparent)]
    Control(#[from] ControlError),
    /// The device.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// The settings.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// What was typed makes no sense.
    #[error("{0}")]
    Usage(String),
    /// It was looked at and is not right.
    #[error("{0}")]
    Refused(String),
    /// Anything else, with its story.
    #[error("{0:#}")]
    Other(#[from] anyhow::Error),
}

impl Failure {
    /// The exit code.
    pub(super) const fn code(&self) -> u8 {
        match self {
            Self::Usage(_) | Self::Settings(_) => 2,
            Self::Control(ControlError::Unreachable { .. })
            | Self::Device(DeviceError::Unreachable { .. }) => 3,
            Self::Control(ControlError::Unknown { .. }) => 4,
            _ => 1,
        }
    }
}

/// Says a line on standard output.
pub(super) fn say(text: &str) {
    let mut out = io::stdout().lock();
    // Whoever stopped reading does not want the rest.
    let _ = writeln!(out, "{text}");
}

/// Says a line on standard error.
pub(super) fn remark(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// Rows under their headings, each column as wide as its widest cell.
pub(super) fn table(headings: &[&str], rows: &[Vec<String>]) -> String {
    let mut widths: Vec<usize> = headings.iter().map(|text| width(text)).collect();
    for row in rows {
        for (most, cell) in widths.iter_mut().zip(row) {
            *most = (*most).max(width(cell));
        }
    }
    let line = |cells: &mut dyn Iterator<Item = &str>| {
        let mut text = String::new();
        for (cell, most) in cells.zip(&widths) {
            text.push_str(cell);
            text.extend(std::iter::repeat_n(' ', most + 2 - width(cell)));
        }
        text.trim_end().to_owned()
    };
    let mut lines = vec![line(&mut headings.iter().copied())];
    lines.extend(
        rows.iter()
            .map(|row| line(&mut row.iter().map(String::as_str))),
    );
    lines.join("\n")
}

/// How many columns of a terminal a text takes: Chinese characters take two.
fn width(text: &str) -> usize {
    let is_wide = |c: char| {
        matches!(c, '\u{1100}'..='\u{115f}' | '\u{2e80}'..='\u{a4cf}' | '\u{ac00}'..='\u{d7a3}'
            | '\u{f900}'..='\u{faff}' | '\u{fe30}'..='\u{fe6f}' | '\u{ff00}'..='\u{ff60}'
            | '\u{ffe0}'..='\u{ffe6}' | '\u{20000}'..='\u{3fffd}')
    };
    text.chars().map(|c| if is_wide(c) { 2 } else { 1 }).sum()
}

/// The lines of a list, whether it comes bare or in a document of its own.
pub(super) fn rows(document: &Value) -> &[Value] {
    let list = document
        .as_array()
        .or_else(|| document.as_object()?.values().find_map(Value::as_array));
    list.map_or(&[], Vec::as_slice)
}

/// A value as a cell.
pub(super) fn cell(value: &Value) -> String {
    match value {
        Value::Null => "-".into(),
        Value::Bool(true) => "yes".into(),
        Value::Bool(false) => "no".into(),
        Value::String(text) if text.is_empty() => "-".into(),
        Value::String(text) => text.clone(),
        Value::Array(values) => values.iter().map(cell).collect::<Vec<_>>().join(","),
        other => other.to_string(),
    }
}

/// A list as a table of the fields named.
pub(super) fn listed(document: &Value, columns: &[(&str, &str)]) -> String {
    let rows: Vec<Vec<String>> = rows(document)
        .iter()
        .map(|row| {
            columns
                .iter()
                .map(|(_, field)| cell(&row[*field]))
                .collect()
        })
        .collect();
    if rows.is_empty() {
        return "none".into();
    }
    let headings: Vec<&str> = columns.iter().map(|(heading, _)| *heading).collect();
    table(&headings, &rows)
}

/// A document as indented lines, for shapes that need no table.
pub(super) fn outlined(value: &Value) -> String {
    let mut lines = Vec::new();
    outline(value, 0, &mut lines);
    lines.join("\n")
}

fn outline(value: &Value, depth: usize, lines: &mut Vec<String>) {
    let indent = "  ".repeat(depth);
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                if value.is_object()
                    || value
                        .as_array()
                        .is_some_and(|list| list.iter().any(|v| v.is_object() || v.is_array()))
                {
                    lines.push(format!("{indent}{name}:"));
                    outline(value, depth + 1, lines);
                } else {
                    lines.push(format!("{indent}{name}: {}", cell(value)));
                }
            }
        }
        Value::Array(values) => {
            for value in values {
                let from = lines.len();
                outline(value, depth + 1, lines);
                if let Some(first) = lines.get_mut(from) {
                    let at = indent.len();
                    first.replace_range(at..at + 2, "- ");
                }
            }
        }
        other => lines.push(format!("{indent}{}", cell(other))),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn columns_line_up_also_in_chinese() {
        let document =
            json!([{"host": "retail-bank", "title": "手机银行"}, {"host": "b", "title": "x"}]);
        let text = listed(
            &document,
            &[("HOST", "host"), ("TITLE", "title"), ("N", "n")],
        );
        insta::assert_snapshot!(text, @r"
        HOST         TITLE     N
        retail-bank  手机银行  -
        b            x         -
        ");
    }

    #[test]
    fn documents_are_outlined() {
        let text = outlined(&json!({"a": 1, "list": [{"b": true, "c": "x"}], "plain": ["p", "q"]}));
        insta::assert_snapshot!(text, @r"
        a: 1
        list:
          - b: yes
            c: x
        plain: p,q
        ");
    }
}
