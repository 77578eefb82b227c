//! The union of what can go wrong, each with a code that scripts and other languages go by.

use std::io;

use crate::format::FormatError;
use crate::host::{HostError, listed};
use crate::repo::RepoError;
use crate::store::StoreErrorKind;

/// An operation failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The repository.
    #[error(transparent)]
    Repo(#[from] RepoError),
    /// The file system that is saved or restored to.
    #[error(transparent)]
    Host(#[from] HostError),
    /// A source could not be read to its end.
    #[error("cannot read the source of item '{item}': {source}; no snapshot was made")]
    Source {
        /// The item.
        item: String,
        /// Why.
        source: io::Error,
    },
    /// A source ended, and its content is not whole: a command failed.
    #[error("item '{item}' is not complete: {source}; no snapshot was made")]
    Incomplete {
        /// The item.
        item: String,
        /// Why.
        source: io::Error,
    },
    /// An item is smaller than was asked for.
    #[error("item '{item}' has {size} bytes, and at least {min_size} were asked for; no snapshot was made")]
    TooSmall {
        /// The item.
        item: String,
        /// Its bytes.
        size: u64,
        /// What was asked for.
        min_size: u64,
    },
    /// An item does not end as was asked for.
    #[error("the last 4 KiB of item '{item}' do not contain '{expected}'; no snapshot was made")]
    UnexpectedTail {
        /// The item.
        item: String,
        /// What was asked for.
        expected: String,
    },
    /// What restored content is written to failed.
    #[error("cannot write the restored item '{item}': {source}")]
    Output {
        /// The item.
        item: String,
        /// Why.
        source: io::Error,
    },
    /// An item name that cannot be one.
    #[error("'{name}' cannot be an item's name: {why}")]
    ItemName {
        /// The name.
        name: String,
        /// Why.
        why: String,
    },
    /// No items, or too many.
    #[error("{count} items: a snapshot has 1 to {limit}")]
    ItemCount {
        /// How many.
        count: usize,
        /// The limit.
        limit: usize,
    },
    /// A text that a manifest cannot hold.
    #[error("{what} is not possible: {why}")]
    Text {
        /// What it is.
        what: &'static str,
        /// Why not.
        why: String,
    },
    /// No snapshot matches.
    #[error("no snapshot matches '{wanted}'{}", hint)]
    NoSnapshot {
        /// What was asked for.
        wanted: String,
        /// What there is instead.
        hint: String,
    },
    /// Several snapshots match.
    #[error("'{wanted}' is the beginning of several snapshot ids: {}", candidates.join(", "))]
    AmbiguousSnapshot {
        /// What was asked for.
        wanted: String,
        /// What it could be.
        candidates: Vec<String>,
    },
    /// The newest snapshot is asked for and it may be one of those that cannot be read.
    #[error("cannot tell which snapshot is '{wanted}': {} of them cannot be read ({})", damaged.len(), damaged.join("; "))]
    UncertainSnapshot {
        /// What was asked for.
        wanted: String,
        /// What is damaged.
        damaged: Vec<String>,
    },
    /// The snapshot is damaged.
    #[error("snapshot {id} cannot be read: {why}")]
    DamagedSnapshot {
        /// The snapshot.
        id: String,
        /// Why.
        why: String,
    },
    /// The snapshot has no such item.
    #[error("snapshot {snapshot} has no item '{item}'; it has: {}", items.join(", "))]
    NoItem {
        /// The snapshot.
        snapshot: String,
        /// What was asked for.
        item: String,
        /// What there is.
        items: Vec<String>,
    },
    /// One stream is wanted and there are several items.
    #[error("snapshot {snapshot} has several items, name one with --item: {}", items.join(", "))]
    SeveralItems {
        /// The snapshot.
        snapshot: String,
        /// Its items.
        items: Vec<String>,
    },
    /// An item cannot be restored.
    #[error("item '{item}' of snapshot {snapshot} cannot be restored from byte {offset} on: {source}")]
    LostContent {
        /// The snapshot.
        snapshot: String,
        /// The item.
        item: String,
        /// Bytes of it that could be restored.
        offset: u64,
        /// What is lost.
        source: Box<RepoError>,
    },
    /// A restore into a folder stopped after some items.
    #[error("{source}; before that, {} of {count} items were restored, each whole: {}", restored.len(), listed(restored))]
    RestoredPartly {
        /// What it stopped at.
        source: Box<Error>,
        /// The items that were written.
        restored: Vec<String>,
        /// How many were to be restored.
        count: usize,
    },
    /// Something is unreadable or missing, and what depends on it would be lost if packs were deleted now.
    #[error("nothing was deleted: {why}")]
    RepairFirst {
        /// What it is.
        why: String,
    },
    /// The user or the caller asked to stop.
    #[error("interrupted")]
    Cancelled,
    /// The system has no thread to give.
    #[error("cannot start a thread: {source}")]
    Thread {
        /// Why.
        source: io::Error,
    },
    /// A worker thread panicked: a defect of this program.
    #[error(
        "a worker thread of this program ended unexpectedly; nothing was acknowledged. Please report this"
    )]
    Worker,
}

