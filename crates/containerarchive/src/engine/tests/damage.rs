//! Every truncation of every object, and a flipped bit in every byte: the right bytes, or an error that names the object.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::support::{Lab, noise, sql};
use crate::base::ObjectName;
use crate::base::monitor::RecordingMonitor;
use crate::chunk::ChunkParams;
use crate::error::Error;
use crate::format::parity_level::Parity;
use crate::store::{MemoryStore, Store};

/// What a damaged repository may do.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Clone, Copy)]
enum Outcome {
    /// The right bytes, without a word: the damaged object was not needed, or only a cache.
    Same,
    /// The right bytes, and a report.
    Reported,
    /// An error.
    Refused,
}

struct Subject {
    lab: Lab,
    store: Arc<MemoryStore>,
    expected: Vec<BTreeMap<String, Vec<u8>>>,
    ids: Vec<String>,
}

fn subject(encrypted: bool) -> Subject {
    let store = Arc::new(MemoryStore::new());
    let mut lab = Lab::new(Arc::<MemoryStore>::clone(&store), encrypted, 5);
    lab.chunking = ChunkParams::new(64, 256, 1024).unwrap();
    // Nothing is mended here: each way of damage must be noticed.
    lab.parity = Parity::Off;
    lab.create().unwrap();
    let (a, b) = (sql(1, 3000), noise(2, 1500));
    let mut ids = Vec::new();
    let mut expected = Vec::new();
    for items in [vec![("a.sql", a.as_slice()), ("b", &b)], vec![("a.sql", &a[..2500])]] {
        ids.push(lab.ingest(&items).unwrap().manifest.id.to_string());
        expected.push(items.into_iter().map(|(name, content)| (name.to_owned(), content.to_vec())).collect());
    }
    Subject { lab, store, expected, ids }
}

impl Subject {
    /// Restores all snapshots from a copy on which `change` was done.
    fn try_with(&self, name: &ObjectName, change: impl FnOnce(&MemoryStore)) -> Outcome {
        let copy = Arc::new(self.store.fork());
        change(&copy);
        let lab = self.lab.on(Arc::<MemoryStore>::clone(&copy));
        let monitor = RecordingMonitor::default();
        let restored = (|| -> Result<(), Error> {
            let repository = lab.open_with(super::support::ADMIN, &crate::base::NoPins, &monitor)?;
            for (id, expected) in self.ids.iter().zip(&self.expected) {
                let items = lab.restore_from(&repository, id, &monitor)?;
                assert!(items == *expected, "wrong bytes after damage to {name}");
            }
            Ok(())
        })();
        match restored {
            Err(error) => {
                let text = error.to_string();
                let id = name.file_name().split('.').next().unwrap_or_default();
                assert!(
                    text.contains(id) || text.contains("repository"),
                    "{name}: '{text}' does not name it"
                );
                Outcome::Refused
            }
            Ok(()) if monitor.problems().is_empty() => Outcome::Same,
            Ok(()) => Outcome::Reported,
        }
    }
}

fn check_all(encrypted: bool) {
    let subject = subject(encrypted);
    let mut seen: BTreeMap<(String, Outcome), usize> = BTreeMap::new();
    let mut count = |name: &ObjectName, what: &str, outcome: Outcome| {
        let kind = name.as_str().split('/').next().unwrap_or_default();
        let extension = name.as_str().rsplit('.').next().unwrap_or_default();
        *seen.entry((format!("{kind} .{extension} {what}"), outcome)).or_default() += 1;
    };
    for name in subject.store.names() {
        let len = subject.store.head(&name).unwrap().unwrap() as usize;
        for at in 0..len {
            let bit = (at * 7 + 3) % 8;
            let flipped = subject.try_with(&name, |copy| {
                assert!(copy.corrupt(&name, |bytes| bytes[at] ^= 1 << bit));
            });
            count(&name, "flip", flipped);
            let cut = subject.try_with(&name, |copy| {
                assert!(copy.corrupt(&name, |bytes| bytes.truncate(at)));
            });
            count(&name, "cut", cut);
        }
        count(&name, "removed", subject.try_with(&name, |copy| assert!(copy.remove(&name))));
        let extended = subject.try_with(&name, |copy| {
            assert!(copy.corrupt(&name, |bytes| bytes.extend_from_slice(&[0; 100])));
        });
        count(&name, "extended", extended);
    }
    for ((what, outcome), times) in &seen {
        println!("{what}: {outcome:?} {times}");
    }
    // Config, slots, manifests and settings have replicas: whatever happens to one copy is mended and told.
    for ((what, outcome), times) in &seen {
        let is_original = ["config.json", "keys", "snapshots"].iter().any(|start| what.starts_with(start));
        if is_original {
            assert_eq!(*outcome, Outcome::Reported, "{what}: {times}");
        }
        if what.starts_with("replicas") || what.contains(".idx") {
            assert_eq!(*outcome, Outcome::Same, "{what}: {times}");
        }
        if what.starts_with("index") {
            assert_ne!(*outcome, Outcome::Refused, "{what}: {times}");
        }
    }
    assert!(seen.keys().any(|(what, outcome)| what.starts_with("packs") && *outcome == Outcome::Refused));
}

#[test]
fn damage_to_any_byte_of_an_encrypted_repository_never_gives_wrong_bytes() {
    check_all(true);
}

#[test]
fn damage_to_any_byte_of_a_plain_repository_never_gives_wrong_bytes() {
    check_all(false);
}
