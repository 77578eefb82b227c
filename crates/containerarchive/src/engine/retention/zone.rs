//! Where days begin: time zones, and the period that a time lies in.

use std::fmt;
use std::str::FromStr;

use jiff::civil::ISOWeekDate;
use jiff::tz::{TimeZone, TimeZoneDatabase};

use super::rules::Period;
use crate::base::Timestamp;

const HOUR_MS: i64 = 3_600_000;

/// A time zone. Named ones come from the database that is part of the program, so that a host without one, or with an
/// old one, gets the same days; neither files nor environment variables are looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Zone(TimeZone);

/// There is no time zone of this name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{name}' is no time zone that is known: write one like Europe/Berlin, or UTC")]
pub struct UnknownZone {
    /// What was asked for.
    pub name: String,
}

impl Default for Zone {
    fn default() -> Self {
        Self(TimeZone::UTC)
    }
}

impl From<TimeZone> for Zone {
    fn from(zone: TimeZone) -> Self {
        Self(zone)
    }
}

impl FromStr for Zone {
    type Err = UnknownZone;

    fn from_str(name: &str) -> Result<Self, UnknownZone> {
        let zone = TimeZoneDatabase::bundled().get(name);
        zone.map(Self).map_err(|_| UnknownZone { name: name.to_owned() })
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.iana_name().unwrap_or("without a name"))
    }
}

impl Zone {
    /// The number of the period that a time lies in: periods that are later have greater ones.
    pub(super) fn period(&self, period: Period, time: Timestamp) -> i64 {
        // What no calendar holds lies behind all that it does: the year 9999.
        let instant = jiff::Timestamp::from_millisecond(time.0).unwrap_or(jiff::Timestamp::MAX);
        let local = instant.to_zoned(self.0.clone());
        let date = local.date();
        match period {
            Period::Hour => {
                // Its beginning as an instant tells the two hours apart that the clocks show twice.
                let offset_ms = i64::from(local.offset().seconds()) * 1000;
                time.0.saturating_sub(time.0.saturating_add(offset_ms).rem_euclid(HOUR_MS))
            }
            Period::Day => day_number(date.year(), date.month(), date.day()),
            Period::Week => {
                let week: ISOWeekDate = date.iso_week_date();
                i64::from(week.year()) * 100 + i64::from(week.week())
            }
            Period::Month => i64::from(date.year()) * 100 + i64::from(date.month()),
            Period::Year => i64::from(date.year()),
        }
    }
}

/// Grows with the date; not without gaps.
fn day_number(year: i16, month: i8, day: i8) -> i64 {
    (i64::from(year) * 100 + i64::from(month)) * 100 + i64::from(day)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        Timestamp::parse(text).unwrap()
    }

    #[test]
    fn zones_are_known_by_name_without_files() {
        for name in ["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata"] {
            assert_eq!(name.parse::<Zone>().unwrap().to_string(), name);
        }
        for name in ["", "Berlin", "Europe/Atlantis", "/etc/localtime", "../UTC"] {
            assert!(name.parse::<Zone>().is_err(), "{name}");
        }
    }

    #[test]
    fn the_hour_that_comes_twice_is_two_hours_and_the_day_is_one() {
        let berlin: Zone = "Europe/Berlin".parse().unwrap();
        let first = at("2026-10-25T02:30:00+02:00");
        let second = at("2026-10-25T02:10:00+01:00");
        assert!(berlin.period(Period::Hour, first) < berlin.period(Period::Hour, second));
        assert_eq!(berlin.period(Period::Day, first), berlin.period(Period::Day, second));
        // Half an hour comes twice there.
        let island: Zone = "Australia/Lord_Howe".parse().unwrap();
        let hour = |text: &str| island.period(Period::Hour, at(text));
        assert!(hour("2026-04-05T01:45:00+11:00") < hour("2026-04-05T01:45:00+10:30"));
        assert_eq!(hour("2026-04-05T01:31:00+10:30"), hour("2026-04-05T01:45:00+10:30"));
    }

    #[test]
    fn days_begin_at_the_zones_midnight_and_weeks_on_monday() {
        let (utc, berlin) = (Zone::default(), "Europe/Berlin".parse::<Zone>().unwrap());
        let late = at("2026-12-31T23:30:00Z");
        assert_eq!(utc.period(Period::Day, late), 20261231);
        assert_eq!(berlin.period(Period::Day, late), 20270101);
        // The last days of 2026 and the first of 2027 are one week, and February of a leap year has 29 days.
        assert_eq!(utc.period(Period::Week, late), 202653);
        assert_eq!(utc.period(Period::Week, at("2027-01-03T23:59:59Z")), 202653);
        assert_eq!(utc.period(Period::Week, at("2027-01-04T00:00:00Z")), 202701);
        assert_eq!(utc.period(Period::Day, at("2028-02-29T12:00:00Z")), 20280229);
    }

    #[test]
    fn a_time_that_no_calendar_holds_has_a_period_all_the_same() {
        for period in Period::ALL {
            let last = Zone::default().period(period, Timestamp(i64::MAX));
            assert!(last >= Zone::default().period(period, at("9999-01-01T00:00:00Z")), "{period:?}");
        }
    }
}
