//! `key`: who can open a repository.

use containerarchive::base::SlotId;
use containerarchive::format::slot::SlotKdf;
use containerarchive::{
    Capability, ErrorCode, RepoError, Repository, SlotView, add_slot, list_slots, remove_slot,
};
use serde::Serialize;

use crate::args::{CapabilityArg, KeyAddArgs, KeyCommand, KeyPasswdArgs, KeyRemoveArgs};
use crate::context::Context;
use crate::credentials::{KeySource, Secret};
use crate::documents::{Document, KeyDocument, capability};
use crate::failure::{Failure, Outcome};
use crate::ui::{Table, size, time};

/// What to do where no new key was given.
const NEW_KEY: &str = "give it by --new-passphrase-file, --new-key-file (which is made) or CONTAINERARCHIVE_NEW_PASSPHRASE; \
                       the other options are for the key that opens the repository now";
const REVOKES_NOTHING: &str = "removing a key revokes nothing that was copied: who has an old copy of the repository \
                               and the key can still open that copy";

#[derive(Serialize)]
struct ListContent<'a> {
    keys: Vec<KeyDocument<'a>>,
}

#[derive(Serialize)]
struct ChangeContent {
    added: Option<String>,
    removed: Option<String>,
}

pub(super) fn run(context: &Context<'_>, command: &KeyCommand) -> Outcome {
    match command {
        KeyCommand::List => list(context),
        KeyCommand::Add(arguments) => add(context, arguments),
        KeyCommand::Remove(arguments) => remove(context, arguments),
        KeyCommand::Passwd(arguments) => passwd(context, arguments),
    }
}

fn list(context: &Context<'_>) -> Outcome {
    let repository = context.open()?;
    let terminal = context.terminal;
    let views = list_slots(&repository, terminal)?;
    if terminal.is_json() {
        let keys = views.iter().map(|view| KeyDocument::new(view, &repository)).collect();
        let document = Document::new("containerarchive/keys/1", ListContent { keys }, terminal.problems());
        return terminal.document(&document);
    }
    if !repository.is_encrypted() {
        return terminal.print("no keys: this repository is not encrypted\n");
    }
    let mut table = Table::new(&["ID", "CAPABILITY", "LABEL", "DOMAIN", "CREATED", "KIND", ""], &[]);
    for view in &views {
        table.row(row(view, &repository));
    }
    terminal.print(&table.to_string())
}

fn row(view: &SlotView, repository: &Repository) -> [String; 7] {
    let (label, domain) = match &view.text {
        // Labels are for admins.
        None => ("?".to_owned(), "?".to_owned()),
        Some(text) => {
            let domain = text.domain_name.clone().unwrap_or_else(|| match view.capability {
                Capability::Admin => "all".to_owned(),
                Capability::Write => "its own".to_owned(),
            });
            (text.label.clone(), domain)
        }
    };
    let kind = match view.kdf {
        SlotKdf::KeyFile => "key file".to_owned(),
        SlotKdf::Argon2id(params) => format!(
            "passphrase ({}, {} passes, {} lanes)",
            size(u64::from(params.memory_kib()) << 10),
            params.passes(),
            params.lanes()
        ),
    };
    let used = if repository.slot == Some(view.id) { "(in use)" } else { "" };
    let capability = capability(view.capability).to_owned();
    [view.id.to_hex(), capability, label, domain, time(view.created), kind, used.to_owned()]
}

fn add(context: &Context<'_>, arguments: &KeyAddArgs) -> Outcome {
    if arguments.domain.is_some() && arguments.capability == CapabilityArg::Admin {
        return Err(Failure::usage(
            "--domain is for keys with the write capability; an admin has all domains",
        ));
    }
    let source = KeySource::of_new_key(&arguments.new)?;
    let repository = context.open()?;
    repository.keys.require_admin("making a key")?;
    let secret = load_new(context, &repository, &source)?;
    let credential = secret.new_credential(arguments.new.kdf.kdf);
    let id = add_slot(
        &repository,
        &credential,
        arguments.capability.into(),
        &arguments.label,
        arguments.domain.as_deref(),
        context.terminal,
    )?;
    let added = ChangeContent { added: Some(id.to_hex()), removed: None };
    let word = capability(arguments.capability.into());
    changed(context, added, &format!("key {id} with the {word} capability added\n"))
}

