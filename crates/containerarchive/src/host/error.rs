//! What can go wrong with files of the host.

use std::io;

/// A file or folder of the host could not be used.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// There is something in the place of a restored file.
    #[error("{path} exists already and was left as it is")]
    Exists {
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

    /// Whether there is something in the place of a restored file.
    #[must_use]
    pub fn exists(&self) -> bool {
        matches!(self, Self::Exists { .. })
    }
}
