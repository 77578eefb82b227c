//! What becomes of a snapshot, and why.

use std::fmt;

use super::rules::Period;
use crate::base::Timestamp;
use crate::engine::options::CLOCK_TOLERANCE_MS;

/// How the time that a snapshot stands for, which its writer chose, fits the time at which the store got it, which the
/// writer could not choose.
///
/// A hostile writer could date snapshots so that they are the newest of each day, and make good ones of its domain go.
/// So one whose time is not believed takes no other's place: those that are dated back are thinned by the times that
/// they stand for, as an import of old backups wants it, but all others are judged as if they were not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dating {
    /// At most as far apart as clocks may be.
    InTime,
    /// It stands for an earlier time: an import by `--time`, a clock that was behind, a repository whose files were
    /// copied and got new times, or a lie.
    BackDated,
    /// It stands for a time after the one at which the store got it, or one that is yet to come: a clock that was ahead,
    /// or a lie. It is kept, and counts for no rule, for ever: its time will come, and must not help it then.
    FromTheFuture,
}

impl Dating {
    /// Compares the time that a snapshot stands for with that of the store, within ten minutes.
    pub(super) fn of(time: Timestamp, stored_at: Timestamp, now: Timestamp) -> Self {
        if time.0 > stored_at.min(now).0.saturating_add(CLOCK_TOLERANCE_MS) {
            Self::FromTheFuture
        } else if time.0 < stored_at.0.saturating_sub(CLOCK_TOLERANCE_MS) {
            Self::BackDated
        } else {
            Self::InTime
        }
    }
}

/// Whether a snapshot stays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It stays, for at least one reason.
    Keep(Vec<KeepReason>),
    /// It goes.
    Remove(RemoveReason),
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Remove(reason) => reason.fmt(f),
            Self::Keep(reasons) => {
                for (number, reason) in reasons.iter().enumerate() {
                    let separator = if number == 0 { "" } else { ", " };
                    write!(f, "{separator}{reason}")?;
                }
                Ok(())
            }
        }
    }
}

/// Why a snapshot stays.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeepReason {
    /// There are no rules.
    NoRules,
    /// It is pinned.
    Pinned,
    /// It is dated after the time at which the store got it.
    FromTheFuture,
    /// Another snapshot saw another manifest of this name: which of them is right must be found out first.
    Damaged,
    /// It is among the newest of its group.
    Last {
        /// Counted from the newest, which is 1.
        number: u32,
        /// How many stay.
        of: u32,
    },
    /// It is the newest of a period.
    Newest {
        /// The kind of the period.
        period: Period,
        /// Which of the periods that have a snapshot, counted from the newest, which is 1.
        number: u32,
        /// How many periods keep one.
        of: u32,
    },
    /// It is not much older than the newest of its group.
    Within {
        /// How much older it may be, in milliseconds.
        within_ms: u64,
    },
    /// It has a tag.
    Tag {
        /// The tag's key. Written by another client, so not to be trusted with a terminal.
        key: String,
        /// The tag's value. Likewise.
        value: String,
    },
    /// No rule keeps it, and it is the newest of its group.
    NewestOfGroup,
}

impl fmt::Display for KeepReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoRules => f.write_str("no rules are given"),
            Self::Pinned => f.write_str("pinned"),
            Self::FromTheFuture => f.write_str("from the future"),
            Self::Damaged => f.write_str("replaced, see 'verify'"),
            Self::Last { number, of } => write!(f, "last {number} of {of}"),
            Self::Newest { period, number, of } => write!(f, "{} {number} of {of}", period.word()),
            Self::Within { within_ms } => write!(f, "within {}", Span(*within_ms)),
            Self::Tag { key, value } => write!(f, "tag {key}={value}"),
            Self::NewestOfGroup => f.write_str("newest of its group"),
        }
    }
}

/// Why a snapshot goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum RemoveReason {
    /// No rule keeps it.
    NoRule,
    /// A record says that it shall go, and whoever wrote that was interrupted.
    ForgetBegun,
}

impl fmt::Display for RemoveReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoRule => "no rule keeps it",
            Self::ForgetBegun => "forgetting it was interrupted",
        })
    }
}

/// Milliseconds as users write them: `30d`, `26h`.
struct Span(u64);

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1000, "s")];
        match units.iter().find(|(unit, _)| self.0.is_multiple_of(*unit)) {
            Some((unit, name)) => write!(f, "{}{name}", self.0 / unit),
            None => write!(f, "{}ms", self.0),
        }
    }
}
