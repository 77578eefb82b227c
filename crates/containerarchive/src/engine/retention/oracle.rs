//! The rules once more, slowly and by other means: a calendar that counts days one by one, time zones by the laws of
//! their countries, and comparisons of each snapshot with all others. Random histories must be judged alike.

use std::collections::{BTreeMap, BTreeSet};

use super::judge::{Candidate, judge};
use super::{Dating, GroupBy, KeepReason, Period, RetentionRules, Verdict, Zone};
use crate::base::testing::SeededRandomness;
use crate::base::{DomainId, Randomness, SessionId, Timestamp};

const HOUR: i64 = 3600;
const DAY: i64 = 24 * HOUR;
const HISTORIES: u64 = 10_000;

/// Year, month, day of each day from 1970 to 2040, in order.
struct Calendar(Vec<(i64, i64, i64)>);

impl Calendar {
    fn new() -> Self {
        let mut days = Vec::new();
        for year in 1970..=2040 {
            let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
            for month in 1..=12 {
                let length = match month {
                    4 | 6 | 9 | 11 => 30,
                    2 => 28 + i64::from(is_leap),
                    _ => 31,
                };
                days.extend((1..=length).map(|day| (year, month, day)));
            }
        }
        Self(days)
    }

    fn date(&self, day: i64) -> (i64, i64, i64) {
        self.0[usize::try_from(day).unwrap()]
    }

    fn day(&self, date: (i64, i64, i64)) -> i64 {
        self.0.binary_search(&date).unwrap() as i64
    }

    /// The first or a later Sunday of a month, or its last.
    fn sunday(&self, year: i64, month: i64, which: usize) -> i64 {
        let first = self.day((year, month, 1));
        let days = (first..first + 31).filter(|day| self.date(*day).1 == month);
        // 1970 began on a Thursday.
        let sundays: Vec<i64> = days.filter(|day| day % 7 == 3).collect();
        sundays.get(which).or(sundays.last()).copied().unwrap()
    }
}

/// Time zones, as their laws have been since 2008.
#[derive(Clone, Copy, Debug)]
enum Law {
    Utc,
    Berlin,
    NewYork,
    Kolkata,
    LordHowe,
}

const LAWS: [(Law, &str); 5] = [
    (Law::Utc, "UTC"),
    (Law::Berlin, "Europe/Berlin"),
    (Law::NewYork, "America/New_York"),
    (Law::Kolkata, "Asia/Kolkata"),
    (Law::LordHowe, "Australia/Lord_Howe"),
];

impl Law {
    /// Seconds that local clocks are ahead of UTC.
    fn offset(self, calendar: &Calendar, at: i64) -> i64 {
        let (year, ..) = calendar.date(at.div_euclid(DAY));
        let midnight_of = |month, which| calendar.sunday(year, month, which) * DAY;
        match self {
            Self::Utc => 0,
            Self::Kolkata => 5 * HOUR + HOUR / 2,
            Self::Berlin => {
                let summer = midnight_of(3, 9) + HOUR..midnight_of(10, 9) + HOUR;
                if summer.contains(&at) { 2 * HOUR } else { HOUR }
            }
            Self::NewYork => {
                let summer = midnight_of(3, 1) + 7 * HOUR..midnight_of(11, 0) + 6 * HOUR;
                if summer.contains(&at) { -4 * HOUR } else { -5 * HOUR }
            }
            Self::LordHowe => {
                // South of the equator: winter lies within the year, and half an hour is what it takes.
                let winter = midnight_of(4, 0) + 2 * HOUR - 11 * HOUR
                    ..midnight_of(10, 0) + 2 * HOUR - 10 * HOUR - HOUR / 2;
                if winter.contains(&at) { 10 * HOUR + HOUR / 2 } else { 11 * HOUR }
            }
        }
    }
}

/// One snapshot of a history, with what the oracle knows of it.
#[derive(Debug, Clone)]
struct Event {
    id: SessionId,
    domain: DomainId,
    series: String,
    tags: BTreeMap<String, String>,
    time: Timestamp,
    stored_at: Timestamp,
    is_pinned: bool,
}

