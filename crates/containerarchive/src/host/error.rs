//! What can go wrong with files of the host.

use std::io;

/// Names that an error lists before it only counts the others.
const LISTED: usize = 100;

/// A file or folder of the host could not be used.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// There is something in the places of restored files.
    #[error("{}", existing(paths))]
    Exists {
        /// Where.
        paths: Vec<String>,
    },
    /// A folder stands where a file is to be restored, or a file or a link where a folder is needed. Neither is ever
    /// replaced.
    #[error("cannot restore below {folder}, because what is there is in the way: {}", listed(paths))]
    InTheWay {
        /// What is restored to.
        folder: String,
        /// What is in the way.
        paths: Vec<String>,
    },
    /// The place to restore to is a file, or a link to nothing.
    #[error("cannot restore to {path}: it is no folder")]
    NoFolder {
        /// Where.
        path: String,
    },
    /// An operating system error.
    #[error("cannot {action} {path}: {source}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// Where.
        path: String,
        /// Why it failed.
        source: io::Error,
    },
}

impl HostError {
    /// Whether the disk is full.
    #[must_use]
    pub fn is_full(&self) -> bool {
        matches!(self, Self::Io { source, .. } if matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded))
    }

    /// Whether there is something in the place of a restored file, or of its folder.
    #[must_use]
    pub fn exists(&self) -> bool {
        matches!(self, Self::Exists { .. } | Self::InTheWay { .. })
    }
}

fn existing(paths: &[String]) -> String {
    match paths {
        [path] => format!("{path} exists already and was left as it is"),
        _ => format!("{} files exist already and were left as they are: {}", paths.len(), listed(paths)),
    }
}

/// Names for people: the first hundred, and how many more there are.
/// `1 pack`, `2 packs`.
pub(crate) fn counted(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

pub(crate) fn listed(names: &[String]) -> String {
    let shown = names[..names.len().min(LISTED)].join(", ");
    match names.len().saturating_sub(LISTED) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}
