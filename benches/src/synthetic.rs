//! `synthetic FOLDER CHUNKS SNAPSHOTS`: makes a plain repository without parity that has so many chunks of 64 bytes in packs
//! of 128, and so many snapshots. Nine tenths of the chunks are the first item of all snapshots; the rest is divided among
//! them. `cargo xtask bench prune` prunes it: what that costs depends on the number of chunks, not on their length.

#![expect(clippy::print_stderr, reason = "a command line tool speaks through its output")]

use std::collections::BTreeMap;
use std::error::Error;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use containerarchive::base::{ChunkHash, ChunkId, Kind, SilentMonitor};
use containerarchive::compress::Codec;
use containerarchive::format::manifest::Content;
use containerarchive::format::names;
use containerarchive::format::node::LeafEntry;
use containerarchive::format::prefix::Class;
use containerarchive::repo::{DomainKeys, OpenPack, RecipeBuilder, Session, StoredPacks};
use containerarchive::store::Durability;
use containerarchive::{
    ChunkParams, CreateOptions, Credential, Environment, Item, LocalStore, Locked, Manifest, NoPins,
    OpenOptions, Parity, RepoError, Repository, Store, Timestamp, create,
};

const CHUNK_BYTES: usize = 64;
const CHUNKS_PER_PACK: usize = 128;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folder, chunks, snapshots] = arguments.as_slice() else {
        eprintln!("usage: synthetic FOLDER CHUNKS SNAPSHOTS");
        return ExitCode::from(2);
    };
    let made = chunks
        .parse()
        .map_err(Into::into)
        .and_then(|chunks: u64| make(Path::new(folder), chunks, snapshots.parse()?));
    match made {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let error: Box<dyn Error> = error;
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Stores chunks one after the other.
struct Maker<'a> {
    repository: &'a Repository,
    domain: Arc<DomainKeys>,
    session: Session,
    data: OpenPack,
    structure: OpenPack,
    in_data: usize,
    stored: StoredPacks,
    next: u64,
}

fn make(folder: &Path, chunks: u64, snapshots: u64) -> Result<(), Box<dyn Error>> {
    let store: Arc<dyn Store> = Arc::new(LocalStore::new(folder));
    let environment = Environment::system("host".to_owned(), "user".to_owned());
    let options = CreateOptions {
        credential: None,
        label: "",
        chunking: ChunkParams::default(),
        compression: "none".parse()?,
        pack_size_bytes: 64 << 10,
        parity: Parity::Off,
    };
    create(&store, &environment, &options, &NoPins, &SilentMonitor)?;
    let options = OpenOptions { pins: &NoPins, accept_rollback: false };
    let locked = Locked::read(store, environment, &SilentMonitor)?;
    let repository = locked.open(Credential::None, &options, &SilentMonitor)?;
    let domain = repository.keys.domain(repository.keys.own_domain())?.ok_or("no keys")?;
    let mut maker = Maker {
        repository: &repository,
        session: Session::register(&repository, &domain, "synthetic")?,
        domain,
        data: OpenPack::new(Class::Data, Vec::new()),
        structure: OpenPack::new(Class::Structure, Vec::new()),
        in_data: 0,
        stored: StoredPacks::default(),
        next: 0,
    };
    let shared = maker.item("shared", chunks / 10 * 9)?;
    let own = chunks / 10 / snapshots;
    let mut items = Vec::new();
    for _ in 0..snapshots {
        items.push(maker.item("own", own)?);
    }
    maker.finish()?;
    for (number, item) in items.into_iter().enumerate() {
        let session = Session::register(&repository, &maker.domain, "synthetic")?;
        let time = Timestamp(1_700_000_000_000 + number as i64 * 3_600_000);
        let manifest = manifest(&session, time, vec![shared.clone(), item]);
        session.commit(&repository, &maker.domain, &manifest)?;
        session.end(&repository)?;
    }
    maker.session.end(&repository)?;
    Ok(())
}

fn manifest(session: &Session, time: Timestamp, items: Vec<Item>) -> Manifest {
    let size = items.iter().map(|item| item.size).sum();
    let chunk_count = size / CHUNK_BYTES as u64;
    Manifest {
        version: 1,
        id: session.id,
        created_at: time,
        committed_at: time,
        series: "synthetic".to_owned(),
        tags: BTreeMap::new(),
        original_size: size,
        stored_size: 0,
        chunk_count,
        new_chunks: 0,
        reused_chunks: chunk_count,
        items,
        host: "host".to_owned(),
        user: "user".to_owned(),
        duration_ms: 0,
        previous: Vec::new(),
    }
}

impl Maker<'_> {
    /// An item of so many chunks that are nowhere else.
    fn item(&mut self, name: &str, chunks: u64) -> Result<Item, Box<dyn Error>> {
        let mut recipe = RecipeBuilder::default();
        for _ in 0..chunks {
            let mut content = [0x5a; CHUNK_BYTES];
            content[..8].copy_from_slice(&self.next.to_le_bytes());
            self.next += 1;
            let hash = self.domain.hasher.hash(Kind::Data, &content);
            self.data.push(ChunkId { kind: Kind::Data, hash }, Codec::None, &content, CHUNK_BYTES as u32);
            self.in_data += 1;
            if self.in_data == CHUNKS_PER_PACK {
                self.end_pack(Class::Data)?;
            }
            let entry = LeafEntry { hash, len: CHUNK_BYTES as u32 };
            recipe.push(entry, &mut |node| self.node(node))?;
        }
        let (root, sums) = recipe.finish(&mut |node| self.node(node))?;
        Ok(Item {
            name: name.to_owned(),
            item_type: "stream".to_owned(),
            size: sums.bytes,
            content: Content::Recipe,
            root,
            evidence: None,
        })
    }

    fn node(&mut self, node: &[u8]) -> Result<ChunkHash, RepoError> {
        let hash = self.domain.hasher.hash(Kind::Recipe, node);
        let id = ChunkId { kind: Kind::Recipe, hash };
        self.structure.push(id, Codec::None, node, node.len() as u32);
        if self.structure.is_full(4 << 20) {
            self.end_pack(Class::Structure)?;
        }
        Ok(hash)
    }

    /// Without waiting for the disk: this is no backup.
    fn end_pack(&mut self, class: Class) -> Result<(), RepoError> {
        let open = if class == Class::Data { &mut self.data } else { &mut self.structure };
        if open.is_empty() {
            return Ok(());
        }
        let pack = std::mem::replace(open, OpenPack::new(class, Vec::new()));
        let sealed = self.repository.seal_pack(pack, &self.domain, self.session.id)?;
        self.repository.store.put(&names::pack(sealed.id), &sealed.bytes, Durability::Cache)?;
        self.stored.add(sealed.id, sealed.bytes.len() as u64, class, &sealed.records);
        if class == Class::Data {
            self.in_data = 0;
        }
        if self.stored.is_full() { self.publish() } else { Ok(()) }
    }

    fn publish(&mut self) -> Result<(), RepoError> {
        self.stored.publish(self.repository, &self.domain, self.session.id).map(drop)
    }

    fn finish(&mut self) -> Result<(), RepoError> {
        self.end_pack(Class::Data)?;
        self.end_pack(Class::Structure)?;
        self.publish()
    }
}
