//! A planted bug: what an earlier session saw of a pack counts in this one, too.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use crate::base::{PackId, Planted, is_planted};
use crate::repo::PackView;

thread_local! {
    static SEEN: RefCell<HashMap<PackId, Arc<PackView>>> = RefCell::default();
}

pub(super) fn view(pack: PackId) -> Option<Arc<PackView>> {
    if !is_planted(Planted::ReuseUnchecked) {
        return None;
    }
    SEEN.with_borrow(|seen| seen.get(&pack).cloned())
}

pub(super) fn remember(view: &Arc<PackView>) {
    if is_planted(Planted::ReuseUnchecked) {
        SEEN.with_borrow_mut(|seen| seen.insert(view.id, Arc::clone(view)));
    }
}
