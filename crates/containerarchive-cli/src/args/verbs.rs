//! The verbs and their own options.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::{BoolishValueParser, OsStringValueParser, TypedValueParser};
use clap::{Args, Subcommand, ValueEnum};
use containerarchive::{Argon2Params, Capability, ChunkParams, Compression, Selector, Timestamp};

use super::values::{
    KeyValue, NamedCommand, NamedFile, Parity, parse_chunk_size, parse_kdf, parse_named_command,
    parse_named_file, parse_pack_size, parse_parity, parse_selector, parse_size, parse_time,
};

/// What to do.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Make a repository
    Init(InitArgs),
    /// Store files, streams and the output of commands as one snapshot
    #[command(after_help = INGEST_EXAMPLES)]
    Ingest(Box<IngestArgs>),
    /// Write a snapshot's items below a folder, or one to the standard output
    #[command(after_help = RESTORE_EXAMPLES)]
    Restore(RestoreArgs),
    /// List the snapshots, oldest first
    Snapshots(SnapshotsArgs),
    /// Show one snapshot and its items
    Show(ShowArgs),
    /// List, add and remove the keys of an encrypted repository
    #[command(subcommand)]
    Key(KeyCommand),
    /// Show what a repository is like and what the key may do
    Info,
}

const INGEST_EXAMPLES: &str = "\
Examples:
  containerarchive ingest /etc/hosts notes.txt              two items, named etc/hosts and notes.txt
  containerarchive ingest --command app.sql='pg_dump app'   the output of a command; if it fails, there is no snapshot
  pg_dump app | containerarchive ingest --name app.sql -    one stream from the standard input
  containerarchive ingest --item a.sql=/backup/a.sql --item b.tar=<(tar c b)

Commands run under 'bash -o pipefail -c', up to 64 at the same time (with --threads 1 one after the other), without standard \
input and without the variables that hold the key of the repository. Of 'a; b' only the exit code of b counts: write \
'a && b'. Put a command in single quotes, so that your shell \
leaves it alone; a single quote inside is written '\\'':
  --command app.sql='pg_dump app | sed \"s/secret/x/\"'
  --command one.csv='psql app -c '\\''copy (select 1) to stdout'\\'''
  --command app.tar=\"tar c $DIR\"                           in double quotes your shell fills in $DIR
Keep passwords out of commands (use ~/.pgpass, ~/.my.cnf, a variable): 'show' shows commands to whoever has an admin key, \
and only what looks like a password is left out.";

const RESTORE_EXAMPLES: &str = "\
SNAPSHOT is 'latest' (the newest that matches --tag and --series and has the item), 'latest~N' (the N-th before it), \
or the beginning of an id.

Examples:
  containerarchive restore latest --to restored             every item as restored/<item name>
  containerarchive restore latest --item app.sql --to - | psql app";

/// What a new repository is like.
#[derive(Args)]
#[command(next_help_heading = "Options of a new repository")]
pub(crate) struct NewRepositoryArgs {
    /// Store content readable by everybody who reaches the storage
    #[arg(long, env = "CONTAINERARCHIVE_NO_ENCRYPTION", value_parser = BoolishValueParser::new())]
    pub(crate) no_encryption: bool,
    /// Redundancy: only 'off' for now
    #[arg(long, env = "CONTAINERARCHIVE_PARITY", value_name = "off", default_value = "off", value_parser = parse_parity)]
    pub(crate) parity: Parity,
    /// auto, zstd[:LEVEL], gzip[:LEVEL] or none
    #[arg(long, env = "CONTAINERARCHIVE_COMPRESSION", value_name = "HOW", default_value = "auto")]
    pub(crate) compression: Compression,
    /// Size at which a pack is finished
    #[arg(long, env = "CONTAINERARCHIVE_PACK_SIZE", value_name = "SIZE", default_value = "16MiB", value_parser = parse_pack_size)]
    pub(crate) pack_size: u64,
    /// Least, average and largest size of a chunk
    #[arg(long, env = "CONTAINERARCHIVE_CHUNK_SIZE", value_name = "MIN,AVERAGE,MAX", default_value = "64KiB,256KiB,1MiB", value_parser = parse_chunk_size)]
    pub(crate) chunk_size: ChunkParams,
    #[command(flatten)]
    pub(crate) kdf: KdfArgs,
}

