//! Names of objects in a store.

use std::fmt;

/// A relative path of one to four components, each of `a-z 0-9 . -`, none starting with a dot.
/// So a name means the same on every store and can leave none.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectName(String);

impl ObjectName {
    /// Checks a name; `None` when it is not of the form above.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let component_is_good = |component: &str| {
            !component.is_empty()
                && component.len() <= 100
                && !component.starts_with('.')
                && component.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-'))
        };
        let components = text.split('/').count();
        ((1..=4).contains(&components) && text.split('/').all(component_is_good))
            .then(|| Self(text.to_owned()))
    }

    /// A name that no object has.
    pub(crate) fn none() -> Self {
        Self("none".to_owned())
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The last component.
    #[must_use]
    pub fn file_name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or(&self.0)
    }
}

impl fmt::Display for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_leave_the_store() {
        for good in ["config.json", "packs/data/ab/cd.pack", "replicas/snapshots/ab.json"] {
            assert!(ObjectName::parse(good).is_some(), "{good}");
        }
        for bad in
            ["", "/a", "a//b", "../a", "a/..", ".hidden", "a/.b", "A", "a b", "a\0", "a/b/c/d/e", "a\\b"]
        {
            assert!(ObjectName::parse(bad).is_none(), "{bad}");
        }
    }
}
