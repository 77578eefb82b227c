//! What a shell is told when the user presses Tab: verbs and options from their definition, snapshots, items, series
//! and keys from the repository. Asks nothing, prints no error, writes nothing, and gives up on a slow storage.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::process::ExitCode;
use std::sync::mpsc;
use std::time::Duration;

use clap::Command;
use clap_complete::env::Shells;
use clap_complete::{ArgValueCompleter, CompleteEnv, CompletionCandidate};
use containerarchive::{
    Filter, Manifest, NoPins, Repository, Selector, SilentMonitor, list_slots, snapshots,
};

use crate::args::{Unfinished, definition};
use crate::context::Context;
use crate::ui::{Printable, Terminal, size, time};

/// Set by the scripts that `completions` prints.
pub(crate) const VARIABLE: &str = "CONTAINERARCHIVE_COMPLETE";
/// How long a user who pressed Tab may be kept waiting.
const PATIENCE: Duration = Duration::from_secs(2);
/// Most candidates of one kind: more than that nobody reads.
const MAX_CANDIDATES: usize = 100;
/// Digits of ids that are offered, or more where they do not tell them apart.
const MIN_ID_DIGITS: usize = 8;

/// Answers if this process was started by a completion script, which is not to be seen or heard.
pub(crate) fn answer() -> Option<ExitCode> {
    let shell = std::env::var_os(VARIABLE).filter(|shell| !shell.is_empty() && shell != "0")?;
    // A user's own mistake; anything else that fails is left to the shell's own completion.
    shell.to_str().filter(|name| Shells::builtins().completer(name).is_some())?;
    let folder = std::env::current_dir().ok();
    match CompleteEnv::with_factory(command)
        .var(VARIABLE)
        .try_complete(std::env::args_os(), folder.as_deref())
    {
        Ok(_) => Some(ExitCode::SUCCESS),
        Err(_) => Some(ExitCode::FAILURE),
    }
}

/// The definition, with completers where the repository knows more. Options are offered once a dash is typed, or where
/// nothing else fits.
fn command() -> Command {
    let is_dash_typed =
        std::env::args_os().next_back().is_some_and(|word| word.as_encoded_bytes().starts_with(b"-"));
    let definition = if is_dash_typed { definition() } else { without_options(definition()) };
    definition.mut_subcommands(|verb| {
        let is_restore = verb.get_name() == "restore";
        verb.mut_args(|argument| match argument.get_id().as_str() {
            "snapshot" => argument.add(ArgValueCompleter::new(snapshot_ids)),
            "series" => argument.add(ArgValueCompleter::new(series)),
            "item" if is_restore => argument.add(ArgValueCompleter::new(item_names)),
            _ => argument,
        })
        .mut_subcommands(|inner| {
            let is_remove = inner.get_name() == "remove";
            inner.mut_args(|argument| match argument.get_id().as_str() {
                "id" if is_remove => argument.add(ArgValueCompleter::new(key_ids)),
                _ => argument,
            })
        })
    })
}

fn without_options(command: Command) -> Command {
    command
        .disable_help_flag(true)
        .disable_version_flag(true)
        .mut_args(|argument| {
            let is_option = !argument.is_positional();
            argument.hide(is_option)
        })
        .mut_subcommands(without_options)
}

/// Opens the repository that the unfinished line speaks of and asks it; nothing if that fails or takes too long.
fn ask<T: Send + 'static>(
    question: impl FnOnce(&Repository, &Unfinished) -> Option<T> + Send + 'static,
) -> Option<T> {
    // Behind the mark that the scripts put before the user's words.
    let words: Vec<OsString> = std::env::args_os().skip_while(|word| word != "--").skip(1).collect();
    let mut line = Unfinished::read(words)?;
    line.global.json = true;
    line.global.quiet = true;
    let (sender, receiver) = mpsc::channel();
    // When the patience is at its end the process ends, and this thread with it.
    std::thread::Builder::new()
        .spawn(move || {
            // Keeps what it is told to itself, as it would for a document.
            let terminal = Terminal::new(&line.global);
            let answer = Context::new(&line.global, line.typed, &terminal)
                .ok()
                .and_then(|context| context.open_unasked())
                .and_then(|repository| question(&repository, &line));
            let _ = sender.send(answer);
        })
        .ok()?;
    receiver.recv_timeout(PATIENCE).ok().flatten()
}

fn candidate(value: impl Into<OsString>, help: &str) -> CompletionCandidate {
    CompletionCandidate::new(value).help(Some(Printable(help).to_string().into()))
}

