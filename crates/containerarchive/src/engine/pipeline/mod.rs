//! What the verbs that move content share: a pool of workers, and the writer that chunks end in.

mod pool;
mod writer;

pub(super) use pool::{Pool, Ticket};
pub(super) use writer::{Counters, PACK_THREADS, Writer};
