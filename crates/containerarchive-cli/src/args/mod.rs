//! What the user typed, checked for its form: options of all verbs here, the verbs' own in `verbs.rs`.

mod keys;
mod maintenance;
mod retention;
pub(crate) mod values;
mod verbs;

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use clap::builder::{BoolishValueParser, Resettable};
use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{ArgMatches, Args, ColorChoice, CommandFactory, FromArgMatches, Parser, ValueEnum};
use containerarchive::Selector;

use crate::{catalogue, ui};

pub(crate) use keys::{CapabilityArg, KeyAddArgs, KeyCommand, KeyPasswdArgs, KeyRemoveArgs, NewKeyArgs};
pub(crate) use maintenance::{ParityCommand, ParitySetArgs, RepairArgs, UnlockArgs};
pub(crate) use retention::{ForgetArgs, PinArgs, PruneArgs, RetentionArgs};
pub(crate) use values::{KeyValue, NamedCommand};
pub(crate) use verbs::{
    Command, CompletionsArgs, FilterArgs, IngestArgs, InitArgs, ManArgs, NewRepositoryArgs, RestoreArgs,
    ShowArgs, SnapshotsArgs, StatusArgs, VerifyArgs, VerifyLevelArg,
};

/// What help of the whole program ends with, besides the exit codes.
const KEYS_AND_ENVIRONMENT: &str = "\
Keys: give exactly one of --passphrase-file, --passphrase-command, --key-file, or the passphrase itself in the \
environment variable CONTAINERARCHIVE_PASSPHRASE (an option on the command line goes before the environment). On a terminal the \
passphrase is asked for.

Environment: every option is also read from CONTAINERARCHIVE_<NAME>, for example CONTAINERARCHIVE_REPO; \
--accept-rollback, --overwrite, --force, --item and the --to of man are not. A variable of an option that is set and empty counts as not set.";

/// What short help ends with.
const MORE_BY_LONG_HELP: &str = "More options, and their environment variables: --help";

/// Options of all verbs that short help shows.
const SHORT_HELP_OPTIONS: [&str; 2] = ["repo", "json"];

/// Deduplicating, encrypted backups of streams and files.
#[derive(Parser)]
#[command(name = "containerarchive", version)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: GlobalArgs,
    #[command(subcommand)]
    pub(crate) command: Command,
    #[arg(skip)]
    pub(crate) typed: Typed,
}

/// What stands on the command line itself, and not in the environment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Typed {
    /// An option that names the key.
    pub(crate) key: bool,
    /// An option that only a new repository heeds.
    pub(crate) new_repository: bool,
    /// `--json`
    pub(crate) json: bool,
}

impl Typed {
    fn of(matches: &ArgMatches) -> Self {
        Self {
            key: is_typed(matches, &KEY_OPTIONS),
            new_repository: is_typed(matches, &NEW_OPTIONS),
            json: is_typed(matches, &["json"]),
        }
    }
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
    /// Progress on the standard error: auto (a line that changes on a terminal, else one every 30 seconds), plain
    /// (one every 30 seconds), json (JSON lines) or none
    #[arg(
        long,
        global = true,
        env = "CONTAINERARCHIVE_PROGRESS",
        value_name = "HOW",
        default_value = "auto",
        hide_possible_values = true
    )]
    pub(crate) progress: ProgressMode,
}

impl GlobalArgs {
    /// What is typed goes before what the environment says, also where the two are different options.
    fn forget_keys_of_environment(&mut self, matches: &ArgMatches) {
        let [passphrase_file, passphrase_command, key_file] =
            KEY_OPTIONS.map(|option| is_typed(matches, &[option]));
        self.passphrase_file.take_if(|_| !passphrase_file);
        self.passphrase_command.take_if(|_| !passphrase_command);
        self.key_file.take_if(|_| !key_file);
    }
}

// Plain comments: documented values would give every help text its long form, of which most is blank.
/// How progress is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ProgressMode {
    // One line that changes on a terminal, else a line every 30 seconds.
    Auto,
    // A line every 30 seconds.
    Plain,
    // JSON lines.
    Json,
    // None.
    None,
}

const KEY_OPTIONS: [&str; 3] = ["passphrase_file", "passphrase_command", "key_file"];

impl Cli {
    /// Reads the process's arguments and environment.
    pub(crate) fn read() -> Result<Self, clap::Error> {
        let words = words();
        let mut definition = definition();
        // Where it is no option but a file's name, no help is shown.
        if std::env::args_os().any(|argument| argument == "-h") {
            definition = summary(definition);
        }
        // The same mistake once more, with a usage that is the verb's.
        let usage = || with_usage(without_empty_variables(self::definition()));
        let explained = |error| usage().try_get_matches_from(&words).err().unwrap_or(error);
        let matches = match without_empty_variables(definition.clone()).try_get_matches_from(&words) {
            Ok(matches) => matches,
            Err(error) if error.use_stderr() => Err(explained(error))?,
            // Help names all variables.
            Err(help) => Err(definition.try_get_matches_from(&words).err().unwrap_or(help))?,
        };
        let mut cli = Self::from_arg_matches(&matches)?;
        cli.typed = Typed::of(&matches);
        if matches!(&cli.command, Command::Ingest(arguments) if arguments.names_no_source()) {
            Err(nothing_to_store(usage()))?;
        }
        if cli.typed.key {
            cli.global.forget_keys_of_environment(&matches);
        }
        Ok(cli)
    }
}

