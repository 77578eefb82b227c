//! Many actors on one simulated store, one at a time, in an order and with faults that a seed repeats.

mod actors;
mod chunks;
mod dice;
mod shadow;
mod shapes;
mod store;
mod weak;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::AtomicI64;

use self::actors::{Cast, OTHER_DOMAIN};
use self::shadow::Shadow;
use self::shapes::Shape;
use self::world::{DAY_MS, TrueClock, World};
use super::support::{Lab, START};
use crate::base::planted::plant;
use crate::base::testing::SeededRandomness;
use crate::base::{Planted, SilentMonitor};
use crate::engine::{PruneOptions, RepairOptions, UnlockOptions, prune, repair, unlock};
use crate::error::Error;
use crate::repo::Repository;
use crate::store::{Capabilities, MemoryStore};

/// Names of bugs, for whoever asks for one.
const BUGS: [(&str, Planted); 16] = [
    ("fence-unchecked", Planted::FenceUnchecked),
    ("lock-unchecked", Planted::LockUnchecked),
    ("void-ignored", Planted::VoidIgnored),
    ("registered-late", Planted::RegisteredLate),
    ("reuse-unchecked", Planted::ReuseUnchecked),
    ("mask-ignored", Planted::MaskIgnored),
    ("segment-early", Planted::SegmentEarly),
    ("fsync-skipped", Planted::FsyncSkipped),
    ("salt-left-out", Planted::SaltLeftOut),
    ("locks-listed-early", Planted::LocksListedEarly),
    ("swept-before-drain", Planted::SweptBeforeDrain),
    ("no-second-look", Planted::NoSecondLook),
    ("unretired", Planted::Unretired),
    ("age-unchecked", Planted::AgeUnchecked),
    ("swept-unripe", Planted::SweptUnripe),
    ("parity-removed-early", Planted::ParityRemovedEarly),
];

/// How a run ended.
#[derive(Debug)]
struct Ended {
    violation: Option<String>,
    calls: u64,
    trace: String,
    acknowledged: u64,
    log: Vec<String>,
}

/// One run, from nothing to rest.
fn run(seed: u64, bug: Option<Planted>) -> Ended {
    plant(bug);
    let shape = Shape::of(seed);
    let clock = Arc::new(TrueClock(AtomicI64::new(START.0)));
    let store = MemoryStore::new().with_clock(Arc::<TrueClock>::clone(&clock));
    let capabilities = Capabilities { is_local: shape.store.is_local, is_weak: shape.store.is_weak };
    let store = Arc::new(store.with_capabilities(capabilities));
    let mut lab = Lab::new(Arc::<MemoryStore>::clone(&store), shape.is_encrypted, seed ^ 0x5eed);
    lab.environment.clock = Arc::<TrueClock>::clone(&clock);
    lab.create().unwrap();
    if shape.has_domains {
        lab.add_writer(OTHER_DOMAIN, Some("other"));
    }
    let mut raw = lab.clone();
    raw.environment.random = Arc::new(SeededRandomness::new(seed ^ 0x5ade));
    let mut shadow = Shadow::new(Arc::clone(&store), &raw);
    shadow.is_doubled |= shape.store.is_weak;
    let world = Arc::new(World::new(seed, &shape, (store, clock), shadow));
    let company = Cast { world: Arc::clone(&world), seed, lab: &lab, shape: &shape };
    std::thread::scope(|scope| {
        for (actor, (role, rounds)) in shape.cast.iter().copied().enumerate() {
            let (company, world) = (&company, &world);
            scope.spawn(move || {
                plant(bug);
                world.enter(actor);
                let played = catch_unwind(AssertUnwindSafe(|| company.play(actor, role, rounds)));
                if played.is_err() {
                    world.violate(format!("{role:?} {actor} panicked"));
                }
                world.leave(actor);
            });
        }
    });
    if world.violation().is_none()
        && let Err(text) = come_to_rest(&world, &raw)
    {
        world.violate(text);
    }
    plant(None);
    let (calls, trace) = world.trace();
    let acknowledged = world.shadow().acknowledged;
    Ended { violation: world.violation(), calls, trace, acknowledged, log: world.log() }
}

