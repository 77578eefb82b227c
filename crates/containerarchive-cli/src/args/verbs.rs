//! The verbs and their own options.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::{BoolishValueParser, OsStringValueParser, TypedValueParser};
use clap::{Args, Subcommand, ValueEnum};
use containerarchive::{Argon2Params, ChunkParams, Compression, Parity, Selector, Timestamp};

use super::keys::KeyCommand;
use super::maintenance::{
    ParityCommand, REINDEX_EXAMPLES, REPAIR_EXAMPLES, RepairArgs, UNLOCK_EXAMPLES, UnlockArgs,
};
use super::retention::{
    FORGET_EXAMPLES, ForgetArgs, PIN_EXAMPLES, PRUNE_EXAMPLES, PinArgs, PruneArgs, UNPIN_EXAMPLES,
};
use super::values::{
    Age, KeyValue, NamedCommand, NamedFile, Share, parse_age, parse_chunk_size, parse_kdf,
    parse_named_command, parse_named_file, parse_pack_size, parse_selector, parse_share, parse_size,
    parse_time,
};

/// What to do.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Make a repository
    #[command(after_help = INIT_EXAMPLES)]
    Init(InitArgs),
    /// Store files, streams and the output of commands as one snapshot
    #[command(after_help = INGEST_EXAMPLES)]
    Ingest(Box<IngestArgs>),
    /// Write a snapshot's items below a folder, or one to the standard output
    #[command(after_help = RESTORE_EXAMPLES)]
    Restore(RestoreArgs),
    /// List the snapshots, oldest first
    #[command(after_help = SNAPSHOTS_EXAMPLES)]
    Snapshots(SnapshotsArgs),
    /// Show one snapshot and its items
    #[command(after_help = SHOW_EXAMPLES)]
    Show(ShowArgs),
    /// Tell how old the newest snapshot of each series is; fails if one is too old
    #[command(after_help = STATUS_EXAMPLES)]
    Status(StatusArgs),
    /// Count what is stored, and what deduplication and compression save
    #[command(after_help = STATS_EXAMPLES)]
    Stats,
    /// Look for damage, and tell whom it hurts and whether it can be mended
    #[command(after_help = VERIFY_EXAMPLES)]
    Verify(VerifyArgs),
    /// Mend what is damaged: from parity, from replicas, from other copies
    #[command(after_help = REPAIR_EXAMPLES)]
    Repair(RepairArgs),
    /// Remove snapshots that rules do not keep, and free the space of what none needs
    #[command(after_help = PRUNE_EXAMPLES)]
    Prune(Box<PruneArgs>),
    /// Remove snapshots by name
    #[command(after_help = FORGET_EXAMPLES)]
    Forget(ForgetArgs),
    /// Keep snapshots from being removed
    #[command(after_help = PIN_EXAMPLES)]
    Pin(PinArgs),
    /// Let pinned snapshots be removed again
    #[command(after_help = UNPIN_EXAMPLES)]
    Unpin(PinArgs),
    /// Show how well packs are protected, or change that for new ones
    #[command(subcommand)]
    Parity(ParityCommand),
    /// Write the index again, from the packs' own tables
    #[command(after_help = REINDEX_EXAMPLES)]
    Reindex,
    /// End the sessions of processes that are gone
    #[command(after_help = UNLOCK_EXAMPLES)]
    Unlock(UnlockArgs),
    /// List, add and remove the keys of an encrypted repository
    #[command(subcommand)]
    Key(KeyCommand),
    /// Show what a repository is like and what the key may do
    Info,
    /// Serve the requests of another program on the standard input and output
    #[command(after_help = ENGINE_EXAMPLES)]
    Engine,
    /// Print a script that makes a shell complete verbs, options, snapshots and items
    #[command(after_help = COMPLETIONS_EXAMPLES)]
    Completions(CompletionsArgs),
    /// Print the manual page of the program, or write those of all verbs
    #[command(after_help = MAN_EXAMPLES)]
    Man(ManArgs),
}

