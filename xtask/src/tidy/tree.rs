//! The files of the repository, read once.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Longer files are data, whatever they hold.
const MAX_TEXT_BYTES: u64 = 4 << 20;

/// Folders that are passed over where git cannot be asked.
const OUTSIDE: &[&str] = &[".git", "target", "node_modules"];

/// One file.
#[derive(Debug)]
pub(crate) struct File {
    /// Relative to the root, with slashes.
    pub(crate) path: String,
    /// Known to git, not only waiting to be added.
    pub(crate) is_tracked: bool,
    /// The content; `None` if it is no UTF-8 text or too long.
    pub(crate) text: Option<String>,
}

/// All files that are in the repository or would be added to it.
#[derive(Debug)]
pub(crate) struct Tree {
    pub(crate) files: Vec<File>,
}

impl Tree {
    /// Reads the tree at `root`; outside a git work tree every file counts as tracked.
    ///
    /// # Errors
    /// git failed, or a file cannot be read.
    pub(crate) fn load(root: &Path) -> io::Result<Self> {
        let mut paths = if root.join(".git").exists() { ask_git(root)? } else { walk(root)? };
        paths.sort();
        let mut files = Vec::with_capacity(paths.len());
        for (path, is_tracked) in paths {
            let place = root.join(&path);
            // A deleted file stays in git's list until the deletion is staged; a symbolic link has no text of its own.
            let Ok(metadata) = place.symlink_metadata() else {
                continue;
            };
            if metadata.is_file() {
                let text =
                    if metadata.len() <= MAX_TEXT_BYTES { as_text(std::fs::read(&place)?) } else { None };
                files.push(File { path, is_tracked, text });
            }
        }
        Ok(Self { files })
    }

    /// A tree that exists nowhere else.
    #[cfg(test)]
    pub(crate) fn of(files: &[(&str, &str)]) -> Self {
        let file = |(path, text): &(&str, &str)| File {
            path: (*path).to_owned(),
            is_tracked: true,
            text: Some((*text).to_owned()),
        };
        Self { files: files.iter().map(file).collect() }
    }

    /// The text of a file, if there is such a file with text.
    pub(crate) fn text(&self, path: &str) -> Option<&str> {
        self.files.iter().find(|file| file.path == path)?.text.as_deref()
    }

    /// Path and text of every text file whose name ends so.
    pub(crate) fn texts<'a>(&'a self, ending: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
        let named = self.files.iter().filter(move |file| file.path.ends_with(ending));
        named.filter_map(|file| Some((file.path.as_str(), file.text.as_deref()?)))
    }
}

fn as_text(bytes: Vec<u8>) -> Option<String> {
    if bytes.contains(&0) { None } else { String::from_utf8(bytes).ok() }
}

/// Paths with whether git tracks them.
fn ask_git(root: &Path) -> io::Result<Vec<(String, bool)>> {
    let output = Command::new("git")
        .args(["ls-files", "-z", "-t", "--cached", "--others", "--exclude-standard"])
        .current_dir(root)
        .output()?;
    if !output.status.success() {
        return Err(io::Error::other(format!(
            "git ls-files: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        )));
    }
    let listing = String::from_utf8_lossy(&output.stdout);
    let entries = listing.split('\0').filter_map(|entry| entry.split_once(' '));
    Ok(entries.map(|(tag, path)| (path.to_owned(), tag != "?")).collect())
}

fn walk(root: &Path) -> io::Result<Vec<(String, bool)>> {
    let mut found = Vec::new();
    let mut folders = vec![PathBuf::from(root)];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder)? {
            let entry = entry?;
            if !entry.file_type()?.is_dir() {
                if let Ok(path) = entry.path().strip_prefix(root) {
                    found.push((path.to_string_lossy().replace('\\', "/"), true));
                }
            } else if !OUTSIDE.iter().any(|outside| entry.file_name() == *outside) {
                folders.push(entry.path());
            }
        }
    }
    Ok(found)
}
