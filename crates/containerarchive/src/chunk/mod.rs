//! L1: FastCDC, content-defined chunking with a gear hash.
//!
//! Wen Xia et al., "FastCDC: a Fast and Efficient Content-Defined Chunking Approach for Data Deduplication",
//! USENIX ATC 2016, and "The Design of Fast Content-Defined Chunking for Data Deduplication Based Storage
//! Systems", IEEE TPDS 2020; normalized chunking level 2. The rule of a cut is stated at [`Chunker::cut`].

mod cut;
mod gear;
mod mask;
mod params;
#[cfg(any(test, feature = "testing"))]
pub mod reference;
mod scan;
mod stream;
#[cfg(test)]
mod testing;

pub use cut::Chunker;
pub use gear::GearTable;
pub use mask::Masks;
pub use params::{ChunkParams, ChunkParamsError};
pub use stream::{Batch, ChunkReader};
