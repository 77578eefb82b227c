//! Reading and cutting the items: each on a thread of its own, or one after the other in the caller.

use std::io::{self, Read};
use std::thread::Scope;

use crossbeam_channel::{Receiver, Sender, bounded, unbounded};

use super::IngestItem;
use super::write::ItemPlan;
use crate::chunk::{Batch, ChunkReader, Chunker};

/// Bytes of all batches that are being filled at once.
const FILLING_BYTES: usize = 16 << 20;
/// Batches are not larger than this: larger ones do not make anything faster.
const MAX_BATCH_BYTES: usize = 4 << 20;

type Reader<'a> = ChunkReader<'a, Box<dyn Read + Send + 'a>>;

/// What a source has to say.
pub(super) struct Event {
    /// Which item, by its number.
    pub(super) item: usize,
    /// Its next chunks; `None` at its end.
    pub(super) content: io::Result<Option<Batch>>,
}

/// All items of an ingest as one sequence of events; those of one item come in its order.
pub(super) enum Sources<'a> {
    /// Read by the caller, from the first item on.
    Inline { readers: Vec<Reader<'a>>, next: usize, spare: Vec<Batch> },
    /// Read by threads. They wait while nobody takes what they have, so that memory is bounded.
    Threads { events: Receiver<Event>, spare: Sender<Batch>, open: usize },
}

fn next_batch(reader: &mut Reader<'_>, mut batch: Batch) -> io::Result<Option<Batch>> {
    Ok(reader.next_batch(&mut batch)?.then_some(batch))
}

impl<'a> Sources<'a> {
    /// Begins to read.
    pub(super) fn start<'scope>(
        scope: &'scope Scope<'scope, 'a>,
        chunker: &'a Chunker,
        items: Vec<IngestItem<'a>>,
        threads: usize,
    ) -> (Self, Vec<ItemPlan>) {
        let batch_bytes = (FILLING_BYTES / items.len().max(1)).min(MAX_BATCH_BYTES);
        let mut readers = Vec::with_capacity(items.len());
        let mut plans = Vec::with_capacity(items.len());
        for IngestItem { name, item_type, source, size_hint } in items {
            readers.push(ChunkReader::new(chunker, source, batch_bytes));
            plans.push(ItemPlan { name, item_type, size_hint });
        }
        if threads <= 1 {
            return (Self::Inline { readers, next: 0, spare: Vec::new() }, plans);
        }
        let open = readers.len();
        let (sender, events) = bounded::<Event>(0);
        let (spare, recycled) = unbounded::<Batch>();
        for (item, mut reader) in readers.into_iter().enumerate() {
            let (sender, recycled) = (sender.clone(), recycled.clone());
            scope.spawn(move || {
                loop {
                    let content = next_batch(&mut reader, recycled.try_recv().unwrap_or_default());
                    let is_last = !matches!(content, Ok(Some(_)));
                    // Nobody listens any more after an error elsewhere.
                    if sender.send(Event { item, content }).is_err() || is_last {
                        return;
                    }
                }
            });
        }
        (Self::Threads { events, spare, open }, plans)
    }

    /// The next event; `None` when all items have ended.
    pub(super) fn next(&mut self) -> Option<Event> {
        match self {
            Self::Inline { readers, next, spare } => {
                let item = *next;
                let content = next_batch(readers.get_mut(item)?, spare.pop().unwrap_or_default());
                if matches!(content, Ok(None)) {
                    *next += 1;
                }
                Some(Event { item, content })
            }
            Self::Threads { events, open, .. } => {
                if *open == 0 {
                    return None;
                }
                let event = events.recv().ok()?;
                if matches!(event.content, Ok(None)) {
                    *open -= 1;
                }
                Some(event)
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
