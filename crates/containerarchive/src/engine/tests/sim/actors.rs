//! What the actors do: each runs verbs of the engine, one process after the other.

use std::io::Read;
use std::sync::Arc;

use super::dice::Dice;
use super::shapes::Shape;
use super::store::{ProcessClock, ProcessStore};
use super::world::{DAY_MS, Process, World};
use crate::base::testing::SeededRandomness;
use crate::base::{NoPins, SessionId, SilentMonitor};
use crate::engine::tests::support::{ADMIN, Lab, item, noise};
use crate::engine::{
    IngestOptions, PruneOptions, RepairOptions, UnlockOptions, VerifyLevel, VerifyOptions, ingest, prune,
    repair, unlock, verify,
};
use crate::error::Error;
use crate::repo::{RepoError, forget_snapshots, load_manifests};
use crate::store::Store;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Writer,
    Reader,
    Pruner,
    Repairer,
    Unlocker,
}

/// The key of writers of a second domain.
pub(super) const OTHER_DOMAIN: [u8; 32] = [9; 32];
/// The longest wait of a prune for others, in milliseconds.
const MAX_DRAIN_MS: u64 = 600_000;

pub(super) struct Cast<'a> {
    pub(super) world: Arc<World>,
    pub(super) seed: u64,
    pub(super) lab: &'a Lab,
    pub(super) shape: &'a Shape,
}

/// One process.
struct Scene<'a> {
    cast: &'a Cast<'a>,
    process: Process,
    lab: Lab,
    dice: Dice,
    number: u64,
}

/// A source that takes its time before its first and its last byte.
struct Slow<'a> {
    left: &'a [u8],
    scene: (Arc<World>, Process),
    pauses_ms: (i64, i64),
}

impl Read for Slow<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let len = self.left.read(buffer)?;
        let pause_ms = std::mem::take(if len == 0 { &mut self.pauses_ms.1 } else { &mut self.pauses_ms.0 });
        if pause_ms > 0 {
            self.scene.0.sleep(self.scene.1, pause_ms);
        }
        Ok(len)
    }
}

impl Cast<'_> {
    /// Plays a role for some rounds.
    pub(super) fn play(&self, actor: usize, role: Role, rounds: u64) {
        let mut dice = Dice::of(self.seed, 100 + actor as u64);
        let years = dice.below(21) as i64 - 10;
        let skew_ms = if dice.one_in(3) { years * 365 * 24 * 3_600_000 } else { 0 };
        for round in 0..rounds {
            if self.world.violation().is_some() {
                return;
            }
            let process = self.world.begin(actor, &format!("{role:?}"));
            let number = self.seed.wrapping_mul(1000).wrapping_add(actor as u64 * 50 + round);
            let world = || Arc::clone(&self.world);
            let store: Arc<dyn Store> = Arc::new(ProcessStore { world: world(), process });
            let mut lab = self.lab.on(store);
            lab.environment.clock = Arc::new(ProcessClock { world: world(), process, skew_ms });
            lab.environment.random = Arc::new(SeededRandomness::new(number));
            let most = dice.below(self.shape.tempo.naps);
            self.world.sleep(process, dice.below(500 << most) as i64);
            let mut scene = Scene { cast: self, process, lab, dice: Dice::of(number, 3), number };
            let result = match role {
                Role::Writer => scene.write(),
                Role::Reader => scene.read(),
                Role::Pruner => scene.prune(),
                Role::Repairer => scene.repair(),
                Role::Unlocker => scene.unlock(),
            };
            if let Err(error) = result
                && !self.world.was_hurt(process)
                && !scene.is_expected(&error)
            {
                self.world.violate(format!("{role:?} {actor} failed, undisturbed: {error}"));
            }
        }
    }
}

