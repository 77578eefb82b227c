//! Who works on repositories: this client's notes, the world around it, and how many threads it uses. The same for a
//! verb and for the engine process.

use std::path::PathBuf;

use containerarchive::base::{Pin, PinsError};
use containerarchive::{Environment, FilePins, Pins};
use etcetera::BaseStrategy;

use crate::args::GlobalArgs;
use crate::failure::{Failure, Outcome};

const MAX_DEFAULT_THREADS: usize = 16;

/// Who works on repositories.
pub(crate) struct Client {
    pub(crate) threads: usize,
    pub(crate) pins: ClientPins,
    pub(crate) environment: Environment,
}

/// The client's notes, which may be told to forget.
pub(crate) struct ClientPins {
    pub(crate) folder: PathBuf,
    files: FilePins,
    /// What the client knew does not count, what it learns does.
    pub(crate) accept_rollback: bool,
}

impl Pins for ClientPins {
    fn load(&self, location: &str) -> Result<Option<Pin>, PinsError> {
        self.files.load(location)
    }

    fn save(&self, location: &str, pin: &Pin) -> Result<(), PinsError> {
        self.files.save(location, pin)
    }
}

impl Client {
    /// Touches nothing yet.
    ///
    /// # Errors
    /// There is no home folder, and no other one was named.
    pub(crate) fn new(options: &GlobalArgs) -> Outcome<Self> {
        let folder = match &options.state_dir {
            Some(folder) => folder.clone(),
            None => default_state_dir()?,
        };
        let pins =
            ClientPins { files: FilePins::new(&folder), folder, accept_rollback: options.accept_rollback };
        Ok(Self {
            threads: options.threads.map_or_else(default_threads, usize::from),
            pins,
            environment: Environment::system(host(), user()),
        })
    }
}

fn default_state_dir() -> Outcome<PathBuf> {
    let failed = || {
        Failure::usage("there is no home folder to keep this client's notes in")
            .advise("name a folder with --state-dir (CONTAINERARCHIVE_STATE_DIR)")
    };
    let strategy = etcetera::base_strategy::Xdg::new().map_err(|_| failed())?;
    Ok(strategy.state_dir().ok_or_else(failed)?.join("containerarchive"))
}

fn default_threads() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from).min(MAX_DEFAULT_THREADS)
}

fn host() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

fn user() -> String {
    let mut named = ["USER", "LOGNAME"].iter().filter_map(|name| std::env::var(name).ok());
    // Containers and cron often name nobody.
    named.find(|name| !name.is_empty()).unwrap_or_else(|| rustix::process::getuid().as_raw().to_string())
}

/// Notes for making a repository in the place of one that the user has given up.
pub(crate) struct Forgetful<'a>(pub(crate) &'a ClientPins);

impl Pins for Forgetful<'_> {
    fn load(&self, _location: &str) -> Result<Option<Pin>, PinsError> {
        Ok(None)
    }

    fn save(&self, location: &str, pin: &Pin) -> Result<(), PinsError> {
        self.0.save(location, pin)
    }
}

/// What is said when that is done.
pub(crate) fn given_up(known: &Pin) -> String {
    format!(
        "this client knew repository {} here; if its disk is only not mounted, mount it and remove the new one",
        known.repository
    )
}
