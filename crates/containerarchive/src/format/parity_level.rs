//! How new packs are protected, as it stands in settings and on the command line.

use std::fmt;
use std::str::FromStr;

use crate::base::limits::MAX_GROUP_MEMBERS;
use crate::parity::MAX_SHARDS;

/// Protection of packs by erasure coding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parity {
    /// None.
    Off,
    /// `members+shards`: groups of up to so many packs, each with so many shards.
    Groups {
        /// Most packs in a group (k), 1 to 200.
        members: u8,
        /// Shards of a group (m), 1 to 16: so many lost packs of a group can be rebuilt.
        shards: u8,
    },
}

impl Default for Parity {
    /// 40+2: 5 % of space, any two lost packs of a group.
    fn default() -> Self {
        Self::Groups { members: 40, shards: 2 }
    }
}

/// A text that is no parity level.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "parity is 'off' or PACKS+SHARDS, for example 40+2, with 1 to {MAX_GROUP_MEMBERS} packs and 1 to {MAX_SHARDS} shards"
)]
pub struct ParseParityError;

impl fmt::Display for Parity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => f.write_str("off"),
            Self::Groups { members, shards } => write!(f, "{members}+{shards}"),
        }
    }
}

impl FromStr for Parity {
    type Err = ParseParityError;

    fn from_str(text: &str) -> Result<Self, ParseParityError> {
        if text == "off" {
            return Ok(Self::Off);
        }
        let (members, shards) = text.split_once('+').ok_or(ParseParityError)?;
        let number = |text: &str, limit: usize| {
            let is_digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            let number = is_digits.then(|| text.parse::<u8>().ok()).flatten();
            number.filter(|number| (1..=limit).contains(&usize::from(*number))).ok_or(ParseParityError)
        };
        Ok(Self::Groups { members: number(members, MAX_GROUP_MEMBERS)?, shards: number(shards, MAX_SHARDS)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_read_as_they_are_printed_and_limits_hold() {
        for text in ["off", "40+2", "20+1", "1+1", "200+16"] {
            assert_eq!(text.parse::<Parity>().unwrap().to_string(), text);
        }
        for text in
            ["", "on", "40", "40+", "+2", "0+1", "1+0", "201+1", "40+17", "40+2+1", "-1+1", "40 + 2", "300+1"]
        {
            assert!(text.parse::<Parity>().is_err(), "{text}");
        }
    }
}
