//! Reading and cutting the items: on threads, many at once, or one after the other in the caller.

use std::thread::Scope;

use crossbeam_channel::{Receiver, Sender, bounded, unbounded};

use super::IngestItem;
use super::source::{Checks, Watched};
use super::write::ItemPlan;
use crate::chunk::{Batch, ChunkReader, Chunker};
use crate::error::Error;

/// Bytes of all batches that are being filled at once.
const FILLING_BYTES: usize = 16 << 20;
/// Batches are not larger than this: larger ones do not make anything faster.
const MAX_BATCH_BYTES: usize = 2 << 20;

/// Bytes that the readers of many items may hold at once.
const HELD_BYTES: usize = 64 << 20;
/// Most items that are read at once: a pipe that waits for a later item than this waits for ever.
const MAX_READERS: usize = 64;

type Reader<'a> = ChunkReader<'a, Watched<'a>>;

/// What a source has to say.
pub(super) struct Event {
    /// Which item, by its number.
    pub(super) item: usize,
    /// What comes next.
    pub(super) content: Result<Content, Error>,
}

/// What comes next of an item.
pub(super) enum Content {
    /// Some chunks.
    Batch(Batch),
    /// Its end: it is whole, and what is kept of how it came about.
    End(Option<serde_json::Value>),
}

impl Event {
    fn is_end(&self) -> bool {
        matches!(self.content, Ok(Content::End(_)))
    }
}

/// All items of an ingest as one sequence of events; those of one item come in its order.
pub(super) enum Sources<'a> {
    /// Read by the caller, from the first item on.
    Inline { readers: Vec<Reader<'a>>, next: usize, spare: Vec<Batch> },
    /// Read by threads. They wait while nobody takes what they have, so that memory is bounded.
    Threads { events: Receiver<Event>, spare: Sender<Batch>, open: usize },
}

fn next_content(reader: &mut Reader<'_>, mut batch: Batch) -> Result<Content, Error> {
    match reader.next_batch(&mut batch) {
        Ok(true) => Ok(Content::Batch(batch)),
        Ok(false) => Ok(Content::End(reader.source_mut().finish()?)),
        Err(source) => Err(Error::Source { item: reader.source_mut().item.clone(), source }),
    }
}

impl<'a> Sources<'a> {
    /// Begins to read.
    ///
    /// # Errors
    /// The system has no thread to give.
    pub(super) fn start<'scope>(
        scope: &'scope Scope<'scope, 'a>,
        chunker: &'a Chunker,
        items: Vec<IngestItem<'a>>,
        checks: &Checks,
        threads: usize,
    ) -> Result<(Self, Vec<ItemPlan>), Error> {
        let batch_bytes = (FILLING_BYTES / items.len().max(1)).min(MAX_BATCH_BYTES);
        let mut readers = Vec::with_capacity(items.len());
        let mut plans = Vec::with_capacity(items.len());
        for IngestItem { name, item_type, source, size_hint } in items {
            let source = Watched::new(name.clone(), source, checks.clone());
            readers.push(ChunkReader::new(chunker, source, batch_bytes));
            plans.push(ItemPlan { name, item_type, size_hint });
        }
        if threads <= 1 {
            return Ok((Self::Inline { readers, next: 0, spare: Vec::new() }, plans));
        }
        let open = readers.len();
        let least_bytes = batch_bytes.max(chunker.params().max());
        let reader_count = (HELD_BYTES / least_bytes).clamp(2, MAX_READERS).min(open);
        let (sender, events) = bounded::<Event>(0);
        let (spare, recycled) = unbounded::<Batch>();
        let (waiting, readers_to_take) = unbounded();
        for numbered in readers.into_iter().enumerate() {
            // The receiver is at hand, so this cannot fail.
            let _ = waiting.send(numbered);
        }
        drop(waiting);
        for _ in 0..reader_count {
            let (sender, recycled, readers) = (sender.clone(), recycled.clone(), readers_to_take.clone());
            std::thread::Builder::new()
                .spawn_scoped(scope, move || read_items(&readers, &recycled, &sender))
                .map_err(|source| Error::Thread { source })?;
        }
        Ok((Self::Threads { events, spare, open }, plans))
    }

    /// The next event; `None` when all items have ended.
    ///
    /// # Errors
    /// A source panicked: its item must not pass for one that ended.
    pub(super) fn next(&mut self) -> Result<Option<Event>, Error> {
        match self {
            Self::Inline { readers, next, spare } => {
                let item = *next;
                let Some(reader) = readers.get_mut(item) else { return Ok(None) };
                let event = Event { item, content: next_content(reader, spare.pop().unwrap_or_default()) };
                if event.is_end() {
                    *next += 1;
                }
                Ok(Some(event))
            }
            Self::Threads { open: 0, .. } => Ok(None),
            Self::Threads { events, open, .. } => {
                let event = events.recv().map_err(|_| Error::Worker)?;
                if event.is_end() {
                    *open -= 1;
                }
                Ok(Some(event))
            }
        }
    }

    /// Takes a batch back to be filled again.
    pub(super) fn recycle(&mut self, batch: Batch) {
        match self {
            Self::Inline { spare, .. } => spare.push(batch),
            // The readers may have ended.
            Self::Threads { spare, .. } => drop(spare.send(batch)),
        }
    }
}

/// Reads one item after the other to its end, until none is left or nobody listens any more.
fn read_items(readers: &Receiver<(usize, Reader<'_>)>, recycled: &Receiver<Batch>, events: &Sender<Event>) {
    while let Ok((item, mut reader)) = readers.try_recv() {
        loop {
            let content = next_content(&mut reader, recycled.try_recv().unwrap_or_default());
            let event = Event { item, content };
            let is_last = event.is_end();
            let is_failed = event.content.is_err();
            if events.send(event).is_err() || is_failed {
                return;
            }
            if is_last {
                break;
            }
        }
    }
}