struct Random(SeededRandomness);

impl Random {
    fn below(&self, limit: u64) -> u64 {
        let mut bytes = [0; 8];
        self.0.fill(&mut bytes).unwrap();
        u64::from_le_bytes(bytes) % limit
    }

    fn is(&self, percent: u64) -> bool {
        self.below(100) < percent
    }

    fn of<'a, T>(&self, choices: &'a [T]) -> &'a T {
        &choices[self.below(choices.len() as u64) as usize]
    }
}

/// Instants around which histories lie: leap days, ends of years and weeks, and all changes of clocks of 2024 to 2028.
fn focus(calendar: &Calendar, random: &Random) -> i64 {
    let year = 2024 + random.below(5) as i64;
    let day = match random.below(9) {
        0 => calendar.sunday(year, 3, 9),
        1 => calendar.sunday(year, 10, 9),
        2 => calendar.sunday(year, 3, 1),
        3 => calendar.sunday(year, 11, 0),
        4 => calendar.sunday(year, 4, 0),
        5 => calendar.sunday(year, 10, 0),
        6 => calendar.day((2024 + 4 * random.below(2) as i64, 2, 29)),
        7 => calendar.day((year, 12, 31)),
        _ => calendar.day((year, 1 + random.below(12) as i64, 1)),
    };
    day * DAY + random.below(DAY as u64) as i64
}

fn history(calendar: &Calendar, random: &Random) -> (Timestamp, Vec<Event>) {
    let focus = focus(calendar, random);
    // From some hours to some years around it.
    let span = *random.of(&[6 * HOUR, 3 * DAY, 20 * DAY, 100 * DAY, 1500 * DAY]);
    // Sometimes a clock that is behind, for which the last snapshots lie in the future.
    let now = if random.is(80) { focus + span } else { focus + random.below(span as u64) as i64 };
    let now = Timestamp(now * 1000);
    let events = (0..random.below(41)).map(|number| {
        let seconds = focus - span + random.below(2 * span as u64) as i64;
        // Often at full hours and midnights, where periods begin.
        let seconds = if random.is(25) { seconds - seconds % HOUR } else { seconds };
        let time = Timestamp(seconds * 1000 + if random.is(25) { -1 } else { 0 });
        let shift = match random.below(10) {
            0 => random.below(400 * DAY as u64) as i64 * 1000,
            1 => -(random.below(400 * DAY as u64) as i64) * 1000,
            2 => *random.of(&[600_000, 600_001, -600_000, -600_001]),
            _ => 0,
        };
        let mut id = [0; 16];
        id[0] = random.below(256) as u8;
        id[15] = number as u8;
        let tag = |random: &Random| random.of(&["1", "2"]).to_string();
        let tags =
            if random.is(30) { BTreeMap::from([("k".to_owned(), tag(random))]) } else { BTreeMap::new() };
        Event {
            id: SessionId(id),
            domain: DomainId([random.below(2) as u8; 16]),
            series: random.of(&["a", "b"]).to_string(),
            tags,
            time,
            stored_at: Timestamp(time.0 + shift),
            is_pinned: random.is(5),
        }
    });
    (now, events.collect())
}

fn within(random: &Random, zero_percent: u64) -> u64 {
    let hours = *random.of(&[1, 2, 3, 5, 24, 48, 480]);
    match random.below(100) {
        number if number < zero_percent.max(70) => 0,
        number if number % 2 == 0 => hours * HOUR as u64 * 1000,
        _ => (1 + random.below(40 * DAY as u64)) * 1000,
    }
}

