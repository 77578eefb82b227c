//! Index files of packs, written again from the packs: no key is needed, they hold what the packs hold.

use super::ParityStore;
use crate::base::PackId;
use crate::base::limits::MAX_PACK_BYTES;
use crate::format::pack::{HEADER_LEN, PackHeader, TRAILER_LEN, parse_trailer};
use crate::format::{FormatError, idx, names};
use crate::repo::RepoError;
use crate::repo::objects::delete_if_there;
use crate::store::Durability;

/// Writes the index file of a pack again, whatever is there. Reads the pack.
///
/// # Errors
/// The pack is damaged, or the store failed.
pub fn rewrite_pack_index(site: ParityStore<'_>, pack: PackId) -> Result<(), RepoError> {
    let name = names::pack(pack);
    let damaged = |source| RepoError::format(&name, source);
    let short = || damaged(FormatError::broken("R-PACK-4", "it is cut short"));
    let bytes = site.store.get(&name, MAX_PACK_BYTES)?;
    names::check_content_name(&pack.0, &bytes).map_err(damaged)?;
    let header = bytes.first_chunk::<HEADER_LEN>().ok_or_else(short)?;
    let header = PackHeader::parse(header, site.suite, site.repository).map_err(damaged)?;
    let (_, trailer) = bytes.split_last_chunk::<TRAILER_LEN>().ok_or_else(short)?;
    let table_len = parse_trailer(*trailer, bytes.len() as u64).map_err(damaged)?;
    let index = idx::encode(pack, &header, &bytes, table_len + TRAILER_LEN);
    delete_if_there(site.store, &names::idx(pack))?;
    Ok(site.store.put(&names::idx(pack), &index, Durability::Cache)?)
}
