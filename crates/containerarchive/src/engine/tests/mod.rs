//! Tests of the verbs together, over all stores.

mod round_trips;
mod support;
