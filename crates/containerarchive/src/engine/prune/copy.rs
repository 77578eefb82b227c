//! P4 and P7: what is needed of packs that go is stored again. Chunks keep their codec and their compressed text; each is
//! opened and hashed on its way, so that damage is not carried on.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::census::Census;
use crate::base::{DomainId, Kind, Monitor, PackId, Progress, SessionId};
use crate::engine::pipeline::{PACK_THREADS, Pool, Writer};
use crate::error::Error;
use crate::repo::{DomainKeys, Index, PackReader, ParityKeeper, RepoError, Repository, Retired, StoredPacks};

/// Copies.
pub(super) struct Copier<'a> {
    pub(super) repository: &'a Repository,
    pub(super) session: SessionId,
    /// 1 seals and writes in the caller.
    pub(super) threads: usize,
    pub(super) monitor: &'a dyn Monitor,
}

impl Copier<'_> {
    /// Stores the marked chunks of these packs again: durable, with parity, and named by a segment. Returns the bytes of
    /// the new packs.
    ///
    /// # Errors
    /// A chunk is damaged, the store failed, or the user wants to stop. What was copied by then is of use to nobody, and
    /// the next run finds it; of a full store it is removed.
    pub(super) fn copy(
        &self,
        packs: &BTreeMap<DomainId, Vec<PackId>>,
        census: &Census,
    ) -> Result<u64, Error> {
        let mut stored = 0;
        for (domain, packs) in packs.iter().filter(|(_, packs)| !packs.is_empty()) {
            let keys = self.repository.keys.domain(*domain).map_err(RepoError::from)?;
            let keys = keys.ok_or(RepoError::NeedsAdmin { what: "copying what is still needed" })?;
            stored += self.copy_domain(&keys, packs, census)?;
        }
        Ok(stored)
    }

    fn copy_domain(&self, keys: &Arc<DomainKeys>, packs: &[PackId], census: &Census) -> Result<u64, Error> {
        let repository = self.repository;
        let retired = Retired::read(repository, self.monitor)?;
        let index = Index::load(repository, Arc::clone(keys), retired, self.monitor)?;
        let keeper = ParityKeeper::new(repository, keys.id, self.session, false, self.threads);
        std::thread::scope(|scope| {
            let pool = Pool::new(scope, if self.threads <= 1 { 1 } else { PACK_THREADS }, || ());
            let made = (keeper, StoredPacks::default());
            let mut writer =
                Writer::new(repository, Arc::clone(keys), self.session, index, made, pool, self.monitor);
            let done = self.all(&mut writer, keys, packs, census);
            match done.and_then(|()| Ok(writer.flush()?)) {
                Ok(()) => Ok(writer.counters.stored_bytes),
                Err(error) => {
                    writer.abandon(error.is_full());
                    Err(error)
                }
            }
        })
    }

    fn all(
        &self,
        writer: &mut Writer<'_>,
        keys: &Arc<DomainKeys>,
        packs: &[PackId],
        census: &Census,
    ) -> Result<(), Error> {
        let mut reader = PackReader::new(Arc::clone(keys));
        let (mut stored, mut plain) = (Vec::new(), Vec::new());
        for (number, pack) in packs.iter().enumerate() {
            if self.monitor.is_cancelled() {
                return Err(Error::Cancelled);
            }
            self.monitor.progress(&Progress {
                subject: "packs to copy from".to_owned(),
                done_bytes: number as u64,
                total_bytes: Some(packs.len() as u64),
            });
            let view = self.repository.view_pack(*pack, keys).map_err(repair_first)?;
            for slot in 0..view.table.records().len() as u32 {
                let Some((record, offset)) = view.table.get(slot) else { continue };
                if record.id.kind == Kind::Padding || !census.is_marked(pack, slot) {
                    continue;
                }
                stored.resize(record.stored_len as usize, 0);
                self.repository.read_pack(*pack, offset, &mut stored).map_err(repair_first)?;
                let text = reader.open_text(&view, slot, &record, &mut stored, &mut plain);
                let text = text.map_err(repair_first)?;
                writer.store_again(record.id, record.codec, text, record.plain_len)?;
            }
        }
        Ok(())
    }
}

fn repair_first(error: RepoError) -> Error {
    if error.is_useless() { Error::RepairFirst { why: error.to_string() } } else { error.into() }
}
