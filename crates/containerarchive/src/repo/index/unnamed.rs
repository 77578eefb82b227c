//! What stands in packs that no segment names: a session was killed before it published, or segments are damaged.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::{Index, list_packs};
use crate::base::{Kind, Monitor, PackId, Problem};
use crate::format::names;
use crate::format::pack::{HEADER_LEN, PackHeader};
use crate::format::segment::{Key, key_of};
use crate::repo::keyring::DomainKeys;
use crate::repo::{PackView, RepoError, Repository};

impl Index {
    /// Reads the tables of packs that no segment names.
    pub(super) fn read_unnamed(
        &mut self,
        repository: &Repository,
        monitor: &dyn Monitor,
    ) -> Result<HashMap<Key, Vec<(PackId, u32)>>, RepoError> {
        let named = self.named_packs(repository)?;
        let mut unnamed: HashMap<Key, Vec<(PackId, u32)>> = HashMap::new();
        for id in self.packs_to_look_at(repository)? {
            if named.contains(&id) {
                continue;
            }
            let Some(view) = self.view_unnamed(repository, id)? else { continue };
            for (slot, record) in view.table.records().iter().enumerate() {
                if record.id.kind != Kind::Padding {
                    unnamed.entry(key_of(&record.id.hash)).or_default().push((id, slot as u32));
                }
            }
        }
        if !unnamed.is_empty() {
            let text =
                "some packs are named by no index segment; their own tables were read, which is slower"
                    .to_owned();
            monitor.problem(&Problem::Warning { text });
        }
        Ok(unnamed)
    }

    /// The packs that are there, and for a reader those that parity may bring back.
    fn packs_to_look_at(&mut self, repository: &Repository) -> Result<BTreeSet<PackId>, RepoError> {
        let mut packs = list_packs(repository)?;
        if let Some(mender) = &mut self.mender {
            packs.extend(mender.protected(repository, self.domain.id)?);
        }
        Ok(packs)
    }

    fn view_unnamed(
        &mut self,
        repository: &Repository,
        id: PackId,
    ) -> Result<Option<Arc<PackView>>, RepoError> {
        if let Some(view) = repository.view_index(id, &self.domain) {
            return Ok(Some(Arc::new(view)));
        }
        let error = match repository.view_pack(id, &self.domain) {
            Ok(view) => return Ok(Some(Arc::new(view))),
            Err(error) if error.is_useless() => error,
            Err(error) => return Err(error),
        };
        if is_of_other_domain(repository, id, &self.domain)? {
            return Ok(None);
        }
        if let Some(view) = self.mended_view(repository, id)? {
            return Ok(Some(view));
        }
        self.bad.insert(id, error.to_string());
        Ok(None)
    }
}

/// Whether a pack is an intact one of another domain, and so none of our business.
fn is_of_other_domain(repository: &Repository, id: PackId, own: &DomainKeys) -> Result<bool, RepoError> {
    let mut header = [0; HEADER_LEN];
    if repository.store.get_range(&names::pack(id), 0, &mut header).is_err() {
        return Ok(false);
    }
    let config = &repository.config;
    let Ok(header) = PackHeader::parse(&header, config.suite, config.repository) else { return Ok(false) };
    let keys = repository.keys.domain(header.prefix.domain)?;
    Ok(keys.is_some_and(|keys| keys.id != own.id && repository.view_pack(id, &keys).is_ok()))
}
