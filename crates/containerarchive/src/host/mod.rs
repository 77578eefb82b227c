//! L3: the file system of the host that is saved or restored to, and the client's own files.

mod error;
mod pins;
mod target;

pub use error::HostError;
pub use pins::FilePins;
pub use target::{TargetFile, TargetFolder};
