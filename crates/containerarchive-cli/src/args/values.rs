//! Values with a form of their own: sizes, times, pairs.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;
use std::str::FromStr;

use containerarchive::format::signed::{MAX_PACK_SIZE, MIN_PACK_SIZE};
use containerarchive::{Argon2Params, ChunkParams, GroupBy, Selector, Timestamp, Zone};

/// `KEY=VALUE`
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KeyValue {
    pub(crate) key: String,
    pub(crate) value: String,
}

impl FromStr for KeyValue {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            Some((key, value)) if !key.is_empty() => {
                Ok(Self { key: key.to_owned(), value: value.to_owned() })
            }
            _ => Err("write it as KEY=VALUE".to_owned()),
        }
    }
}

/// Tags as they would be typed.
pub(crate) fn pairs(tags: BTreeMap<String, String>) -> Vec<KeyValue> {
    tags.into_iter().map(|(key, value)| KeyValue { key, value }).collect()
}

/// `NAME=FILE`; the name ends at the first `=`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NamedFile {
    pub(crate) name: String,
    pub(crate) file: PathBuf,
}

/// `NAME=COMMAND`; the name ends at the first `=`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NamedCommand {
    pub(crate) name: String,
    pub(crate) command: OsString,
}

/// A name and what comes after the first `=`.
fn parse_named(text: &OsString, form: &str) -> Result<(String, OsString), String> {
    let bytes = text.as_bytes();
    let at = bytes.iter().position(|byte| *byte == b'=').filter(|at| *at > 0 && at + 1 < bytes.len());
    let at = at.ok_or_else(|| format!("write it as {form}"))?;
    let name = std::str::from_utf8(&bytes[..at]).map_err(|_| "the name is not UTF-8")?;
    Ok((name.to_owned(), OsString::from_vec(bytes[at + 1..].to_vec())))
}

pub(super) fn parse_named_file(text: &OsString) -> Result<NamedFile, String> {
    let (name, file) = parse_named(text, "NAME=FILE")?;
    Ok(NamedFile { name, file: file.into() })
}

pub(super) fn parse_named_command(text: &OsString) -> Result<NamedCommand, String> {
    let (name, command) = parse_named(text, "NAME=COMMAND")?;
    Ok(NamedCommand { name, command })
}

/// Bytes of `65536`, `64KiB`, `16MiB`, `1GiB`.
pub(super) fn parse_size(text: &str) -> Result<u64, String> {
    let digits = text.find(|sign: char| !sign.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let shift = match unit.trim_start() {
        "" | "B" => 0,
        "KiB" => 10,
        "MiB" => 20,
        "GiB" => 30,
        _ => {
            return Err(format!(
                "'{text}' is not a size: write a number of bytes, or one with KiB, MiB or GiB"
            ));
        }
    };
    let number: u64 = number.parse().map_err(|_| format!("'{text}' is not a size"))?;
    number.checked_mul(1 << shift).ok_or_else(|| format!("'{text}' is too large"))
}

pub(crate) fn parse_pack_size(text: &str) -> Result<u64, String> {
    let size = parse_size(text)?;
    if (MIN_PACK_SIZE..=MAX_PACK_SIZE).contains(&size) {
        return Ok(size);
    }
    Err(format!("choose {} KiB to {} MiB", MIN_PACK_SIZE >> 10, MAX_PACK_SIZE >> 20))
}

/// How old something may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Age {
    pub(crate) ms: u64,
}

pub(crate) fn parse_age(text: &str) -> Result<Age, String> {
    let wrong =
        || format!("'{text}' is not an age: write a whole number with s, m, h, d or w, such as 26h or 30d");
    let digits = text.find(|sign: char| !sign.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let seconds: u64 = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        "w" => 7 * 86_400,
        _ => return Err(wrong()),
    };
    let number: u64 = number.parse().map_err(|_| wrong())?;
    if number == 0 {
        return Err(format!("'{text}' is not possible: everything is older; choose 1s or more"));
    }
    let ms = number.checked_mul(seconds * 1000).filter(|ms| i64::try_from(*ms).is_ok());
    ms.map(|ms| Age { ms }).ok_or_else(|| format!("'{text}' is too large"))
}

/// A part of everything, in millionths.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Share {
    pub(crate) ppm: u32,
}

/// `5%` or `0.25%`: more than nothing, at most all, to four decimals.
pub(crate) fn parse_share(text: &str) -> Result<Share, String> {
    let wrong =
        || format!("'{text}' is not a share: write a number from 0.0001% to 100%, such as 5% or 0.5%");
    let number = text.strip_suffix('%').ok_or_else(wrong)?;
    let (whole, decimals) = number.split_once('.').unwrap_or((number, "0"));
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number(whole) || !is_number(decimals) || whole.len() > 3 || decimals.len() > 4 {
        return Err(wrong());
    }
    let ppm: u32 = format!("{whole}{decimals:0<4}").parse().map_err(|_| wrong())?;
    if (1..=1_000_000).contains(&ppm) { Ok(Share { ppm }) } else { Err(wrong()) }
}

/// Exactly `N` parts between commas.
fn parts<const N: usize>(text: &str) -> Option<[&str; N]> {
    let parts: Vec<&str> = text.split(',').map(str::trim).collect();
    parts.try_into().ok()
}

pub(super) fn parse_chunk_size(text: &str) -> Result<ChunkParams, String> {
    let parts: [&str; 3] = parts(text).ok_or("write three sizes: MIN,AVERAGE,MAX")?;
    let mut sizes = [0; 3];
    for (size, part) in sizes.iter_mut().zip(parts) {
        *size = usize::try_from(parse_size(part)?).map_err(|error| error.to_string())?;
    }
    ChunkParams::new(sizes[0], sizes[1], sizes[2]).map_err(|error| error.to_string())
}