const ENGINE_EXAMPLES: &str = "\
The protocol is JSON, one object a line, and content goes over Unix sockets: docs/RPC.md. Repositories and keys are named \
by requests; --repo and the options of keys mean nothing here. It ends when its standard input does, aborting what goes \
on without leaving a session behind. --management as the only argument is the same.";

const INIT_EXAMPLES: &str = "\
Examples:
  containerarchive --repo /backup/app init                  asks for a passphrase
  containerarchive --repo /backup/app --key-file app.key init     makes the key file";

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

Damage that is met is mended on the way, from parity or another copy, and a warning tells of it: what is written is right, \
and the exit code 0. With --heal the rebuilt packs are written back; 'containerarchive repair' mends all the rest. What \
cannot be mended ends with exit code 14 and the name of the item.

Examples:
  containerarchive restore latest --to restored             every item as restored/<item name>
  containerarchive restore latest --item app.sql --to - | psql app
  containerarchive restore latest --to restored --heal      and write rebuilt packs back";

const SNAPSHOTS_EXAMPLES: &str = "\
Examples:
  containerarchive snapshots --tag kind=dump --after 2026-11-01
  containerarchive snapshots --series app.sql --json";

const SHOW_EXAMPLES: &str = "\
SNAPSHOT is 'latest' (the newest that matches --tag and --series), 'latest~N' (the N-th before it), or the beginning \
of an id.

Examples:
  containerarchive show latest
  containerarchive show latest --series app.sql --json";

const STATUS_EXAMPLES: &str = "\
A snapshot is as old as the older of two times: that which it stands for (--time of ingest) and that at which it was \
made. So an old dump that is stored today makes no series look fresh, nor does a time in the future. Series of \
different write domains are looked at separately. 'parity' and 'verified' tell how many more packs may be lost and since \
when every pack was read by 'verify'; they change no exit code, and what verify found is told by verify only.

The exit code is 1 (E_STALE) if there is no snapshot, or with --max-age if the newest one of a series is older than \
that; 14 if a snapshot is damaged or missing; the report is printed all the same. Without --max-age no age is too old.

Examples:
  containerarchive status
  containerarchive status --max-age 26h >/dev/null          from a timer: tells only trouble
  containerarchive status --max-age 8d --series weekly.tar --json";

const STATS_EXAMPLES: &str = "\
'unique' counts each chunk once that stands in a pack, whether a snapshot still refers to it or not: what an \
interrupted ingest left counts, too.

Examples:
  containerarchive stats
  containerarchive stats --json";

const VERIFY_EXAMPLES: &str = "\
quick looks whether everything is there and referred to; standard also reads every file and compares its checksum, and \
walks all snapshots to their last chunk; full also decrypts, decompresses and hashes every chunk. Backups go on meanwhile, \
and nothing is changed, but that a finished run leaves a small record of what it read (an admin key is needed for that), by \
which --sample and --max-age find what is due.

The exit code is 13 (E_MENDABLE) if everything that was found can be mended, 14 (E_DAMAGED) if not; the report is printed \
all the same. On 13 run 'containerarchive repair'. On 14 copy the storage first, and see what 'containerarchive repair \
--dry-run' says.

Examples:
  containerarchive verify
  containerarchive verify --sample 5%                       daily: everything in 20 days
  containerarchive verify --max-age 30d --sample 10%        due for 30 days, at most a tenth
  containerarchive verify --level full --json
  containerarchive verify --no-key                          without any passphrase";

const COMPLETIONS_EXAMPLES: &str = "\
Snapshot ids and item names are completed where the repository can be opened without asking anybody: without a \
passphrase prompt and without running --passphrase-command. Otherwise 'latest' is all that is offered.

Examples:
  source <(containerarchive completions bash)               in ~/.bashrc
  source <(containerarchive completions zsh)                in ~/.zshrc, after compinit
  containerarchive completions fish | source                in ~/.config/fish/config.fish";

const MAN_EXAMPLES: &str = "\
Examples:
  containerarchive man | man -l -                           read it now
  containerarchive man --to ~/.local/share/man/man1         a page for each verb, found by 'man containerarchive-ingest'";

