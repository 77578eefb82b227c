//! L1: compression of single chunks: zstd, gzip or none, and when to skip it.

mod auto;
mod codec;
mod decode;
mod encode;
mod gzip;
mod setting;
#[cfg(test)]
mod testing;
mod zstd_frame;

pub use auto::{AutoLevel, ItemCompression};
pub use codec::Codec;
pub use decode::{DecompressError, Decompressor};
pub use encode::{Compressor, Method};
pub use gzip::GzipError;
pub use setting::{Compression, CompressionError, GzipLevel, ZstdLevel};
pub use zstd_frame::FrameError;
