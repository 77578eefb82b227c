//! SIGINT and SIGTERM: the first asks the operation to stop cleanly, the second ends the process at once.

use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use containerarchive::ErrorCode;
use signal_hook::consts::{SIGINT, SIGTERM};

use crate::failure::{Failure, Outcome};

static INTERRUPTED: OnceLock<Arc<AtomicBool>> = OnceLock::new();

/// Begins to watch for signals.
///
/// # Errors
/// The operating system refuses.
pub(crate) fn watch() -> Outcome {
    let flag = INTERRUPTED.get_or_init(Arc::default);
    let register = || -> std::io::Result<()> {
        for signal in [SIGINT, SIGTERM] {
            // In this order: the second signal finds the flag that the first one left.
            signal_hook::flag::register_conditional_shutdown(signal, 130, Arc::clone(flag))?;
            signal_hook::flag::register(signal, Arc::clone(flag))?;
        }
        Ok(())
    };
    register().map_err(|error| Failure::new(ErrorCode::Failed, format!("cannot watch for signals: {error}")))
}

/// Whether a signal came.
pub(crate) fn is_interrupted() -> bool {
    INTERRUPTED.get().is_some_and(|flag| flag.load(Ordering::Relaxed))
}
