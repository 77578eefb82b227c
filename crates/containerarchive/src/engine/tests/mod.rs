//! Tests of the verbs together, over all stores.

mod damage;
mod erasures;
mod failures;
mod forged;
mod forget;
mod ingests;
mod interrupted;
mod matrix;
mod merging;
mod parity;
mod power;
mod pruner;
mod recipes;
mod repair;
mod rollback;
mod round_trips;
mod scenes;
mod secrecy;
mod sessions;
mod sim;
mod stats;
mod status;
mod stops;
mod support;
mod unneeded;
mod verify;
