//! `man`: manual pages, from the same definition as the help.

use std::fs;
use std::io;
use std::path::Path;

use clap::Command;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};
use containerarchive::ErrorCode;

use crate::args::{ManArgs, definition};
use crate::catalogue::{CATALOGUE, EXIT_CODES};
use crate::failure::{Failure, Outcome};
use crate::ui::{Printable, Terminal, count};

const MANUAL: &str = "containerarchive manual";
const EXAMPLES_MARK: &str = "Examples:\n";

/// Variables that are no options, and what they are for.
const VARIABLES: &[(&str, &str)] = &[
    (
        "CONTAINERARCHIVE_PASSPHRASE",
        "The passphrase itself. Steps back for a key option on the command line.",
    ),
    ("CONTAINERARCHIVE_NEW_PASSPHRASE", "The passphrase of a key that is to be added, or that replaces one."),
    ("XDG_STATE_HOME", "Where the state folder is, unless --state-dir names one."),
    ("USER, LOGNAME", "Who made a snapshot."),
];

const PROGRAM_EXAMPLES: &str = "\
containerarchive --repo /backup/app init
export CONTAINERARCHIVE_REPO=/backup/app CONTAINERARCHIVE_PASSPHRASE_FILE=/etc/backup.pass
pg_dump app | containerarchive ingest --name app.sql -
containerarchive snapshots
containerarchive restore latest --item app.sql --to - | psql app
containerarchive status --max-age 26h";

const FILES: &[(&str, &str)] = &[
    ("the repository", "The folder that --repo names. What is in it is described in docs/FORMAT.md."),
    (
        "$XDG_STATE_HOME/containerarchive, ~/.local/state/containerarchive",
        "What this client saw of each repository, by which a storage that was swapped or set back is noticed. No secrets.",
    ),
    (
        "key files",
        "Made by --new-key-file, or by init with --key-file. Whoever has one needs no passphrase: keep copies where the \
         repository is not.",
    ),
];

pub(super) fn run(arguments: &ManArgs, terminal: &Terminal) -> Outcome {
    let mut program = definition().disable_help_subcommand(true);
    program.build();
    if arguments.to == Path::new("-") {
        return terminal.print(&page(&program, true));
    }
    let mut pages = Vec::new();
    collect(&program, true, &mut pages);
    write(&arguments.to, &pages).map_err(|error| {
        let folder = arguments.to.display();
        Failure::new(ErrorCode::Failed, format!("cannot write manual pages to {folder}: {error}"))
            .advise("name a folder that you may write to")
    })?;
    let folder = arguments.to.display().to_string();
    terminal.print(&format!("{} written to {}\n", count(pages.len() as u64, "page"), Printable(&folder)))
}

fn write(folder: &Path, pages: &[(String, String)]) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    pages.iter().try_for_each(|(name, text)| fs::write(folder.join(name), text))
}

/// File names and texts of the pages of a command and all below it.
fn collect(command: &Command, is_program: bool, pages: &mut Vec<(String, String)>) {
    let name = command.get_display_name().unwrap_or_else(|| command.get_name());
    pages.push((format!("{name}.1"), page(command, is_program)));
    command.get_subcommands().for_each(|verb| collect(verb, false, pages));
}

