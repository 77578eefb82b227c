//! Listing snapshots, and finding the one that a user means.

use std::collections::{BTreeMap, BTreeSet};

use super::options::Filter;
use crate::base::{Monitor, Pins, SessionId};
use crate::error::Error;
use crate::host::listed;
use crate::repo::{Damage, LoadedManifest, Manifests, Repository, load_manifests};

/// All snapshots of a repository.
#[derive(Debug)]
pub struct Snapshots {
    found: Manifests,
    pinned: BTreeSet<SessionId>,
}

/// Reads all snapshots and remembers that they were seen. What is damaged or missing is reported and listed.
///
/// # Errors
/// The key cannot read, or the store failed.
pub fn snapshots(
    repository: &Repository,
    pins: &dyn Pins,
    monitor: &dyn Monitor,
) -> Result<Snapshots, Error> {
    let found = load_manifests(repository, monitor)?;
    let seen: Vec<_> = found
        .snapshots
        .iter()
        .map(|loaded| (loaded.domain, loaded.manifest.id, loaded.manifest.committed_at))
        .collect();
    repository.remember(pins, &seen, monitor);
    Ok(Snapshots { found, pinned: repository.pinned()? })
}

/// How a user names a snapshot: `latest`, `latest~N`, or the beginning of an id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selector {
    /// The N-th newest.
    Latest(usize),
    /// An id, or its beginning.
    Prefix(String),
}

impl Selector {
    /// Reads a user's word; `None` if it is none of the forms.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text == "latest" {
            return Some(Self::Latest(0));
        }
        if let Some(number) = text.strip_prefix("latest~") {
            return number.parse().ok().map(Self::Latest);
        }
        let is_prefix = (1..=SessionId::LEN * 2).contains(&text.len())
            && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        is_prefix.then(|| Self::Prefix(text.to_owned()))
    }

    fn text(&self) -> String {
        match self {
            Self::Latest(0) => "latest".to_owned(),
            Self::Latest(number) => format!("latest~{number}"),
            Self::Prefix(prefix) => prefix.clone(),
        }
    }
}

impl Snapshots {
    /// The snapshots that a filter leaves, oldest first; those of one moment are in the order of their ids.
    pub fn matching<'a>(&'a self, filter: &'a Filter) -> impl DoubleEndedIterator<Item = &'a LoadedManifest> {
        self.found.snapshots.iter().filter(move |loaded| filter.matches(loaded))
    }

    /// Ids of snapshots that are damaged or missing, and why.
    #[must_use]
    pub fn damaged(&self) -> &BTreeMap<SessionId, Damage> {
        &self.found.damaged
    }

    /// Whether a snapshot is pinned: no rule and no `forget` removes it.
    #[must_use]
    pub fn is_pinned(&self, id: SessionId) -> bool {
        self.pinned.contains(&id)
    }

    /// The id of the one snapshot that is meant. A whole id may also name one that is damaged or missing: so an admin
    /// accepts its loss by name.
    ///
    /// # Errors
    /// As [`Self::find`].
    pub fn find_id(&self, selector: &Selector, filter: &Filter) -> Result<SessionId, Error> {
        if let Selector::Prefix(prefix) = selector
            && let Ok(id) = prefix.parse::<SessionId>()
            && (self.found.damaged.contains_key(&id) || self.pinned.contains(&id))
        {
            return Ok(id);
        }
        self.find(selector, filter).map(|found| found.manifest.id)
    }

    /// The one snapshot that is meant.
    ///
    /// # Errors
    /// None or several match, or damage makes it uncertain which one is the newest.
    pub fn find(&self, selector: &Selector, filter: &Filter) -> Result<&LoadedManifest, Error> {
        match selector {
            Selector::Latest(number) => self.find_latest(*number, selector, filter),
            Selector::Prefix(prefix) => self.find_prefix(prefix, selector),
        }
    }

