//! A planted bug: what an earlier session saw of a pack counts in this one, too.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::ChunkPlace;
use crate::base::{ChunkId, PackId, Planted, is_planted};
use crate::repo::PackView;

thread_local! {
    static SEEN: RefCell<BTreeMap<PackId, Arc<PackView>>> = RefCell::default();
}

pub(super) fn find(id: &ChunkId) -> Option<ChunkPlace> {
    if !is_planted(Planted::ReuseUnchecked) {
        return None;
    }
    let find_in = |view: &Arc<PackView>| {
        let slot = view.table.records().iter().position(|record| record.id == *id)? as u32;
        let (record, offset) = view.table.get(slot)?;
        Some(ChunkPlace { view: Arc::clone(view), slot, record, offset })
    };
    SEEN.with_borrow(|seen| seen.values().find_map(find_in))
}

pub(super) fn remember(view: &Arc<PackView>) {
    if is_planted(Planted::ReuseUnchecked) {
        SEEN.with_borrow_mut(|seen| seen.insert(view.id, Arc::clone(view)));
    }
}