/// `latest`, then ids, newest first.
fn snapshot_ids(current: &OsStr) -> Vec<CompletionCandidate> {
    let Some(current) = current.to_str().map(str::to_owned) else { return Vec::new() };
    let mut candidates = Vec::new();
    if "latest".starts_with(&current) {
        candidates.push(candidate("latest", "the newest snapshot"));
    }
    let found = ask(move |repository, _| {
        let found = snapshots(repository, &NoPins, &SilentMonitor).ok()?;
        let all = Filter::default();
        let mut ids: Vec<String> = found.matching(&all).map(|loaded| loaded.manifest.id.to_hex()).collect();
        let described = found.matching(&all).rev().filter_map(|loaded| {
            let id = loaded.manifest.id.to_hex();
            id.starts_with(&current).then(|| (id, describe(&loaded.manifest)))
        });
        let described: Vec<_> = described.take(MAX_CANDIDATES).collect();
        ids.sort_unstable();
        let digits = digits_needed(&ids).max(current.len());
        Some((described, digits))
    });
    if let Some((described, digits)) = found {
        candidates.extend(described.iter().map(|(id, text)| candidate(&id[..digits.min(id.len())], text)));
    }
    candidates
}

fn describe(manifest: &Manifest) -> String {
    let series: String = manifest.series.chars().take(40).collect();
    format!("{}, {series}, {}", time(manifest.created_at), size(manifest.original_size))
}

/// Digits that tell all ids, in order, apart.
fn digits_needed(ids: &[String]) -> usize {
    let common = |pair: &[String]| pair[0].bytes().zip(pair[1].bytes()).take_while(|(a, b)| a == b).count();
    ids.windows(2).map(|pair| common(pair) + 1).max().unwrap_or(0).max(MIN_ID_DIGITS)
}

/// Whether a shell takes the text as it is. Names come from whoever may write to the repository, and bash puts a
/// candidate into the command line unquoted: one like `$(…)` would be run with the next Enter.
fn is_plain(text: &str) -> bool {
    let is_plain = |sign: char| sign.is_alphanumeric() || "/._-+:@%,=".contains(sign);
    !text.starts_with('-') && text.chars().all(is_plain)
}

fn named(names: impl IntoIterator<Item = (String, String)>, current: &str) -> Vec<CompletionCandidate> {
    let names = names.into_iter().filter(|(name, _)| is_plain(name) && name.starts_with(current));
    names.take(MAX_CANDIDATES).map(|(name, help)| candidate(name, &help)).collect()
}

/// Items of the snapshot that the line names, or of the newest.
fn item_names(current: &OsStr) -> Vec<CompletionCandidate> {
    let items = ask(|repository, line| {
        let found = snapshots(repository, &NoPins, &SilentMonitor).ok()?;
        let selector = line.snapshot.clone().unwrap_or(Selector::Latest(0));
        let snapshot = found.find(&selector, &Filter::default()).ok()?;
        let items = snapshot.manifest.items.iter().map(|item| (item.name.clone(), size(item.size)));
        Some(items.collect::<Vec<_>>())
    });
    named(items.unwrap_or_default(), &current.to_string_lossy())
}

fn series(current: &OsStr) -> Vec<CompletionCandidate> {
    let series = ask(|repository, _| {
        let found = snapshots(repository, &NoPins, &SilentMonitor).ok()?;
        let all = Filter::default();
        Some(found.matching(&all).map(|loaded| loaded.manifest.series.clone()).collect::<BTreeSet<_>>())
    });
    let series = series.unwrap_or_default().into_iter().map(|name| (name, "series".to_owned()));
    named(series, &current.to_string_lossy())
}

fn key_ids(current: &OsStr) -> Vec<CompletionCandidate> {
    let keys = ask(|repository, _| {
        let views = list_slots(repository, &SilentMonitor).ok()?;
        let label = |view: &containerarchive::SlotView| view.text.as_ref().map(|text| text.label.clone());
        Some(views.iter().map(|view| (view.id.to_hex(), label(view).unwrap_or_default())).collect::<Vec<_>>())
    });
    named(keys.unwrap_or_default(), &current.to_string_lossy())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_a_shell_would_not_take_as_they_are_are_not_offered() {
        for good in ["a.sql", "etc/hosts", "grün", "a+b@c:d"] {
            assert!(is_plain(good), "{good}");
        }
        for bad in ["$(reboot)", "a b", "`x`", "a;b", "-rf", "a'b", "~", "a*", "a\u{202e}b"] {
            assert!(!is_plain(bad), "{bad}");
        }
    }

    #[test]
    fn the_definition_with_completers_is_consistent() {
        command().debug_assert();
    }
}
