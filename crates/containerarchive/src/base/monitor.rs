//! The only way out of the library for progress and for problems that do not end an operation.

/// How far an operation is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Progress {
    /// What is being worked on: an item's or an object's name.
    pub subject: String,
    /// Bytes of content done.
    pub done_bytes: u64,
    /// Bytes of content in all, where known.
    pub total_bytes: Option<u64>,
}

/// Something that the user must learn of, and that did not stop the operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Problem {
    /// An object was damaged or missing; the right bytes came from elsewhere.
    Mended {
        /// The damaged object.
        object: String,
        /// What was wrong and what helped.
        text: String,
    },
    /// An object is damaged or missing and nothing replaced it; the operation could do without.
    Damaged {
        /// The damaged object.
        object: String,
        /// What is wrong.
        text: String,
    },
    /// Anything else worth a line.
    Warning {
        /// What is the case, and what to do.
        text: String,
    },
}

impl Problem {
    /// One line for people.
    #[must_use]
    pub fn text(&self) -> String {
        match self {
            Self::Mended { object, text } | Self::Damaged { object, text } => format!("{object}: {text}"),
            Self::Warning { text } => text.clone(),
        }
    }
}

/// Receives progress and problems, and may ask an operation to stop. Called from worker threads.
pub trait Monitor: Send + Sync {
    /// Called often; must be cheap.
    fn progress(&self, _progress: &Progress) {}

    /// Called once for each problem.
    fn problem(&self, _problem: &Problem) {}

    /// True when the operation should stop as soon as it safely can.
    fn is_cancelled(&self) -> bool {
        false
    }
}

/// Ignores everything.
#[derive(Debug, Clone, Copy, Default)]
pub struct SilentMonitor;

impl Monitor for SilentMonitor {}

/// Keeps the problems, for tests.
#[cfg(any(test, feature = "testing"))]
#[derive(Debug, Default)]
pub struct RecordingMonitor {
    problems: std::sync::Mutex<Vec<Problem>>,
}

#[cfg(any(test, feature = "testing"))]
impl RecordingMonitor {
    /// The problems so far.
    pub fn problems(&self) -> Vec<Problem> {
        self.problems.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }
}

#[cfg(any(test, feature = "testing"))]
impl Monitor for RecordingMonitor {
    fn problem(&self, problem: &Problem) {
        self.problems.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(problem.clone());
    }
}