fn rules(random: &Random, zone: &str) -> RetentionRules {
    // Sometimes tags alone.
    let zero_percent = if random.is(10) { 100 } else { 50 };
    let number = |random: &Random| if random.is(zero_percent) { 0 } else { 1 + random.below(8) as u32 };
    RetentionRules {
        last: number(random),
        hourly: number(random),
        daily: number(random),
        weekly: number(random),
        monthly: number(random),
        yearly: number(random),
        within_ms: within(random, zero_percent),
        tags: if random.is(80) {
            BTreeSet::new()
        } else {
            BTreeSet::from([("k".to_owned(), "1".to_owned())])
        },
        group_by: random.of(&[GroupBy::Series, GroupBy::Nothing, GroupBy::Tag("k".to_owned())]).clone(),
        zone: zone.parse::<Zone>().unwrap(),
    }
}

/// What the clock on the wall and the calendar beside it show, as far as a period goes.
fn shown(calendar: &Calendar, law: Law, period: Period, time: Timestamp) -> [i64; 5] {
    let at = time.0.div_euclid(1000);
    let offset = law.offset(calendar, at);
    let local = at + offset;
    let day = local.div_euclid(DAY);
    let (year, month, date) = calendar.date(day);
    match period {
        Period::Year => [year, 0, 0, 0, 0],
        Period::Month => [year, month, 0, 0, 0],
        // Its Monday.
        Period::Week => [day - (day + 3) % 7, 0, 0, 0, 0],
        Period::Day => [year, month, date, 0, 0],
        // The second of two equal hours has the smaller offset.
        Period::Hour => [year, month, date, local.rem_euclid(DAY) / HOUR, -offset],
    }
}

struct Oracle<'a> {
    calendar: &'a Calendar,
    law: Law,
    rules: &'a RetentionRules,
    now: Timestamp,
}

impl Oracle<'_> {
    fn is_future(&self, one: &Event) -> bool {
        one.time.0 - 600_000 > one.stored_at.0 || one.time.0 - 600_000 > self.now.0
    }

    fn is_back_dated(&self, one: &Event) -> bool {
        !self.is_future(one) && one.stored_at.0 - one.time.0 > 600_000
    }

    fn are_compared(&self, one: &Event, other: &Event) -> bool {
        let same = match &self.rules.group_by {
            GroupBy::Series => one.series == other.series,
            GroupBy::Nothing => true,
            GroupBy::Tag(key) => one.tags.get(key) == other.tags.get(key),
        };
        same && one.domain == other.domain && !self.is_future(other)
    }

    /// Why a snapshot stays; nothing: it goes.
    fn reasons(&self, one: &Event, all: &[Event]) -> BTreeSet<String> {
        let rules = self.rules;
        let numbers = [rules.last, rules.hourly, rules.daily, rules.weekly, rules.monthly, rules.yearly];
        let mut reasons = BTreeSet::new();
        if one.is_pinned {
            reasons.insert("pinned".to_owned());
        }
        if numbers.iter().sum::<u32>() == 0 && rules.within_ms == 0 && rules.tags.is_empty() {
            reasons.insert("no rules are given".to_owned());
            return reasons;
        }
        for (key, value) in &rules.tags {
            if one.tags.get(key) == Some(value) {
                reasons.insert(format!("tag {key}={value}"));
            }
        }
        if self.is_future(one) {
            reasons.insert("from the future".to_owned());
            return reasons;
        }
        let rivals: Vec<&Event> = all
            .iter()
            .filter(|other| self.are_compared(one, other))
            .filter(|other| self.is_back_dated(one) || !self.is_back_dated(other))
            .collect();
        let later: Vec<&Event> =
            rivals.iter().copied().filter(|other| (other.time, other.id) > (one.time, one.id)).collect();
        let number = later.len() as u32 + 1;
        if number <= rules.last {
            reasons.insert(format!("last {number} of {}", rules.last));
        }
        let newest = rivals.iter().map(|other| other.time.0).max().unwrap().min(self.now.0);
        if rules.within_ms > 0 && newest - one.time.0 <= rules.within_ms as i64 {
            reasons.insert(KeepReason::Within { within_ms: rules.within_ms }.to_string());
        }
        for (period, of) in Period::ALL.into_iter().zip(&numbers[1..]) {
            let shown = |other: &Event| shown(self.calendar, self.law, period, other.time);
            let is_newest = later.iter().all(|other| shown(other) != shown(one));
            let later_periods: BTreeSet<_> =
                rivals.iter().map(|other| shown(other)).filter(|other| *other > shown(one)).collect();
            let number = later_periods.len() as u32 + 1;
            if is_newest && number <= *of {
                reasons.insert(format!("{} {number} of {of}", period.word()));
            }
        }
        // Of a group with times that are believed, the newest of these; else the newest.
        let leads = !self.is_back_dated(one) || rivals.iter().all(|other| self.is_back_dated(other));
        if reasons.is_empty() && later.is_empty() && leads {
            reasons.insert("newest of its group".to_owned());
        }
        reasons
    }
}

