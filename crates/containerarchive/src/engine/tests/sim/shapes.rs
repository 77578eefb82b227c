//! What kinds of runs there are: who plays, how hastily, and what goes wrong. All of it is drawn; a kind only says from
//! where, so that histories which need several rare things at once do not wait for chance alone.

use super::actors::Role;
use super::dice::Dice;
use super::world::{Faults, StoreKind};

/// Most pieces that contents share.
const PIECES: u64 = 9;

/// What a run is like.
pub(super) struct Shape {
    pub(super) store: StoreKind,
    pub(super) is_encrypted: bool,
    /// With a second domain, and writers of each.
    pub(super) has_domains: bool,
    /// Who plays, and how many processes of each run one after the other.
    pub(super) cast: Vec<(Role, u64)>,
    pub(super) faults: Faults,
    pub(super) tempo: Tempo,
    pub(super) taste: Taste,
}

/// How often what happens.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tempo {
    /// Mean number of calls between two faults of a kind, between two switches, and until a late put arrives.
    pub(super) fault_gap: u64,
    pub(super) switch_gap: u64,
    pub(super) late_gap: u64,
    /// Of a weak store: mean number of reads until one is stale.
    pub(super) stale_gap: u64,
    /// Processes begin after up to half a second times two to the power of up to this.
    pub(super) naps: u64,
}

/// What contents of a run are like.
#[derive(Debug, Clone, Copy)]
pub(super) struct Taste {
    /// The fewer pieces, the more is stored twice at once.
    pub(super) pieces: u64,
    /// One in so many snapshots is forgotten by each prune.
    pub(super) forget: u64,
}

impl Shape {
    /// The run of a seed: of sixteen, seven are of the mixed kind, four close, one a duet, one forced and three weak.
    pub(super) fn of(seed: u64) -> Self {
        let mut dice = Dice::of(seed, 0);
        let mut shape = Self::mixed(&mut dice);
        match seed % 16 {
            5 | 6 | 13 | 14 => shape.make_close(&mut dice),
            1 => shape.make_duet(&mut dice),
            7 => shape.make_forced(&mut dice),
            3 | 11 | 15 => shape.make_weak(&mut dice),
            _ => {}
        }
        shape
    }

    fn mixed(dice: &mut Dice) -> Self {
        let is_local = !dice.one_in(3);
        let store = StoreKind { is_local, creates: is_local || dice.one_in(2), is_weak: false };
        let is_encrypted = dice.one_in(2);
        Self {
            store,
            is_encrypted,
            has_domains: is_encrypted && dice.one_in(2),
            cast: draw_cast(dice),
            faults: draw_faults(dice, is_local),
            tempo: Tempo {
                fault_gap: 20 + dice.below(400),
                switch_gap: 1 + dice.below(10),
                late_gap: 20 << dice.below(8),
                stale_gap: u64::MAX,
                naps: 12,
            },
            taste: Taste { pieces: 1 + dice.below(PIECES), forget: 2 + dice.below(7) },
        }
    }

    /// The same few contents, forgotten and stored again by processes that overlap, with many pauses and little else:
    /// who registers, who retires and who deletes meet again and again.
    fn make_close(&mut self, dice: &mut Dice) {
        self.cast = (0..2 + dice.below(3)).map(|_| (Role::Writer, 3 + dice.below(4))).collect();
        self.cast.extend((0..1 + dice.below(2)).map(|_| (Role::Pruner, 3 + dice.below(4))));
        let kills = dice.below(2);
        self.faults = Faults { pauses: 15 + dice.below(30), kills, failures: 0, power_losses: 0 };
        self.tempo.fault_gap = 16 + dice.below(60);
        self.tempo.naps = 8;
        self.taste = Taste { pieces: 1 + dice.below(3), forget: 2 };
    }

    /// One who stores the same again and again, one who removes it as often, and both pause at every step that counts. No
    /// third one is waited for, so that a writer may come at any moment of a sweep.
    fn make_duet(&mut self, dice: &mut Dice) {
        self.cast = vec![(Role::Writer, 6 + dice.below(5)), (Role::Pruner, 6 + dice.below(5))];
        self.faults = Faults { pauses: 40 + dice.below(80), kills: 0, failures: 0, power_losses: 0 };
        self.tempo.fault_gap = 16 << dice.below(3);
        self.tempo.naps = 6;
        self.taste = Taste { pieces: 1 + dice.below(2), forget: 1 };
    }

    /// Pruners that are ended by force while they sleep, and others that run meanwhile.
    fn make_forced(&mut self, dice: &mut Dice) {
        let roles = [Role::Writer, Role::Writer, Role::Pruner, Role::Pruner, Role::Pruner, Role::Unlocker];
        self.cast = roles.map(|role| (role, 3 + dice.below(5))).into();
        self.faults.pauses = 15 + dice.below(20);
        self.faults.power_losses = 0;
        self.tempo.fault_gap = 20 + dice.below(100);
        self.taste = Taste { pieces: 1 + dice.below(4), forget: 2 + dice.below(3) };
    }

    /// A store that may show what is old, with sessions that take days, and prunes on many days.
    fn make_weak(&mut self, dice: &mut Dice) {
        self.store = StoreKind { is_local: false, creates: dice.one_in(2), is_weak: true };
        self.cast = (0..1 + dice.below(3)).map(|_| (Role::Writer, 3 + dice.below(6))).collect();
        self.cast.extend((0..1 + dice.below(2)).map(|_| (Role::Pruner, 5 + dice.below(9))));
        if dice.one_in(3) {
            self.cast.push((Role::Reader, 2));
        }
        self.faults.pauses = 20 + dice.below(60);
        self.faults.power_losses = 0;
        self.tempo.fault_gap = 16 + dice.below(60);
        self.tempo.stale_gap = 3 << dice.below(4);
        self.tempo.naps = 22;
        self.taste = Taste { pieces: 1 + dice.below(4), forget: 2 + dice.below(3) };
    }
}

fn draw_cast(dice: &mut Dice) -> Vec<(Role, u64)> {
    let mut cast = Vec::new();
    if dice.one_in(5) {
        // Pruners that are taken for dead while they sleep.
        let roles = [Role::Writer, Role::Writer, Role::Writer, Role::Pruner, Role::Pruner, Role::Unlocker];
        return roles.map(|role| (role, 2 + dice.below(5))).into();
    }
    let writers = if dice.one_in(4) { 3 + dice.below(6) } else { 1 + dice.below(3) };
    for _ in 0..writers {
        cast.push((Role::Writer, 1 + dice.below(3)));
    }
    for _ in 0..dice.below(2) {
        cast.push((Role::Reader, 1 + dice.below(3)));
    }
    // Only where sessions are ended by force two pruners are at work at once.
    let has_unlocker = dice.one_in(3);
    if has_unlocker {
        cast.push((Role::Unlocker, 1 + dice.below(6)));
    }
    for _ in 0..if has_unlocker { 2 } else { 1 + dice.below(2) } {
        cast.push((Role::Pruner, 1 + dice.below(4)));
    }
    if dice.one_in(3) {
        cast.push((Role::Repairer, 1 + dice.below(2)));
    }
    cast
}

fn draw_faults(dice: &mut Dice, is_local: bool) -> Faults {
    if dice.one_in(6) {
        return Faults { pauses: 0, kills: 0, failures: 0, power_losses: 0 };
    }
    let mut some = |most| if dice.one_in(3) { 0 } else { dice.below(most) };
    Faults {
        pauses: some(30),
        kills: some(5),
        failures: some(6),
        power_losses: if is_local { some(4) } else { 0 },
    }
}