fn page(command: &Command, is_program: bool) -> String {
    // The options of all verbs stand on the program's page only.
    let shown = command.clone().mut_args(|argument| {
        let is_hidden = !is_program && argument.is_global_set();
        argument.hide(is_hidden)
    });
    let version = env!("CARGO_PKG_VERSION");
    // An empty date would be left out, and what follows move to its place.
    let man = Man::new(shown).date(" ").source(format!("containerarchive {version}")).manual(MANUAL);
    let mut bytes = Vec::new();
    let written = man
        .render_title(&mut bytes)
        .and_then(|()| man.render_name_section(&mut bytes))
        .and_then(|()| man.render_synopsis_section(&mut bytes))
        .and_then(|()| man.render_description_section(&mut bytes));
    let mut roff = Roff::new();
    let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    let (more, examples) = match help.split_once(EXAMPLES_MARK) {
        None if is_program => (help.as_str(), PROGRAM_EXAMPLES),
        None => (help.as_str(), ""),
        Some(parts) => parts,
    };
    // What has a section of its own, in more detail.
    let is_repeated =
        |paragraph: &&str| ["Environment: ", "Exit codes: "].iter().any(|begin| paragraph.starts_with(begin));
    for paragraph in more.split("\n\n").filter(|paragraph| !paragraph.is_empty() && !is_repeated(paragraph)) {
        roff.control("PP", []).text([roman(paragraph)]);
    }
    let written = written.and_then(|()| roff.to_writer(&mut bytes));
    let written = written.and_then(|()| man.render_options_section(&mut bytes)).and_then(|()| {
        if command.has_subcommands() { man.render_subcommands_section(&mut bytes) } else { Ok(()) }
    });
    let written = written.and_then(|()| closing(command, is_program, examples).to_writer(&mut bytes));
    debug_assert!(written.is_ok(), "memory takes every byte");
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Sections that the definition has no place for.
fn closing(command: &Command, is_program: bool, examples: &str) -> Roff {
    let mut roff = Roff::new();
    if is_program {
        environment_and_files(command, &mut roff);
    } else {
        roff.control("SH", ["ENVIRONMENT"]);
        roff.text([
            roman("Options are also read from the variables that are named with them. Those of all verbs, among them "),
            bold("--repo"),
            roman(" and the key, and the files that are used, are described in "),
            bold("containerarchive"),
            roman("(1)."),
        ]);
    }
    roff.control("SH", ["EXIT STATUS"]);
    for (code, meaning) in EXIT_CODES {
        roff.control("TP", []).text([bold(code.to_string())]).text([roman(*meaning)]);
    }
    if is_program {
        roff.control("SH", ["ERRORS"]);
        roff.text([roman(
            "With --json an error is a document on the standard error, with one of these codes:",
        )]);
        for entry in CATALOGUE {
            let text = format!("Exit code {}: {}.", entry.exit_code, entry.cause);
            roff.control("TP", []).text([bold(entry.code.as_str())]).text([roman(text)]);
        }
    }
    if !examples.is_empty() {
        roff.control("SH", ["EXAMPLES"]).control("nf", []);
        for line in examples.lines() {
            roff.text([roman(line.trim_start())]);
        }
        roff.control("fi", []);
    }
    if !is_program {
        roff.control("SH", ["SEE ALSO"]).text([bold("containerarchive"), roman("(1)")]);
    }
    roff
}

fn environment_and_files(program: &Command, roff: &mut Roff) {
    let mut variables: Vec<(String, String)> =
        VARIABLES.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
    add_variables(program, "", &mut variables);
    roff.control("SH", ["ENVIRONMENT"]);
    for (name, text) in variables {
        roff.control("TP", []).text([bold(name)]).text([roman(text)]);
    }
    roff.control("SH", ["FILES"]);
    for (name, text) in FILES {
        roff.control("TP", []).text([bold(*name)]).text([roman(*text)]);
    }
}

/// The variables of a command's options and of those of all below it, each with the verbs that read it.
fn add_variables(command: &Command, verb: &str, variables: &mut Vec<(String, String)>) {
    for argument in command.get_arguments().filter(|argument| verb.is_empty() || !argument.is_global_set()) {
        let (Some(name), Some(long)) = (argument.get_env(), argument.get_long()) else { continue };
        let name = name.to_string_lossy().into_owned();
        let reader = if verb.is_empty() { "all verbs" } else { verb };
        match variables.iter_mut().find(|(known, _)| *known == name) {
            Some((_, text)) => {
                text.pop();
                text.push_str(&format!(", {reader}."));
            }
            None => variables.push((name, format!("--{long} of {reader}."))),
        }
    }
    for inner in command.get_subcommands() {
        let verb = format!("{verb} {}", inner.get_name());
        add_variables(inner, verb.trim_start(), variables);
    }
}
