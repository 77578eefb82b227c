//! L3: a repository as a whole: opening it, its keys, its index, writing and reading packs, sessions.

mod adopt;
mod compact;
mod create;
mod error;
mod fence;
mod forget;
mod index;
mod keyring;
mod maintenance;
mod manifests;
mod objects;
mod open;
mod pack_indexer;
mod pack_reader;
mod pack_writer;
mod parity;
mod pinned;
mod publish;
mod recipe;
mod replace;
mod reserve;
mod retired;
mod segment_list;
mod segment_reader;
mod session;
mod session_list;
mod settings;
mod settle;
mod slots;
mod survey;
mod verified;
mod weak;

pub use adopt::adopt_packs;
pub use compact::compact_segments;
pub use create::{CreateOptions, NewCredential, create, is_leftover_of_init};
pub use error::RepoError;
pub use fence::{end_dead_sessions, end_session, remove_spent_fences, require_open};
pub use forget::{Forgotten, InUse, forget_snapshots, forget_without_reserve, snapshots_in_use};
pub use index::{ChunkPlace, Index, list_packs};
pub use keyring::{DomainKeys, KeyRing};
pub use maintenance::Maintenance;
pub use manifests::{Damage, LoadedManifest, Manifests, load_manifests, newest_of_domain};
pub use open::{Credential, Environment, Locked, OpenOptions, Repository};
pub use pack_indexer::PackIndexer;
pub use pack_reader::{PackReader, PackView};
pub use pack_writer::{OpenPack, SealedPack};
pub use parity::{
    GroupStatus, Groups, MendedPack, Mender, ParityKeeper, ParityOverview, ParityStore, Rebuilt, StoredGroup,
    Thinned, can_rebuild, delete_shards, loses_protection, merge_all_small_groups, merge_small_groups,
    protect_packs, rebuild_pack, restore_shards, rewrite_pack_index, thin_group,
};
pub use publish::StoredPacks;
pub use recipe::{RecipeBuilder, RecipeReader};
pub use replace::{replace, set_aside};
pub use retired::Retired;
pub use segment_list::SegmentList;
pub use session::{Committed, Session};
pub use session_list::{SessionState, SessionView, list_sessions};
pub use slots::{SlotView, add_slot, list_slots, remove_slot};
pub use survey::{IndexSurvey, packs_of_segment, survey_index};
pub use verified::{Coverage, place_of, range_from};
pub use weak::{RecordAge, is_too_late, least_patience_ms, record_ages};
