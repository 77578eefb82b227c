//! `init`: a new repository.

use containerarchive::{Parity, Repository};

use crate::args::InitArgs;
use crate::context::Context;
use crate::documents::{Document, RepositoryDocument};
use crate::failure::Outcome;
use crate::ui::{Printable, Terminal};

pub(super) fn run(context: &Context<'_>, arguments: &InitArgs) -> Outcome {
    let repository = context.create(&arguments.new, &arguments.label)?;
    let terminal = context.terminal;
    if terminal.is_json() {
        let content = RepositoryDocument::from(&repository);
        let document = Document::new("containerarchive/init/1", content, terminal.problems());
        return terminal.document(&document);
    }
    notice_of_new(&repository, terminal);
    let location = repository.store.location();
    let location = in_shell(&Printable(&location).to_string());
    terminal.print(&format!(
        "repository {} made at {location}\n\
         next:\n  \
           containerarchive --repo {location} ingest FILE…\n  \
           containerarchive --repo {location} snapshots\n",
        repository.config.repository
    ))
}

/// As a word of a shell.
fn in_shell(text: &str) -> String {
    let is_plain = |sign: char| sign.is_alphanumeric() || "/._-+:@%,".contains(sign);
    if text.chars().all(is_plain) { text.to_owned() } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

/// What everybody who makes a repository should know.
pub(super) fn notice_of_new(repository: &Repository, terminal: &Terminal) {
    match repository.settings.parity {
        Parity::Off => terminal.notice(
            "parity is off: damage of this storage is noticed and cannot be mended; keep a second copy",
        ),
        Parity::Groups { members, shards } => terminal.notice(&format!(
            "parity {members}+{shards}: any {shards} lost or damaged packs of {members} can be rebuilt; that is no second copy: keep one elsewhere"
        )),
    }
    if repository.is_encrypted() {
        terminal
            .notice("encrypted: without a passphrase or key file nobody can restore anything, not even you");
    } else {
        terminal.notice("not encrypted: everybody who reaches the storage can read and change what is in it");
    }
}
