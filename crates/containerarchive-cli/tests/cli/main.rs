//! Runs the real binary as scripts and people do.

#[cfg(test)]
mod backups;
#[cfg(test)]
mod busy;
#[cfg(test)]
mod commands;
#[cfg(test)]
mod completions;
#[cfg(test)]
mod environment;
#[cfg(test)]
mod errors;
#[cfg(test)]
mod forget;
#[cfg(test)]
mod full_disk;
#[cfg(test)]
mod interrupts;
#[cfg(test)]
mod keys;
#[cfg(test)]
mod kills;
#[cfg(test)]
mod listings;
#[cfg(test)]
mod man;
#[cfg(test)]
mod memory;
#[cfg(test)]
mod prune;
#[cfg(test)]
mod pty;
#[cfg(test)]
mod repairs;
#[cfg(test)]
mod stats;
#[cfg(test)]
mod status;
#[cfg(test)]
mod strikes;
#[cfg(test)]
mod support;
#[cfg(test)]
mod terminal;
#[cfg(test)]
mod tmux;
#[cfg(test)]
mod unlocks;
#[cfg(test)]
mod verify;
