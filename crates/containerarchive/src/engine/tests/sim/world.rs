//! One store, one true time, and several actors of which one runs at a time: at every call to the store or to a clock the
//! world decides who goes on, and what goes wrong.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::dice::Dice;
use super::shadow::Shadow;
use super::shapes::{Shape, Tempo};
use super::weak::Past;
use crate::base::{Clock, ObjectName, Timestamp};
use crate::store::{Durability, MemoryStore, Store, StoreErrorKind};

pub(super) const DAY_MS: u64 = 24 * 3600 * 1000;
const MAX_PAUSE_MS: u64 = 30 * DAY_MS;
/// No call to a weak store takes longer than a day.
const MAX_WEAK_PAUSE_MS: u64 = DAY_MS - 60_000;
/// A run that takes more calls does not end.
const MAX_CALLS: u64 = 400_000;
const MAX_LOG_LINES: usize = 20_000;

/// What may go wrong in a run, each as often as its number.
#[derive(Debug, Clone, Copy)]
pub(super) struct Faults {
    pub(super) pauses: u64,
    pub(super) kills: u64,
    pub(super) failures: u64,
    pub(super) power_losses: u64,
}

/// The properties of the store.
#[derive(Debug, Clone, Copy)]
pub(super) struct StoreKind {
    /// With locks, and with caches that are not made durable; else puts may arrive late.
    pub(super) is_local: bool,
    /// A put of what exists fails; else it replaces.
    pub(super) creates: bool,
    /// Reads and listings may be stale.
    pub(super) is_weak: bool,
}

/// How far a call comes that does not return well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effect {
    Nothing,
    Done,
    /// A put arrives later.
    Late,
}

/// What becomes of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    Goes,
    /// The process is gone.
    Dead,
    Fails(StoreErrorKind, Effect),
}

/// A process of an actor: as long as it is the actor's newest one, it lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Process {
    pub(super) actor: usize,
    pub(super) incarnation: u64,
}

struct Actor {
    incarnation: u64,
    wake_ms: i64,
    is_done: bool,
    /// Calls of the newest process that failed by the world's will.
    failures: u64,
}

struct State {
    dice: Dice,
    running: usize,
    actors: Vec<Actor>,
    faults: Faults,
    tempo: Tempo,
    calls: u64,
    trace: blake3::Hasher,
    log: VecDeque<String>,
    late: Vec<(ObjectName, Vec<u8>)>,
    volatile: BTreeSet<ObjectName>,
    locks: BTreeMap<ObjectName, Process>,
    violation: Option<String>,
    /// Of weak stores.
    past: Past,
}

/// The true time.
pub(super) struct TrueClock(pub(super) AtomicI64);

impl Clock for TrueClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::Relaxed))
    }

    fn sleep_ms(&self, ms: u64) {
        self.0.fetch_add(ms as i64, Ordering::Relaxed);
    }
}

pub(super) struct World {
    pub(super) store: Arc<MemoryStore>,
    pub(super) kind: StoreKind,
    pub(super) clock: Arc<TrueClock>,
    pub(super) shadow: Mutex<Shadow>,
    state: Mutex<State>,
    turns: Vec<Condvar>,
}