/// Declares the codes once, so that no list of them can lack one.
macro_rules! error_codes {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)*) => {
        /// Codes of errors, stable across versions.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[non_exhaustive]
        pub enum ErrorCode {
            $($(#[$doc])* $name,)*
        }

        impl ErrorCode {
            /// All codes.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The code as text.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }
        }
    };
}

error_codes! {
    /// Anything that has no code of its own.
    Failed = "E_FAILED",
    /// The request makes no sense.
    Usage = "E_USAGE",
    /// A source failed.
    Source = "E_SOURCE",
    /// There is no repository.
    NoRepository = "E_NO_REPOSITORY",
    /// There is one already, or something else.
    Exists = "E_EXISTS",
    /// Another session is in the way.
    Held = "E_HELD",
    /// Wrong or missing key.
    Key = "E_KEY",
    /// The key does not allow it.
    Capability = "E_CAPABILITY",
    /// The repository went back in time.
    Rollback = "E_ROLLBACK",
    /// Damage that can be mended, or was.
    Mendable = "E_MENDABLE",
    /// Damage that cannot be mended.
    Damaged = "E_DAMAGED",
    /// No snapshot or item of this name.
    NotFound = "E_NOT_FOUND",
    /// A pinned snapshot is in the way.
    Pinned = "E_PINNED",
    /// There is no snapshot, or the newest one of a series is older than was asked for.
    Stale = "E_STALE",
    /// The store is full.
    Full = "E_FULL",
    /// The network failed.
    Network = "E_NETWORK",
    /// A newer version of the program is needed.
    Version = "E_VERSION",
    /// Interrupted.
    Cancelled = "E_CANCELLED",
}

impl Error {
    /// Whether the store has no space left.
    pub(crate) fn is_full(&self) -> bool {
        matches!(self, Self::Repo(error) if error.is_full())
    }

    /// What went wrong itself, without what had been done before.
    #[must_use]
    pub fn root(&self) -> &Self {
        match self {
            Self::RestoredPartly { source, .. } => source.root(),
            _ => self,
        }
    }

    /// The code of this error.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Repo(error) => repo_code(error),
            Self::Host(error) if error.is_full() => ErrorCode::Full,
            Self::Host(error) if error.exists() => ErrorCode::Exists,
            Self::Host(_) => ErrorCode::Failed,
            Self::Source { .. }
            | Self::Incomplete { .. }
            | Self::TooSmall { .. }
            | Self::UnexpectedTail { .. } => ErrorCode::Source,
            Self::Output { source, .. } if source.kind() == io::ErrorKind::StorageFull => ErrorCode::Full,
            Self::Output { .. } | Self::Worker | Self::Thread { .. } => ErrorCode::Failed,
            Self::ItemName { .. }
            | Self::ItemCount { .. }
            | Self::Text { .. }
            | Self::SeveralItems { .. } => ErrorCode::Usage,
            Self::NoSnapshot { .. } | Self::AmbiguousSnapshot { .. } | Self::NoItem { .. } => {
                ErrorCode::NotFound
            }
            Self::UncertainSnapshot { .. } | Self::DamagedSnapshot { .. } => ErrorCode::Damaged,
            Self::RepairFirst { .. } => ErrorCode::Damaged,
            Self::LostContent { source, .. } => match (repo_code(source), source.is_damage()) {
                (ErrorCode::Failed, true) => ErrorCode::Damaged,
                (code, _) => code,
            },
            Self::RestoredPartly { source, .. } => source.code(),
            Self::Cancelled => ErrorCode::Cancelled,
        }
    }
}

fn repo_code(error: &RepoError) -> ErrorCode {
    match error {
        RepoError::NoRepository { .. } => ErrorCode::NoRepository,
        RepoError::Occupied { .. } => ErrorCode::Exists,
        RepoError::Store(error) => match error.kind {
            StoreErrorKind::Full => ErrorCode::Full,
            StoreErrorKind::Network => ErrorCode::Network,
            StoreErrorKind::OutOfRange => ErrorCode::Damaged,
            _ => ErrorCode::Failed,
        },
        RepoError::Damaged { .. }
        | RepoError::Missing { .. }
        | RepoError::DamagedSlot { .. }
        | RepoError::Recipe(_)
        | RepoError::LostChunk { .. } => ErrorCode::Damaged,
        RepoError::Unusable { source: FormatError::Version { .. } | FormatError::Feature { .. }, .. } => {
            ErrorCode::Version
        }
        RepoError::WrongKey { .. } | RepoError::KeyNeeded { .. } | RepoError::NotEncrypted { .. } => {
            ErrorCode::Key
        }
        RepoError::Held { .. } => ErrorCode::Held,
        RepoError::Pinned { .. } => ErrorCode::Pinned,
        RepoError::NotPinned { .. } => ErrorCode::NotFound,
        RepoError::NeedsAdmin { .. } => ErrorCode::Capability,
        RepoError::Rollback { .. } => ErrorCode::Rollback,
        RepoError::SlotStays { .. } | RepoError::SlotLimit { .. } => ErrorCode::Usage,
        RepoError::TooManySlots { .. } => ErrorCode::Damaged,
        _ => ErrorCode::Failed,
    }
}