/// What guessing a passphrase shall cost.
#[derive(Args)]
pub(crate) struct KdfArgs {
    /// Argon2id memory, passes and lanes of a new passphrase
    #[arg(long, env = "CONTAINERARCHIVE_KDF", value_name = "MEMORY,PASSES,LANES", default_value = "64MiB,3,4", value_parser = parse_kdf)]
    pub(crate) kdf: Argon2Params,
}

/// `init`
#[derive(Args)]
pub(crate) struct InitArgs {
    #[command(flatten)]
    pub(crate) new: NewRepositoryArgs,
    /// Label of the first key
    #[arg(long, env = "CONTAINERARCHIVE_LABEL", default_value = "first")]
    pub(crate) label: String,
}

/// `ingest`
#[derive(Args)]
pub(crate) struct IngestArgs {
    /// Files, each an item named by its path; '-' is the standard input
    #[arg(value_name = "PATH", required_unless_present_any = ["item", "command"])]
    pub(crate) paths: Vec<PathBuf>,
    /// Item of this name from this file; FILE may be '-', a FIFO or /dev/fd/N
    #[arg(long, value_name = "NAME=FILE", value_parser = OsStringValueParser::new().try_map(|text| parse_named_file(&text)))]
    pub(crate) item: Vec<NamedFile>,
    /// Item of this name from the output of this command; repeatable
    #[arg(long, env = "CONTAINERARCHIVE_COMMAND", value_name = "NAME=COMMAND", value_parser = OsStringValueParser::new().try_map(|text| parse_named_command(&text)))]
    pub(crate) command: Vec<NamedCommand>,
    /// Name of the item, where there is exactly one PATH [default: data for the standard input]
    #[arg(long, env = "CONTAINERARCHIVE_NAME", conflicts_with = "item")]
    pub(crate) name: Option<String>,
    /// Type of the items: a word of your own [default: file for regular files, else stream]
    #[arg(long = "type", env = "CONTAINERARCHIVE_TYPE", value_name = "TYPE")]
    pub(crate) item_type: Option<String>,
    /// Tag of the snapshot; repeatable
    #[arg(long, env = "CONTAINERARCHIVE_TAG", value_name = "KEY=VALUE")]
    pub(crate) tag: Vec<KeyValue>,
    /// Series that the snapshot belongs to [default: the item names]
    #[arg(long, env = "CONTAINERARCHIVE_SERIES")]
    pub(crate) series: Option<String>,
    /// Time that the snapshot stands for, RFC 3339 or a date [default: now]
    #[arg(long, env = "CONTAINERARCHIVE_TIME", value_name = "TIME", value_parser = parse_time)]
    pub(crate) time: Option<Timestamp>,
    /// Fail, without a snapshot, if an item is smaller than this
    #[arg(long, env = "CONTAINERARCHIVE_MIN_SIZE", value_name = "SIZE", default_value = "0", value_parser = parse_size)]
    pub(crate) min_size: u64,
    /// Fail, without a snapshot, if the last 4 KiB of an item do not contain this, for example 'database dump complete'
    #[arg(long, env = "CONTAINERARCHIVE_EXPECT_TAIL", value_name = "TEXT")]
    pub(crate) expect_tail: Option<OsString>,
    /// Make the repository if there is none
    #[arg(long, env = "CONTAINERARCHIVE_INIT", value_parser = BoolishValueParser::new())]
    pub(crate) init: bool,
    #[command(flatten)]
    pub(crate) new: NewRepositoryArgs,
}

/// Which snapshots are meant.
#[derive(Args)]
pub(crate) struct FilterArgs {
    /// Only snapshots with this tag; repeatable
    #[arg(long, env = "CONTAINERARCHIVE_TAG", value_name = "KEY=VALUE")]
    pub(crate) tag: Vec<KeyValue>,
    /// Only snapshots of this series
    #[arg(long, env = "CONTAINERARCHIVE_SERIES")]
    pub(crate) series: Option<String>,
}