#[test]
fn ten_thousand_random_histories_are_judged_as_by_the_oracle() {
    let calendar = Calendar::new();
    let mut kinds: BTreeMap<String, u64> = BTreeMap::new();
    for seed in 0..HISTORIES {
        let random = Random(SeededRandomness::new(seed));
        let (law, zone) = *random.of(&LAWS);
        let rules = rules(&random, zone);
        let (now, events) = history(&calendar, &random);
        let candidates: Vec<Candidate<'_>> = events
            .iter()
            .map(|event| Candidate {
                id: event.id,
                domain: event.domain,
                series: &event.series,
                tags: &event.tags,
                time: event.time,
                dating: Dating::of(event.time, event.stored_at, now),
                is_pinned: event.is_pinned,
                is_damaged: false,
                is_forgotten: false,
            })
            .collect();
        let oracle = Oracle { calendar: &calendar, law, rules: &rules, now };
        for (event, verdict) in events.iter().zip(judge(&rules, now, &candidates)) {
            let reasons: BTreeSet<String> = match &verdict {
                Verdict::Keep(reasons) => reasons.iter().map(KeepReason::to_string).collect(),
                Verdict::Remove(_) => BTreeSet::new(),
            };
            assert_eq!(
                reasons,
                oracle.reasons(event, &events),
                "seed {seed}, zone {zone}, now {now}: {event:?} is judged '{verdict}' by {rules:?}"
            );
            if reasons.is_empty() {
                *kinds.entry("removed".to_owned()).or_default() += 1;
            }
            for reason in reasons {
                *kinds.entry(reason.split(' ').next().unwrap().to_owned()).or_default() += 1;
            }
        }
    }
    println!("seeds 0 to {}, reasons: {kinds:?}", HISTORIES - 1);
    for reason in ["removed", "last", "hourly", "daily", "weekly", "monthly", "yearly", "within", "tag"] {
        assert!(kinds.get(reason).is_some_and(|count| *count > 1000), "{reason} seldom decides: {kinds:?}");
    }
    for reason in ["pinned", "from", "no", "newest"] {
        assert!(kinds.get(reason).is_some_and(|count| *count > 100), "{reason} seldom decides: {kinds:?}");
    }
}

#[test]
fn the_laws_are_those_of_the_time_zone_database() {
    let calendar = Calendar::new();
    for (law, zone) in LAWS {
        let zone: Zone = zone.parse().unwrap();
        let first = calendar.day((2023, 1, 1)) * DAY;
        for at in (first..calendar.day((2030, 1, 1)) * DAY).step_by(1800) {
            for time in [Timestamp(at * 1000), Timestamp(at * 1000 - 1)] {
                let [year, month, date, ..] = shown(&calendar, law, Period::Day, time);
                assert_eq!(
                    zone.period(Period::Day, time),
                    (year * 100 + month) * 100 + date,
                    "{zone} {time}"
                );
                let [.., offset] = shown(&calendar, law, Period::Hour, time);
                let begins = zone.period(Period::Hour, time);
                let behind = (begins - offset * 1000).rem_euclid(HOUR * 1000);
                assert_eq!(
                    (behind, (0..HOUR * 1000).contains(&(time.0 - begins))),
                    (0, true),
                    "{zone} {time}"
                );
            }
        }
    }
}
