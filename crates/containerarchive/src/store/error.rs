//! One error for all stores: what was asked, of which object, and a kind that callers act upon.

use std::fmt;
use std::io;

/// What the engine decides by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreErrorKind {
    /// There is no such object.
    NotFound,
    /// The object, or something else in its place, is already there.
    AlreadyExists,
    /// The object is longer than the caller can take.
    TooLarge,
    /// The object ends before the range that was asked for.
    OutOfRange,
    /// The medium is read-only, or this user may not do that.
    Denied,
    /// No space or quota is left.
    Full,
    /// The network or the remote side failed.
    Network,
    /// Anything else: an input/output error.
    Failed,
}

/// The call that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreOperation {
    /// [`super::Store::create`]
    Create,
    /// [`super::Store::put`]
    Put,
    /// [`super::Store::get`]
    Get,
    /// [`super::Store::get_range`]
    GetRange,
    /// [`super::Store::head`]
    Head,
    /// [`super::Store::list`]
    List,
    /// [`super::Store::delete`]
    Delete,
    /// [`super::Store::put_held`] and [`super::Store::is_held`]
    Lock,
}

impl fmt::Display for StoreOperation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Create => "create",
            Self::Put => "write",
            Self::Get | Self::GetRange => "read",
            Self::Head => "look at",
            Self::List => "list",
            Self::Delete => "delete",
            Self::Lock => "lock",
        })
    }
}

/// A call to a store failed.
#[derive(Debug, thiserror::Error)]
#[error("cannot {operation} {name}: {source}")]
pub struct StoreError {
    /// What to do about it.
    pub kind: StoreErrorKind,
    /// The call.
    pub operation: StoreOperation,
    /// The object or folder.
    pub name: String,
    /// The operating system's or the backend's own error.
    pub source: io::Error,
}

impl StoreError {
    /// Sorts an input/output error into a kind.
    #[must_use]
    pub fn from_io(operation: StoreOperation, name: impl fmt::Display, source: io::Error) -> Self {
        let kind = match source.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory | io::ErrorKind::IsADirectory => {
                StoreErrorKind::NotFound
            }
            io::ErrorKind::AlreadyExists | io::ErrorKind::DirectoryNotEmpty => StoreErrorKind::AlreadyExists,
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => StoreErrorKind::Denied,
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
                StoreErrorKind::Full
            }
            io::ErrorKind::UnexpectedEof => StoreErrorKind::OutOfRange,
            io::ErrorKind::TimedOut
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::NetworkDown
            | io::ErrorKind::NetworkUnreachable
            | io::ErrorKind::HostUnreachable
            | io::ErrorKind::StaleNetworkFileHandle => StoreErrorKind::Network,
            _ => StoreErrorKind::Failed,
        };
        Self { kind, operation, name: name.to_string(), source }
    }

    /// An error of this kind with a text of its own.
    #[must_use]
    pub fn new(kind: StoreErrorKind, operation: StoreOperation, name: impl fmt::Display, text: &str) -> Self {
        Self { kind, operation, name: name.to_string(), source: io::Error::other(text.to_owned()) }
    }
}