pub(crate) fn parse_kdf(text: &str) -> Result<Argon2Params, String> {
    let [memory, passes, lanes] = parts(text).ok_or("write MEMORY,PASSES,LANES, for example 64MiB,3,4")?;
    let memory_kib = u32::try_from(parse_size(memory)? >> 10).map_err(|_| "too much memory")?;
    let number = |text: &str| text.parse::<u32>().map_err(|_| format!("'{text}' is not a number"));
    Argon2Params::new(memory_kib, number(passes)?, number(lanes)?).map_err(|error| error.to_string())
}

pub(crate) fn parse_time(text: &str) -> Result<Timestamp, String> {
    let whole = if text.len() == "2026-11-22".len() { format!("{text}T00:00:00Z") } else { text.to_owned() };
    Timestamp::parse(&whole).map_err(|_| {
        "write an RFC 3339 time such as 2026-11-22T18:44:18Z or …+01:00, or a date, which begins at 00:00 UTC".to_owned()
    })
}

/// `series`, `none` or `tag:KEY`
pub(crate) fn parse_group_by(text: &str) -> Result<GroupBy, String> {
    match (text, text.strip_prefix("tag:")) {
        ("series", _) => Ok(GroupBy::Series),
        ("none", _) => Ok(GroupBy::Nothing),
        (_, Some(key)) if !key.is_empty() => Ok(GroupBy::Tag(key.to_owned())),
        _ => Err("write series, none or tag:KEY".to_owned()),
    }
}

pub(crate) fn parse_zone(text: &str) -> Result<Zone, String> {
    text.parse().map_err(|error: containerarchive::UnknownZone| error.to_string())
}

pub(crate) fn parse_selector(text: &str) -> Result<Selector, String> {
    Selector::parse(text)
        .ok_or_else(|| "write latest, latest~N, or the beginning of an id (hexadecimal digits)".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_binary_units_and_bounds() {
        assert_eq!(parse_size("65536"), Ok(65536));
        assert_eq!(parse_size("64KiB"), Ok(65536));
        assert_eq!(parse_size("16 MiB"), Ok(16 << 20));
        for bad in ["", "KiB", "64kb", "-1", "1.5MiB", "99999999999GiB"] {
            assert!(parse_size(bad).is_err(), "{bad}");
        }
        assert!(parse_pack_size("1KiB").is_err());
        assert!(parse_chunk_size("64KiB,256KiB").is_err());
        assert!(parse_chunk_size("64KiB,256KiB,1MiB").is_ok());
        assert!(parse_kdf("64MiB,3,4").is_ok());
        assert!(parse_kdf("64MiB,3").is_err());
    }

    #[test]
    fn ages_have_a_unit() {
        let hours = |number: u64| Ok(Age { ms: number * 3_600_000 });
        for (text, age) in
            [("26h", hours(26)), ("90m", Ok(Age { ms: 5_400_000 })), ("30d", hours(720)), ("2w", hours(336))]
        {
            assert_eq!(parse_age(text), age);
        }
        for bad in ["", "26", "h", "1.5h", "26 h", "-1h", "0h", "1y", "99999999999999999w", "1000000000000w"]
        {
            assert!(parse_age(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn shares_are_percentages_of_more_than_nothing_and_at_most_all() {
        for (text, ppm) in
            [("5%", 50_000), ("100%", 1_000_000), ("0.5%", 5_000), ("0.0001%", 1), ("12.25%", 122_500)]
        {
            assert_eq!(parse_share(text), Ok(Share { ppm }));
        }
        for bad in [
            "",
            "5",
            "%",
            "0%",
            "0.0%",
            "100.0001%",
            "101%",
            "-5%",
            "+5%",
            "5.%",
            ".5%",
            "0.00001%",
            "5 %",
            "١%",
        ] {
            assert!(parse_share(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn snapshots_are_grouped_by_series_a_tag_or_nothing_and_days_begin_in_named_zones() {
        assert_eq!(parse_group_by("series"), Ok(GroupBy::Series));
        assert_eq!(parse_group_by("none"), Ok(GroupBy::Nothing));
        assert_eq!(parse_group_by("tag:host"), Ok(GroupBy::Tag("host".into())));
        for bad in ["", "tag", "tag:", "host", "Series"] {
            assert!(parse_group_by(bad).is_err(), "{bad}");
        }
        assert!(parse_zone("Europe/Berlin").is_ok());
        assert!(parse_zone("CET-1CEST").is_err());
    }

    #[test]
    fn times_are_rfc_3339_or_dates() {
        assert_eq!(
            parse_time("2026-11-22"),
            Timestamp::parse("2026-11-22T00:00:00Z").map_err(|_| String::new())
        );
        assert!(parse_time("2026-11-22T01:00:00+01:00").is_ok());
        assert!(parse_time("yesterday").is_err());
    }

    #[test]
    fn pairs_end_at_the_first_equals_sign() {
        assert_eq!("a=b=c".parse(), Ok(KeyValue { key: "a".into(), value: "b=c".into() }));
        assert!("=b".parse::<KeyValue>().is_err());
        let named = parse_named_file(&"a.sql=/x=y".into()).unwrap();
        assert_eq!((named.name.as_str(), named.file), ("a.sql", "/x=y".into()));
        assert!(parse_named_file(&"a.sql=".into()).is_err());
        assert!(parse_named_file(&"a.sql".into()).is_err());
        let named = parse_named_command(&"a.sql=A=1 dump".into()).unwrap();
        assert_eq!((named.name.as_str(), named.command), ("a.sql", "A=1 dump".into()));
    }
}