/// A new key, which must not open the repository yet: which of two slots it means would be chance.
fn load_new(context: &Context<'_>, repository: &Repository, source: &KeySource) -> Outcome<Secret> {
    if !repository.is_encrypted() {
        let location = repository.store.location();
        return Err(Failure::usage(format!("{location} is not encrypted, so it has no keys")));
    }
    let secret = source.load_new(NEW_KEY, context.terminal)?;
    match context.try_key(&secret) {
        Err(RepoError::WrongKey { .. }) => Ok(secret),
        Err(error) => Err(error.into()),
        Ok(opened) => {
            let slot = opened.slot.map_or_else(String::new, |slot| format!(" {slot}"));
            Err(Failure::usage(format!("this passphrase or key file is in use already, by key{slot}"))
                .advise("choose another one"))
        }
    }
}

fn remove(context: &Context<'_>, arguments: &KeyRemoveArgs) -> Outcome {
    let repository = context.open()?;
    repository.keys.require_admin("removing a key")?;
    let id = find(&repository, &arguments.id, context)?;
    remove_slot(&repository, id, context.terminal)?;
    if repository.slot == Some(id) {
        context.terminal.warn(&format!(
            "key {id} is the one that this command was given: its passphrase or key file no longer opens the repository, here and wherever else it is used; use another admin key from now on"
        ));
    }
    context.terminal.notice(REVOKES_NOTHING);
    let removed = ChangeContent { added: None, removed: Some(id.to_hex()) };
    changed(context, removed, &format!("key {id} removed\n"))
}

/// The one slot whose id begins so. A damaged slot is not listed and can be named by its whole id.
fn find(repository: &Repository, prefix: &str, context: &Context<'_>) -> Outcome<SlotId> {
    if let Ok(id) = prefix.parse() {
        return Ok(id);
    }
    let views = list_slots(repository, context.terminal)?;
    let ids: Vec<SlotId> =
        views.iter().map(|view| view.id).filter(|id| id.to_hex().starts_with(prefix)).collect();
    let not_found = |text: String| {
        Err(Failure::new(ErrorCode::NotFound, text).advise("'containerarchive key list' lists the keys"))
    };
    match ids.as_slice() {
        [id] if !prefix.is_empty() => Ok(*id),
        [] => not_found(format!("no key's id begins with '{prefix}'")),
        _ => not_found(format!("the ids of {} keys begin with '{prefix}'", ids.len())),
    }
}

/// The new key is there, and was tried, before the old one goes: whenever this is cut short, one of them opens.
fn passwd(context: &Context<'_>, arguments: &KeyPasswdArgs) -> Outcome {
    let source = KeySource::of_new_key(&arguments.new)?;
    let repository = context.open()?;
    repository.keys.require_admin("replacing a key")?;
    let secret = load_new(context, &repository, &source)?;
    let terminal = context.terminal;
    let old = list_slots(&repository, terminal)?.into_iter().find(|view| repository.slot == Some(view.id));
    let old = old.ok_or_else(|| {
        Failure::new(ErrorCode::NotFound, "the key that this command was given was removed meanwhile")
    })?;
    let label = old.text.as_ref().map_or("", |text| text.label.as_str());
    let credential = secret.new_credential(arguments.new.kdf.kdf);
    let new = add_slot(&repository, &credential, old.capability, label, None, terminal)?;
    if context.try_key(&secret)?.slot != Some(new) {
        let text = format!("the new key {new} does not open the repository; the old one stays");
        return Err(Failure::new(ErrorCode::Failed, text));
    }
    remove_slot(&repository, old.id, terminal)?;
    terminal.notice(REVOKES_NOTHING);
    let content = ChangeContent { added: Some(new.to_hex()), removed: Some(old.id.to_hex()) };
    changed(context, content, &format!("key {} replaced by key {new}\n", old.id))
}

fn changed(context: &Context<'_>, content: ChangeContent, text: &str) -> Outcome {
    let terminal = context.terminal;
    if terminal.is_json() {
        return terminal.document(&Document::new("containerarchive/key/1", content, terminal.problems()));
    }
    terminal.print(text)
}
