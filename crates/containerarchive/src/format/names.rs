//! Names of objects (`docs/FORMAT.md` section 2).

use std::str::FromStr;

use super::FormatError;
use super::error::ensure;
use crate::base::{ObjectName, PackId, RecordId, SegmentId, SessionId, ShardId, SlotId};
use crate::crypto::blake3_256;

/// The config's name.
pub const CONFIG: &str = "config.json";
/// Folder of key slots.
pub const KEYS: &str = "keys";
/// Folder of packs.
pub const PACKS: &str = "packs/data";
/// Folder of parity shards.
pub const PARITY: &str = "packs/parity";
/// Folder of originals that a repair replaced.
pub const QUARANTINE: &str = "quarantine";
/// Folder of index segments.
pub const INDEX: &str = "index";
/// Folder of manifests and voids.
pub const SNAPSHOTS: &str = "snapshots";
/// Folder of sessions and fences.
pub const LOCKS: &str = "locks";
/// Folder of records.
pub const RECORDS: &str = "records";
/// Folder of replicas.
pub const REPLICAS: &str = "replicas";
/// Space that only those spend who make room.
pub const RESERVE: &str = "reserve";

/// The kinds of records that version 1 has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RecordKind {
    /// Names packs for deletion.
    Retire,
    /// Names snapshots that were removed on purpose.
    Forget,
    /// Names a snapshot that must stay.
    Pin,
    /// Compression, pack size, parity.
    Settings,
    /// Says what a verification read, and when.
    Verified,
}

impl RecordKind {
    /// All kinds.
    pub const ALL: [Self; 5] = [Self::Retire, Self::Forget, Self::Pin, Self::Settings, Self::Verified];

    /// The kind's word, as in names and in the member `kind`.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Retire => "retire",
            Self::Forget => "forget",
            Self::Pin => "pin",
            Self::Settings => "settings",
            Self::Verified => "verified",
        }
    }

    /// The kind's folder.
    #[must_use]
    pub fn folder(self) -> String {
        format!("{RECORDS}/{}", self.word())
    }
}

/// Only called with texts that are names by construction; the fallback is a name that no object has.
fn name(text: &str) -> ObjectName {
    ObjectName::parse(text).unwrap_or_else(|| unnamed(text))
}

#[cold]
fn unnamed(text: &str) -> ObjectName {
    debug_assert!(false, "not a name: {text}");
    ObjectName::none()
}

/// `config.json`
#[must_use]
pub fn config() -> ObjectName {
    name(CONFIG)
}

/// `reserve`
#[must_use]
pub fn reserve() -> ObjectName {
    name(RESERVE)
}

/// `keys/<slot>.json`
#[must_use]
pub fn slot(id: SlotId) -> ObjectName {
    name(&format!("{KEYS}/{id}.json"))
}

/// `packs/data/<aa>/<pack>.pack`
#[must_use]
pub fn pack(id: PackId) -> ObjectName {
    let hex = id.to_hex();
    name(&format!("{PACKS}/{}/{hex}.pack", &hex[..2]))
}

/// `packs/data/<aa>/<pack>.idx`
#[must_use]
pub fn idx(id: PackId) -> ObjectName {
    let hex = id.to_hex();
    name(&format!("{PACKS}/{}/{hex}.idx", &hex[..2]))
}

/// `packs/parity/<shard>.par`
#[must_use]
pub fn shard(id: ShardId) -> ObjectName {
    name(&format!("{PARITY}/{id}.par"))
}

/// `index/<segment>.seg`
#[must_use]
pub fn segment(id: SegmentId) -> ObjectName {
    name(&format!("{INDEX}/{id}.seg"))
}

/// `snapshots/<session>.json`
#[must_use]
pub fn manifest(id: SessionId) -> ObjectName {
    name(&format!("{SNAPSHOTS}/{id}.json"))
}

/// `snapshots/<session>.void`
#[must_use]
pub fn void(id: SessionId) -> ObjectName {
    name(&format!("{SNAPSHOTS}/{id}.void"))
}

/// `locks/<session>.json`
#[must_use]
pub fn session(id: SessionId) -> ObjectName {
    name(&format!("{LOCKS}/{id}.json"))
}

/// `locks/<session>.fence`
#[must_use]
pub fn fence(id: SessionId) -> ObjectName {
    name(&format!("{LOCKS}/{id}.fence"))
}

/// `records/<kind>/<record>.json`
#[must_use]
pub fn record(kind: RecordKind, id: RecordId) -> ObjectName {
    name(&format!("{}/{id}.json", kind.folder()))
}

/// The id of the record that pins a snapshot: the snapshot's own (R-RECORD-FILE-4).
#[must_use]
pub fn pin_of(snapshot: SessionId) -> RecordId {
    RecordId(snapshot.0)
}

/// `replicas/<name>`
#[must_use]
pub fn replica(original: &ObjectName) -> ObjectName {
    name(&format!("{REPLICAS}/{original}"))
}

/// `quarantine/<name>`, in one component
#[must_use]
pub fn quarantined(original: &ObjectName) -> ObjectName {
    name(&format!("{QUARANTINE}/{}", original.as_str().replace('/', ".")))
}

/// The id in the last component of a name, if it has this extension.
#[must_use]
pub fn id_of<T: FromStr>(name: &ObjectName, extension: &str) -> Option<T> {
    name.file_name().strip_suffix(extension)?.strip_suffix('.')?.parse().ok()
}

/// The pack of a listed `.pack` or `.idx`, if it is in its right folder.
#[must_use]
pub fn pack_id_of(listed: &ObjectName, extension: &str) -> Option<PackId> {
    let id = id_of(listed, extension)?;
    let right = if extension == "idx" { idx(id) } else { pack(id) };
    (right == *listed).then_some(id)
}

/// Compares the BLAKE3 in a pack's, shard's or segment's name with that of the whole file.
///
/// # Errors
/// R-NAME-1.
pub fn check_content_name(id: &[u8; 32], file: &[u8]) -> Result<(), FormatError> {
    ensure(blake3_256(file) == *id, "R-NAME-1", "its name is not the BLAKE3 of its bytes")
}

/// All folders of a repository.
#[must_use]
pub fn folders() -> Vec<String> {
    let mut folders: Vec<String> =
        [KEYS, INDEX, SNAPSHOTS, LOCKS, QUARANTINE, PARITY].map(String::from).into();
    folders.extend((0..=255).map(|byte| format!("{PACKS}/{byte:02x}")));
    for kind in RecordKind::ALL {
        folders.push(kind.folder());
        folders.push(format!("{REPLICAS}/{}", kind.folder()));
    }
    folders.extend([KEYS, SNAPSHOTS].map(|folder| format!("{REPLICAS}/{folder}")));
    folders
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip_and_packs_count_only_in_their_own_folder() {
        let id = PackId([0xab; 32]);
        assert_eq!(pack_id_of(&pack(id), "pack"), Some(id));
        assert_eq!(pack_id_of(&idx(id), "idx"), Some(id));
        let elsewhere = ObjectName::parse(&format!("packs/data/00/{id}.pack")).unwrap();
        assert_eq!(pack_id_of(&elsewhere, "pack"), None);
        assert_eq!(id_of::<SessionId>(&void(SessionId([1; 16])), "void"), Some(SessionId([1; 16])));
        assert_eq!(id_of::<SessionId>(&void(SessionId([1; 16])), "json"), None);
        assert_eq!(replica(&config()).as_str(), "replicas/config.json");
    }
}
