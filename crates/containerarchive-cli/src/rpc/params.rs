//! The parameters of all methods. A member that is not known is an error: it was meant to do something.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

use crate::failure::{Failure, Outcome};

/// Reads parameters.
///
/// # Errors
/// A member is missing, unknown, or of a wrong type.
pub(super) fn parse<T: DeserializeOwned>(text: &str) -> Outcome<T> {
    serde_json::from_str(text)
        .map_err(|error| Failure::usage(format!("these parameters are not possible: {error}")))
}

/// Declares parameters: all alike.
macro_rules! params {
    ($($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $type:ty,)* })*) => {
        $(
            $(#[$doc])*
            #[derive(Deserialize)]
            #[serde(rename_all = "camelCase", deny_unknown_fields)]
            #[cfg_attr(test, derive(schemars::JsonSchema))]
            pub(super) struct $name {
                $($(#[$field_doc])* pub(super) $field: $type,)*
            }
        )*
    };
}

params! {
    /// Nothing.
    NoParams {}
    /// `cancel`
    CancelParams {
        /// The id of the request that shall end.
        request_id: String,
    }
    /// `init`: a new repository, which is open then. Without passphrase and key file it is not encrypted.
    InitParams {
        /// Folder of the repository.
        path: PathBuf,
        passphrase: Option<SecretText>,
        /// Made if it is not there.
        key_file: Option<PathBuf>,
        /// `auto`, `zstd`, `zstd:LEVEL`, `gzip`, `gzip:LEVEL` or `none`.
        compression: Option<String>,
        /// `PACKS+SHARDS`, as `40+2`, or `off`.
        parity: Option<String>,
        /// Bytes at which a pack is finished.
        pack_size: Option<u64>,
        /// Least, average and largest bytes of a chunk.
        chunk_size: Option<[u64; 3]>,
        /// What guessing a passphrase shall cost: `MEMORY,PASSES,LANES`, as `64MiB,3,4`.
        kdf: Option<String>,
        /// Of the first key.
        label: Option<String>,
    }
    /// `open`
    OpenParams {
        /// Folder of the repository.
        path: PathBuf,
        passphrase: Option<SecretText>,
        key_file: Option<PathBuf>,
    }
    /// A stream of an ingest.
    StreamItem {
        /// Of `streamOpen`.
        stream_id: String,
        /// Of the item: a relative path. `data`, where it is the only one and not named.
        name: Option<String>,
        /// A word of the user's own; `stream` if none is given.
        r#type: Option<String>,
        /// Bytes where known, for progress.
        size: Option<u64>,
    }
    /// `ingest`: one stream, one snapshot.
    IngestParams {
        /// Of `streamOpen`.
        stream_id: String,
        /// At most one: the name, type and size of the stream.
        items: Option<Vec<IngestItemParams>>,
        tags: Option<BTreeMap<String, String>>,
        series: Option<String>,
        /// The time that the snapshot stands for, RFC 3339; now if none is given.
        time: Option<String>,
        /// Fail, without a snapshot, if the item is smaller, in bytes.
        min_size: Option<u64>,
        /// Fail, without a snapshot, if the last 4 KiB do not contain this.
        expect_tail: Option<String>,
    }
    /// What an item is called.
    IngestItemParams {
        /// A relative path.
        name: String,
        /// A word of the user's own; `stream` if none is given.
        r#type: Option<String>,
        /// Bytes where known, for progress.
        size: Option<u64>,
    }
    /// `ingestMulti`: several streams, one snapshot.
    IngestMultiParams {
        streams: Vec<StreamItem>,
        tags: Option<BTreeMap<String, String>>,
        series: Option<String>,
        /// The time that the snapshot stands for, RFC 3339; now if none is given.
        time: Option<String>,
        /// Fail, without a snapshot, if an item is smaller, in bytes.
        min_size: Option<u64>,
        /// Fail, without a snapshot, if the last 4 KiB of an item do not contain this.
        expect_tail: Option<String>,
    }
    /// `ingestPath`: files, which the engine reads itself.
    IngestPathParams {
        items: Vec<PathItem>,
        tags: Option<BTreeMap<String, String>>,
        series: Option<String>,
        /// The time that the snapshot stands for, RFC 3339; now if none is given.
        time: Option<String>,
        /// Fail, without a snapshot, if an item is smaller, in bytes.
        min_size: Option<u64>,
        /// Fail, without a snapshot, if the last 4 KiB of an item do not contain this.
        expect_tail: Option<String>,
    }
    /// A file.
    PathItem {
        path: PathBuf,
        /// Of the item; its path, if none is given.
        name: Option<String>,
        /// A word of the user's own; `file` for regular files, else `stream`, if none is given.
        r#type: Option<String>,
    }
    /// `ingestCommand`: the output of commands, which run under `bash -o pipefail`. If one fails there is no snapshot.
    IngestCommandParams {
        items: Vec<CommandItem>,
        tags: Option<BTreeMap<String, String>>,
        series: Option<String>,
        /// The time that the snapshot stands for, RFC 3339; now if none is given.
        time: Option<String>,
        /// Fail, without a snapshot, if an item is smaller, in bytes.
        min_size: Option<u64>,
        /// Fail, without a snapshot, if the last 4 KiB of an item do not contain this.
        expect_tail: Option<String>,
    }
    /// A command.
    CommandItem {
        command: String,
        /// Of the item.
        name: String,
        /// A word of the user's own; `stream` if none is given.
        r#type: Option<String>,
    }
    /// `restore`: content into a stream; several items without `item` one after the other, in order.
    RestoreParams {
        /// Of the snapshot: its id, the beginning of it, `latest` or `latest~N`.
        id: String,
        /// Of `streamOpen`.
        stream_id: String,
        item: Option<String>,
    }
    /// `restoreToPath`: items into a folder.
    RestoreToPathParams {
        /// Of the snapshot: its id, the beginning of it, `latest` or `latest~N`.
        id: String,
        /// The folder; made if it is not there.
        path: PathBuf,
        item: Option<String>,
        /// Replace files that are there.
        overwrite: Option<bool>,
        /// Write packs back that had to be mended.
        heal: Option<bool>,
    }
    /// `listSnapshots`: oldest first, in pages.
    ListSnapshotsParams {
        tags: Option<BTreeMap<String, String>>,
        series: Option<String>,
        /// RFC 3339 or a date; this moment is included.
        after: Option<String>,
        /// RFC 3339 or a date; this moment is not included.
        before: Option<String>,
        /// Of the page before.
        cursor: Option<String>,
    }
    /// `getSnapshot`
    GetSnapshotParams {
        /// The id, the beginning of it, `latest` or `latest~N`.
        id: String,
    }
    /// `listItems`: the items of one snapshot, in pages.
    ListItemsParams {
        /// Of the snapshot.
        id: String,
        /// Of the page before.
        cursor: Option<u32>,
    }
    /// `verify`
    VerifyParams {
        /// `quick`, `standard` (if none is given) or `full`.
        level: Option<Level>,
        /// Only this share of packs, those first that were not read for longest: `5%`.
        sample: Option<String>,
        /// Only packs that were not read for so long: `30d`.
        max_age: Option<String>,
    }
    /// `prune`: without rules no snapshot goes.
    PruneParams {
        /// How many of the newest stay, of each series.
        keep_last: Option<u32>,
        /// The newest of each of the N newest hours that have one.
        keep_hours: Option<u32>,
        keep_days: Option<u32>,
        keep_weeks: Option<u32>,
        keep_months: Option<u32>,
        keep_years: Option<u32>,
        /// All that are at most this much older than the newest: `30d`.
        keep_within: Option<String>,
        /// All with one of these tags.
        keep_tags: Option<BTreeMap<String, String>>,
        /// What is compared: `series` (if none is given), `none` or `tag:KEY`.
        group_by: Option<String>,
        /// Where days begin: `Europe/Berlin`; this computer's if none is given.
        time_zone: Option<String>,
        /// Change nothing.
        dry_run: Option<bool>,
        /// Share of what stays that may be unused: `5%`.
        max_unused: Option<String>,
        /// How long to wait for sessions that began before: `10m`.
        drain: Option<String>,
        /// Go on although packs are gone that the index names.
        accept_loss: Option<bool>,
    }
    /// `repair`
    RepairParams {
        /// Change nothing.
        dry_run: Option<bool>,
    }
    /// `unlock`
    UnlockParams {
        /// Also sessions that live.
        force: Option<bool>,
    }
    /// `status`
    StatusParams {
        tags: Option<BTreeMap<String, String>>,
        series: Option<String>,
        /// How old the newest snapshot of a series may be: `26h`.
        max_age: Option<String>,
    }
    /// `forget`
    ForgetParams {
        /// Whole ids, or beginnings.
        ids: Vec<String>,
    }
}

/// How deep to look.
#[derive(Deserialize, Clone, Copy)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) enum Level {
    Quick,
    Standard,
    Full,
}

/// A passphrase, wiped when it is dropped.
#[derive(Deserialize)]
#[serde(from = "String")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(with = "String"))]
pub(super) struct SecretText(pub(super) Zeroizing<String>);

impl From<String> for SecretText {
    fn from(text: String) -> Self {
        Self(Zeroizing::new(text))
    }
}
