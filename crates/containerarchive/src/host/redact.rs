//! Secrets in command lines and messages, replaced before anything is stored or shown.
//!
//! This recognizes the forms in which secrets are usually written, and nothing else: a password that looks like any
//! other word is not seen. Where it is in doubt it hides more than it has to.

use std::ops::Range;

const HIDDEN: &str = "***";
/// Shorter values are not looked for in messages: they are parts of other words.
const LEAST_REPEATED_BYTES: usize = 4;
/// User names of URLs are shorter; this long, it is an access token.
const LEAST_TOKEN_BYTES: usize = 20;

/// Parts of a name, without its `-`, `_` and `.`, which say that its value is a secret.
const SECRET_WORDS: [&str; 16] = [
    "passw",
    "passphrase",
    "passcode",
    "passin",
    "passout",
    "secret",
    "token",
    "credential",
    "signature",
    "apikey",
    "accesskey",
    "accountkey",
    "privatekey",
    "encryptionkey",
    "applicationkey",
    "authkey",
];
/// Ends of a name which say that its value tells where a secret is, and is none itself.
const PLACE_WORDS: [&str; 8] = ["file", "path", "dir", "command", "cmd", "fd", "name", "prompt"];

/// A flag by which programs whose name begins so take a secret: `-pSECRET`, and `-p SECRET` where `is_apart`.
struct ProgramFlag {
    program: &'static str,
    flag: &'static str,
    is_apart: bool,
}

const PROGRAM_FLAGS: [ProgramFlag; 12] = [
    ProgramFlag { program: "mysql", flag: "-p", is_apart: false },
    ProgramFlag { program: "mariadb", flag: "-p", is_apart: false },
    ProgramFlag { program: "mydumper", flag: "-p", is_apart: true },
    ProgramFlag { program: "xtrabackup", flag: "-p", is_apart: false },
    ProgramFlag { program: "mongo", flag: "-p", is_apart: true },
    ProgramFlag { program: "redis-cli", flag: "-a", is_apart: true },
    ProgramFlag { program: "sqlcmd", flag: "-P", is_apart: true },
    ProgramFlag { program: "ldap", flag: "-w", is_apart: true },
    ProgramFlag { program: "sshpass", flag: "-p", is_apart: true },
    ProgramFlag { program: "7z", flag: "-p", is_apart: false },
    ProgramFlag { program: "zip", flag: "-P", is_apart: true },
    ProgramFlag { program: "openssl", flag: "-k", is_apart: true },
];

/// Hides the secrets of one command, in the command itself and in what it says.
pub(super) struct Redaction {
    /// The command as it may be stored and shown.
    pub(super) shown: String,
    secrets: Vec<String>,
}

impl Redaction {
    pub(super) fn new(command: &str) -> Self {
        let ranges = secrets(command);
        let values = ranges.iter().map(|range| command[range.clone()].trim_matches(['\'', '"']).to_owned());
        let secrets = values.filter(|value| value.len() >= LEAST_REPEATED_BYTES).collect();
        let mut redaction = Self { shown: String::new(), secrets };
        redaction.shown = redaction.redact(command);
        redaction
    }

    /// A message of the command: without what looks like a secret, and without the command's own.
    pub(super) fn redact(&self, message: &str) -> String {
        let mut ranges = secrets(message);
        for secret in &self.secrets {
            ranges.extend(message.match_indices(secret).map(|(at, found)| at..at + found.len()));
        }
        without(message, ranges)
    }
}

/// The text without passwords in URLs (`scheme://user:password@host`), in `NAME=value`, `--name=value`, `--name value`
/// and `name: value` where the name says so, in `-u user:password`, here strings (`<<<`), SQL's `PASSWORD '…'`, and in
/// flags such as mysql's `-pvalue`. Shell quotes are understood.
#[must_use]
pub fn redact(text: &str) -> String {
    without(text, secrets(text))
}

fn without(text: &str, mut ranges: Vec<Range<usize>>) -> String {
    ranges.sort_by_key(|range| range.start);
    let mut redacted = String::with_capacity(text.len());
    let mut end = 0;
    for range in ranges {
        // Of two that overlap, what both cover is hidden once.
        if range.start >= end {
            redacted.push_str(&text[end..range.start]);
            redacted.push_str(HIDDEN);
        }
        end = end.max(range.end);
    }
    redacted.push_str(&text[end..]);
    redacted
}

/// Where the secrets of a text are; in order, and not overlapping.
fn secrets(text: &str) -> Vec<Range<usize>> {
    let mut scan = Scan { text, quote: None, flags: Vec::new(), after_identified: false };
    let mut found = Vec::new();
    let mut at = 0;
    while at < text.len() {
        let end = scan.word_end(at);
        let next = if end > at { scan.after_word(at, end) } else { scan.after_sign(at) };
        at = match next {
            Some(secret) if !secret.is_empty() => {
                let end = secret.end;
                found.push(secret);
                end
            }
            _ => end.max(scan.boundary(at + 1)),
        };
    }
    found
}

