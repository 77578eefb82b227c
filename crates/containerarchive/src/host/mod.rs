//! L3: the file system of the host that is saved or restored to, commands that are run on it, and the client's own files.

mod command;
mod error;
mod pins;
mod redact;
mod tail;
mod target;

pub use command::{Cancelled, CapturedCommand, CommandError};
pub use error::HostError;
pub(crate) use error::{counted, listed};
pub use pins::FilePins;
pub use redact::redact;
pub use target::{TargetFile, TargetFolder};
