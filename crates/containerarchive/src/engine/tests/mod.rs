//! Tests of the verbs together, over all stores.

mod damage;
mod failures;
mod ingests;
mod parity;
mod power;
mod pruner;
mod recipes;
mod repair;
mod rollback;
mod round_trips;
mod secrecy;
mod sessions;
mod stats;
mod status;
mod support;
mod verify;
