//! Numbers as people read them.

use containerarchive::Timestamp;

/// `1.5 MiB`
pub(crate) fn size(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64 / 1024.0;
    let mut unit = 0;
    // 1023.95 would be rounded to 1024.0.
    while value >= 1023.95 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

/// `1 item`, `2 items`
pub(crate) fn count(number: u64, word: &str) -> String {
    if number == 1 { format!("1 {word}") } else { format!("{number} {word}s") }
}

/// `0.3 s`, `2 min 5 s`, `3 h 20 min`
pub(crate) fn duration(milliseconds: u64) -> String {
    let seconds = milliseconds / 1000;
    match seconds {
        0..60 => format!("{:.1} s", milliseconds as f64 / 1000.0),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
    }
}

/// `3 min`, `26 h 5 min`, `12 d 3 h`: how long ago something was
pub(crate) fn age(milliseconds: u64) -> String {
    let minutes = milliseconds / 60_000;
    let text = |large: u64, large_unit: &str, small: u64, small_unit: &str| match small {
        0 => format!("{large} {large_unit}"),
        _ => format!("{large} {large_unit} {small} {small_unit}"),
    };
    match minutes {
        0 => format!("{} s", milliseconds / 1000),
        1..60 => format!("{minutes} min"),
        // Backups are daily: up to two days are told in hours.
        60..2880 => text(minutes / 60, "h", minutes % 60, "min"),
        _ => text(minutes / 1440, "d", minutes / 60 % 24, "h"),
    }
}

/// In the time zone of this computer, with its offset.
pub(crate) fn time(timestamp: Timestamp) -> String {
    match jiff::Timestamp::from_millisecond(timestamp.0) {
        Ok(time) => time.to_zoned(jiff::tz::TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S %:z").to_string(),
        Err(_) => timestamp.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short_and_units_binary() {
        for (bytes, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (1536, "1.5 KiB"),
            ((1 << 20) - 1, "1.0 MiB"),
            (3 << 30, "3.0 GiB"),
            (u64::MAX, "16.0 EiB"),
        ] {
            assert_eq!(size(bytes), text);
        }
        assert_eq!(count(1, "item"), "1 item");
        assert_eq!(duration(340), "0.3 s");
        assert_eq!(duration(125_000), "2 min 5 s");
        assert_eq!(duration(12_000_000), "3 h 20 min");
        for (minutes, text) in
            [(0, "0 s"), (59, "59 min"), (60, "1 h"), (1565, "26 h 5 min"), (2880, "2 d"), (2945, "2 d 1 h")]
        {
            assert_eq!(age(minutes * 60_000), text);
        }
    }
}
