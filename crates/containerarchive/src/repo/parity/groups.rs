//! The groups of a repository, as their shards tell.

use std::collections::{BTreeMap, HashMap};

use super::{ParityStore, if_readable};
use crate::base::{DomainId, GroupId, PackId, ShardId, Timestamp};
use crate::format::names;
use crate::format::prefix::Class;
use crate::format::shard::{Group, Layout, MAX_FRONT_LEN, RowSums, TRAILER_LEN, parse_trailer, record_len};
use crate::parity::MAX_COLUMNS;
use crate::repo::RepoError;

/// What [`Groups::load_newest`] reads.
const NEWEST_SHARDS: usize = 256;

/// A group and those of its shards that are there.
#[derive(Debug, Clone)]
pub struct StoredGroup {
    /// What the shards say of it.
    pub group: Group,
    /// Its shards by their numbers, where there are any; whether their rows are intact is not known yet.
    pub shards: Vec<Option<ShardId>>,
    /// More shards that say the same of the group, with numbers that others have as well. Which are right, their rows tell.
    pub surplus: Vec<(u8, ShardId)>,
    /// Shards that no longer say what they are, if this group lacks any: the rows of one may still be good.
    pub nameless: Vec<ShardId>,
}

impl StoredGroup {
    /// Shards that are there.
    pub fn present(&self) -> impl Iterator<Item = (u8, ShardId)> {
        self.shards.iter().enumerate().filter_map(|(number, id)| Some((number as u8, (*id)?)))
    }

    /// All shards that claim to be of the group, in the order of their numbers.
    pub fn claims(&self) -> impl Iterator<Item = (u8, ShardId)> {
        self.present().flat_map(|(number, id)| {
            let more = self.surplus.iter().filter(move |(other, _)| *other == number);
            std::iter::once((number, id)).chain(more.copied())
        })
    }

    /// Shards that rows may be taken from, if they have the right checksum: those that claim a number, and, for a number that
    /// none claims, all that no longer say what they are.
    pub fn candidates(&self) -> impl Iterator<Item = (u8, ShardId)> {
        let nameless = |number| self.nameless.iter().map(move |id| (number, *id));
        self.claims().chain(self.missing().flat_map(nameless))
    }

    /// Numbers of the shards that are missing.
    pub fn missing(&self) -> impl Iterator<Item = u8> {
        self.shards.iter().enumerate().filter(|(_, id)| id.is_none()).map(|(number, _)| number as u8)
    }

    /// Where the parts of its shards are.
    #[must_use]
    pub fn layout(&self) -> Layout {
        self.group.layout()
    }

    /// The checksums of a row, from whichever copy is intact.
    ///
    /// # Errors
    /// The store failed. `Ok(None)`: no copy is intact.
    pub fn row_sums(&self, site: ParityStore<'_>, row: u32) -> Result<Option<RowSums>, RepoError> {
        self.row_sums_of(site, row, self.present().map(|(_, id)| id))
    }

    /// As [`Self::row_sums`], but what these shards say.
    pub(super) fn row_sums_of(
        &self,
        site: ParityStore<'_>,
        row: u32,
        shards: impl Iterator<Item = ShardId>,
    ) -> Result<Option<RowSums>, RepoError> {
        let mut bytes = vec![0; record_len(self.group.members.len(), self.group.shards.into())];
        let places = self.layout().records(row);
        for id in shards {
            for offset in places {
                if if_readable(site.store.get_range(&names::shard(id), offset, &mut bytes))?.is_some()
                    && let Ok(sums) = self.group.parse_record(row, &bytes)
                {
                    return Ok(Some(sums));
                }
            }
        }
        Ok(None)
    }
}

/// All groups of a repository.
#[derive(Debug, Default)]
pub struct Groups {
    groups: Vec<StoredGroup>,
    of_pack: HashMap<PackId, Vec<usize>>,
    /// Shards that say nothing of a group any more, and why.
    pub unreadable: Vec<(ShardId, String)>,
    /// Whether a shard was deleted while they were read: a merge was under way, and groups may be missing here.
    pub is_incomplete: bool,
}

impl Groups {
    /// Reads the fronts of all shards: some kilobytes of each.
    ///
    /// # Errors
    /// The store failed.
    pub fn load(site: ParityStore<'_>) -> Result<Self, RepoError> {
        let ids = list_shards(site)?.into_iter().map(|(_, id)| id).collect();
        Self::read(site, ids)
    }

    /// Reads the fronts of the newest shards only, at most 256: for looking at small groups, which are young, where there
    /// may be thousands.
    ///
    /// # Errors
    /// The store failed.
    pub fn load_newest(site: ParityStore<'_>) -> Result<Self, RepoError> {
        let mut listed = list_shards(site)?;
        listed.sort_unstable();
        let ids = listed.into_iter().rev().take(NEWEST_SHARDS).map(|(_, id)| id).collect();
        Self::read(site, ids)
    }

