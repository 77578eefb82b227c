//! Files and functions that one can take in.

use super::exempt::Exemptions;
use super::{Finding, Source};

const MAX_FILE_LINES: usize = 500;
const MAX_TEST_FILE_LINES: usize = 900;
const MAX_FUNCTION_LINES: usize = 80;

pub(crate) fn check(sources: &[Source], exemptions: &Exemptions, findings: &mut Vec<Finding>) {
    let mut is_file_used = vec![false; exemptions.long_files.len()];
    let mut is_function_used = vec![false; exemptions.long_functions.len()];
    for source in sources {
        if let Some(message) = file_problem(source) {
            match exemptions.long_files.iter().position(|(path, _)| *path == source.path) {
                Some(entry) => is_file_used[entry] = true,
                None => findings.push(Finding::new(&source.path, 1, message)),
            }
        }
        for function in &source.functions {
            if function.line_count <= MAX_FUNCTION_LINES || source.is_test_at(function.start) {
                continue;
            }
            let is_it = |(path, name, _): &(&str, &str, &str)| *path == source.path && *name == function.name;
            if let Some(entry) = exemptions.long_functions.iter().position(is_it) {
                is_function_used[entry] = true;
            } else {
                let message = format!(
                    "function {} has {} lines, {MAX_FUNCTION_LINES} are the limit; split it by steps, or give the \
                     reason in xtask/src/tidy/exempt.rs",
                    function.name, function.line_count
                );
                findings.push(Finding::new(&source.path, function.start.line, message));
            }
        }
    }
    for ((path, _), is_used) in exemptions.long_files.iter().zip(is_file_used) {
        if !is_used {
            findings.push(stale(path, "the file"));
        }
    }
    for ((path, name, _), is_used) in exemptions.long_functions.iter().zip(is_function_used) {
        if !is_used {
            findings.push(stale(path, name));
        }
    }
}

fn file_problem(source: &Source) -> Option<String> {
    let (kind, count, limit, advice) = if source.is_test {
        ("test file", source.line_count, MAX_TEST_FILE_LINES, "split it by behaviour")
    } else {
        ("file", source.production_line_count(), MAX_FILE_LINES, "split it by nouns")
    };
    let message = || {
        format!(
            "{kind} has {count} lines, {limit} are the limit; {advice}, or give the reason in xtask/src/tidy/exempt.rs"
        )
    };
    (count > limit).then(message)
}

fn stale(path: &str, what: &str) -> Finding {
    Finding::new(
        path,
        1,
        format!("{what} is within the limits; remove the entry from xtask/src/tidy/exempt.rs"),
    )
}
