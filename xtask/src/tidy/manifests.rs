//! Dependencies: one list with reasons, members refer to it.

use super::Finding;
use super::tree::Tree;

const ROOT: &str = "Cargo.toml";

/// One `key = value` of a manifest.
struct Entry<'a> {
    section: &'a str,
    line: usize,
    key: &'a str,
    /// Without comments, lines joined.
    value: String,
    has_comment: bool,
}

pub(crate) fn check(tree: &Tree, findings: &mut Vec<Finding>) {
    if let Some(text) = tree.text(ROOT) {
        for entry in entries(text) {
            if entry.section.starts_with("workspace.dependencies.") {
                findings.push(Finding::new(
                    ROOT,
                    entry.line,
                    "write the dependency on one line, with `# reason`",
                ));
            } else if entry.section == "workspace.dependencies" && !entry.has_comment && !is_own(&entry) {
                let message =
                    format!("{}: say why it is needed in a `# reason` at the end of the line", entry.key);
                findings.push(Finding::new(ROOT, entry.line, message));
            }
        }
    }
    for (path, text) in tree.texts("/Cargo.toml") {
        // A workspace of its own, such as one for fuzzing, cannot inherit.
        if entries(text).iter().any(|entry| entry.section == "workspace")
            || text.lines().any(|line| line == "[workspace]")
        {
            continue;
        }
        for entry in entries(text) {
            let is_list = entry.section.rsplit('.').next().is_some_and(|last| last.ends_with("dependencies"));
            if is_list && !inherits(&entry) {
                let message = format!(
                    "{}: write `{}.workspace = true` and put version and reason into the root manifest",
                    entry.key, entry.key
                );
                findings.push(Finding::new(path, entry.line, message));
            } else if !is_list && entry.section.contains("dependencies.") && entry.key == "version" {
                findings.push(Finding::new(
                    path,
                    entry.line,
                    "take the version from the workspace: `workspace = true`",
                ));
            }
        }
    }
}

/// The project's own crates are listed by their path.
fn is_own(entry: &Entry<'_>) -> bool {
    entry.value.replace(' ', "").contains("path=")
}

fn inherits(entry: &Entry<'_>) -> bool {
    let value = entry.value.replace(' ', "");
    (entry.key.ends_with(".workspace") && value == "true") || value.contains("workspace=true")
}

/// The entries of a manifest; values may go over several lines inside brackets.
fn entries(text: &str) -> Vec<Entry<'_>> {
    let mut entries: Vec<Entry<'_>> = Vec::new();
    let mut section = "";
    let mut depth = 0;
    for (index, line) in text.lines().enumerate() {
        let (code, comment) = split_comment(line);
        let has_comment = comment.is_some_and(|comment| !comment.trim().is_empty());
        if depth > 0 {
            if let Some(entry) = entries.last_mut() {
                entry.value.push_str(code.trim());
                entry.has_comment |= has_comment;
            }
        } else if let Some(name) = code.trim().strip_prefix('[') {
            section = name.trim_matches(['[', ']']);
            continue;
        } else if let Some((key, value)) = code.split_once('=') {
            let (key, value) = (key.trim(), value.trim().to_owned());
            entries.push(Entry { section, line: index + 1, key, value, has_comment });
        }
        depth += bracket_balance(code);
    }
    entries
}

/// Splits at the first `#` outside of quotes.
fn split_comment(line: &str) -> (&str, Option<&str>) {
    let mut quote = None;
    for (at, sign) in line.char_indices() {
        match (quote, sign) {
            (None, '"' | '\'') => quote = Some(sign),
            (Some(open), _) if open == sign => quote = None,
            (None, '#') => return (&line[..at], Some(&line[at + 1..])),
            _ => {}
        }
    }
    (line, None)
}

fn bracket_balance(code: &str) -> i32 {
    code.chars().map(|sign| i32::from(matches!(sign, '[' | '{')) - i32::from(matches!(sign, ']' | '}'))).sum()
}
