//! What a weak store shows: any of its parts may have stopped some time ago, and go on later.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use super::dice::Dice;
use super::world::{DAY_MS, TrueClock};
use crate::base::ObjectName;
use crate::store::{Durability, MemoryStore, Store};

/// Nothing is shown that was so long ago.
const MAX_STALE_MS: u64 = 2 * DAY_MS;

/// All that happened to a weak store.
#[derive(Default)]
pub(super) struct Past {
    /// When each object came.
    born: BTreeMap<ObjectName, i64>,
    changes: Vec<Change>,
    /// By actor.
    mirrors: BTreeMap<usize, Mirror>,
}

struct Change {
    at_ms: i64,
    name: ObjectName,
    /// What was deleted, and when it had come; `None`: it was put.
    deleted: Option<(Vec<u8>, i64)>,
}

/// A part of the store that stopped, and that answers an actor for so many more reads.
#[derive(Debug, Clone, Copy)]
struct Mirror {
    at_ms: i64,
    reads: u64,
}

impl Past {
    pub(super) fn put(&mut self, name: &ObjectName, at_ms: i64) {
        self.born.insert(name.clone(), at_ms);
        self.changes.push(Change { at_ms, name: name.clone(), deleted: None });
    }

    pub(super) fn delete(&mut self, name: &ObjectName, bytes: Vec<u8>, at_ms: i64) {
        let born = self.born.remove(name).unwrap_or(at_ms);
        self.changes.push(Change { at_ms, name: name.clone(), deleted: Some((bytes, born)) });
    }

    /// From now on all is shown as it is.
    pub(super) fn catch_up(&mut self) {
        self.mirrors.clear();
    }

    /// What a read or a listing of an actor shows this time, if not what is: one in `gap` meets a part that stopped.
    pub(super) fn shown(
        &mut self,
        store: &MemoryStore,
        (actor, now): (usize, i64),
        dice: &mut Dice,
        gap: u64,
    ) -> Option<MemoryStore> {
        if let Some(mirror) = self.mirrors.get_mut(&actor).filter(|mirror| mirror.reads > 0) {
            mirror.reads -= 1;
        } else if dice.one_in(gap) {
            let (steps, most) = (dice.below(8), dice.below(19));
            let age_ms = dice.below((1000_u64 << most).min(MAX_STALE_MS)) as i64;
            self.mirrors.insert(actor, Mirror { at_ms: now - age_ms, reads: dice.below(1 << steps) });
        } else {
            return None;
        }
        let at_ms = self.mirrors.get(&actor)?.at_ms.max(now - MAX_STALE_MS as i64 + 1);
        let clock = Arc::new(TrueClock(AtomicI64::new(now)));
        let shown = store.fork().with_clock(Arc::<TrueClock>::clone(&clock));
        for change in self.changes.iter().rev().take_while(|change| change.at_ms > at_ms) {
            shown.remove(&change.name);
            if let Some((bytes, born)) = &change.deleted {
                clock.0.store(*born, Ordering::Relaxed);
                drop(shown.put(&change.name, bytes, Durability::Durable));
            }
        }
        Some(shown)
    }
}
