//! L0: identifiers, limits, the little-endian codec, and the traits through which time, randomness and
//! reports enter and leave the engine.

pub mod clock;
pub mod codec;
pub mod id;
pub mod limits;
pub mod monitor;
pub mod name;
pub mod pins;
pub(crate) mod planted;
pub mod random;
#[cfg(any(test, feature = "testing"))]
pub mod testing;

pub use clock::{Clock, SystemClock, Timestamp};
pub use id::{
    ChunkHash, ChunkId, DomainId, GroupId, Kind, PackId, RecordId, RepositoryId, SegmentId, SessionId,
    ShardId, SlotId,
};
pub use monitor::{Monitor, Problem, Progress, SilentMonitor};
pub use name::ObjectName;
pub use pins::{NoPins, Pin, Pins, PinsError};
pub(crate) use planted::{Planted, is_planted};
pub use random::{Randomness, SystemRandomness};
