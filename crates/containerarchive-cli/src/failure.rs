//! Why a command failed: the library's error, or one of the command line's own.

use std::io;

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
        let advice = match &error {
            Error::Repo(RepoError::Occupied { .. }) => Some(
                "nothing was changed; choose a folder that is empty or not there yet, or use the repository that is there",
            ),
            Error::Repo(RepoError::Pins(_)) => Some(
                "mend the folder's permissions, or name another one with --state-dir (CONTAINERARCHIVE_STATE_DIR)",
            ),
            _ => None,
        };
        Self { is_silent, advice, ..Self::new(error.code(), error.to_string()) }
    }
}

impl From<RepoError> for Failure {
    fn from(error: RepoError) -> Self {
        Error::from(error).into()
    }
}
