//! How a repository stands, object by object: what verify reports and repair acts upon. Nothing here writes.

mod file;
mod files;
mod lost;
mod small;
mod walk;

pub(super) use file::{Checked, Depth, FileId};
pub(super) use files::{BadPacks, FileList, check_files, list_files};
pub use lost::LostRange;
pub(super) use small::{
    SmallId, SmallObject, Standing, forgotten_snapshots, look_small, retired_packs, scan_small,
};
pub(super) use walk::{Hole, Walk};

use crate::repo::{ParityStore, Repository};

/// How an object, or one copy of it, was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum State {
    /// As it should be, as far as the keys can tell.
    Intact,
    /// Not there.
    Missing,
    /// There, and of no use: why.
    Damaged(String),
}

/// What is looked at, and with which keys.
#[derive(Clone, Copy)]
pub(crate) struct Site<'a> {
    /// The part of it that needs no key.
    pub(crate) parity: ParityStore<'a>,
    /// With the keys of an admin; `None`: only checksums can be compared.
    pub(crate) opened: Option<&'a Repository>,
}

impl<'a> Site<'a> {
    /// A repository, with all that its keys allow: nothing but checksums for a write key.
    pub(crate) fn of(repository: &'a Repository) -> Self {
        let is_admin = repository.keys.require_admin("reading").is_ok();
        Self { parity: repository.parity_store(), opened: is_admin.then_some(repository) }
    }
}
