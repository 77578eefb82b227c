//! What the shards of a group say of its blocks, where they contradict each other.
//!
//! All shards of a group have the same records (R-SHARD-4), but whoever may write into the store can add shards that claim
//! the same group and tell something else. Which of them are right only a pack's name can tell, so each account is kept
//! apart and tried. A forger who adds more shards costs one more try each, and hides nothing.

use std::ops::Range;

use super::groups::StoredGroup;
use super::{ParityStore, if_readable};
use crate::base::ShardId;
use crate::crypto::blake3_256;
use crate::format::names;
use crate::format::shard::record_len;
use crate::repo::RepoError;

/// Of each row, the beginning of the BLAKE3 of its record, where that is intact.
type Digests = Vec<Option<[u8; 16]>>;

/// Shards that agree about all rows that several of them know.
struct Account {
    shards: Vec<ShardId>,
    digests: Digests,
}

impl Account {
    fn agrees(&self, digests: &Digests) -> bool {
        self.digests.iter().zip(digests).all(|pair| !matches!(pair, (Some(a), Some(b)) if a != b))
    }

    fn join(&mut self, shard: ShardId, digests: &Digests) {
        self.shards.push(shard);
        for (known, more) in self.digests.iter_mut().zip(digests) {
            *known = known.or(*more);
        }
    }
}

/// The shards of a group by what they say of some rows: those of one account agree. Shards that say nothing are in none.
/// Reads the records of these rows of each shard; memory: 17 bytes for each row and account.
///
/// # Errors
/// The store failed.
pub(super) fn accounts(
    site: ParityStore<'_>,
    stored: &StoredGroup,
    rows: Range<u32>,
) -> Result<Vec<Vec<ShardId>>, RepoError> {
    let mut accounts: Vec<Account> = Vec::new();
    for (_, shard) in stored.claims() {
        let digests = digests(site, stored, shard, rows.clone())?;
        if digests.iter().all(Option::is_none) {
            continue;
        }
        match accounts.iter_mut().find(|account| account.agrees(&digests)) {
            Some(account) => account.join(shard, &digests),
            None => accounts.push(Account { shards: vec![shard], digests }),
        }
    }
    Ok(accounts.into_iter().map(|account| account.shards).collect())
}

fn digests(
    site: ParityStore<'_>,
    stored: &StoredGroup,
    shard: ShardId,
    rows: Range<u32>,
) -> Result<Digests, RepoError> {
    let (group, layout, name) = (&stored.group, stored.layout(), names::shard(shard));
    let mut bytes = vec![0; record_len(group.members.len(), group.shards.into())];
    let mut digests = Digests::with_capacity(rows.len());
    for row in rows {
        let mut digest = None;
        for offset in layout.records(row) {
            if if_readable(site.store.get_range(&name, offset, &mut bytes))?.is_some()
                && group.parse_record(row, &bytes).is_ok()
            {
                digest = blake3_256(&bytes).first_chunk().copied();
                break;
            }
        }
        digests.push(digest);
    }
    Ok(digests)
}