impl Scene<'_> {
    fn is_expected(&self, error: &Error) -> bool {
        match error {
            Error::Repo(RepoError::Fenced { .. } | RepoError::Ended { .. } | RepoError::Held { .. }) => true,
            // Sessions that were ended by force are waited for no more; and what is stale may look like damage.
            _ => self.cast.world.kind.is_weak || self.cast.world.shadow().is_doubled,
        }
    }

    fn write(&mut self) -> Result<(), Error> {
        let is_other = self.cast.shape.has_domains && self.process.actor % 2 == 1;
        let key = if is_other { OTHER_DOMAIN } else { ADMIN };
        let repository = self.lab.open_with(key, &NoPins, &SilentMonitor)?;
        for part in 0..1 + self.dice.below(2) {
            let mut content = Vec::new();
            for _ in 0..1 + self.dice.below(4) {
                let piece = self.dice.below(self.cast.shape.taste.pieces);
                content.extend(noise(piece, 3000 + 1500 * piece as usize));
            }
            if self.dice.one_in(3) {
                content.extend(noise(1_000_000 + self.number * 2 + part, 4000));
            }
            let is_slow = self.cast.world.kind.is_weak && self.dice.one_in(2);
            let name = format!("c{}-{part}", self.number);
            let content = Arc::new(content);
            self.cast.world.shadow().will_store(name.clone(), Arc::clone(&content));
            let source = Slow {
                left: content.as_slice(),
                scene: (Arc::clone(&self.cast.world), self.process),
                pauses_ms: if is_slow { (self.nap_ms(), self.nap_ms()) } else { (0, 0) },
            };
            let items = vec![item(&name, source)];
            let report = ingest(&repository, items, &IngestOptions::default(), &SilentMonitor)?;
            let world = &self.cast.world;
            if world.is_alive(self.process) {
                let checked = world.shadow().acknowledge(report.manifest.id);
                self.judge(checked);
                if self.dice.one_in(4) {
                    self.check();
                }
            }
        }
        Ok(())
    }

    /// Some days or some seconds.
    fn nap_ms(&mut self) -> i64 {
        let most = if self.dice.one_in(2) { 5 * DAY_MS } else { 20_000 };
        self.dice.below(most) as i64
    }

    fn judge(&self, checked: Result<(), String>) {
        if let Err(text) = checked {
            self.cast.world.violate(text);
        }
    }

    fn check(&self) {
        let checked = self.cast.world.shadow().check_all();
        self.judge(checked);
    }

    fn read(&mut self) -> Result<(), Error> {
        let repository = self.lab.open()?;
        let found = load_manifests(&repository, &SilentMonitor)?;
        if found.snapshots.is_empty() {
            return Ok(());
        }
        let place = self.dice.below(found.snapshots.len() as u64) as usize;
        let id = found.snapshots[place].manifest.id;
        let restored = self.lab.restore_from(&repository, &id.to_hex(), &SilentMonitor);
        let shadow = self.cast.world.shadow();
        match restored {
            // What nobody was told of may vanish.
            Err(_) if !shadow.is_kept(&id) => Ok(()),
            Err(error) => Err(error),
            Ok(items) => {
                let is_right = items
                    .iter()
                    .all(|(name, content)| shadow.content(name).is_some_and(|stored| **stored == *content));
                drop(shadow);
                let what = || format!("snapshot {id} was restored with other bytes");
                self.judge(if is_right { Ok(()) } else { Err(what()) });
                Ok(())
            }
        }
    }

    fn prune(&mut self) -> Result<(), Error> {
        let repository = self.lab.open()?;
        let visible = load_manifests(&repository, &SilentMonitor)?.snapshots;
        let visible = visible.iter().map(|loaded| loaded.manifest.id);
        let chosen: Vec<SessionId> = visible.filter(|id| self.shall_go(id)).collect();
        if !chosen.is_empty() {
            forget_snapshots(&repository, &chosen, &SilentMonitor)?;
        }
        let options = PruneOptions {
            drain_ms: Some(MAX_DRAIN_MS >> (3 * self.dice.below(5))),
            max_unused: if self.dice.one_in(2) { 0.0 } else { 0.05 },
            ..PruneOptions::default()
        };
        let report = prune(&repository, &options, &SilentMonitor)?;
        if report.pending.is_none() {
            self.check();
        }
        Ok(())
    }

    /// Chooses snapshots to forget; they may vanish from now on.
    fn shall_go(&mut self, id: &SessionId) -> bool {
        let is_chosen =
            self.dice.one_in(self.cast.shape.taste.forget) && self.cast.world.is_alive(self.process);
        if is_chosen {
            self.cast.world.shadow().will_forget(*id);
        }
        is_chosen
    }

    fn repair(&mut self) -> Result<(), Error> {
        let repository = self.lab.open()?;
        if self.dice.one_in(3) {
            let options = VerifyOptions {
                level: VerifyLevel::Standard,
                sample_ppm: None,
                max_age_ms: None,
                threads: 1,
                pins: &NoPins,
            };
            verify(&repository, &options, &SilentMonitor)?;
            return Ok(());
        }
        repair(&repository, &RepairOptions { dry_run: false, threads: 1 }, &SilentMonitor)?;
        self.check();
        Ok(())
    }

    fn unlock(&mut self) -> Result<(), Error> {
        let repository = self.lab.open()?;
        let force = self.dice.one_in(2);
        self.cast.world.shadow().is_doubled |= force;
        unlock(&repository, UnlockOptions { force }, &SilentMonitor)?;
        Ok(())
    }
}
