//! Bugs that the simulator plants on purpose, to show that it would find them. Outside of this crate's own tests none is
//! ever planted, and the questions cost nothing.

/// A bug. Each breaks one rule of the sessions, of durability or of encryption.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Planted {
    /// A commit does not look whether its session was fenced (W5).
    FenceUnchecked,
    /// A commit does not look whether its lock is still there (W5).
    LockUnchecked,
    /// A void does not hide a snapshot (S1).
    VoidIgnored,
    /// A writer reads records and segments before it registers (W1).
    RegisteredLate,
    /// A writer refers to a pack that an earlier session saw (W2).
    #[cfg(test)]
    ReuseUnchecked,
    /// A writer uses packs that are retired (S2).
    MaskIgnored,
    /// A segment names a pack before the pack is there (W3).
    SegmentEarly,
    /// Packs are not made durable (W3).
    FsyncSkipped,
    /// The headers of packs have no random bytes.
    SaltLeftOut,
    /// A prune lists sessions before its retire record is durable (P6).
    LocksListedEarly,
    /// A prune deletes packs although somebody is at work who may refer to them (P6).
    SweptBeforeDrain,
    /// A prune does not look at snapshots that came meanwhile (P7).
    NoSecondLook,
    /// A prune takes a pack back that is retired, although another one may be about to delete it (S2).
    Unretired,
    /// A commit on a weak store does not look how old its session is (W5).
    AgeUnchecked,
    /// A prune on a weak store deletes packs as soon as they are retired (P8).
    SweptUnripe,
    /// A prune deletes shards before the packs that they protect are gone (P8).
    ParityRemovedEarly,
}

/// Whether this thread runs with the bug.
#[cfg(not(test))]
pub(crate) const fn is_planted(_: Planted) -> bool {
    false
}

#[cfg(test)]
pub(crate) use of_thread::{is_planted, plant};

#[cfg(test)]
mod of_thread {
    use std::cell::Cell;

    use super::Planted;

    thread_local! {
        static PLANTED: Cell<Option<Planted>> = const { Cell::new(None) };
    }

    pub(crate) fn is_planted(bug: Planted) -> bool {
        PLANTED.get() == Some(bug)
    }

    /// Plants a bug in what this thread runs from now on; other tests run beside it.
    pub(crate) fn plant(bug: Option<Planted>) {
        PLANTED.set(bug);
    }
}
