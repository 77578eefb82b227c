//! `info`: what a repository is like.

use containerarchive::Timestamp;

use crate::context::Context;
use crate::documents::{Document, RepositoryDocument};
use crate::failure::Outcome;
use crate::ui::{Printable, size, time};

pub(super) fn run(context: &Context<'_>) -> Outcome {
    let repository = context.open()?;
    let terminal = context.terminal;
    let content = RepositoryDocument::from(&repository);
    if terminal.is_json() {
        return terminal.document(&Document::new("containerarchive/info/1", content, terminal.problems()));
    }
    terminal.print(&text(&content, repository.config.created))
}

fn text(content: &RepositoryDocument, created: Timestamp) -> String {
    let encryption = if content.encrypted {
        "yes: AES-256-GCM, keys by HPKE (X25519)"
    } else {
        "no: this repository resists accident, not malice: everybody who reaches the storage can read and change it"
    };
    let key = match &content.key {
        Some(id) => format!("{id} ({}: {})", content.capability, meaning(content.capability)),
        None => "none is needed".to_owned(),
    };
    let [min, average, max] = content.chunk_size.map(|bytes| size(bytes as u64));
    format!(
        "repository   {}\nlocation     {}\ncreated      {}\nencrypted    {encryption}\nkey          {key}\n\
         chunks       {min} to {max}, {average} on average\ncompression  {}\npacks        {}\nparity       {}\n",
        content.repository,
        Printable(&content.location),
        time(created),
        content.compression,
        size(content.pack_size),
        content.parity,
    )
}

fn meaning(capability: &str) -> &'static str {
    if capability == "admin" { "everything" } else { "adds snapshots, and neither reads nor removes any" }
}
