//! What a repair did, or would do.

use crate::engine::scan::LostRange;

/// What was done to an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RepairKind {
    /// A small object came back from its replica.
    Original,
    /// A replica was written again.
    Replica,
    /// A replica or shard that means nothing any more was set aside.
    LeftOver,
    /// A pack was rebuilt from its parity group.
    Pack,
    /// A parity shard was computed again, or set aside because it says nothing any more.
    Shard,
    /// A pack index was written again.
    PackIndex,
    /// An index segment was set aside, or packs were named in a new one.
    Index,
    /// Packs without parity were put into a new parity group.
    Protect,
    /// A dead session was ended.
    Session,
    /// A void that was missing was signed again.
    Void,
    /// A damaged pack that cannot be rebuilt was retired, so that no new snapshot refers to it.
    Retire,
    /// A retired pack that cannot be rebuilt was set aside, because no snapshot needs it.
    Unneeded,
}

impl RepairKind {
    /// The word for it in documents.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Original => "original",
            Self::Replica => "replica",
            Self::LeftOver => "left-over",
            Self::Pack => "pack",
            Self::Shard => "shard",
            Self::PackIndex => "pack-index",
            Self::Index => "index",
            Self::Protect => "protect",
            Self::Session => "session",
            Self::Void => "void",
            Self::Retire => "retire",
            Self::Unneeded => "unneeded",
        }
    }

    /// Whether there was damage. The others are what interrupted sessions leave.
    #[must_use]
    pub fn is_damage(self) -> bool {
        !matches!(self, Self::Protect | Self::Session | Self::Void | Self::LeftOver)
    }
}

/// One change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RepairStep {
    /// What kind of change.
    pub kind: RepairKind,
    /// The object, or what is common to several.
    pub object: String,
    /// What was wrong, and what helps.
    pub text: String,
}

/// Something that could not be mended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unrepaired {
    /// The object.
    pub object: String,
    /// What is wrong with it, and why nothing helped.
    pub text: String,
}

/// What a repair found and did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RepairReport {
    /// Whether nothing was changed: then the steps are those of a plan.
    pub is_dry_run: bool,
    /// What was changed, in this order.
    pub steps: Vec<RepairStep>,
    /// What could not be mended.
    pub unrepaired: Vec<Unrepaired>,
    /// What that means for snapshots; not known without a key.
    pub lost: Vec<LostRange>,
    /// What was not looked at, and why.
    pub skipped: Vec<String>,
    /// Objects in quarantine: originals that were replaced, kept because something could not be mended.
    pub quarantined: u64,
}

impl RepairReport {
    /// How many changes of a kind.
    #[must_use]
    pub fn count(&self, kind: RepairKind) -> u64 {
        self.steps.iter().filter(|step| step.kind == kind).count() as u64
    }

    /// Whether there was any damage.
    #[must_use]
    pub fn found_damage(&self) -> bool {
        self.is_lossy() || self.steps.iter().any(|step| step.kind.is_damage())
    }

    /// Whether something stays damaged.
    #[must_use]
    pub fn is_lossy(&self) -> bool {
        !self.unrepaired.is_empty() || !self.lost.is_empty()
    }
}
