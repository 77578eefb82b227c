//! Time enters the engine through a trait, so that a simulator can own it.

use std::fmt;

/// Milliseconds since 1970-01-01T00:00:00Z.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// Parses RFC 3339, for example `2026-11-22T18:44:18.123Z`; digits beyond milliseconds are cut.
    ///
    /// # Errors
    /// The text is not an RFC 3339 time.
    pub fn parse(text: &str) -> Result<Self, jiff::Error> {
        Ok(Self(text.parse::<jiff::Timestamp>()?.as_millisecond()))
    }

    /// Whether a repository can hold it: from 1970 up to, without, the year 10000.
    #[must_use]
    pub fn is_storable(self) -> bool {
        (0..253_402_300_800_000).contains(&self.0)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_millisecond(self.0) {
            Ok(time) => write!(f, "{time:.3}"),
            Err(_) => write!(f, "{} ms since 1970", self.0),
        }
    }
}

impl serde::Serialize for Timestamp {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Timestamp {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let time = Self::parse(&text).map_err(serde::de::Error::custom)?;
        // One time has one form, so that equal objects have equal bytes.
        if time.to_string() != text || !time.is_storable() {
            return Err(serde::de::Error::custom(
                "not a time from 1970 to 9999 like 2026-11-22T18:44:18.123Z",
            ));
        }
        Ok(time)
    }
}

/// Where the engine gets its time from. Clocks decide patience and labels, never safety.
pub trait Clock: Send + Sync {
    /// The time now.
    fn now(&self) -> Timestamp;

    /// Waits for so many milliseconds. A simulator lets others run meanwhile.
    fn sleep_ms(&self, ms: u64) {
        std::thread::sleep(std::time::Duration::from_millis(ms));
    }
}

/// The operating system's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp(jiff::Timestamp::now().as_millisecond())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_print_three_fraction_digits_in_utc() {
        let time = Timestamp::parse("2026-11-22T19:44:18.1239+01:00").unwrap();
        assert_eq!(time.to_string(), "2026-11-22T18:44:18.123Z");
        assert_eq!(Timestamp(0).to_string(), "1970-01-01T00:00:00.000Z");
    }
}
