//! A case: a file, or a few files that stand at their names in a repository, and what a reader says to it.

use std::collections::BTreeMap;

/// What a reader shall say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    Accepted,
    /// Refused for this rule.
    Rule(String),
    /// Refused as the work of a newer version.
    Version,
    /// Refused because of a feature.
    Feature,
}

/// All cases by path below the kit.
#[derive(Default)]
pub(crate) struct Cases {
    pub(crate) files: BTreeMap<String, (Vec<u8>, Verdict)>,
}

impl Cases {
    fn add(&mut self, path: String, bytes: Vec<u8>, verdict: Verdict) {
        let before = self.files.insert(path.clone(), (bytes, verdict));
        assert!(before.is_none(), "{path} twice");
    }

    /// `case` is the name without `accept-`, with its extension.
    pub(crate) fn accept(&mut self, rule: &str, case: &str, bytes: Vec<u8>) {
        self.add(format!("{}/accept-{case}", folder(rule)), bytes, Verdict::Accepted);
    }

    pub(crate) fn reject(&mut self, rule: &str, case: &str, bytes: Vec<u8>) {
        self.reject_as(rule, case, bytes, Verdict::Rule(rule.to_owned()));
    }

    pub(crate) fn reject_as(&mut self, rule: &str, case: &str, bytes: Vec<u8>, verdict: Verdict) {
        self.add(format!("{}/reject-{case}", folder(rule)), bytes, verdict);
    }
}

/// `pack/R-PACK-3`
fn folder(rule: &str) -> String {
    let object = rule.strip_prefix("R-").and_then(|rest| rest.rsplit_once('-')).unwrap().0;
    format!("{}/{rule}", object.to_ascii_lowercase())
}
