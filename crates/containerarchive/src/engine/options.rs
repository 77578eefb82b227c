//! What several verbs are asked in the same way, and what they mean by the future.

use std::collections::BTreeMap;

use crate::base::Timestamp;
use crate::repo::LoadedManifest;

/// Clocks of clients may differ by this much before a snapshot counts as one from the future.
pub(super) const CLOCK_TOLERANCE_MS: i64 = 10 * 60 * 1000;

/// Whether a time lies further ahead than clocks may differ.
pub(super) fn is_future(time: Timestamp, now: Timestamp) -> bool {
    time.0 > now.0.saturating_add(CLOCK_TOLERANCE_MS)
}

/// Which snapshots are meant.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// All of these tags.
    pub tags: BTreeMap<String, String>,
    /// This series.
    pub series: Option<String>,
    /// At or after this time.
    pub after: Option<Timestamp>,
    /// Before this time.
    pub before: Option<Timestamp>,
    /// With an item of this name.
    pub item: Option<String>,
}

impl Filter {
    pub(super) fn matches(&self, loaded: &LoadedManifest) -> bool {
        let manifest = &loaded.manifest;
        self.tags.iter().all(|(key, value)| manifest.tags.get(key) == Some(value))
            && self.series.as_ref().is_none_or(|series| manifest.series == *series)
            && self.after.is_none_or(|after| manifest.created_at >= after)
            && self.before.is_none_or(|before| manifest.created_at < before)
            && self.item.as_ref().is_none_or(|name| manifest.items.iter().any(|item| item.name == *name))
    }
}
