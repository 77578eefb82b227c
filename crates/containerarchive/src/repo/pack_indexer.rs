//! Naming packs of any domain in new index segments, from their tables.

use std::collections::BTreeMap;

use super::publish::StoredPacks;
use super::{PackView, RepoError, Repository};
use crate::base::{DomainId, SessionId};

/// Collects packs and publishes segments that name them. Memory: the entries of one segment for each domain.
pub struct PackIndexer<'a> {
    repository: &'a Repository,
    session: SessionId,
    stored: BTreeMap<DomainId, StoredPacks>,
    segments: u64,
}

impl<'a> PackIndexer<'a> {
    /// An indexer for a session.
    #[must_use]
    pub fn new(repository: &'a Repository, session: SessionId) -> Self {
        Self { repository, session, stored: BTreeMap::new(), segments: 0 }
    }

    /// Adds a durable pack.
    ///
    /// # Errors
    /// The store failed.
    pub fn add(&mut self, view: &PackView) -> Result<(), RepoError> {
        let prefix = &view.header.prefix;
        let stored = self.stored.entry(prefix.domain).or_default();
        stored.adopt(view.id, view.len, prefix.class, view.table.records());
        if stored.is_full() {
            self.publish(prefix.domain)?;
        }
        Ok(())
    }

    /// Publishes what is left. Returns how many segments were published in all.
    ///
    /// # Errors
    /// The store failed.
    pub fn finish(mut self) -> Result<u64, RepoError> {
        for domain in self.stored.keys().copied().collect::<Vec<_>>() {
            self.publish(domain)?;
        }
        Ok(self.segments)
    }

    fn publish(&mut self, domain: DomainId) -> Result<(), RepoError> {
        let keys = self.repository.keys.domain(domain)?;
        if let (Some(keys), Some(stored)) = (keys, self.stored.get_mut(&domain)) {
            let published = stored.publish(self.repository, &keys, self.session)?;
            self.segments += u64::from(published.is_some());
        }
        Ok(())
    }
}