/// `restore`
#[derive(Args)]
pub(crate) struct RestoreArgs {
    /// latest, latest~N, or the beginning of an id
    #[arg(value_name = "SNAPSHOT", value_parser = parse_selector)]
    pub(crate) snapshot: Selector,
    /// Only this item
    #[arg(long, value_name = "NAME")]
    pub(crate) item: Option<String>,
    /// Folder to write to, or '-' for the standard output
    #[arg(long, env = "CONTAINERARCHIVE_TO", value_name = "DIR|-")]
    pub(crate) to: PathBuf,
    /// Replace files that are there
    #[arg(long)]
    pub(crate) overwrite: bool,
    #[command(flatten)]
    pub(crate) filter: FilterArgs,
}

/// `snapshots`
#[derive(Args)]
pub(crate) struct SnapshotsArgs {
    #[command(flatten)]
    pub(crate) filter: FilterArgs,
    /// Only snapshots at or after this time, RFC 3339 or a date
    #[arg(long, env = "CONTAINERARCHIVE_AFTER", value_name = "TIME", value_parser = parse_time)]
    pub(crate) after: Option<Timestamp>,
    /// Only snapshots before this time
    #[arg(long, env = "CONTAINERARCHIVE_BEFORE", value_name = "TIME", value_parser = parse_time)]
    pub(crate) before: Option<Timestamp>,
}

/// `show`
#[derive(Args)]
pub(crate) struct ShowArgs {
    /// latest, latest~N, or the beginning of an id
    #[arg(value_name = "SNAPSHOT", value_parser = parse_selector)]
    pub(crate) snapshot: Selector,
    #[command(flatten)]
    pub(crate) filter: FilterArgs,
}

/// `key …`
#[derive(Subcommand)]
pub(crate) enum KeyCommand {
    /// List the keys
    List,
    /// Add a key
    Add(KeyAddArgs),
    /// Remove a key; what was copied of it goes on working on copies of the repository
    Remove(KeyRemoveArgs),
    /// Replace the passphrase or key file that this command is given by a new one
    Passwd(KeyPasswdArgs),
}

/// The credential of a new key.
#[derive(Args)]
pub(crate) struct NewKeyArgs {
    /// Read the new passphrase from this file [default: CONTAINERARCHIVE_NEW_PASSPHRASE, or asked for]
    #[arg(long, env = "CONTAINERARCHIVE_NEW_PASSPHRASE_FILE", value_name = "FILE")]
    pub(crate) new_passphrase_file: Option<PathBuf>,
    /// Use this key file, which is made if there is none
    #[arg(long, env = "CONTAINERARCHIVE_NEW_KEY_FILE", value_name = "FILE")]
    pub(crate) new_key_file: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) kdf: KdfArgs,
}

/// `key add`
#[derive(Args)]
pub(crate) struct KeyAddArgs {
    /// admin: everything; write: add snapshots, and neither read nor remove any
    #[arg(long, env = "CONTAINERARCHIVE_CAPABILITY")]
    pub(crate) capability: CapabilityArg,
    /// Let this writer share deduplication and trust with the other writers of this name [default: with nobody]
    #[arg(long, env = "CONTAINERARCHIVE_DOMAIN", value_name = "NAME")]
    pub(crate) domain: Option<String>,
    /// Label of the key
    #[arg(long, env = "CONTAINERARCHIVE_LABEL", default_value = "")]
    pub(crate) label: String,
    #[command(flatten)]
    pub(crate) new: NewKeyArgs,
}

/// `key passwd`
#[derive(Args)]
pub(crate) struct KeyPasswdArgs {
    #[command(flatten)]
    pub(crate) new: NewKeyArgs,
}

/// `key remove`
#[derive(Args)]
pub(crate) struct KeyRemoveArgs {
    /// The key's id, or its beginning
    #[arg(value_name = "ID")]
    pub(crate) id: String,
}

/// What a key allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum CapabilityArg {
    /// Everything
    Admin,
    /// Adding snapshots
    Write,
}

impl From<CapabilityArg> for Capability {
    fn from(argument: CapabilityArg) -> Self {
        match argument {
            CapabilityArg::Admin => Self::Admin,
            CapabilityArg::Write => Self::Write,
        }
    }
}