/// No more faults: everything ends, space comes back, and nothing is damaged.
fn come_to_rest(world: &Arc<World>, raw: &Lab) -> Result<(), String> {
    let process = world.begin(0, "rest");
    let store = Arc::new(store::ProcessStore { world: Arc::clone(world), process });
    let lab = raw.on(store);
    world.end_faults();
    let repository = lab.open().map_err(|error| error.to_string())?;
    // What is on its way arrives in the middle of it, or at its end.
    for _ in 0..2 {
        settle(&repository)?;
        world.land_late_put();
    }
    while world.land_late_put() {}
    settle(&repository)?;
    if let Some(text) = world.violation() {
        return Err(text);
    }
    world.shadow().check_rest()
}

fn settle(repository: &Repository) -> Result<(), String> {
    let told = |error: Error| format!("at rest: {error}");
    let is_weak = repository.config.is_weak_store;
    let wait = |days: u64| repository.environment.clock.sleep_ms(if is_weak { days * DAY_MS } else { 0 });
    if is_weak {
        // Only prune ends sessions there, once they are old enough.
        wait(6);
        prune(repository, &PruneOptions::default(), &SilentMonitor).map_err(told)?;
    }
    unlock(repository, UnlockOptions { force: true }, &SilentMonitor).map_err(told)?;
    let options = RepairOptions { dry_run: false, threads: 1 };
    let report = repair(repository, &options, &SilentMonitor).map_err(told)?;
    if report.is_lossy() {
        return Err(format!("at rest: a repair lost something: {:?} {:?}", report.unrepaired, report.lost));
    }
    for days in [8, 67, 0] {
        let report = prune(repository, &PruneOptions::default(), &SilentMonitor).map_err(told)?;
        if let Some(pending) = report.pending {
            return Err(format!("at rest: a prune waits for {:?}", pending.holders));
        }
        wait(days);
    }
    Ok(())
}

fn tell(seed: u64, ended: &Ended) -> String {
    let text = ended.violation.as_deref().unwrap_or("no violation");
    format!("seed {seed}, {} calls, trace {}: {text}", ended.calls, ended.trace)
}

#[test]
fn no_schedule_and_no_fault_costs_an_acknowledged_snapshot() {
    let (mut calls, mut acknowledged) = (0, 0);
    for seed in 0..200 {
        let ended = run(seed, None);
        assert!(ended.violation.is_none(), "{}\n{}", tell(seed, &ended), ended.log.join("\n"));
        calls += ended.calls;
        acknowledged += ended.acknowledged;
    }
    println!("{calls} calls, {acknowledged} snapshots acknowledged");
    assert!(acknowledged > 200);
}

#[test]
fn a_seed_replays_exactly() {
    for seed in 0..30 {
        let (first, second) = (run(seed, None), run(seed, None));
        if first.trace != second.trace {
            let differs = first.log.iter().zip(&second.log).position(|(one, other)| one != other);
            let from = differs.unwrap_or(0).saturating_sub(20);
            let lines =
                |ended: &Ended| ended.log[from..].iter().take(25).cloned().collect::<Vec<_>>().join("\n");
            panic!("seed {seed} differs:\n{}\n\n{}", lines(&first), lines(&second));
        }
    }
}

/// `cargo xtask sim` drives this.
#[test]
#[ignore = "as many seeds as CONTAINERARCHIVE_SIM says, for `cargo xtask sim`"]
fn many() {
    let plan = std::env::var("CONTAINERARCHIVE_SIM").unwrap();
    let mut words = plan.split(' ');
    let mut number = || words.next().unwrap().parse::<u64>().unwrap();
    let (first, count) = (number(), number());
    let bug = words.next().map(|name| {
        let known = BUGS.iter().find(|(known, _)| *known == name);
        known.unwrap_or_else(|| panic!("no bug '{name}'; there are {:?}", BUGS.map(|(name, _)| name))).1
    });
    let begun = std::time::Instant::now();
    let (mut calls, mut acknowledged) = (0, 0);
    for seed in first..first + count {
        let ended = run(seed, bug);
        calls += ended.calls;
        acknowledged += ended.acknowledged;
        if ended.violation.is_some() {
            if bug.is_some() {
                println!("found: {}", tell(seed, &ended));
                return;
            }
            panic!("{}\n{}", ended.log.join("\n"), tell(seed, &ended));
        }
        if count == 1 {
            println!("{}", tell(seed, &ended));
        }
    }
    let seconds = begun.elapsed().as_secs_f64();
    println!(
        "{count} seeds, {calls} calls, {acknowledged} snapshots acknowledged, {seconds:.0} s, no violation"
    );
    assert!(bug.is_none(), "the planted bug was not found");
}
