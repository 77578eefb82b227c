//! The verbs that look after a repository, and their own options.

use clap::builder::BoolishValueParser;
use clap::{Args, Subcommand};
use containerarchive::Parity;

pub(crate) const PARITY_SET_EXAMPLES: &str = "\
LEVEL is PACKS+SHARDS (1 to 200 packs, 1 to 16 shards) or 'off': of up to PACKS packs any SHARDS may be lost. It holds \
for packs that are written from now on; groups that are there stay as they are. After 'off', packs that were written \
without parity get it from 'containerarchive repair' once another level is set.

Examples:
  containerarchive parity set 20+2                          any 2 of 20 packs, for 10 % of space
  containerarchive parity set off                           new packs are not protected";

pub(crate) const PARITY_STATUS_EXAMPLES: &str = "\
'margin' is how many more packs the group that is worst off may lose: 0 means that one more cannot be \
rebuilt, less than 0 that more are missing than can be. Only names and sizes of files are looked at; 'containerarchive verify' reads them. Groups \
that have least left are listed first.

Examples:
  containerarchive parity status
  containerarchive parity status --json";

pub(crate) const REINDEX_EXAMPLES: &str = "\
The index says which pack has which chunk. It holds nothing that is not in the packs: when it is gone or damaged, nothing \
is lost, and this writes it anew. 'containerarchive repair' does the same for what is missing in it, and mends all other \
damage as well: run that when in doubt. Backups go on meanwhile.

Examples:
  containerarchive reindex";

pub(crate) const REPAIR_EXAMPLES: &str = "\
Run it when 'verify' or a restore tells of damage; it may be repeated at any time, and on a healthy repository it changes \
nothing. Backups go on meanwhile. Beside another repair or reindex, or while an ingest merges parity, it gives way with \
exit code 11: try again.

Everything is read first. Then packs are rebuilt from parity, parity from packs, config, keys, snapshots and records \
from their replicas, the index from the packs; dead sessions are ended. What was replaced stays in quarantine until a \
second reading finds nothing damaged. What cannot be mended is told by snapshot, item and bytes. A damaged pack that \
cannot be rebuilt is removed once every snapshot can do without it and no other session is open.

The exit code is 0 if nothing was damaged, 13 if all damage was mended (with --dry-run: can be mended), 14 if something \
is lost: then put the packs that it names back from a second copy, under the same names, and repair again; or ingest the \
same files again, if they still exist.

Examples:
  containerarchive repair --dry-run                         what is wrong, and what would help
  containerarchive repair || test $? = 13                   in a script: mended counts as success
  containerarchive repair --no-key                          without any passphrase";

pub(crate) const UNLOCK_EXAMPLES: &str = "\
It is seldom needed: a session whose process is gone holds nothing up. The next ingest uses what it stored, and a repair \
ends it; after 'unlock', what it stored without naming it in the index is used again only once 'repair' or 'reindex' ran. \
'containerarchive status' lists the sessions.

A session is ended by objects that forbid its snapshot, before its lock goes: should its process wake up again, it finds \
out. With --force that is done to sessions that run, too. No snapshot is lost: an ingest that was ended commits again under \
a new session, and fails only if what it refers to was pruned meanwhile; a prune that was ended stops, unless it has \
begun to delete what every later one knows to be retired. But nothing waits for these sessions any more: a prune may \
delete what a restore is about to read, which then fails, and a second repair may begin beside one that goes on. So \
look first whether the process can be ended instead.

Examples:
  containerarchive unlock                                   of processes that are gone
  containerarchive unlock --force                           of all";

/// Options of `unlock`.
#[derive(Args)]
pub(crate) struct UnlockArgs {
    /// End also the sessions of processes that run, or may
    #[arg(long)]
    pub(crate) force: bool,
}

/// Options of `repair`.
#[derive(Args)]
pub(crate) struct RepairArgs {
    /// Change nothing, and say what would be done
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Ask for no key: mend packs, parity and what has a replica, and say what was skipped
    #[arg(long, env = "CONTAINERARCHIVE_NO_KEY", value_parser = BoolishValueParser::new())]
    pub(crate) no_key: bool,
}

/// What to do with parity.
#[derive(Subcommand)]
pub(crate) enum ParityCommand {
    /// Show how many more packs may be lost, and what parity takes
    #[command(after_help = PARITY_STATUS_EXAMPLES)]
    Status,
    /// Protect packs that are written from now on in another way
    #[command(after_help = PARITY_SET_EXAMPLES)]
    Set(ParitySetArgs),
}

/// Options of `parity set`.
#[derive(Args)]
pub(crate) struct ParitySetArgs {
    /// PACKS+SHARDS, for example 40+2, or off
    #[arg(value_name = "LEVEL")]
    pub(crate) level: Parity,
}
