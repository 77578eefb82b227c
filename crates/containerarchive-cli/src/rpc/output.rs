//! The standard output: JSON objects, one a line, and nothing else. A thread writes them, so that a reader that stands
//! still holds up no request to stop.

use std::fs::File;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use containerarchive::ErrorCode;
use serde::Serialize;
use serde_json::Value;

use crate::failure::{Failure, Outcome};

/// Longest line that is sent, in bytes.
pub(super) const MAX_REPLY_BYTES: usize = 256 << 10;
/// What a result may take of it.
pub(super) const MAX_RESULT_BYTES: usize = MAX_REPLY_BYTES - (8 << 10);
/// Lines that wait for the reader.
const QUEUE_LINES: usize = 64;

/// Takes the lines.
#[derive(Clone)]
pub(super) struct Output {
    lines: SyncSender<String>,
    /// Nobody reads any more.
    is_closed: Arc<AtomicBool>,
    /// The end has come: what finds no place in the queue is dropped.
    is_ending: Arc<AtomicBool>,
}

impl Output {
    /// Starts the thread that writes.
    ///
    /// # Errors
    /// The system refuses.
    pub(super) fn start() -> Outcome<(Self, JoinHandle<()>)> {
        let failed = |error: &dyn std::fmt::Display| {
            Failure::new(ErrorCode::Failed, format!("cannot write to the standard output: {error}"))
        };
        let target = rustix::io::dup(rustix::stdio::stdout()).map_err(|errno| failed(&errno))?;
        let (lines, received) = sync_channel(QUEUE_LINES);
        let is_closed = Arc::new(AtomicBool::new(false));
        let closed = Arc::clone(&is_closed);
        let write = move || write(&received, File::from(target), &closed);
        let thread = thread::Builder::new().name("output".to_owned()).spawn(write);
        let output = Self { lines, is_closed, is_ending: Arc::default() };
        Ok((output, thread.map_err(|error| failed(&error))?))
    }

    pub(super) fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::Relaxed)
    }

    /// From now on, a full queue is not waited for.
    pub(super) fn end(&self) {
        self.is_ending.store(true, Ordering::Relaxed);
    }

    /// Sends one object.
    pub(super) fn send(&self, message: &impl Serialize) {
        // Only maps with keys that are no strings cannot be written, and there are none.
        let Ok(mut line) = serde_json::to_string(message) else { return };
        line.push('\n');
        let since = Instant::now();
        loop {
            match self.lines.try_send(line) {
                Ok(()) | Err(TrySendError::Disconnected(_)) => return,
                Err(TrySendError::Full(again)) => line = again,
            }
            let is_late = since.elapsed() > Duration::from_secs(1);
            if self.is_closed() || (is_late && self.is_ending.load(Ordering::Relaxed)) {
                return;
            }
            thread::sleep(Duration::from_millis(2));
        }
    }
}

fn write(lines: &Receiver<String>, mut target: File, is_closed: &AtomicBool) {
    for line in lines {
        if target.write_all(line.as_bytes()).is_err() {
            is_closed.store(true, Ordering::Relaxed);
            return;
        }
    }
}

/// Shortens the longest lists of a result until it fits, and tells in `truncated` how long they were.
pub(super) fn fit(mut result: Value, max_bytes: usize) -> Value {
    while result.to_string().len() > max_bytes {
        let Value::Object(members) = &mut result else { return result };
        let lists =
            members.iter_mut().filter_map(|(name, value)| Some((name.clone(), value.as_array_mut()?)));
        let longest = lists.max_by_key(|(_, list)| if list.len() > 1 { text_len(list) } else { 0 });
        let Some((name, list)) = longest.filter(|(_, list)| list.len() > 1) else { return result };
        let whole = list.len();
        list.truncate(whole / 2);
        let truncated = members.entry("truncated").or_insert_with(|| Value::Object(serde_json::Map::new()));
        if let Value::Object(truncated) = truncated {
            truncated.entry(name).or_insert_with(|| whole.into());
        }
    }
    result
}

fn text_len(list: &[Value]) -> usize {
    list.iter().map(|value| value.to_string().len()).sum()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn long_lists_are_cut_and_their_length_is_told() {
        let result = json!({"ok": true, "short": [1, 2], "long": vec!["x".repeat(100); 100]});
        let cut = fit(result.clone(), 2000);
        assert!(cut.to_string().len() <= 2000);
        assert_eq!((&cut["short"], &cut["truncated"]), (&json!([1, 2]), &json!({"long": 100})));
        assert_eq!(cut["long"].as_array().unwrap().len(), 12);
        assert_eq!(fit(result.clone(), 1 << 20), result);
    }
}
