//! Deduplicating, encrypting backup engine for streams and files.

pub mod base;
pub mod chunk;
pub mod compress;
pub mod crypto;
pub mod format;
pub mod store;
