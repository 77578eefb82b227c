//! Why a command failed: the library's error, or one of the command line's own.

use std::io;

use containerarchive::host::HostError;
use containerarchive::{Error, ErrorCode, RepoError};

use crate::catalogue;

/// A command failed.
#[derive(Debug)]
pub(crate) struct Failure {
    code: ErrorCode,
    message: String,
    /// Instead of the advice of the code.
    advice: Option<&'static str>,
    is_silent: bool,
}

/// How commands end.
pub(crate) type Outcome<T = ()> = Result<T, Failure>;

impl Failure {
    pub(crate) fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), advice: None, is_silent: false }
    }

    /// The request makes no sense.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::Usage, message)
    }

    /// With advice that fits better than that of the code.
    pub(crate) fn advise(mut self, advice: &'static str) -> Self {
        self.advice = Some(advice);
        self
    }

    /// Standard output failed. That nobody reads it any more is not worth a message.
    pub(crate) fn output(error: &io::Error) -> Self {
        let is_silent = error.kind() == io::ErrorKind::BrokenPipe;
        let text = format!("cannot write to the standard output: {error}");
        let code =
            if error.kind() == io::ErrorKind::StorageFull { ErrorCode::Full } else { ErrorCode::Failed };
        Self { is_silent, ..Self::new(code, text) }
            .advise("see what the standard output is connected to, then repeat")
    }

    /// What came before was done all the same.
    pub(crate) fn after(mut self, done: &str) -> Self {
        self.message = format!("{done}, and then: {}", self.message);
        self.is_silent = false;
        // Whatever went wrong, it is not what would have kept the work from being done.
        self.code = ErrorCode::Failed;
        self
    }

    /// A signal makes sources and outputs fail in many ways; it is the one thing to tell then.
    pub(crate) fn or_interrupted(self, is_interrupted: bool) -> Self {
        if is_interrupted && self.code != ErrorCode::Cancelled {
            return Self::new(ErrorCode::Cancelled, "interrupted");
        }
        self
    }

    pub(crate) fn code(&self) -> ErrorCode {
        self.code
    }

    pub(crate) fn exit_code(&self) -> u8 {
        catalogue::entry(self.code).exit_code
    }

    /// Whether a program that repeats the request, as it is, may have more luck.
    pub(crate) fn is_retryable(&self) -> bool {
        catalogue::entry(self.code).is_retryable
    }

    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    pub(crate) fn advice(&self) -> &'static str {
        self.advice.unwrap_or_else(|| catalogue::entry(self.code).advice)
    }

    pub(crate) fn is_silent(&self) -> bool {
        self.is_silent
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let is_silent =
            matches!(&error, Error::Output { source, .. } if source.kind() == io::ErrorKind::BrokenPipe);
        Self { is_silent, advice: advice_of(&error), ..Self::new(error.code(), error.to_string()) }
    }
}

/// Where more can be said than for the code in general.
fn advice_of(error: &Error) -> Option<&'static str> {
    Some(match error.root() {
        Error::Repo(RepoError::Occupied { .. }) => {
            "nothing was changed; choose a folder that is empty or not there yet, or use the repository that is there"
        }
        Error::Repo(RepoError::Pins(_)) => {
            "mend the folder's permissions, or name another one with --state-dir (CONTAINERARCHIVE_STATE_DIR)"
        }
        Error::Repo(RepoError::SlotStays { .. }) => {
            "nothing was changed; 'containerarchive key list' lists the keys, and another admin key must be there before the last one goes"
        }
        Error::RepairFirst { .. } => {
            "run 'containerarchive repair'; what it cannot mend is accepted by 'containerarchive forget' with the whole id of the snapshot that it hurts"
        }
        Error::DamagedSnapshot { .. } => {
            "other snapshots may be intact: see 'containerarchive verify' and 'repair'; to accept the loss, 'containerarchive forget' it by its whole id"
        }
        Error::Output { .. } => {
            "the item is not whole there, and the snapshot is as it was: see to the place that it is written to, or name another one with --to, and restore again"
        }
        Error::Host(error) => return advice_of_host(error),
        Error::NoSnapshot { .. } => {
            "'containerarchive snapshots' lists them with their series, 'containerarchive show SNAPSHOT' the items of one; CONTAINERARCHIVE_SERIES and CONTAINERARCHIVE_TAG count, too"
        }
        Error::AmbiguousSnapshot { .. } => "give more digits of the one that you mean",
        Error::NoItem { .. } => {
            "name one of these items, or another snapshot; without --item all of them are restored to a folder"
        }
        Error::SeveralItems { .. } => "or restore all of them to a folder: --to DIR",
        Error::ItemName { .. } => "give it a name of its own with --item NAME=FILE or --command NAME=COMMAND",
        Error::ItemCount { .. } | Error::Text { .. } => "nothing was stored; change it and ingest again",
        _ => return None,
    })
}

/// Of the folder that items are restored to.
fn advice_of_host(error: &HostError) -> Option<&'static str> {
    Some(match error {
        HostError::Exists { .. } => {
            "no file was replaced; name an empty folder with --to, or say --overwrite to replace these files"
        }
        HostError::InTheWay { .. } => {
            "a folder is never replaced by a file, and links are not followed: name an empty folder with --to, or move these away"
        }
        HostError::NoFolder { .. } => {
            "name a folder with --to, which is made if it is missing, or '-' for the standard output"
        }
        error if error.is_full() => {
            "free some space there, or name a folder on another disk with --to, and restore again"
        }
        HostError::Io { .. } => {
            "the snapshot is as it was: name a folder that you may write to with --to, or mend the one that the message names"
        }
    })
}

impl From<RepoError> for Failure {
    fn from(error: RepoError) -> Self {
        Error::from(error).into()
    }
}
