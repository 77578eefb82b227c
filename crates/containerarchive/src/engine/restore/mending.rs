//! What a restore cannot read where it should be comes from another pack, or from parity.

use super::Restore;
use crate::base::{PackId, Problem};
use crate::format::names;
use crate::repo::{ChunkPlace, MendedPack, RepoError};

/// Chunks of one pack that were read from others.
pub(super) struct Elsewhere {
    /// What was wrong with the first of them.
    first: String,
    chunks: u64,
}

impl Restore<'_> {
    /// A chunk again, or from any other pack that has it. `error` is what was wrong the first time.
    pub(super) fn mend(
        &mut self,
        place: &ChunkPlace,
        error: Option<RepoError>,
    ) -> Result<Vec<u8>, RepoError> {
        let error = match error {
            Some(error) => error,
            None => match self.read_one(place) {
                Ok(plain) => return Ok(plain),
                Err(error) => error,
            },
        };
        if !error.is_useless() {
            return Err(error);
        }
        let id = place.record.id;
        for other in self.index.find_elsewhere(self.repository, &id, self.monitor)? {
            if other.view.id == place.view.id || other.record.plain_len != place.record.plain_len {
                continue;
            }
            if let Ok(plain) = self.read_one(&other) {
                self.mended_chunks += 1;
                let met = || Elsewhere { first: error.to_string(), chunks: 0 };
                self.elsewhere.entry(place.view.id).or_insert_with(met).chunks += 1;
                return Ok(plain);
            }
        }
        if let Some(plain) = self.read_rebuilt(place)? {
            self.mended_chunks += 1;
            return Ok(plain);
        }
        Err(error)
    }

    /// A chunk from its pack as parity gives it; authenticated like any other.
    fn read_rebuilt(&mut self, place: &ChunkPlace) -> Result<Option<Vec<u8>>, RepoError> {
        let Some(pack) = self.index.mend_pack(self.repository, place.view.id)? else { return Ok(None) };
        let start = usize::try_from(place.offset).unwrap_or(usize::MAX);
        let stored = pack.bytes.get(start..).and_then(|rest| rest.get(..place.record.stored_len as usize));
        let Some(stored) = stored else { return Ok(None) };
        let mut plain = Vec::new();
        let (view, record) = (&place.view, &place.record);
        let opened = self.opener.reader.open(view, place.slot, record, &mut stored.to_vec(), &mut plain);
        Ok(opened.is_ok().then_some(plain))
    }

    /// Tells what came from other packs and from parity, once for each pack, and writes back what came from parity if that
    /// was asked for.
    pub(super) fn report_mended(&mut self, heal: bool) -> (Vec<MendedPack>, Vec<PackId>) {
        for (pack, Elsewhere { first, chunks }) in &self.elsewhere {
            let were = if *chunks == 1 { "chunk was" } else { "chunks were" };
            let text = format!("{first}; {chunks} {were} read from other packs instead");
            self.monitor.problem(&Problem::Mended { object: names::pack(*pack).to_string(), text });
        }
        let Some(mender) = self.index.mender() else { return (Vec::new(), Vec::new()) };
        let mended = mender.mended();
        for pack in &mended {
            let mut text = match pack.mended_blocks {
                1 => "1 of its blocks was damaged or missing and was computed from parity".to_owned(),
                blocks => {
                    format!("{blocks} of its blocks were damaged or missing and were computed from parity")
                }
            };
            if pack.mended_blocks == 0 && pack.lost_blocks == 0 {
                "it is longer than it should be; only its right bytes were read".clone_into(&mut text);
            }
            if pack.lost_blocks > 0 {
                text.push_str(&format!("; {} could not be", pack.lost_blocks));
            }
            self.monitor.problem(&Problem::Mended { object: names::pack(pack.pack).to_string(), text });
        }
        if !heal || mended.is_empty() {
            return (mended, Vec::new());
        }
        match mender.write_back(self.repository) {
            Ok(healed) => (mended, healed),
            Err(error) => {
                let text = format!("what was mended could not be written back: {error}");
                self.monitor.problem(&Problem::Warning { text });
                (mended, Vec::new())
            }
        }
    }
}
