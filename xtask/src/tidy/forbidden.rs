//! What the library must not do: print, read the environment, parse arguments, exit, panic, or create files
//! outside the durable publish function.

use super::exempt::{FILE_WRITERS, UNSAFE};
use super::scan::{Form, Name};
use super::{Finding, LIBRARY, Source};

const PRINTS: &str = "the library does not print; report through the Monitor";
const ENVIRONMENT: &str = "the library does not read the environment; take the value as an option";
const UNFINISHED: &str = "finish it, or leave it out";
const PANICS: &str = "the library does not panic; return an error, or let a type carry the proof";
const WRITES: &str =
    "files are created and renamed by store/local and host only; call their publish function";

/// Macros that production code must not call.
const MACROS: &[(&str, &str)] = &[
    ("println", PRINTS),
    ("eprintln", PRINTS),
    ("print", PRINTS),
    ("eprint", PRINTS),
    ("option_env", ENVIRONMENT),
    ("panic", PANICS),
];

/// Macros that tests must not call either.
const MACROS_ANYWHERE: &[(&str, &str)] =
    &[("dbg", "remove the debugging output"), ("todo", UNFINISHED), ("unimplemented", UNFINISHED)];

/// Functions that production code must not call, by the beginning of their path.
const CALLS: &[(&str, &str)] = &[
    ("std::env::var", ENVIRONMENT),
    ("std::env::var_os", ENVIRONMENT),
    ("std::env::vars", ENVIRONMENT),
    ("std::env::vars_os", ENVIRONMENT),
];

/// Paths that tests must not name either.
const CALLS_ANYWHERE: &[(&str, &str)] = &[
    ("std::process::exit", "the library does not end the process; return an error"),
    ("clap", "arguments are the command line's; take an options struct"),
];

/// Calls that only [`FILE_WRITERS`] make.
const FILE_CALLS: &[&str] =
    &["std::fs::rename", "std::fs::write", "std::fs::File::create", "std::fs::File::create_new"];

pub(crate) fn check(sources: &[Source], findings: &mut Vec<Finding>) {
    for source in sources.iter().filter(|source| source.path.starts_with(LIBRARY)) {
        for name in &source.names {
            if let Some((what, advice)) = judge(source, name) {
                findings.push(Finding::new(&source.path, name.start.line, format!("{what}: {advice}")));
            }
        }
    }
}

/// What is wrong with a name, and what to do.
fn judge(source: &Source, name: &Name) -> Option<(String, &'static str)> {
    let last = name.segments.last()?.as_str();
    let is_test = source.is_test_at(name.start);
    let lies_in = |places: &[&str]| places.iter().any(|place| source.path.starts_with(place));
    if last == "unsafe" && !lies_in(UNSAFE) {
        return Some(("unsafe".to_owned(), "only SIMD kernels may; use a safe crate, such as rustix"));
    }
    match name.form {
        Form::Macro => {
            let is_version = last == "env" && name.body == "\"CARGO_PKG_VERSION\"";
            let listed = |list: &[(&str, &'static str)]| {
                list.iter().find(|(name, _)| *name == last).map(|entry| entry.1)
            };
            let advice = listed(MACROS_ANYWHERE)
                .or_else(|| listed(MACROS).filter(|_| !is_test))
                .or_else(|| (last == "env" && !is_version && !is_test).then_some(ENVIRONMENT));
            advice.map(|advice| (format!("{last}!"), advice))
        }
        Form::Method => (is_unwrap(last) && !is_test).then(|| (format!(".{last}()"), PANICS)),
        Form::Path | Form::Use | Form::Glob => {
            let path = source.imported(name);
            let is_under = |call: &str| starts_with(&path, call);
            if !is_test && is_unwrap(last) && is_type(&path) {
                return Some((path.join("::"), PANICS));
            }
            if !is_test && !lies_in(FILE_WRITERS) && FILE_CALLS.iter().any(|call| is_under(call)) {
                return Some((path.join("::"), WRITES));
            }
            let production = CALLS.iter().filter(|_| !is_test);
            let entry = production.chain(CALLS_ANYWHERE).find(|(call, _)| is_under(call));
            // A lone word that was not imported is a variable, field or argument.
            entry
                .filter(|_| path.len() > 1 || name.form == Form::Use)
                .map(|(_, advice)| (path.join("::"), *advice))
        }
    }
}

fn is_unwrap(name: &str) -> bool {
    name == "unwrap" || name == "expect"
}

/// `Option::unwrap` and the like, given as a function. Lint attributes say `expect(…)` alone.
fn is_type(path: &[String]) -> bool {
    path.len() > 1 && ["Option", "Result"].contains(&path[path.len() - 2].as_str())
}

fn starts_with(path: &[String], call: &str) -> bool {
    let call: Vec<&str> = call.split("::").collect();
    path.len() >= call.len() && path.iter().zip(call).all(|(part, wanted)| part == wanted)
}