impl World {
    pub(super) fn new(
        seed: u64,
        shape: &Shape,
        (store, clock): (Arc<MemoryStore>, Arc<TrueClock>),
        shadow: Shadow,
    ) -> Self {
        let mut dice = Dice::of(seed, 1);
        let actors = shape.cast.len();
        let actor = |_| Actor { incarnation: 0, wake_ms: 0, is_done: false, failures: 0 };
        let state = State {
            running: dice.below(actors as u64) as usize,
            actors: (0..actors).map(actor).collect(),
            faults: shape.faults,
            tempo: shape.tempo,
            calls: 0,
            trace: blake3::Hasher::new(),
            log: VecDeque::new(),
            late: Vec::new(),
            volatile: BTreeSet::new(),
            locks: BTreeMap::new(),
            violation: None,
            past: Past::default(),
            dice,
        };
        Self {
            store,
            kind: shape.store,
            clock,
            shadow: Mutex::new(shadow),
            state: Mutex::new(state),
            turns: (0..actors).map(|_| Condvar::new()).collect(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn shadow(&self) -> MutexGuard<'_, Shadow> {
        self.shadow.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on nothing goes wrong, and nobody but the caller runs.
    pub(super) fn end_faults(&self) {
        let mut state = self.state();
        state.faults = Faults { pauses: 0, kills: 0, failures: 0, power_losses: 0 };
        state.tempo.late_gap = u64::MAX;
        state.tempo.stale_gap = u64::MAX;
        state.past.catch_up();
    }

    /// Waits for the first turn.
    pub(super) fn enter(&self, actor: usize) {
        let state = self.state();
        drop(self.turns[actor].wait_while(state, |state| state.running != actor));
    }

    /// A new process of an actor.
    pub(super) fn begin(&self, actor: usize, what: &str) -> Process {
        let mut state = self.state();
        state.actors[actor].incarnation += 1;
        state.actors[actor].failures = 0;
        let process = Process { actor, incarnation: state.actors[actor].incarnation };
        state.note(process, "begins", what);
        process
    }

    /// The actor does nothing more.
    pub(super) fn leave(&self, actor: usize) {
        let mut state = self.state();
        state.actors[actor].is_done = true;
        state.actors[actor].incarnation += 1;
        if let Some(next) = state.choose(&self.clock) {
            state.running = next;
            self.turns[next].notify_one();
        }
    }

    /// Whether the process is gone, or calls of it were made to fail.
    pub(super) fn was_hurt(&self, process: Process) -> bool {
        let state = self.state();
        let actor = &state.actors[process.actor];
        actor.incarnation != process.incarnation || actor.failures > 0
    }

    pub(super) fn is_alive(&self, process: Process) -> bool {
        self.state().is_alive(process)
    }

    /// The first thing that should never have been.
    pub(super) fn violate(&self, text: String) {
        let mut state = self.state();
        state.violation.get_or_insert(text);
        // Nobody goes on.
        state.actors.iter_mut().for_each(|actor| actor.incarnation += 1);
    }

    pub(super) fn violation(&self) -> Option<String> {
        self.state().violation.clone()
    }

    pub(super) fn log(&self) -> Vec<String> {
        self.state().log.iter().cloned().collect()
    }

    /// How many calls were made, and a hash of all of them.
    pub(super) fn trace(&self) -> (u64, String) {
        let state = self.state();
        (state.calls, state.trace.finalize().to_hex()[..16].to_owned())
    }

    /// Lets the actor sleep.
    pub(super) fn sleep(&self, process: Process, ms: i64) {
        let mut state = self.state();
        if state.is_alive(process) {
            state.actors[process.actor].wake_ms = self.clock.now().0 + ms;
            drop(self.hand_over(state, process.actor));
        }
    }

    /// A call of a process: others may run before it.
    pub(super) fn call(&self, process: Process, operation: &str, object: &str) -> Fate {
        let mut state = self.state();
        if !state.is_alive(process) {
            return Fate::Dead;
        }
        state.calls += 1;
        if state.calls > MAX_CALLS {
            drop(state);
            self.violate(format!("{MAX_CALLS} calls, and no end"));
            return Fate::Dead;
        }
        let step = state.dice.below(50) as i64;
        self.clock.0.fetch_add(step, Ordering::Relaxed);
        let heat = heat(operation, object);
        if state.faults.pauses > 0 && state.is_due(heat) {
            state.faults.pauses -= 1;
            let most = state.dice.below(22);
            let longest = if self.kind.is_weak { MAX_WEAK_PAUSE_MS } else { MAX_PAUSE_MS };
            let pause = state.dice.below((1000_u64 << most).min(longest)) as i64;
            state.actors[process.actor].wake_ms = self.clock.now().0 + pause;
            state.note(process, "pauses for", &format!("{pause} ms"));
            state = self.hand_over(state, process.actor);
        } else {
            let gap = if heat > 0 { 1 } else { state.tempo.switch_gap };
            if state.dice.one_in(gap) {
                state = self.hand_over(state, process.actor);
            }
        }
        if !state.is_alive(process) {
            return Fate::Dead;
        }
        let late_gap = state.tempo.late_gap;
        if !state.late.is_empty() && state.dice.one_in(late_gap) {
            drop(state);
            self.land_late_put();
            state = self.state();
        }
        state.note(process, operation, object);
        let fate = self.draw_fate(&mut state, process, operation, heat);
        drop(state);
        fate
    }

    fn draw_fate(&self, state: &mut State, process: Process, operation: &str, heat: u32) -> Fate {
        if operation == "clock" {
            return Fate::Goes;
        }
        let effect = |state: &mut State| match state.dice.below(3) {
            0 => Effect::Nothing,
            1 if operation == "put" && !self.kind.is_local => Effect::Late,
            _ => Effect::Done,
        };
        if state.faults.kills > 0 && state.is_due(heat) {
            state.faults.kills -= 1;
            let effect = effect(state);
            state.actors[process.actor].incarnation += 1;
            state.note(process, "is killed at this call", &format!("{effect:?}"));
            return Fate::Fails(StoreErrorKind::Failed, effect);
        }
        if state.faults.failures > 0 && state.is_due(heat) {
            state.faults.failures -= 1;
            // Neither that something is there nor that it is not: that would be an answer, and a wrong one.
            let kinds = [
                StoreErrorKind::Failed,
                StoreErrorKind::Network,
                StoreErrorKind::Denied,
                StoreErrorKind::Full,
            ];
            let kind = state.dice.pick(&kinds[..if operation == "put" { 4 } else { 3 }]);
            let effect = effect(state);
            state.actors[process.actor].failures += 1;
            state.note(process, "has an error", &format!("{kind:?}, {effect:?}"));
            return Fate::Fails(kind, effect);
        }
        if state.faults.power_losses > 0 && state.dice.one_in(state.tempo.fault_gap * 8) {
            state.faults.power_losses -= 1;
            state.note(process, "loses power", "and so do all");
            state.actors.iter_mut().for_each(|actor| actor.incarnation += 1);
            let volatile = std::mem::take(&mut state.volatile);
            for name in volatile {
                match state.dice.below(3) {
                    0 => drop(self.store.remove(&name)),
                    1 => {
                        let at = state.dice.next();
                        self.store.corrupt(&name, |bytes| bytes.truncate(at as usize % bytes.len().max(1)));
                    }
                    _ => {}
                }
            }
            let mut shadow = self.shadow();
            if let Err(text) = shadow.look_again() {
                state.violation.get_or_insert(text);
            }
            return Fate::Dead;
        }
        Fate::Goes
    }

    /// Gives the turn to whoever is chosen, and waits for the next one.
    fn hand_over<'a>(&'a self, mut state: MutexGuard<'a, State>, actor: usize) -> MutexGuard<'a, State> {
        let Some(next) = state.choose(&self.clock) else { return state };
        if next == actor {
            return state;
        }
        state.running = next;
        self.turns[next].notify_one();
        self.turns[actor]
            .wait_while(state, |state| state.running != actor)
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts an object; all that happened to it is told to the shadow. `None`: there is one of this name already.
    pub(super) fn put(&self, name: &ObjectName, bytes: &[u8], durability: Durability) -> bool {
        let there = self.store.get(name, u64::MAX).ok();
        let is_there = there.is_some();
        let mut state = self.state();
        if durability == Durability::Durable {
            // Putting what exists makes it durable as well.
            state.volatile.remove(name);
        } else if !is_there {
            state.volatile.insert(name.clone());
        }
        drop(state);
        if is_there && self.kind.creates {
            return false;
        }
        if self.kind.is_weak && !is_there {
            self.state().past.put(name, self.clock.now().0);
        }
        self.store.remove(name);
        let put = self.store.put(name, bytes, durability);
        let told = self.shadow().on_put(name, bytes);
        if let Err(text) = put.map_err(|error| error.to_string()).and(told) {
            self.violate(text);
        }
        true
    }

    pub(super) fn delete(&self, name: &ObjectName) -> bool {
        if self.kind.is_weak
            && let Ok(bytes) = self.store.get(name, u64::MAX)
        {
            self.state().past.delete(name, bytes, self.clock.now().0);
        }
        let is_gone = self.store.remove(name);
        self.state().volatile.remove(name);
        if is_gone && let Err(text) = self.shadow().on_delete(name) {
            self.violate(text);
        }
        is_gone
    }

    pub(super) fn put_late(&self, name: &ObjectName, bytes: &[u8]) {
        self.state().late.push((name.clone(), bytes.to_vec()));
    }

    /// One of the puts that are on their way arrives. False if there are none.
    pub(super) fn land_late_put(&self) -> bool {
        let mut state = self.state();
        if state.late.is_empty() {
            return false;
        }
        let count = state.late.len() as u64;
        let place = state.dice.below(count) as usize;
        let (name, bytes) = state.late.swap_remove(place);
        let nobody = Process { actor: 99, incarnation: 0 };
        state.note(nobody, "late put arrives", name.as_str());
        drop(state);
        self.put(&name, &bytes, Durability::Durable);
        true
    }

    /// What a read or a listing of a weak store shows this time, if not what is.
    pub(super) fn stale(&self, process: Process) -> Option<MemoryStore> {
        if !self.kind.is_weak {
            return None;
        }
        let state = &mut *self.state();
        let reader = (process.actor, self.clock.now().0);
        state.past.shown(&self.store, reader, &mut state.dice, state.tempo.stale_gap)
    }

    pub(super) fn lock(&self, name: &ObjectName, process: Process) {
        self.state().locks.insert(name.clone(), process);
    }

    pub(super) fn unlock(&self, name: &ObjectName, process: Process) {
        let mut state = self.state();
        if state.locks.get(name) == Some(&process) {
            state.locks.remove(name);
        }
    }

    pub(super) fn is_locked(&self, name: &ObjectName) -> bool {
        let state = self.state();
        state.locks.get(name).is_some_and(|process| state.is_alive(*process))
    }
}

/// Around what calls every order counts.
fn heat(operation: &str, object: &str) -> u32 {
    let is_in = |folder| object.starts_with(folder);
    match operation {
        "put" if is_in("snapshots/") => 3,
        "put" | "delete" if is_in("locks/") || is_in("records/retire/") => 2,
        "delete" if object.ends_with(".pack") => 2,
        "head" if is_in("locks/") => 1,
        "put" | "delete" | "list" => 1,
        _ => 0,
    }
}

impl State {
    fn is_alive(&self, process: Process) -> bool {
        self.actors[process.actor].incarnation == process.incarnation
    }

    fn is_due(&mut self, heat: u32) -> bool {
        let gap = self.tempo.fault_gap >> (2 * heat);
        self.dice.one_in(gap)
    }

    /// Any actor that is awake; if none is, time goes on until one wakes.
    fn choose(&mut self, clock: &TrueClock) -> Option<usize> {
        let first = self.actors.iter().filter(|actor| !actor.is_done).map(|actor| actor.wake_ms).min()?;
        clock.0.fetch_max(first, Ordering::Relaxed);
        let now = clock.now().0;
        let is_awake = |actor: &Actor| !actor.is_done && actor.wake_ms <= now;
        let awake: Vec<usize> =
            (0..self.actors.len()).filter(|place| is_awake(&self.actors[*place])).collect();
        Some(self.dice.pick(&awake))
    }

    fn note(&mut self, process: Process, what: &str, object: &str) {
        let line = format!("{}.{} {what} {object}", process.actor, process.incarnation);
        self.trace.update(line.as_bytes());
        self.log.push_back(line);
        if self.log.len() > MAX_LOG_LINES {
            self.log.pop_front();
        }
    }
}
