//! The documents that repeat the table, compared with it; `cargo xtask errors` writes them anew.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use super::{CATALOGUE, EXIT_CODES};

/// Set: the documents are written and not compared.
const WRITE: &str = "CONTAINERARCHIVE_ERRORS_WRITE";
const README_BEGIN: &str = "<!-- exit codes: written by `cargo xtask errors` -->\n";
const README_END: &str = "<!-- end of exit codes -->\n";

const INTRODUCTION: &str = "\
# Errors

Written by `cargo xtask errors` from `crates/containerarchive-cli/src/catalogue.rs`; a test compares them.

An error says what happened, why, and what to do. With `--json` it is one document on the standard error:

```json
{\"schema\":\"containerarchive/error/1\",\"error\":{\"code\":\"E_NO_REPOSITORY\",\"message\":\"…\",\"advice\":\"…\",\"exitCode\":10,\"retryable\":false}}
```

Scripts go by `code` or by the exit code; messages and advice are for people and may change. The advice of a single error
may be more precise than that of its code below. `retryable` says that the cause may pass by itself: the same request,
repeated later without anybody doing anything, may succeed.
";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn exit_codes() -> String {
    let mut table = "| exit code | meaning |\n|---|---|\n".to_owned();
    for (code, meaning) in EXIT_CODES {
        writeln!(table, "| {code} | {meaning} |").unwrap();
    }
    table
}

fn errors() -> String {
    let mut text = format!("{INTRODUCTION}\n## Exit codes\n\n{}\n## Codes\n", exit_codes());
    for entry in CATALOGUE {
        let retryable = if entry.is_retryable { ", retryable" } else { "" };
        write!(text, "\n### {}\n\nExit code {}{retryable}.\n\n", entry.code.as_str(), entry.exit_code)
            .unwrap();
        writeln!(text, "- **What happened**: {}.\n- **What to do**: {}.", entry.cause, entry.advice).unwrap();
    }
    text
}

/// The README with the table between its two marks.
fn readme(before: &str) -> String {
    let (head, rest) = before.split_once(README_BEGIN).expect("the README marks where the exit codes begin");
    let (_, tail) = rest.split_once(README_END).expect("the README marks where the exit codes end");
    format!("{head}{README_BEGIN}\n{}\n{README_END}{tail}", exit_codes())
}

#[test]
fn the_documents_say_what_the_table_says() {
    let path = root().join("README.md");
    let before = std::fs::read_to_string(&path).unwrap();
    for (path, text) in [(root().join("docs/ERRORS.md"), errors()), (path, readme(&before))] {
        if std::env::var_os(WRITE).is_some() {
            std::fs::write(&path, text).unwrap();
            continue;
        }
        let stored = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(stored == text, "{} differs from the table: run `cargo xtask errors`", path.display());
    }
}
