//! What the user typed, checked for its form: options of all verbs here, the verbs' own in `verbs.rs`.

mod values;
mod verbs;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::BoolishValueParser;
use clap::parser::ValueSource;
use clap::{ArgMatches, Args, CommandFactory, FromArgMatches, Parser, ValueEnum};

pub(crate) use values::{KeyValue, NamedCommand};
pub(crate) use verbs::{
    CapabilityArg, Command, FilterArgs, IngestArgs, InitArgs, KeyAddArgs, KeyCommand, KeyPasswdArgs,
    KeyRemoveArgs, NewKeyArgs, NewRepositoryArgs, RestoreArgs, ShowArgs, SnapshotsArgs,
};

const AFTER_HELP: &str = "\
Keys: give exactly one of --passphrase-file, --passphrase-command, --key-file, or the passphrase itself in the \
environment variable CONTAINERARCHIVE_PASSPHRASE (an option on the command line goes before it). On a terminal the \
passphrase is asked for.

Environment: every option is also read from CONTAINERARCHIVE_<NAME>, for example CONTAINERARCHIVE_REPO; \
--accept-rollback, --overwrite and --item are not.

Exit codes: 0 done; 1 failure (no snapshot was made); 2 usage; 10 no repository; 11 held by another session; \
12 wrong key or missing capability; 14 damage that cannot be mended, or a repository that went back in time; \
15 storage full; 16 network; 130 interrupted.";

/// Deduplicating, encrypted backups of streams and files.
#[derive(Parser)]
#[command(name = "containerarchive", version, after_help = AFTER_HELP, disable_help_subcommand = false)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: GlobalArgs,
    #[command(subcommand)]
    pub(crate) command: Command,
    /// Whether an option on the command line names the key.
    #[arg(skip)]
    pub(crate) is_key_typed: bool,
    /// An option that only a new repository heeds was typed.
    #[arg(skip)]
    pub(crate) is_new_typed: bool,
}

/// Options of all verbs.
#[derive(Args)]
#[command(next_help_heading = "Options of all verbs")]
pub(crate) struct GlobalArgs {
    /// Folder of the repository
    #[arg(long, short, global = true, env = "CONTAINERARCHIVE_REPO", value_name = "DIR")]
    pub(crate) repo: Option<PathBuf>,
    /// Read the passphrase from this file; one newline at its end is dropped
    #[arg(long, global = true, env = "CONTAINERARCHIVE_PASSPHRASE_FILE", value_name = "FILE")]
    pub(crate) passphrase_file: Option<PathBuf>,
    /// Run this by sh and read the passphrase from its output
    #[arg(long, global = true, env = "CONTAINERARCHIVE_PASSPHRASE_COMMAND", value_name = "COMMAND")]
    pub(crate) passphrase_command: Option<OsString>,
    /// Use this key file instead of a passphrase
    #[arg(long, global = true, env = "CONTAINERARCHIVE_KEY_FILE", value_name = "FILE")]
    pub(crate) key_file: Option<PathBuf>,
    /// Where this client notes what it saw of each repository [default: containerarchive in $XDG_STATE_HOME or
    /// ~/.local/state]
    #[arg(long, global = true, env = "CONTAINERARCHIVE_STATE_DIR", value_name = "DIR")]
    pub(crate) state_dir: Option<PathBuf>,
    /// Take a repository that went back in time, or was replaced, as the new truth
    #[arg(long, global = true)]
    pub(crate) accept_rollback: bool,
    /// Worker threads [default: the processor's cores, at most 16]
    #[arg(long, global = true, env = "CONTAINERARCHIVE_THREADS", value_name = "N",
        value_parser = clap::value_parser!(u16).range(1..=256))]
    pub(crate) threads: Option<u16>,
    /// Print one JSON document instead of text, and errors as one on the standard error
    #[arg(long, global = true, env = "CONTAINERARCHIVE_JSON", value_parser = BoolishValueParser::new())]
    pub(crate) json: bool,
    /// No progress and no notices
    #[arg(long, short, global = true, env = "CONTAINERARCHIVE_QUIET", value_parser = BoolishValueParser::new())]
    pub(crate) quiet: bool,
    /// How progress is shown on the standard error
    #[arg(
        long,
        global = true,
        env = "CONTAINERARCHIVE_PROGRESS",
        value_name = "HOW",
        default_value = "auto"
    )]
    pub(crate) progress: ProgressMode,
}

/// How progress is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ProgressMode {
    /// One line that changes on a terminal, else a line every 30 seconds
    Auto,
    /// A line every 30 seconds
    Plain,
    /// JSON lines
    Json,
    /// None
    None,
}

const KEY_OPTIONS: [&str; 3] = ["passphrase_file", "passphrase_command", "key_file"];

impl Cli {
    /// Reads the process's arguments and environment.
    pub(crate) fn read() -> Result<Self, clap::Error> {
        let matches = without_values(Self::command()).try_get_matches()?;
        let mut cli = Self::from_arg_matches(&matches)?;
        cli.is_key_typed = is_typed(&matches, &KEY_OPTIONS);
        cli.is_new_typed = is_typed(&matches, &NEW_OPTIONS);
        Ok(cli)
    }
}

/// Help names the environment variables and not what is in them.
fn without_values(command: clap::Command) -> clap::Command {
    command.mut_args(|argument| argument.hide_env_values(true)).mut_subcommands(without_values)
}

/// Options that only a new repository heeds.
const NEW_OPTIONS: [&str; 6] = ["no_encryption", "parity", "compression", "pack_size", "chunk_size", "kdf"];

/// Whether one of the options stands on the command line itself.
fn is_typed(matches: &ArgMatches, options: &[&str]) -> bool {
    // Options of all verbs may stand on any level; a verb does not know those of another one.
    let is_here = |option: &&str| {
        matches.try_contains_id(option).is_ok()
            && matches.value_source(option) == Some(ValueSource::CommandLine)
    };
    options.iter().any(is_here) || matches.subcommand().is_some_and(|(_, inner)| is_typed(inner, options))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn options_of_all_verbs_may_stand_before_and_after_the_verb() {
        for arguments in [
            ["containerarchive", "--repo", "r", "--key-file", "k", "key", "list"],
            ["containerarchive", "key", "list", "--repo", "r", "--key-file", "k"],
            ["containerarchive", "key", "--repo", "r", "list", "--key-file", "k"],
        ] {
            let matches = Cli::command().try_get_matches_from(arguments).unwrap();
            assert!(is_typed(&matches, &KEY_OPTIONS), "{arguments:?}");
            assert_eq!(Cli::from_arg_matches(&matches).unwrap().global.repo, Some("r".into()));
        }
    }
}
