//! What an error code means for a shell, for the person in front of it and for other programs: the one table of exit
//! codes, causes and advice. `docs/ERRORS.md` and the tables of the README and of the manual are written from it.

#[cfg(test)]
mod documents;

use std::fmt::Write;

use containerarchive::ErrorCode;

/// What is known of an error code.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) code: ErrorCode,
    /// What the process ends with.
    pub(crate) exit_code: u8,
    /// What happened, in general.
    pub(crate) cause: &'static str,
    /// What to do now.
    pub(crate) advice: &'static str,
    /// The cause may pass by itself: the same request, repeated later by a program, may succeed. False where somebody
    /// has to do something first, and where nothing is known of the cause.
    pub(crate) is_retryable: bool,
}

/// Exit codes and what they have in common, for people who look at `$?` only.
pub(crate) const EXIT_CODES: &[(u8, &str)] = &[
    (0, "done"),
    (1, "failure: a source, a file, a snapshot that is too old, or the program; an ingest made no snapshot"),
    (2, "the arguments make no sense"),
    (10, "there is no repository"),
    (11, "held by another session"),
    (12, "wrong or missing key, or the key does not allow it"),
    (13, "damage that can be mended ('verify'), or was ('repair')"),
    (14, "damage that cannot be mended, or a repository that is not as this client saw it last"),
    (15, "storage full"),
    (16, "network"),
    (130, "interrupted"),
];

/// A rollback ends with 14: what the storage shows is not what was acknowledged, which is damage of a snapshot history
/// that nothing here can mend. A newer format ends with 1: nothing is damaged and no key is wrong.
pub(crate) const CATALOGUE: &[Entry] = &[
    Entry {
        code: ErrorCode::Failed,
        exit_code: 1,
        cause: "something failed that has no code of its own: a file, a permission, the disk, or a defect of this program",
        advice: "repeat it; if it fails again, check the disk and the permissions that the message names",
        is_retryable: false,
    },
    Entry {
        code: ErrorCode::Usage,
        exit_code: 2,
        cause: "the request makes no sense: an option, a name or a value",
        advice: "see 'containerarchive help' and 'containerarchive help VERB'",
        is_retryable: false,
    },
    Entry {
        code: ErrorCode::Source,
        exit_code: 1,
        cause: "what was to be stored could not be read to its end",
        advice: "mend the source and ingest again: what was stored already is used again where possible",
        is_retryable: false,
    },
    Entry {
        code: ErrorCode::NoRepository,
        exit_code: 10,
        cause: "there is no repository at the location",
        advice: "check --repo (CONTAINERARCHIVE_REPO) and that the disk is mounted; 'containerarchive init' makes a new repository, 'ingest --init' one where there is none",
        is_retryable: false,
    },
    Entry {
        code: ErrorCode::Exists,
        exit_code: 1,
        cause: "what was to be made is there already: a repository, a file of a restore, a folder that is not empty",
        advice: "nothing was replaced; choose another place, or say --overwrite for files of a restore",
        is_retryable: false,
    },
    Entry {
        code: ErrorCode::Held,
        exit_code: 11,
        cause: "another session excludes this one",
        advice: "the message names who runs the other maintenance: wait until it ends; if its process hangs, end that one, or see 'containerarchive help unlock'",
        is_retryable: true,
    },
    Entry {
        code: ErrorCode::Key,
        exit_code: 12,
        cause: "the passphrase or key file is wrong or missing, or one was given to a repository that is not encrypted",
        advice: "give the key of this repository by --passphrase-file, --passphrase-command, --key-file or CONTAINERARCHIVE_PASSPHRASE, and none if it was made with --no-encryption",
        is_retryable: false,
    },
    Entry {
        code: ErrorCode::Capability,
        exit_code: 12,
        cause: "the key is right and does not allow this: a key with the write capability adds snapshots, and neither reads nor changes any",
        advice: "use a passphrase or key file with the admin capability; 'containerarchive info' shows what a key may do",
        is_retryable: false,
    },
    Entry {
        code: ErrorCode::Rollback,
        exit_code: 14,
        cause: "the repository is not as this client saw it last: it went back in time, lost a snapshot, or was swapped",
        advice: "find out why: a storage that was rolled back, swapped or not mounted looks like this; if you did it on purpose, repeat once with --accept-rollback",
        is_retryable: false,
    },
    Entry {
        code: ErrorCode::Mendable,
        exit_code: 13,
        cause: "something stored was damaged or missing; parity, a replica or another copy has what is needed to mend it, or has mended it",
        advice: "run 'containerarchive repair' unless that was it; then look at the disk: damage seldom comes alone",
        is_retryable: false,
    },
    Entry {
        code: ErrorCode::Damaged,
        exit_code: 14,
        cause: "something stored is damaged or missing, and there is nothing to mend it with",
        advice: "other snapshots and items may be intact: 'containerarchive snapshots' lists them; keep the storage as it is and copy it before you try anything else",
        is_retryable: false,
    },
    Entry {
        code: ErrorCode::NotFound,
        exit_code: 1,
        cause: "no snapshot, item or key has this name, or several have",
        advice: "'containerarchive snapshots' and 'containerarchive show SNAPSHOT' list what there is",
        is_retryable: false,
    },
    Entry {
        code: ErrorCode::Pinned,
        exit_code: 1,
        cause: "a snapshot that was to be forgotten is pinned; none was forgotten",
        advice: "leave it out, or, if it may go after all, 'containerarchive unpin' it first",
        is_retryable: false,
    },
    Entry {
        code: ErrorCode::Stale,
        exit_code: 1,
        cause: "'status' found no snapshot, or a series whose newest snapshot is older than --max-age",
        advice: "find out why the backup does not run: look at its timer and its last output, then run it by hand",
        is_retryable: false,
    },
    Entry {
        code: ErrorCode::Full,
        exit_code: 15,
        cause: "no space is left where the repository, or what is written, lies",
        advice: "free some space where the repository (or the restored files) are, then repeat; no snapshot was made ('containerarchive forget' and 'prune' work on a full disk, too)",
        is_retryable: false,
    },
    Entry {
        code: ErrorCode::Network,
        exit_code: 16,
        cause: "the storage could not be reached, or did not answer",
        advice: "check the connection and repeat; what was stored already is used again where possible",
        is_retryable: true,
    },
    Entry {
        code: ErrorCode::Version,
        exit_code: 1,
        cause: "the repository has a format or a feature that this release does not know",
        advice: "use a newer release of containerarchive; nothing was changed",
        is_retryable: false,
    },
    Entry {
        code: ErrorCode::Cancelled,
        exit_code: 130,
        cause: "a signal or the caller asked to stop",
        advice: "nothing was acknowledged; repeat the command when you like",
        is_retryable: false,
    },
];

