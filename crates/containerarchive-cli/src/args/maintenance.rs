//! The verbs that look after a repository, and their own options.

use clap::builder::BoolishValueParser;
use clap::{Args, Subcommand};
use containerarchive::Parity;

pub(crate) const PARITY_SET_EXAMPLES: &str = "\
LEVEL is PACKS+SHARDS (1 to 200 packs, 1 to 16 shards) or 'off'. It holds for packs that are written from now on.

Examples:
  containerarchive parity set 20+2                          10 % of space, any two lost packs of 20
  containerarchive parity set off                           new packs are not protected";

pub(crate) const REPAIR_EXAMPLES: &str = "\
Everything is read first. Then packs are rebuilt from parity, parity from packs, config, keys, snapshots and records \
from their replicas, the index from the packs; dead sessions are ended. What was replaced stays in quarantine until a \
second reading finds nothing damaged. What cannot be mended is told by snapshot, item and bytes.

The exit code is 0 if nothing was damaged, 13 if all damage was mended, 14 if something is lost.

Examples:
  containerarchive repair --dry-run                         what is wrong, and what would help
  containerarchive repair
  containerarchive repair --no-key                          on the storage's host, without any passphrase";

/// Options of `repair`.
#[derive(Args)]
pub(crate) struct RepairArgs {
    /// Change nothing, and say what would be done
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Mend what can be told to be right without any key, and say what was skipped
    #[arg(long, env = "CONTAINERARCHIVE_NO_KEY", value_parser = BoolishValueParser::new())]
    pub(crate) no_key: bool,
}

/// What to do with parity.
#[derive(Subcommand)]
pub(crate) enum ParityCommand {
    /// Show how many more packs may be lost, and what parity takes
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
