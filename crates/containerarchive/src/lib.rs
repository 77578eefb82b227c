//! Deduplicating, encrypting backup engine for streams and files.

pub mod base;
pub mod store;
