//! Why bytes are not the object that they should be.

use crate::base::codec::ShortError;
use crate::crypto::CryptoError;

/// Bytes broke a rule of `docs/FORMAT.md`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FormatError {
    /// The bytes are not those that were written.
    #[error("{what} ({rule})")]
    Broken {
        /// The rule's id.
        rule: &'static str,
        /// What is wrong.
        what: String,
    },
    /// The object was written by a newer version.
    #[error(
        "it needs version {version} of the format, this program knows version 1; a newer release reads it"
    )]
    Version {
        /// The version that it names.
        version: u64,
    },
    /// The repository needs a feature that this version does not know.
    #[error(
        "the repository needs the feature '{name}', which this program does not know; a newer release does"
    )]
    Feature {
        /// The feature.
        name: String,
    },
    /// A primitive failed.
    #[error(transparent)]
    Crypto(#[from] CryptoError),
}

impl FormatError {
    /// A broken rule.
    pub fn broken(rule: &'static str, what: impl Into<String>) -> Self {
        Self::Broken { rule, what: what.into() }
    }

    /// For `map_err`: fields ended early, which breaks this rule.
    pub fn short(rule: &'static str) -> impl Fn(ShortError) -> Self {
        move |error| Self::broken(rule, error.to_string())
    }
}

/// `Err` of a broken rule unless the condition holds.
pub(super) fn ensure(condition: bool, rule: &'static str, what: &str) -> Result<(), FormatError> {
    if condition { Ok(()) } else { Err(FormatError::broken(rule, what)) }
}
