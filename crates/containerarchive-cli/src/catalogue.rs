//! What an error code means for a shell and for the person in front of it: the one table of exit codes and advice.

use containerarchive::ErrorCode;

/// Exit code and advice of an error code.
pub(crate) struct Entry {
    /// What the process ends with.
    pub(crate) exit_code: u8,
    /// What to do now.
    pub(crate) advice: &'static str,
}

/// The table. A rollback ends with 14: what the storage shows is not what was acknowledged, which is damage of a
/// snapshot history that nothing here can mend. A newer format ends with 1: nothing is damaged and no key is wrong.
#[must_use]
pub(crate) fn entry(code: ErrorCode) -> Entry {
    let (exit_code, advice) = match code {
        ErrorCode::Usage => (2, "see 'containerarchive help' and 'containerarchive help VERB'"),
        ErrorCode::Source => {
            (1, "mend the source and ingest again: what was stored already is used again where possible")
        }
        ErrorCode::NoRepository => (
            10,
            "check --repo (CONTAINERARCHIVE_REPO) and that the disk is mounted; 'containerarchive init' makes a new repository, 'ingest --init' one where there is none",
        ),
        ErrorCode::Exists => {
            (1, "nothing was replaced; choose another place, or say --overwrite for files of a restore")
        }
        ErrorCode::Held => (11, "another maintenance session is running; wait until it ends"),
        ErrorCode::Key => (
            12,
            "give the key of this repository by --passphrase-file, --passphrase-command, --key-file or CONTAINERARCHIVE_PASSPHRASE, and none if it was made with --no-encryption",
        ),
        ErrorCode::Capability => (
            12,
            "use a passphrase or key file with the admin capability; 'containerarchive info' shows what a key may do",
        ),
        ErrorCode::Rollback => (
            14,
            "find out why: a storage that was rolled back, swapped or not mounted looks like this; if you did it on purpose, repeat once with --accept-rollback",
        ),
        ErrorCode::Damaged => (
            14,
            "other snapshots and items may be intact: 'containerarchive snapshots' lists them; keep the storage as it is and copy it before you try anything else",
        ),
        ErrorCode::NotFound => {
            (1, "'containerarchive snapshots' and 'containerarchive show SNAPSHOT' list what there is")
        }
        ErrorCode::Full => (
            15,
            "free some space where the repository (or the restored files) are, then repeat; no snapshot was made",
        ),
        ErrorCode::Network => {
            (16, "check the connection and repeat; what was stored already is used again where possible")
        }
        ErrorCode::Version => (1, "use a newer release of containerarchive; nothing was changed"),
        ErrorCode::Cancelled => (130, "nothing was acknowledged; repeat the command when you like"),
        // Also codes that a later version of the library may add.
        _ => (1, "repeat it; if it fails again, check the disk and the permissions that the message names"),
    };
    Entry { exit_code, advice }
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
            (ErrorCode::Damaged, 14),
            (ErrorCode::NotFound, 1),
            (ErrorCode::Full, 15),
            (ErrorCode::Network, 16),
            (ErrorCode::Version, 1),
            (ErrorCode::Cancelled, 130),
        ];
        for (code, exit_code) in table {
            assert_eq!(entry(code).exit_code, exit_code, "{}", code.as_str());
            assert!(!entry(code).advice.is_empty());
        }
    }
}
