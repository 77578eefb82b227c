//! What a manifest keeps of a captured command (`docs/FORMAT.md` section 12).

use serde::{Deserialize, Serialize};

/// How the command whose output is an item went. A command that failed never comes into a manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Evidence {
    /// The program and its arguments, without what looked like a secret; each may end with `…` where it was cut.
    pub argv: Vec<String>,
    /// Always 0 for now.
    pub exit_code: i32,
    /// Bytes of its standard output.
    pub bytes: u64,
    /// From its start to its end.
    pub duration_ms: u64,
    /// Bytes that it wrote to its standard error.
    pub stderr_bytes: u64,
    /// The last of them, in whole lines, without what looked like a secret. Any characters, control characters, too.
    pub stderr_tail: String,
}

impl Evidence {
    /// The evidence of an item, if it is of this form; others are left to later versions.
    #[must_use]
    pub fn from_json(json: &serde_json::Value) -> Option<Self> {
        Self::deserialize(json).ok()
    }
}
