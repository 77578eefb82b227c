//! Rules against a history: nothing is read here, and nothing done.

use std::collections::BTreeMap;

use super::rules::{GroupBy, Period, RetentionRules};
use super::verdict::{Dating, KeepReason, RemoveReason, Verdict};
use crate::base::{DomainId, SessionId, Timestamp};

/// What rules look at.
#[derive(Debug, Clone)]
pub(super) struct Candidate<'a> {
    pub(super) id: SessionId,
    pub(super) domain: DomainId,
    pub(super) series: &'a str,
    pub(super) tags: &'a BTreeMap<String, String>,
    /// The time that it stands for.
    pub(super) time: Timestamp,
    pub(super) dating: Dating,
    pub(super) is_pinned: bool,
    /// It was replaced, so what it says of itself may be anything.
    pub(super) is_damaged: bool,
    /// A record says that it shall go.
    pub(super) is_forgotten: bool,
}

/// What is compared with each other: a domain, and the value that the rules group by.
type Group<'a> = (DomainId, Option<&'a str>);

/// Says for each snapshot whether it stays, in the order given. Costs O(n log n).
pub(super) fn judge(rules: &RetentionRules, now: Timestamp, snapshots: &[Candidate<'_>]) -> Vec<Verdict> {
    let mut reasons: Vec<Vec<KeepReason>> = snapshots.iter().map(|one| of_itself(rules, one)).collect();
    let mut groups: BTreeMap<Group<'_>, Vec<usize>> = BTreeMap::new();
    for (at, one) in snapshots.iter().enumerate() {
        if !one.is_damaged && !goes_anyway(one) && one.dating != Dating::FromTheFuture {
            groups.entry(group_of(rules, one)).or_default().push(at);
        }
    }
    for members in groups.values_mut().filter(|_| !rules.is_empty()) {
        members.sort_by_key(|at| std::cmp::Reverse((snapshots[*at].time, snapshots[*at].id)));
        let in_time: Vec<usize> =
            members.iter().copied().filter(|at| snapshots[*at].dating == Dating::InTime).collect();
        // What is dated back is judged among all, and all others as if it were not there: it takes nobody's place.
        for (history, judged) in [(&in_time, Dating::InTime), (&*members, Dating::BackDated)] {
            for (at, found) in select(rules, now, snapshots, history) {
                if snapshots[at].dating == judged {
                    reasons[at].push(found);
                }
            }
        }
        // A rule for tags alone keeps none of a series that has no such tag: that is seldom meant.
        if let Some(newest) = in_time.first().or(members.first())
            && reasons[*newest].is_empty()
        {
            reasons[*newest].push(KeepReason::NewestOfGroup);
        }
    }
    let verdict = |(one, reasons): (&Candidate<'_>, Vec<KeepReason>)| {
        if goes_anyway(one) {
            Verdict::Remove(RemoveReason::ForgetBegun)
        } else if reasons.is_empty() {
            Verdict::Remove(RemoveReason::NoRule)
        } else {
            Verdict::Keep(reasons)
        }
    };
    snapshots.iter().zip(reasons).map(verdict).collect()
}

/// It is as good as gone, and must not keep the place of one that stays.
fn goes_anyway(one: &Candidate<'_>) -> bool {
    one.is_forgotten && !one.is_pinned
}

/// Reasons that need no comparison with others.
fn of_itself(rules: &RetentionRules, one: &Candidate<'_>) -> Vec<KeepReason> {
    let mut reasons = Vec::new();
    if one.is_pinned {
        reasons.push(KeepReason::Pinned);
    }
    if rules.is_empty() {
        reasons.push(KeepReason::NoRules);
        return reasons;
    }
    if one.is_damaged {
        reasons.push(KeepReason::Damaged);
    }
    if one.dating == Dating::FromTheFuture {
        reasons.push(KeepReason::FromTheFuture);
    }
    for (key, value) in &rules.tags {
        if one.tags.get(key) == Some(value) {
            reasons.push(KeepReason::Tag { key: key.clone(), value: value.clone() });
        }
    }
    reasons
}

fn group_of<'a>(rules: &RetentionRules, one: &Candidate<'a>) -> Group<'a> {
    let value = match &rules.group_by {
        GroupBy::Series => Some(one.series),
        GroupBy::Nothing => None,
        GroupBy::Tag(key) => one.tags.get(key).map(String::as_str),
    };
    (one.domain, value)
}

/// Those of a history, given newest first, that rules keep; with each rule that does.
fn select(
    rules: &RetentionRules,
    now: Timestamp,
    snapshots: &[Candidate<'_>],
    history: &[usize],
) -> Vec<(usize, KeepReason)> {
    let mut kept = Vec::new();
    for (number, at) in (1..=rules.last).zip(history) {
        kept.push((*at, KeepReason::Last { number, of: rules.last }));
    }
    for period in Period::ALL {
        let of = rules.number_of(period);
        if of == 0 {
            continue;
        }
        let mut newest: BTreeMap<i64, usize> = BTreeMap::new();
        for at in history {
            newest.entry(rules.zone.period(period, snapshots[*at].time)).or_insert(*at);
        }
        for (number, at) in (1..=of).zip(newest.into_values().rev()) {
            kept.push((at, KeepReason::Newest { period, number, of }));
        }
    }
    if let Some(newest) = history.first().filter(|_| rules.within_ms > 0) {
        let until = snapshots[*newest].time.min(now);
        let since = until.0.saturating_sub(i64::try_from(rules.within_ms).unwrap_or(i64::MAX));
        let young = history.iter().take_while(|at| snapshots[**at].time.0 >= since);
        kept.extend(young.map(|at| (*at, KeepReason::Within { within_ms: rules.within_ms })));
    }
    kept
}
