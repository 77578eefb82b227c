//! What users ask retention for.

use std::collections::BTreeSet;
use std::fmt;

use super::zone::Zone;

/// A unit of the calendar of which a rule keeps one snapshot each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Period {
    /// From a full hour of the clock on the wall to the next. Hours that come twice when the clocks go back are two.
    Hour,
    /// From midnight to midnight.
    Day,
    /// From Monday to Sunday (ISO 8601).
    Week,
    /// A month.
    Month,
    /// A year.
    Year,
}

impl Period {
    /// All periods, the shortest first.
    pub const ALL: [Self; 5] = [Self::Hour, Self::Day, Self::Week, Self::Month, Self::Year];

    /// The rule's word, as in its option.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Hour => "hourly",
            Self::Day => "daily",
            Self::Week => "weekly",
            Self::Month => "monthly",
            Self::Year => "yearly",
        }
    }
}

/// Which snapshots are compared with each other, besides being of one domain: no writer of another domain, whatever it
/// names its snapshots, takes the place of any.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum GroupBy {
    /// Those of one series.
    #[default]
    Series,
    /// All of a domain.
    Nothing,
    /// Those with one value of this tag, and those without the tag.
    Tag(String),
}

impl fmt::Display for GroupBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Series => f.write_str("series"),
            Self::Nothing => f.write_str("none"),
            Self::Tag(key) => write!(f, "tag:{key}"),
        }
    }
}

/// What shall be kept. A snapshot stays if any rule keeps it; without any rule all stay.
///
/// Of a day, the newest snapshot is kept; days without any do not count, so a backup that ran on few days keeps as many
/// as one that ran on all. The newest snapshot of each group stays in any case. For which snapshots take whose place
/// where their times cannot be believed, see [`super::Dating`].
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RetentionRules {
    /// So many of the newest; 0: no such rule.
    pub last: u32,
    /// One for each of so many of the newest hours that have one; 0: no such rule.
    pub hourly: u32,
    /// One for each of so many of the newest days that have one; 0: no such rule.
    pub daily: u32,
    /// One for each of so many of the newest weeks that have one; 0: no such rule.
    pub weekly: u32,
    /// One for each of so many of the newest months that have one; 0: no such rule.
    pub monthly: u32,
    /// One for each of so many of the newest years that have one; 0: no such rule.
    pub yearly: u32,
    /// All that are at most so much older than the newest one of their group, in milliseconds; 0: no such rule. A series
    /// that is backed up no more loses nothing by the passing of time alone.
    pub within_ms: u64,
    /// All that have one of these tags, as key and value.
    pub tags: BTreeSet<(String, String)>,
    /// What is compared with what.
    pub group_by: GroupBy,
    /// Where days begin.
    pub zone: Zone,
}

impl RetentionRules {
    /// Whether there is no rule at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.last == 0
            && self.within_ms == 0
            && self.tags.is_empty()
            && Period::ALL.iter().all(|period| self.number_of(*period) == 0)
    }

    /// How many periods of a kind keep one snapshot each.
    #[must_use]
    pub fn number_of(&self, period: Period) -> u32 {
        match period {
            Period::Hour => self.hourly,
            Period::Day => self.daily,
            Period::Week => self.weekly,
            Period::Month => self.monthly,
            Period::Year => self.yearly,
        }
    }
}
