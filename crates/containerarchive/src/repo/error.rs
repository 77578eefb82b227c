//! What can go wrong with a repository.

use crate::base::pins::PinsError;
use crate::base::random::RandomnessError;
use crate::base::{ChunkId, ObjectName, SessionId};
use crate::crypto::CryptoError;
use crate::format::FormatError;
use crate::store::{StoreError, StoreErrorKind, StoreOperation};

/// An operation on a repository failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RepoError {
    /// There is nothing there.
    #[error("there is no repository at {location}")]
    NoRepository {
        /// Where.
        location: String,
    },
    /// There is something there already.
    #[error("cannot make a repository at {location}: {why}")]
    Occupied {
        /// Where.
        location: String,
        /// What is there.
        why: String,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// An object breaks a rule of the format.
    #[error("{object} is damaged: {source}")]
    Damaged {
        /// The object.
        object: String,
        /// The rule.
        source: FormatError,
    },
    /// An object that must be there is not.
    #[error("{object} is missing")]
    Missing {
        /// The object.
        object: String,
    },
    /// A newer version is needed, or a primitive failed.
    #[error("cannot use {object}: {source}")]
    Unusable {
        /// The object.
        object: String,
        /// Why.
        source: FormatError,
    },
    /// No key slot opens.
    #[error("wrong {given}: it opens none of the {slots} key slots of {location}{}", note(damaged))]
    WrongKey {
        /// `passphrase` or `key file`.
        given: &'static str,
        /// Slots that could be tried.
        slots: usize,
        /// Slots that were not tried, and why.
        damaged: Vec<String>,
        /// Where.
        location: String,
    },
    /// All slots are damaged, or the one that opens.
    #[error("{object} is damaged, so the {given} cannot be checked: {text}")]
    DamagedSlot {
        /// The slot.
        object: String,
        /// `passphrase` or `key file`.
        given: &'static str,
        /// What is wrong.
        text: String,
    },
    /// The repository is encrypted and no passphrase or key file was given.
    #[error("{location} is encrypted, and neither a passphrase nor a key file was given")]
    KeyNeeded {
        /// Where.
        location: String,
    },
    /// A passphrase or key file was given for a plain repository.
    #[error("{location} is not encrypted, although a {given} was given: its config may have been swapped")]
    NotEncrypted {
        /// Where.
        location: String,
        /// `passphrase` or `key file`.
        given: &'static str,
    },
    /// The key does not allow this.
    #[error("this key may only add snapshots (write capability); {what} needs an admin key")]
    NeedsAdmin {
        /// What was asked for.
        what: &'static str,
    },
    /// The repository is not as this client saw it last.
    #[error("{location} is not as this client saw it last: {what}")]
    Rollback {
        /// Where.
        location: String,
        /// What went backwards.
        what: String,
    },
    /// A node of a recipe breaks a rule, although it is what was stored.
    #[error("a recipe is damaged: {0}")]
    Recipe(#[from] FormatError),
    /// A chunk is nowhere.
    #[error("the {chunk} is lost: {why}")]
    LostChunk {
        /// The chunk.
        chunk: ChunkId,
        /// Where it was looked for.
        why: String,
    },
    /// Another session fenced this one, and committing again failed.
    #[error("session {session} was ended by an admin's maintenance before it could commit: {why}")]
    Fenced {
        /// The session.
        session: SessionId,
        /// Why it could not commit under a new id.
        why: String,
    },
    /// Somebody ended this maintenance session, which still ran; what it planned is out of date.
    #[error(
        "session {session} was ended by somebody else while it ran, as by 'unlock --force'; nothing was lost: run it again"
    )]
    Ended {
        /// The session.
        session: SessionId,
    },
    /// Another maintenance session runs.
    #[error("another maintenance session is running: {holder}")]
    Held {
        /// What it does, and who runs it.
        holder: String,
    },
    /// Too many key slots.
    #[error("{location} has {count} key slots, more than the limit of {limit}")]
    TooManySlots {
        /// Where.
        location: String,
        /// How many.
        count: usize,
        /// The limit.
        limit: usize,
    },
    /// A new slot would exceed a limit.
    #[error("at most {limit} {what} are possible")]
    SlotLimit {
        /// Of what.
        what: &'static str,
        /// How many.
        limit: usize,
    },
    /// The slot is not there, or the last one that lets an admin in.
    #[error("cannot remove key slot {slot}: {why}")]
    SlotStays {
        /// What was asked for.
        slot: String,
        /// Why not.
        why: &'static str,
    },
    /// Snapshots that are to be forgotten are pinned; nothing was forgotten.
    #[error("{} pinned, so nothing was forgotten: {}", if let [_] = snapshots.as_slice() { "a snapshot is" } else { "snapshots are" }, ids(snapshots))]
    Pinned {
        /// Those that are.
        snapshots: Vec<SessionId>,
    },
    /// A snapshot that is to be pinned is gone, or a record says that it shall be.
    #[error("snapshot {snapshot} cannot be pinned: {why}")]
    NotPinned {
        /// The snapshot.
        snapshot: SessionId,
        /// Why not.
        why: &'static str,
    },
    /// What was just sealed did not open again.
    #[error("what was sealed did not open again ({why}): this computer's memory or processor may be faulty")]
    SealCheck {
        /// What differed.
        why: String,
    },
    /// A worker thread panicked: a defect of this program.
    #[error(
        "a worker thread of this program ended unexpectedly; nothing was acknowledged. Please report this"
    )]
    Worker,
    /// A primitive failed.
    #[error(transparent)]
    Crypto(#[from] CryptoError),
    /// There is no randomness.
    #[error(transparent)]
    Randomness(#[from] RandomnessError),
    /// The client's notes are unusable.
    #[error(transparent)]
    Pins(#[from] PinsError),
}

fn ids(snapshots: &[SessionId]) -> String {
    snapshots.iter().map(SessionId::to_hex).collect::<Vec<_>>().join(", ")
}

fn note(damaged: &[String]) -> String {
    if damaged.is_empty() {
        return String::new();
    }
    format!("; not tried: {}", damaged.join(", "))
}

impl RepoError {
    /// Sorts an error of the format room.
    #[must_use]
    pub fn format(object: &ObjectName, source: FormatError) -> Self {
        let object = object.to_string();
        match source {
            FormatError::Broken { .. } => Self::Damaged { object, source },
            _ => Self::Unusable { object, source },
        }
    }

    /// Whether the error speaks of damage or loss of an object, so that another copy may help. A sector that cannot be
    /// read is damage, too.
    #[must_use]
    pub fn is_damage(&self) -> bool {
        match self {
            Self::Damaged { .. } | Self::Missing { .. } | Self::Recipe(_) | Self::LostChunk { .. } => true,
            Self::Store(error) => {
                let is_read = matches!(
                    error.operation,
                    StoreOperation::Get | StoreOperation::GetRange | StoreOperation::Head
                );
                is_read && matches!(error.kind, StoreErrorKind::Failed | StoreErrorKind::OutOfRange)
            }
            _ => false,
        }
    }

    /// Whether the object is not there. For what may be replaced by others at any time that is neither damage nor trouble.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        match self {
            Self::Missing { .. } => true,
            Self::Store(error) => error.kind == StoreErrorKind::NotFound,
            _ => false,
        }
    }

    /// Whether the store has no space left.
    #[must_use]
    pub fn is_full(&self) -> bool {
        matches!(self, Self::Store(error) if error.kind == StoreErrorKind::Full)
    }

    /// As [`Self::is_damage`] for packs and segments: one of an unknown version is of no use either, and others may
    /// have what it has.
    #[must_use]
    pub fn is_useless(&self) -> bool {
        self.is_damage() || matches!(self, Self::Unusable { .. })
    }
}
