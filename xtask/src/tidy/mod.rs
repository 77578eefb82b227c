//! `cargo xtask tidy`: what the compiler and clippy do not check. Reads files only, builds nothing.

mod exempt;
mod forbidden;
mod kit;
mod manifests;
mod scan;
mod sizes;
mod source;
mod text;
mod tree;
mod walls;

use std::fmt;
use std::path::Path;
use std::process::ExitCode;

use exempt::Exemptions;
use source::Source;
use tree::Tree;

/// Sources of the library, ending in a slash.
const LIBRARY: &str = "crates/containerarchive/src/";
/// Sources of the command line, ending in a slash.
const CLI: &str = "crates/containerarchive-cli/src/";

/// Something to mend. Ordered by place.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Finding {
    /// File, relative to the root, with slashes.
    pub(crate) path: String,
    /// Line, from 1.
    pub(crate) line: usize,
    /// What is wrong and what to do.
    pub(crate) message: String,
}

impl Finding {
    fn new(path: &str, line: usize, message: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line, message: message.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path, self.line, self.message)
    }
}

/// Prints the findings; fails if there are any.
pub(crate) fn main(root: &Path) -> ExitCode {
    let findings = run(root);
    for finding in &findings {
        println!("{finding}");
    }
    match findings.len() {
        0 => println!("tidy"),
        count => println!("{count} to mend"),
    }
    ExitCode::from(u8::from(!findings.is_empty()))
}

/// All findings in the tree below `root`, by place.
pub(crate) fn run(root: &Path) -> Vec<Finding> {
    match Tree::load(root) {
        Ok(tree) => check(&tree, &exempt::PROJECT),
        Err(error) => vec![Finding::new(".", 1, format!("cannot read the tree: {error}"))],
    }
}

fn check(tree: &Tree, exemptions: &Exemptions) -> Vec<Finding> {
    let mut findings = Vec::new();
    let sources = source::read_all(tree, &mut findings);
    walls::check(&sources, &mut findings);
    forbidden::check(&sources, &mut findings);
    sizes::check(&sources, exemptions, &mut findings);
    manifests::check(tree, &mut findings);
    text::check(tree, &sources, exemptions, &mut findings);
    kit::check(tree, &mut findings);
    findings.sort();
    findings.dedup();
    findings
}

#[cfg(test)]
mod tests;