/// The arguments. Bridges that know nothing of verbs start an engine with one option.
fn words() -> Vec<OsString> {
    let mut words: Vec<OsString> = std::env::args_os().collect();
    if words.get(1).is_some_and(|word| word == "--management") {
        words[1] = "engine".into();
    }
    words
}

/// A line that is still being typed, as far as it makes sense.
pub(crate) struct Unfinished {
    pub(crate) global: GlobalArgs,
    pub(crate) typed: Typed,
    /// The snapshot that is named already.
    pub(crate) snapshot: Option<Selector>,
}

impl Unfinished {
    /// `None` if not even the options of all verbs can be read.
    pub(crate) fn read(words: impl IntoIterator<Item = OsString>) -> Option<Self> {
        let matches =
            without_empty_variables(definition()).ignore_errors(true).try_get_matches_from(words).ok()?;
        let global = GlobalArgs::from_arg_matches(&matches).ok()?;
        let verb = matches.subcommand().map(|(_, inner)| inner);
        let snapshot = verb.and_then(|verb| verb.try_get_one("snapshot").ok().flatten().cloned());
        Some(Self { global, typed: Typed::of(&matches), snapshot })
    }
}

/// The whole command line, for reading, help, completions and manual pages.
pub(crate) fn definition() -> clap::Command {
    let exit_codes = catalogue::exit_codes_line();
    let after_help = format!("{KEYS_AND_ENVIRONMENT}\n\nExit codes: {exit_codes}.");
    // Left alone, the parser takes any terminal for a colourful one where the variable CI is set.
    let colour = if ui::are_colours_welcome() { ColorChoice::Auto } else { ColorChoice::Never };
    without_values(Cli::command().after_help(after_help).color(colour))
}

/// Help names the environment variables and not what is in them.
fn without_values(command: clap::Command) -> clap::Command {
    command.mut_args(|argument| argument.hide_env_values(true)).mut_subcommands(without_values)
}

/// A variable that is set and empty is how many systems leave one out. Those of passphrases are no options: an empty one
/// is a secret that did not arrive.
fn without_empty_variables(command: clap::Command) -> clap::Command {
    let is_empty = |name: &OsStr| std::env::var_os(name).is_some_and(|value| value.is_empty());
    let command = command.mut_args(|argument| match argument.get_env() {
        Some(name) if is_empty(name) => argument.env(Resettable::Reset),
        _ => argument,
    });
    command.mut_subcommands(without_empty_variables)
}

/// The parser would only name the argument that is missing.
fn nothing_to_store(mut program: clap::Command) -> clap::Error {
    let text = "nothing to store: name files, or commands whose output is to be stored, or '-' for the standard input\n\n  \
                containerarchive ingest PATH...\n  \
                containerarchive ingest --command app.sql='pg_dump app'\n  \
                pg_dump app | containerarchive ingest --name app.sql -";
    let verb = program
        .find_subcommand_mut("ingest")
        .map(|verb| verb.error(ErrorKind::MissingRequiredArgument, text));
    verb.unwrap_or_else(|| clap::Error::raw(ErrorKind::MissingRequiredArgument, text))
}

/// With the plain usage of each verb: that of the parser has every option that is set in the environment, as if it had
/// to be typed.
fn with_usage(mut command: clap::Command) -> clap::Command {
    command.build();
    override_usage(command)
}

fn override_usage(mut command: clap::Command) -> clap::Command {
    let usage = command.render_usage().to_string();
    let usage = usage.trim_start_matches("Usage: ").to_owned();
    command.override_usage(usage).mut_subcommands(override_usage)
}

/// What short help shows: the verb's own options, without environment variables.
fn summary(command: clap::Command) -> clap::Command {
    let command = command.mut_args(|argument| {
        let is_hidden = argument.is_global_set() && !SHORT_HELP_OPTIONS.contains(&argument.get_id().as_str());
        argument.hide_env(true).hide(is_hidden)
    });
    // Before the examples, which are what the eye looks for at the end; of the program itself, instead of all the rest.
    let more = match command.get_after_help() {
        Some(examples) if !command.has_subcommands() => format!("{MORE_BY_LONG_HELP}\n\n{examples}"),
        _ => MORE_BY_LONG_HELP.to_owned(),
    };
    command.after_help(more).mut_subcommands(summary)
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
