//! What damage means for people who want their data back.

use super::Hole;
use crate::base::SessionId;

/// Bytes of an item that cannot be restored as things stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LostRange {
    /// The snapshot.
    pub snapshot: SessionId,
    /// The item.
    pub item: String,
    /// First byte.
    pub from: u64,
    /// First byte behind. Of an empty item both are 0.
    pub to: u64,
    /// Why.
    pub text: String,
}

impl From<Hole> for LostRange {
    fn from(hole: Hole) -> Self {
        let Hole { snapshot, item, from, to, text, .. } = hole;
        Self { snapshot, item, from, to, text }
    }
}
