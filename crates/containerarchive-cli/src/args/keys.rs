//! `key` and its own options.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use containerarchive::Capability;

use super::verbs::KdfArgs;

/// `key …`
#[derive(Subcommand)]
pub(crate) enum KeyCommand {
    /// List the keys
    List,
    /// Add a key
    #[command(after_help = KEY_ADD_EXAMPLES)]
    Add(KeyAddArgs),
    /// Remove a key; what was copied of it goes on working on copies of the repository
    Remove(KeyRemoveArgs),
    /// Replace the passphrase or key file that this command is given by a new one
    Passwd(KeyPasswdArgs),
}

const KEY_ADD_EXAMPLES: &str = "\
Examples:
  containerarchive key add --capability admin --label spare --new-key-file spare.key
  containerarchive key add --capability write --label web-1 --new-key-file web-1.key";

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
    #[arg(
        long,
        env = "CONTAINERARCHIVE_CAPABILITY",
        value_name = "admin|write",
        hide_possible_values = true
    )]
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
    // Everything.
    Admin,
    // Adding snapshots.
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
