//! SIGINT, SIGTERM and SIGHUP: the first asks the operation to stop cleanly, the second ends the process at once.

use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use containerarchive::ErrorCode;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use crate::failure::{Failure, Outcome};

static INTERRUPTED: OnceLock<Arc<AtomicBool>> = OnceLock::new();

/// Begins to watch for signals.
///
/// # Errors
/// The operating system refuses.
pub(crate) fn watch() -> Outcome {
    let flag = INTERRUPTED.get_or_init(Arc::default);
    let ignored = ignored();
    let register = || -> io::Result<()> {
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            if ignored.is_some_and(|set| set >> (signal - 1) & 1 == 1)
                || (signal == SIGHUP && ignored.is_none())
            {
                continue;
            }
            // In this order: the second signal finds the flag that the first one left.
            signal_hook::flag::register_conditional_shutdown(signal, 130, Arc::clone(flag))?;
            signal_hook::flag::register(signal, Arc::clone(flag))?;
        }
        Ok(())
    };
    register().map_err(|error| Failure::new(ErrorCode::Failed, format!("cannot watch for signals: {error}")))
}

/// The signals that whoever started the process has set to be ignored, as bits from 1 on: `nohup` does it with
/// SIGHUP, a script with SIGINT for its jobs in the background. They stay ignored. Where that cannot be found out,
/// SIGHUP is left as it is: at worst the process ends at once, and its session with it.
fn ignored() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let set = status.lines().find_map(|line| line.strip_prefix("SigIgn:"))?;
    u64::from_str_radix(set.trim(), 16).ok()
}

/// Whether a signal came.
pub(crate) fn is_interrupted() -> bool {
    INTERRUPTED.get().is_some_and(|flag| flag.load(Ordering::Relaxed))
}

/// Waits a little for something to read, so that a signal is noticed although nothing arrives.
///
/// # Errors
/// The operating system refuses.
pub(crate) fn wait_for(source: &impl AsFd) -> io::Result<bool> {
    let patience = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };
    match poll(&mut [PollFd::new(source, PollFlags::IN)], Some(&patience)) {
        Ok(count) => Ok(count > 0),
        Err(rustix::io::Errno::INTR) => Ok(false),
        Err(errno) => Err(errno.into()),
    }
}
