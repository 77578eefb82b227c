//! L2: bytes and types of every object on disk. Pure: no input or output, clock, threads or randomness.
//! The rules that each module checks are those of `docs/FORMAT.md`.

pub mod config;
mod error;
pub mod evidence;
pub mod hex;
pub mod idx;
pub mod manifest;
pub mod names;
pub mod node;
pub mod pack;
pub mod padme;
pub mod pages;
pub mod parity_level;
pub mod prefix;
pub mod segment;
pub mod segment_whole;
pub mod session;
pub mod shard;
pub mod signed;
pub mod slot;
mod strict;
pub mod text;

pub use error::FormatError;