    fn read(site: ParityStore<'_>, mut ids: Vec<ShardId>) -> Result<Self, RepoError> {
        ids.sort_unstable();
        let mut found: BTreeMap<GroupId, Vec<StoredGroup>> = BTreeMap::new();
        let mut groups = Self::default();
        for id in ids {
            match read_front(site, id)? {
                None => groups.is_incomplete = true,
                Some(Err(why)) => groups.unreadable.push((id, why)),
                Some(Ok((number, group))) => {
                    // Whoever says something else of a group is a group of its own: it may not hide the others.
                    let alike = found.entry(group.id).or_default();
                    let place = alike.iter().position(|stored| stored.group == group).unwrap_or_else(|| {
                        let shards = vec![None; group.shards.into()];
                        let (surplus, nameless) = (Vec::new(), Vec::new());
                        alike.push(StoredGroup { group, shards, surplus, nameless });
                        alike.len() - 1
                    });
                    let stored = &mut alike[place];
                    match &mut stored.shards[usize::from(number)] {
                        Some(_) => stored.surplus.push((number, id)),
                        shard => *shard = Some(id),
                    }
                }
            }
        }
        groups.groups = found.into_values().flatten().collect();
        let nameless: Vec<ShardId> = groups.unreadable.iter().map(|(id, _)| *id).collect();
        for stored in groups.groups.iter_mut().filter(|stored| stored.shards.contains(&None)) {
            stored.nameless.clone_from(&nameless);
        }
        for (place, stored) in groups.groups.iter().enumerate() {
            for member in &stored.group.members {
                groups.of_pack.entry(member.pack).or_default().push(place);
            }
        }
        Ok(groups)
    }

    /// All groups, in order of their ids.
    #[must_use]
    pub fn all(&self) -> &[StoredGroup] {
        &self.groups
    }

    /// A column from which on small groups leave as many free as possible, so that a new group can be merged with them.
    /// `random` decides where nothing else does.
    #[must_use]
    pub fn free_column(&self, class: Class, domain: DomainId, most: usize, random: u16) -> u8 {
        let mut taken = [false; MAX_COLUMNS];
        let is_small = |stored: &&StoredGroup| {
            let group = &stored.group;
            group.class == class && group.domain == domain && group.members.len() < most
        };
        for stored in self.groups.iter().filter(is_small) {
            stored.group.members.iter().for_each(|member| taken[usize::from(member.column)] = true);
        }
        let start = usize::from(random) % MAX_COLUMNS;
        let free_from =
            |column: usize| (0..MAX_COLUMNS).take_while(|more| !taken[(column + more) % MAX_COLUMNS]).count();
        let columns = (start..start + MAX_COLUMNS).map(|column| column % MAX_COLUMNS);
        // Of equal ones the first: behind the random start.
        columns.rev().max_by_key(|column| free_from(*column)).unwrap_or(start) as u8
    }

    /// The groups that a pack is a member of; after a crash there may be two.
    pub fn of_pack(&self, pack: &PackId) -> impl Iterator<Item = &StoredGroup> {
        self.of_pack.get(pack).into_iter().flatten().map(|place| &self.groups[*place])
    }
}

fn list_shards(site: ParityStore<'_>) -> Result<Vec<(Timestamp, ShardId)>, RepoError> {
    let mut listed = Vec::new();
    site.store.list(names::PARITY, &mut |entry| {
        listed.extend(names::id_of::<ShardId>(&entry.name, "par").map(|id| (entry.modified, id)));
    })?;
    Ok(listed)
}

/// The number of a shard and what it says of its group, or why it says nothing.
type Front = Result<(u8, Group), String>;

/// The front of a shard, from its beginning or its end. `None`: it is gone.
fn read_front(site: ParityStore<'_>, id: ShardId) -> Result<Option<Front>, RepoError> {
    let name = names::shard(id);
    let Some(len) = site.store.head(&name)? else { return Ok(None) };
    let parse = |bytes: &[u8]| Group::parse_front(bytes, site.suite, site.repository);
    let mut bytes = vec![0; len.min(MAX_FRONT_LEN as u64) as usize];
    let why = match if_readable(site.store.get_range(&name, 0, &mut bytes))? {
        None => "it cannot be read".to_owned(),
        Some(()) => match parse(&bytes) {
            Ok(front) => return Ok(Some(Ok(front))),
            Err(error) => error.to_string(),
        },
    };
    let mut trailer = [0; TRAILER_LEN];
    let Some(end) = len.checked_sub(TRAILER_LEN as u64) else { return Ok(Some(Err(why))) };
    let second = if_readable(site.store.get_range(&name, end, &mut trailer))?
        .and_then(|()| parse_trailer(trailer).ok())
        .and_then(|front_len| Some((end.checked_sub(front_len as u64)?, front_len)));
    let Some((offset, front_len)) = second else { return Ok(Some(Err(why))) };
    bytes.resize(front_len, 0);
    let read = if_readable(site.store.get_range(&name, offset, &mut bytes))?;
    Ok(Some(read.and_then(|()| parse(&bytes).ok()).ok_or(why)))
}
