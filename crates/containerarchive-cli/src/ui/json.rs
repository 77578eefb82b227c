//! JSON that is as harmless on a terminal as escaped text.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::ser::{Formatter, Serializer};

use super::printable::is_deceptive;

/// Writes the signs that JSON lets pass and a terminal may obey as `\u` escapes: the value is the same.
struct Harmless;

impl Formatter for Harmless {
    fn write_string_fragment<W: ?Sized + Write>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        let mut rest = fragment;
        while let Some(at) = rest.find(is_deceptive) {
            writer.write_all(&rest.as_bytes()[..at])?;
            let mut signs = rest[at..].chars();
            if let Some(sign) = signs.next() {
                for unit in sign.encode_utf16(&mut [0; 2]) {
                    write!(writer, "\\u{unit:04x}")?;
                }
            }
            rest = signs.as_str();
        }
        writer.write_all(rest.as_bytes())
    }
}

/// One line, without its end.
///
/// # Errors
/// The value has no form in JSON.
pub(super) fn line(value: &impl Serialize) -> serde_json::Result<String> {
    let mut bytes = Vec::new();
    value.serialize(&mut Serializer::with_formatter(&mut bytes, Harmless))?;
    // The serializer writes UTF-8 only.
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_kept_and_nothing_commands_a_terminal() {
        let text = "a\"b\\c\n\u{1b}[m\u{7f}\u{9b}31m \u{202e}x grün \u{1d173}y\u{e0041}";
        let line = line(&[text]).unwrap();
        assert!(!line.contains(is_deceptive), "{line}");
        assert!(line.contains("\\u202ex grün \\ud834\\udd73y"), "{line}");
        assert_eq!(serde_json::from_str::<[String; 1]>(&line).unwrap(), [text]);
    }
}
