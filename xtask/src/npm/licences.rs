//! The licences of what is linked into the program: whoever passes the program on passes on these, too.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use serde_json::Value;

use super::cannot;
use crate::cargo::cargo;

/// The crate of which the program is made.
const PROGRAM: &str = "containerarchive-cli";
/// How files are named, beginnings in lower case, that have to be passed on.
const NAMES: &[&str] = &["license", "licence", "copying", "copyright", "notice", "unlicense"];
/// How deep below a crate's folder they are looked for: some bring the sources of a C library in a folder of its own.
const DEPTH: usize = 2;

/// A list of the crates, and the text of every licence once.
///
/// # Errors
/// cargo cannot say what is linked, or a crate has no licence that can be read.
pub(super) fn text(root: &Path, target: &str) -> Result<String, String> {
    let mut cargo = cargo(root);
    cargo.args(["metadata", "--format-version=1", "--locked", "--filter-platform", target]);
    let output = cargo.output().map_err(|error| format!("cannot run cargo: {error}"))?;
    if !output.status.success() {
        return Err(format!("cargo metadata: {}", String::from_utf8_lossy(&output.stderr).trim()));
    }
    let metadata: Value =
        serde_json::from_slice(&output.stdout).map_err(|error| format!("cargo metadata: {error}"))?;
    let mut list = String::from("The program `containerarchive` is linked with these libraries:\n\n");
    let mut texts: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for package in linked(&metadata)? {
        let of = |name: &str| package[name].as_str().unwrap_or_default();
        let name = format!("{} {}", of("name"), of("version"));
        // Writing into a text does not fail.
        let _ = writeln!(list, "- {name}: {}, {}", of("license"), of("repository"));
        let folder = Path::new(of("manifest_path")).parent().ok_or("a manifest in no folder")?;
        let mut found = Vec::new();
        collect(folder, DEPTH, &mut found)?;
        if found.is_empty() {
            return Err(format!("{name} has no file with its licence"));
        }
        for text in found {
            texts.entry(text).or_default().insert(name.clone());
        }
    }
    for (text, names) in texts {
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let _ = writeln!(list, "\n{}\n\n{}:\n\n{}", "=".repeat(80), names.join(", "), text.trim_end());
    }
    Ok(list)
}

/// What the program is linked with, by name. What only builds or tests it is not passed on.
fn linked(metadata: &Value) -> Result<Vec<&Value>, String> {
    let no = |what: &str| format!("cargo metadata has no {what}");
    let packages = metadata["packages"].as_array().ok_or_else(|| no("packages"))?;
    let nodes = metadata["resolve"]["nodes"].as_array().ok_or_else(|| no("nodes"))?;
    let program = packages.iter().find(|package| package["name"] == PROGRAM).ok_or_else(|| no(PROGRAM))?;
    let mut seen = BTreeSet::new();
    let mut left = vec![program["id"].as_str().unwrap_or_default()];
    while let Some(id) = left.pop() {
        if !seen.insert(id) {
            continue;
        }
        let node = nodes.iter().find(|node| node["id"] == id).ok_or_else(|| no(id))?;
        let is_linked = |dependency: &&Value| {
            let kinds = dependency["dep_kinds"].as_array();
            kinds.is_some_and(|kinds| kinds.iter().any(|kind| kind["kind"].is_null()))
        };
        let dependencies = node["deps"].as_array().ok_or_else(|| no("dependencies"))?;
        left.extend(
            dependencies.iter().filter(is_linked).filter_map(|dependency| dependency["pkg"].as_str()),
        );
    }
    // Those of the workspace have no source; their licence is that of the package.
    let is_foreign = |package: &&Value| !package["source"].is_null();
    let is_seen = |package: &&Value| package["id"].as_str().is_some_and(|id| seen.contains(id));
    Ok(packages.iter().filter(is_foreign).filter(is_seen).collect())
}

/// The texts of the licences in a folder.
fn collect(folder: &Path, depth: usize, found: &mut Vec<String>) -> Result<(), String> {
    for entry in fs::read_dir(folder).map_err(|error| cannot(folder, &error))? {
        let path = entry.map_err(|error| cannot(folder, &error))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
        let is_licence = NAMES.iter().any(|beginning| name.starts_with(beginning)) && !name.ends_with(".rs");
        if path.is_file() && is_licence {
            let bytes = fs::read(&path).map_err(|error| cannot(&path, &error))?;
            found.push(String::from_utf8_lossy(&bytes).replace("\r\n", "\n"));
        } else if path.is_dir() && depth > 0 {
            collect(&path, depth - 1, found)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn licences_of_what_is_linked_are_there_and_of_nothing_else() {
        let text = text(&crate::root(), "x86_64-unknown-linux-gnu").unwrap();
        for linked in ["\n- aws-lc-sys ", "\n- zstd-sys ", "\n- clap ", "Yann Collet", "Facebook", "MIT"] {
            assert!(text.contains(linked), "{linked}");
        }
        for other in ["\n- containerarchive", "\n- proptest ", "\n- cmake ", "\n- schemars "] {
            assert!(!text.contains(other), "{other}");
        }
    }
}