/// What a new repository is like.
#[derive(Args)]
#[command(next_help_heading = "Options of a new repository")]
pub(crate) struct NewRepositoryArgs {
    /// Store content readable by everybody who reaches the storage
    #[arg(long, env = "CONTAINERARCHIVE_NO_ENCRYPTION", value_parser = BoolishValueParser::new())]
    pub(crate) no_encryption: bool,
    /// How many lost packs of how many can be rebuilt: PACKS+SHARDS, or off
    #[arg(long, env = "CONTAINERARCHIVE_PARITY", value_name = "LEVEL", default_value = "40+2")]
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

impl IngestArgs {
    pub(super) fn names_no_source(&self) -> bool {
        self.paths.is_empty() && self.item.is_empty() && self.command.is_empty()
    }
}

/// `ingest`
#[derive(Args)]
pub(crate) struct IngestArgs {
    /// Files, each an item named by its path; '-' is the standard input
    #[arg(value_name = "PATH")]
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
    #[arg(long, env = "CONTAINERARCHIVE_EXPECT_TAIL", value_name = "TEXT", allow_hyphen_values = true)]
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
    /// Write packs that had to be rebuilt from parity back into the repository
    #[arg(long, env = "CONTAINERARCHIVE_HEAL", value_parser = BoolishValueParser::new())]
    pub(crate) heal: bool,
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

/// `status`
#[derive(Args)]
pub(crate) struct StatusArgs {
    /// Fail if the newest snapshot of a series is older than this: 90m, 26h, 30d or 2w
    #[arg(long, env = "CONTAINERARCHIVE_MAX_AGE", value_name = "AGE", value_parser = parse_age)]
    pub(crate) max_age: Option<Age>,
    #[command(flatten)]
    pub(crate) filter: FilterArgs,
}

/// `verify`
#[derive(Args)]
pub(crate) struct VerifyArgs {
    /// How deep to look: quick, standard or full
    #[arg(
        long,
        env = "CONTAINERARCHIVE_LEVEL",
        value_name = "LEVEL",
        default_value = "standard",
        hide_possible_values = true
    )]
    pub(crate) level: VerifyLevelArg,
    /// Ask for no key: compare checksums only, and say what was skipped
    #[arg(long, env = "CONTAINERARCHIVE_NO_KEY", value_parser = BoolishValueParser::new())]
    pub(crate) no_key: bool,
    /// Read only this share of the packs, those whose turn it is: 5%, 0.5%
    #[arg(long, env = "CONTAINERARCHIVE_SAMPLE", value_name = "PERCENT", value_parser = parse_share)]
    pub(crate) sample: Option<Share>,
    /// Read only packs that were not verified at this level for so long: 26h, 30d or 2w
    // Not from the environment: there it is what 'status' goes by, and would make this leave out what is younger.
    #[arg(long, value_name = "AGE", value_parser = parse_age)]
    pub(crate) max_age: Option<Age>,
}

/// How deep to verify.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum VerifyLevelArg {
    // Existence, sizes, references.
    Quick,
    // Checksums of files, recipes.
    Standard,
    // Every chunk.
    Full,
}

/// `completions`
#[derive(Args)]
pub(crate) struct CompletionsArgs {
    /// The shell
    pub(crate) shell: ShellArg,
}

/// Shells that can be taught.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ShellArg {
    Bash,
    Elvish,
    Fish,
    Powershell,
    Zsh,
}

impl ShellArg {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Bash => "bash",
            Self::Elvish => "elvish",
            Self::Fish => "fish",
            Self::Powershell => "powershell",
            Self::Zsh => "zsh",
        }
    }
}

/// `man`
#[derive(Args)]
pub(crate) struct ManArgs {
    /// Write one page for each verb into this folder, which is made if it is missing; '-' prints the main page
    // Not by a variable: that of 'restore' would bury the folder of a restore under manual pages.
    #[arg(long, value_name = "DIR|-", default_value = "-")]
    pub(crate) to: PathBuf,
}