struct Scan<'a> {
    text: &'a str,
    /// The quote that the place is in, if any.
    quote: Option<u8>,
    /// Flags of the programs that were named.
    flags: Vec<&'static ProgramFlag>,
    /// The word before was SQL's `IDENTIFIED`.
    after_identified: bool,
}

impl Scan<'_> {
    fn byte(&self, at: usize) -> Option<u8> {
        self.text.as_bytes().get(at).copied()
    }

    /// The first place from `at` on where the text may be cut.
    fn boundary(&self, at: usize) -> usize {
        self.text.ceil_char_boundary(at.min(self.text.len()))
    }

    /// The first place from `at` on whose byte is not one of these.
    fn skip(&self, at: usize, is_skipped: impl Fn(u8) -> bool) -> usize {
        let rest = &self.text.as_bytes()[at.min(self.text.len())..];
        at + rest.iter().position(|byte| !is_skipped(*byte)).unwrap_or(rest.len())
    }

    fn after_space(&self, at: usize) -> usize {
        self.skip(at, |byte| byte == b' ')
    }

    /// The end of a name, a flag or a program.
    fn word_end(&self, at: usize) -> usize {
        self.skip(at, |byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-'))
    }

    /// Notes quotes, and finds here strings.
    fn after_sign(&mut self, at: usize) -> Option<Range<usize>> {
        let sign = self.byte(at)?;
        if matches!(sign, b'\'' | b'"') {
            self.quote = match self.quote {
                None => Some(sign),
                Some(open) if open == sign => None,
                open => open,
            };
        }
        self.text[at..].starts_with("<<<").then(|| self.value(self.after_space(at + "<<<".len())))
    }

    /// The secret that this word announces.
    fn after_word(&mut self, at: usize, end: usize) -> Option<Range<usize>> {
        let word = &self.text[at..end];
        self.flags.extend(PROGRAM_FLAGS.iter().filter(|flag| word.starts_with(flag.program)));
        let is_by = word.eq_ignore_ascii_case("by") && self.after_identified;
        self.after_identified = word.eq_ignore_ascii_case("identified");
        if self.text[end..].starts_with("://") {
            return self.url_secret(end + "://".len());
        }
        if let Some(secret) = self.flag_secret(word, at, end) {
            return Some(secret);
        }
        if is_by || word.eq_ignore_ascii_case("bearer") || word.eq_ignore_ascii_case("password") {
            let start = self.after_space(end);
            let is_quoted = matches!(self.byte(start), Some(b'\'' | b'"')) && self.byte(start) != self.quote;
            if start > end && (is_quoted || word.eq_ignore_ascii_case("bearer")) {
                return Some(self.value(start));
            }
        }
        self.named_secret(word, end)
    }

    /// `NAME=value`, `--name=value`, `--name value`, `name: value`.
    fn named_secret(&self, word: &str, end: usize) -> Option<Range<usize>> {
        if word.eq_ignore_ascii_case("authorization") && self.byte(end) == Some(b':') {
            let start = self.after_space(end + 1);
            let rest = self.text[start..].find(['\'', '"', '\n']).unwrap_or(self.text.len() - start);
            return Some(start..start + rest);
        }
        if !is_secret_name(word) {
            return None;
        }
        // Also as in JSON and in lists of other languages: "password": "x", ['--password', 'x'].
        let after_name = self.skip(end, |byte| matches!(byte, b'\'' | b'"'));
        match self.byte(after_name)? {
            b'=' => Some(self.value(after_name + 1)),
            b':' => Some(self.value(self.after_space(after_name + 1))),
            // As in a configuration that a program shows.
            b' ' if self.text[self.after_space(after_name)..].starts_with("= ") => {
                Some(self.value(self.after_space(self.after_space(after_name) + 1)))
            }
            sign if word.starts_with('-') && (sign == b',' || sign.is_ascii_whitespace()) => {
                let start = self.skip(after_name, |byte| byte == b',' || byte.is_ascii_whitespace());
                (self.byte(start) != Some(b'-')).then(|| self.value(start))
            }
            _ => None,
        }
    }

    /// `-u user:password`, and the flags of the programs that were named.
    fn flag_secret(&self, word: &str, at: usize, end: usize) -> Option<Range<usize>> {
        let is_apart = self.byte(end).is_some_and(|byte| byte.is_ascii_whitespace());
        let next_word = || self.skip(end, |byte| byte.is_ascii_whitespace());
        if matches!(word, "-u" | "--user" | "--proxy-user") {
            let start = if self.byte(end) == Some(b'=') { end + 1 } else { next_word() };
            let login = self.value(start);
            let colon = self.text[login.clone()].find(':')?;
            return Some(start + colon + 1..login.end);
        }
        let flag = self.flags.iter().find(|known| {
            word.starts_with(known.flag)
                && if word == known.flag { known.is_apart || !is_apart } else { true }
        })?;
        Some(self.value(if word == flag.flag && is_apart { next_word() } else { at + flag.flag.len() }))
    }

    /// The password of a URL whose authority begins here.
    fn url_secret(&self, start: usize) -> Option<Range<usize>> {
        let rest = &self.text[start..];
        let url = &rest[..rest
            .find(|sign: char| sign.is_whitespace() || sign == '\'' || sign == '"')
            .unwrap_or(rest.len())];
        let authority = &url[..url.find(['/', '?', '#']).unwrap_or(url.len())];
        let login = match authority.rsplit_once('@') {
            Some((login, _)) => login,
            // A password with a sign that should have been written as %2F, unless it is the port of a host.
            None => {
                let (_, port) = authority.split_once(':')?;
                let is_port = port.bytes().all(|byte| byte.is_ascii_digit());
                url.rsplit_once('@').filter(|_| !is_port)?.0
            }
        };
        match login.split_once(':') {
            Some((user, _)) => Some(start + user.len() + 1..start + login.len()),
            None if login.len() >= LEAST_TOKEN_BYTES => Some(start..start + login.len()),
            None => None,
        }
    }

    /// The shell word that begins here. A quote that is never closed reaches to the end of the line.
    fn value(&self, start: usize) -> Range<usize> {
        let mut at = start;
        while let Some(sign) = self.byte(at) {
            match sign {
                b'\\' => at += 2,
                b'\'' | b'"' if at > start && self.quote == Some(sign) => break,
                b'\'' | b'"' => at = self.closed(at + 1, |sign_here| sign_here == sign),
                b'(' if at > start && self.byte(at - 1) == Some(b'$') => {
                    at = self.closed(at + 1, |sign| sign == b')')
                }
                _ if sign.is_ascii_whitespace() => break,
                _ => at += 1,
            }
        }
        start..self.boundary(at)
    }

    /// The place behind the first sign that closes, or the end of the line.
    fn closed(&self, mut at: usize, closes: impl Fn(u8) -> bool) -> usize {
        while let Some(sign) = self.byte(at) {
            match sign {
                b'\n' => return at,
                b'\\' => at += 2,
                _ if closes(sign) => return at + 1,
                _ => at += 1,
            }
        }
        at
    }
}