    fn find_latest(
        &self,
        number: usize,
        selector: &Selector,
        filter: &Filter,
    ) -> Result<&LoadedManifest, Error> {
        let newest_first = || self.found.snapshots.iter().rev().filter(|loaded| filter.matches(loaded));
        let found = newest_first().nth(number);
        // A manifest that cannot be read may be newer than all others: an older one in its place would be the wrong bytes.
        let casts_doubt = |damage: &Damage| {
            !damage.is_readable
                && (damage.domain.is_none() || found.is_none_or(|found| damage.domain == Some(found.domain)))
        };
        let doubts: Vec<String> = self
            .found
            .damaged
            .iter()
            .filter(|(_, damage)| casts_doubt(damage))
            .map(|(id, damage)| format!("{id}: {}", damage.text))
            .collect();
        if !doubts.is_empty() {
            return Err(Error::UncertainSnapshot { wanted: selector.text(), damaged: doubts });
        }
        found.ok_or_else(|| {
            let hint = match (self.found.snapshots.len(), self.matching(filter).count()) {
                (0, _) => ": the repository has no snapshots yet".to_owned(),
                (all, 0) => format!(": none of the {all} snapshots {}", self.lacking(filter)),
                (_, 1) => ": only 1 matches".to_owned(),
                (_, matching) => format!(": only {matching} match"),
            };
            Error::NoSnapshot { wanted: selector.text(), hint }
        })
    }

    /// What of a filter no snapshot has.
    fn lacking(&self, filter: &Filter) -> String {
        let is_met = |wanted: &Filter| self.matching(wanted).next().is_some();
        if let Some(series) = &filter.series
            && !is_met(&Filter { series: Some(series.clone()), ..Filter::default() })
        {
            let known: BTreeSet<&String> =
                self.found.snapshots.iter().map(|loaded| &loaded.manifest.series).collect();
            let known: Vec<String> = known.into_iter().cloned().collect();
            return format!("is of the series '{series}'; there are: {}", listed(&known));
        }
        if let Some(item) = &filter.item
            && !is_met(&Filter { item: Some(item.clone()), ..Filter::default() })
        {
            return format!("has an item '{item}'");
        }
        for (key, value) in &filter.tags {
            let tags = BTreeMap::from([(key.clone(), value.clone())]);
            if !is_met(&Filter { tags, ..Filter::default() }) {
                return format!("has the tag '{key}={value}'");
            }
        }
        "has all that was asked for".to_owned()
    }

    fn find_prefix(&self, prefix: &str, selector: &Selector) -> Result<&LoadedManifest, Error> {
        let candidates: Vec<&LoadedManifest> = self
            .found
            .snapshots
            .iter()
            .filter(|loaded| loaded.manifest.id.to_hex().starts_with(prefix))
            .collect();
        let lost: Vec<_> = self
            .found
            .damaged
            .iter()
            .filter(|(id, damage)| !damage.is_readable && id.to_hex().starts_with(prefix))
            .collect();
        match (candidates.as_slice(), lost.as_slice()) {
            ([], [(id, damage)]) => {
                Err(Error::DamagedSnapshot { id: id.to_string(), why: damage.text.clone() })
            }
            ([only], []) => Ok(only),
            ([], []) => {
                Err(Error::NoSnapshot { wanted: selector.text(), hint: ": no id begins so".to_owned() })
            }
            _ => {
                let ids =
                    candidates.iter().map(|loaded| loaded.manifest.id).chain(lost.iter().map(|(id, _)| **id));
                let candidates = ids.map(|id| id.to_hex()).collect();
                Err(Error::AmbiguousSnapshot { wanted: selector.text(), candidates })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selectors_are_latest_with_a_number_or_hex() {
        assert_eq!(Selector::parse("latest"), Some(Selector::Latest(0)));
        assert_eq!(Selector::parse("latest~2"), Some(Selector::Latest(2)));
        assert_eq!(Selector::parse("ab01"), Some(Selector::Prefix("ab01".into())));
        for bad in ["", "latest~", "latest~x", "AB", "xyz", &"a".repeat(33)] {
            assert_eq!(Selector::parse(bad), None, "{bad}");
        }
    }
}
