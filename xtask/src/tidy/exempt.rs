//! What tidy lets pass, each with its reason. An entry that no longer applies is a finding.

/// The exceptions in force.
#[derive(Debug, Default)]
pub(crate) struct Exemptions {
    /// Files above the line limit: path, reason.
    pub(crate) long_files: &'static [(&'static str, &'static str)],
    /// Functions above the line limit: path, function, reason.
    pub(crate) long_functions: &'static [(&'static str, &'static str, &'static str)],
    /// Texts that may name absolute paths of a machine: path, reason.
    pub(crate) absolute_paths: &'static [(&'static str, &'static str)],
}

/// The exceptions of this repository.
pub(crate) const PROJECT: Exemptions =
    Exemptions { long_files: &[], long_functions: &[], absolute_paths: &[] };

/// Files and folders of `engine/` that every verb may use, because none of them is a verb.
pub(crate) const ENGINE_HELPERS: &[&str] =
    &["pipeline", "retention", "scan", "options", "error", "report", "tests"];

/// Where `unsafe` may stand, as path prefixes: SIMD kernels.
pub(crate) const UNSAFE: &[&str] =
    &["crates/containerarchive/src/parity/kernel", "crates/containerarchive/src/crypto/sha256_lanes.rs"];

/// Who may create and rename files, as path prefixes: the durable publish function of the local store, and the
/// room that writes the files of a restore.
pub(crate) const FILE_WRITERS: &[&str] =
    &["crates/containerarchive/src/store/local", "crates/containerarchive/src/host"];