/// The entry of a code. One that a later version of the library adds counts as a failure like any other until it
/// stands in the table.
#[must_use]
pub(crate) fn entry(code: ErrorCode) -> &'static Entry {
    CATALOGUE.iter().find(|entry| entry.code == code).unwrap_or(&CATALOGUE[0])
}

/// `0 done; 1 failure: …`, for help.
#[must_use]
pub(crate) fn exit_codes_line() -> String {
    let mut line = String::new();
    for (number, (code, meaning)) in EXIT_CODES.iter().enumerate() {
        let separator = if number == 0 { "" } else { "; " };
        let _ = write!(line, "{separator}{code} {meaning}");
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_are_those_that_scripts_rely_on() {
        let table = [
            (ErrorCode::Failed, 1),
            (ErrorCode::Usage, 2),
            (ErrorCode::Source, 1),
            (ErrorCode::NoRepository, 10),
            (ErrorCode::Exists, 1),
            (ErrorCode::Held, 11),
            (ErrorCode::Key, 12),
            (ErrorCode::Capability, 12),
            (ErrorCode::Rollback, 14),
            (ErrorCode::Mendable, 13),
            (ErrorCode::Damaged, 14),
            (ErrorCode::NotFound, 1),
            (ErrorCode::Pinned, 1),
            (ErrorCode::Stale, 1),
            (ErrorCode::Full, 15),
            (ErrorCode::Network, 16),
            (ErrorCode::Version, 1),
            (ErrorCode::Cancelled, 130),
        ];
        for (code, exit_code) in table {
            assert_eq!(entry(code).exit_code, exit_code, "{}", code.as_str());
        }
    }

    #[test]
    fn every_code_of_the_library_stands_in_the_table_once_with_an_exit_code_that_is_explained() {
        for code in ErrorCode::ALL {
            let entries: Vec<&Entry> = CATALOGUE.iter().filter(|entry| entry.code == *code).collect();
            let [entry] = entries.as_slice() else {
                panic!("{} stands in the table {} times", code.as_str(), entries.len())
            };
            assert!(!entry.cause.is_empty() && !entry.advice.is_empty(), "{entry:?}");
            assert!(EXIT_CODES.iter().any(|(known, _)| *known == entry.exit_code), "{entry:?}");
        }
        // The fallback of `entry`.
        assert_eq!(CATALOGUE[0].code, ErrorCode::Failed);
        let is_used = |code: u8| code == 0 || CATALOGUE.iter().any(|entry| entry.exit_code == code);
        assert!(EXIT_CODES.iter().all(|(code, _)| is_used(*code)));
        assert!(EXIT_CODES.is_sorted());
    }
}
