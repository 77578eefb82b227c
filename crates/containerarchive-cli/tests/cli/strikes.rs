//! Killing a command at a drawn moment, and looking into the repository that it leaves.

use std::collections::{BTreeMap, HashMap};
use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use containerarchive::base::{ChunkId, Kind, PackId};
use containerarchive::chunk::{Batch, ChunkReader, Chunker};
use containerarchive::format::names;
use containerarchive::repo::DomainKeys;
use containerarchive::{
    Credential, Environment, LocalStore, Locked, NoPins, OpenOptions, Passphrase, Repository, SilentMonitor,
    Store,
};

use super::support::{Lab, PASSPHRASE};

/// How often to look whether a moment has come.
const LOOK: Duration = Duration::from_micros(200);
const BATCH_BYTES: usize = 1 << 20;

pub(crate) fn is_long() -> bool {
    std::env::var_os("CONTAINERARCHIVE_TEST_LONG").is_some()
}

/// Randomness that a seed repeats (SplitMix64, Steele et al. 2014).
pub(crate) struct Dice(u64);

impl Dice {
    /// With the seed in CONTAINERARCHIVE_TEST_SEED, or a fresh one. It is printed: the same seed draws the same
    /// contents and moments, though not the same speed of the machine.
    pub(crate) fn thrown(what: &str) -> Self {
        let given = std::env::var("CONTAINERARCHIVE_TEST_SEED").ok();
        let fresh = || std::time::UNIX_EPOCH.elapsed().unwrap().as_nanos() as u64;
        let seed = given.map_or_else(fresh, |text| text.parse().unwrap());
        println!("{what}: CONTAINERARCHIVE_TEST_SEED={seed}");
        Self(seed)
    }

    /// With this seed.
    pub(crate) fn of(seed: u64) -> Self {
        Self(seed)
    }

    /// Other dice, whose throws these decide.
    pub(crate) fn child(&mut self) -> Self {
        Self(self.next())
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    pub(crate) fn one_in(&mut self, many: usize) -> bool {
        self.below(many) == 0
    }

    /// Evenly from nothing to `end`.
    pub(crate) fn duration(&mut self, end: Duration) -> Duration {
        end.mul_f64(self.below(1 << 20) as f64 / f64::from(1 << 20))
    }

    /// Bytes that do not compress and were never drawn before.
    pub(crate) fn noise(&mut self, len: usize) -> Vec<u8> {
        let mut bytes: Vec<u8> = (0..len.div_ceil(8)).flat_map(|_| self.next().to_le_bytes()).collect();
        bytes.truncate(len);
        bytes
    }
}

/// When to kill.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Moment {
    /// This long after the start.
    After(Duration),
    /// This long after there is one more object in this folder of the repository than at the start.
    Behind(&'static str, Duration),
    /// Not at all.
    Never,
}

/// What became of a command that was to be killed.
pub(crate) struct Struck {
    /// It was done before.
    pub(crate) is_done: bool,
    pub(crate) stdout: Vec<u8>,
}

/// Starts a command, feeds its standard input, and sends SIGKILL when the moment has come. If it ends by itself it ends
/// well.
pub(crate) fn strike(lab: &Lab, command: Command, input: Option<Arc<Vec<u8>>>, moment: Moment) -> Struck {
    strike_any(lab, command, input, moment, &[0])
}

/// As [`strike`], but it may end by itself with any of these exit codes.
pub(crate) fn strike_any(
    lab: &Lab,
    mut command: Command,
    input: Option<Arc<Vec<u8>>>,
    moment: Moment,
    codes: &[i32],
) -> Struck {
    let count = |folder| lab.objects(folder).len();
    let before = if let Moment::Behind(folder, _) = moment { count(folder) } else { 0 };
    let stdin = if input.is_some() { Stdio::piped() } else { Stdio::null() };
    let begun = Instant::now();
    let mut child = command.stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let pipe = child.stdin.take();
    let feeder = std::thread::spawn(move || {
        if let (Some(mut pipe), Some(bytes)) = (pipe, input) {
            // A command that is killed does not read to the end.
            let _ = pipe.write_all(&bytes);
        }
    });
    match moment {
        Moment::Never => drop(child.wait().unwrap()),
        Moment::After(delay) => std::thread::sleep(delay.saturating_sub(begun.elapsed())),
        Moment::Behind(folder, delay) => {
            while count(folder) <= before && child.try_wait().unwrap().is_none() {
                std::thread::sleep(LOOK);
            }
            std::thread::sleep(delay);
        }
    }
    // Fails if it has ended.
    let _ = child.kill();
    let output = child.wait_with_output().unwrap();
    feeder.join().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    let code = output.status.code();
    assert!(
        code.is_none_or(|code| codes.contains(&code)),
        "{moment:?}: it ended by itself with {code:?}: {stderr}"
    );
    Struck { is_done: code.is_some(), stdout: output.stdout }
}

/// The chunks of packs, and how long they are in plain.
pub(crate) type Packs = BTreeMap<PackId, Vec<(ChunkId, u32)>>;

/// The repository as the library sees it.
pub(crate) struct Insight {
    repository: Repository,
    domain: Arc<DomainKeys>,
    chunker: Chunker,
}

impl Insight {
    pub(crate) fn of(lab: &Lab, is_encrypted: bool) -> Self {
        let store: Arc<dyn Store> = Arc::new(LocalStore::new(lab.repository()));
        let environment = Environment::system("test".to_owned(), "test".to_owned());
        let passphrase = Passphrase::new(PASSPHRASE.into()).unwrap();
        let credential = if is_encrypted { Credential::Passphrase(&passphrase) } else { Credential::None };
        let options = OpenOptions { pins: &NoPins, accept_rollback: false };
        let locked = Locked::read(store, environment, &SilentMonitor).unwrap();
        let repository = locked.open(credential, &options, &SilentMonitor).unwrap();
        let domain = repository.keys.domain(repository.keys.own_domain()).unwrap().unwrap();
        let chunker = Chunker::new(repository.config.chunking, domain.gear_table().unwrap());
        Self { repository, domain, chunker }
    }

    /// The repository, opened by this process.
    pub(crate) fn repository(&self) -> &Repository {
        &self.repository
    }

    /// Adds the packs that are new, each of which must be whole: its hash is its name.
    pub(crate) fn read_new_packs(&self, known: &mut Packs) {
        let store = &self.repository.store;
        let mut ids = Vec::new();
        store.list(names::PACKS, &mut |entry| ids.extend(names::pack_id_of(&entry.name, "pack"))).unwrap();
        for id in ids {
            known.entry(id).or_insert_with(|| {
                let bytes = store.get(&names::pack(id), u64::MAX).unwrap();
                names::check_content_name(&id.0, &bytes).unwrap();
                let view = self.repository.view_pack(id, &self.domain).unwrap();
                let records = view.table.records().iter();
                let chunks = records.filter(|record| record.id.kind != Kind::Padding);
                chunks.map(|record| (record.id, record.plain_len)).collect()
            });
        }
    }

    /// The data chunks of a content.
    pub(crate) fn cut(&self, content: &[u8], chunks: &mut HashMap<ChunkId, u32>) {
        let mut reader = ChunkReader::new(&self.chunker, content, BATCH_BYTES);
        let mut batch = Batch::new();
        while reader.next_batch(&mut batch).unwrap() {
            for chunk in batch.chunks() {
                let id = ChunkId { kind: Kind::Data, hash: self.domain.hasher.hash(Kind::Data, chunk) };
                chunks.insert(id, chunk.len() as u32);
            }
        }
    }
}
