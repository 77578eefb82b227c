//! The verbs that look after a repository, and their own options.

use clap::{Args, Subcommand};
use containerarchive::Parity;

pub(crate) const PARITY_SET_EXAMPLES: &str = "\
LEVEL is PACKS+SHARDS (1 to 200 packs, 1 to 16 shards) or 'off'. It holds for packs that are written from now on.

Examples:
  containerarchive parity set 20+2                          10 % of space, any two lost packs of 20
  containerarchive parity set off                           new packs are not protected";

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
