//! Texts that are the same on every machine and make no noise in a diff.

use super::exempt::Exemptions;
use super::tree::Tree;
use super::{Finding, Source};

/// Folders of one machine. In parts, so that this file passes its own check.
const MACHINE_FOLDERS: &[&str] = &[concat!("/wo", "rk/"), concat!("/ro", "ot/"), concat!("/tm", "p/h-")];

/// Endings of files whose lines must not end in blanks.
const TRIMMED: &[&str] = &[".rs", ".md", ".py", ".toml", ".sh"];

pub(crate) fn check(tree: &Tree, sources: &[Source], exemptions: &Exemptions, findings: &mut Vec<Finding>) {
    for file in &tree.files {
        let Some(text) = &file.text else { continue };
        let is_rust = file.path.ends_with(".rs");
        let is_trimmed = TRIMMED.iter().any(|ending| file.path.ends_with(ending));
        let may_name_machines = exemptions.absolute_paths.iter().any(|(path, _)| *path == file.path);
        let mut names_machine = false;
        for (index, line) in text.lines().enumerate() {
            let mut find = |message: String| findings.push(Finding::new(&file.path, index + 1, message));
            if let Some(folder) = MACHINE_FOLDERS.iter().find(|folder| is_absolute_in(line, folder)) {
                names_machine = true;
                if file.is_tracked && !may_name_machines {
                    find(format!(
                        "`{folder}` exists on one machine only; use a relative path or a made-up one"
                    ));
                }
            }
            if is_rust && line.contains('\t') {
                find("tab; indent with spaces, write `\\t` in strings".to_owned());
            }
            if is_trimmed && line.ends_with([' ', '\t']) {
                find("blanks at the end of the line; remove them".to_owned());
            }
        }
        if may_name_machines && !names_machine {
            let message = "names no machine's folder; remove the entry from xtask/src/tidy/exempt.rs";
            findings.push(Finding::new(&file.path, 1, message));
        }
    }
    for source in sources {
        for name in &source.names {
            if let Some(segment) = name.segments.iter().find(|segment| !segment.is_ascii()) {
                let message =
                    format!("`{segment}`: names are ASCII, other letters belong in comments and strings");
                findings.push(Finding::new(&source.path, name.start.line, message));
            }
        }
    }
}

/// Whether the line has the folder at the start of a path, and not in the middle of one.
fn is_absolute_in(line: &str, folder: &str) -> bool {
    let starts_path = |at: usize| {
        let before = line[..at].chars().next_back();
        before.is_none_or(|sign| !sign.is_alphanumeric() && !"_-.~/})*…".contains(sign))
    };
    line.match_indices(folder).any(|(at, _)| starts_path(at))
}