/// Whether a variable, a flag or a member of this name holds a secret.
fn is_secret_name(name: &str) -> bool {
    let bare = name.trim_start_matches('-');
    let folded: String = bare
        .chars()
        .filter(|sign| sign.is_ascii_alphanumeric())
        .map(|sign| sign.to_ascii_lowercase())
        .collect();
    let last_part = bare.rsplit(['-', '_', '.']).next().unwrap_or(bare).to_ascii_lowercase();
    if bare.starts_with("no-") || PLACE_WORDS.iter().any(|end| folded.ends_with(end)) {
        return false;
    }
    let is_key_variable = bare.ends_with("KEY") && !bare.bytes().any(|byte| byte.is_ascii_lowercase());
    let ends_like_one = (folded.ends_with("pass") && !folded.ends_with("bypass"))
        || (folded.ends_with("pwd") && !matches!(folded.as_str(), "pwd" | "oldpwd"))
        || matches!(last_part.as_str(), "pw" | "auth" | "sig");
    is_key_variable || ends_like_one || SECRET_WORDS.iter().any(|word| folded.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(cases: &[(&str, &str)]) {
        for (text, expected) in cases {
            assert_eq!(redact(text), *expected);
        }
    }

    #[test]
    fn what_is_no_secret_stays() {
        for text in [
            "pg_dump app",
            "PGPASSWORD= pg_dump app",
            "curl https://host/a:b@c",
            "curl https://host:8080/a@b",
            "ssh://git@host/x postgres://me@host/app",
            "cp -pr a b",
            "tool --password-file /etc/x --passphrase-fd 3 --no-password app",
            "cd \"$PWD\" && PWD=/x OLDPWD=/y tar c --bypass x",
            "mysqldump -P3306 -u root -p app",
            "psql -c 'select 1' --user me; can't open \"x\": it isn't there",
            "pg_dump: error: connection to server failed: FATAL:  password authentication failed for user \"me\"",
            "sort --key=2 --key-file k ä€ \u{1b}[0m",
            "",
        ] {
            assert_eq!(redact(text), text);
        }
    }

    #[test]
    fn passwords_in_urls_are_hidden() {
        check(&[
            ("pg_dump postgres://me:geheim@host:5432/app?x=1", "pg_dump postgres://me:***@host:5432/app?x=1"),
            ("pg_dump postgres://me:ge@heim@host/app", "pg_dump postgres://me:***@host/app"),
            ("pg_dump 'postgres://me:ge/heim?#@host/app'", "pg_dump 'postgres://me:***@host/app'"),
            ("redis://:geheim@host", "redis://:***@host"),
            ("postgres://host/app?user=u&password=geheim", "postgres://host/app?user=u&password=***"),
            ("https://ghp_0123456789abcdef0123@host/x", "https://***@host/x"),
        ]);
    }

    #[test]
    fn named_secrets_are_hidden_however_they_are_quoted() {
        check(&[
            ("PGPASSWORD=geheim pg_dump  app", "PGPASSWORD=*** pg_dump  app"),
            ("PGPASSWORD='ge heim' pg_dump", "PGPASSWORD=*** pg_dump"),
            ("PGPASSWORD=\"ge \\\" heim\" pg_dump", "PGPASSWORD=*** pg_dump"),
            ("PGPASSWORD=ge\\ heim pg_dump", "PGPASSWORD=*** pg_dump"),
            ("PGPASSWORD=$(cat /run/x y) pg_dump", "PGPASSWORD=*** pg_dump"),
            ("ssh h \"PGPASSWORD='ge heim' pg_dump\" | cat", "ssh h \"PGPASSWORD=*** pg_dump\" | cat"),
            ("psql \"dbname=d password=geheim\" > \"x\"", "psql \"dbname=d password=***\" > \"x\""),
            ("tool --password geheim --user me", "tool --password *** --user me"),
            ("tool --password 'ge heim' x", "tool --password *** x"),
            ("tool --api-token=geheim -pass pass:geheim", "tool --api-token=*** -pass ***"),
            ("tool --password\n  geheim", "tool --password\n  ***"),
            ("['--password', 'geheim'] {\"password\": \"geheim\"}", "['--password', *** {\"password\": ***"),
            (
                "AWS_SECRET_ACCESS_KEY=a MYSQL_PWD=b B2_KEY=c DB_PASS=d",
                "AWS_SECRET_ACCESS_KEY=*** MYSQL_PWD=*** B2_KEY=*** DB_PASS=***",
            ),
            (
                "curl -H 'Authorization: Basic abc def' -H \"X-Token: abc\"",
                "curl -H 'Authorization: ***' -H \"X-Token: ***\"",
            ),
            ("saw bearer abc.def", "saw bearer ***"),
            ("psql -c \"alter role r password 'ge heim'\"", "psql -c \"alter role r password ***\""),
            ("create user u IDENTIFIED BY 'geheim';", "create user u IDENTIFIED BY ***"),
            ("can't: PGPASSWORD='ge heim' isn't", "can't: PGPASSWORD=*** isn't"),
            ("password='never closed", "password=***"),
            ("[client]\npassword = geheim\nuser = me", "[client]\npassword = ***\nuser = me"),
        ]);
    }

    #[test]
    fn secrets_after_flags_of_known_programs_are_hidden() {
        check(&[
            ("/usr/bin/mysqldump -pge!heim -u me app", "/usr/bin/mysqldump -p*** -u me app"),
            ("mysqldump -p'ge heim' app", "mysqldump -p*** app"),
            ("mysqldump --where='a;b' -pgeheim", "mysqldump --where='a;b' -p***"),
            ("mongodump -p geheim", "mongodump -p ***"),
            ("sshpass -p geheim ssh h", "sshpass -p *** ssh h"),
            ("redis-cli -a geheim save", "redis-cli -a *** save"),
            ("curl -u me:geheim --proxy-user=me:geheim x", "curl -u me:*** --proxy-user=me:*** x"),
            ("gpg --passphrase-fd 0 <<< geheim", "gpg --passphrase-fd 0 <<< ***"),
        ]);
    }

    #[test]
    fn the_commands_own_secrets_are_hidden_wherever_they_are_repeated() {
        let redaction = Redaction::new("PGPASSWORD='ge heim' pg_dump --pass ab # ge heim");
        assert_eq!(redaction.shown, "PGPASSWORD=*** pg_dump --pass *** # ***");
        assert_eq!(redaction.redact("ge heim is wrong for drab"), "*** is wrong for drab");
    }

    #[test]
    fn no_text_makes_it_fail() {
        let signs = [
            "password=",
            "-p",
            "mysql",
            "'",
            "\"",
            "\\",
            "ä",
            "://",
            "@",
            ":",
            "$(",
            " ",
            "\n",
            "<<<",
            "--token",
        ];
        // Every sequence of four, so that each sign stands at the end and at the beginning of a value.
        for number in 0..signs.len().pow(4) {
            let text: String =
                (0..4).map(|place| signs[number / signs.len().pow(place) % signs.len()]).collect();
            let _ = redact(&text);
        }
    }
}
