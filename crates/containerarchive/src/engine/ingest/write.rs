//! The middle of an ingest: hash on the pool, look up here in order, compress on the pool, pack here in order.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use super::sources::{Content as Read, Event, Sources};
use crate::base::{ChunkHash, ChunkId, Kind, Monitor, Progress};
use crate::chunk::Batch;
use crate::compress::{Codec, Compressor, ItemCompression};
use crate::engine::pipeline::{Pool, Ticket, Writer};
use crate::error::Error;
use crate::format::manifest::{Content, Item};
use crate::format::node::{LeafEntry, Sums};
use crate::repo::{DomainKeys, RecipeBuilder, Repository};

/// Batches of each stage that a worker may be behind the others, so that none is idle while one is late.
const WINDOW: usize = 2;

/// An item whose source is read elsewhere.
pub(super) struct ItemPlan {
    pub(super) name: String,
    pub(super) item_type: String,
    pub(super) size_hint: Option<u64>,
}

/// What writing needs.
pub(super) struct Write<'env> {
    pub(super) repository: &'env Repository,
    pub(super) domain: &'env Arc<DomainKeys>,
    pub(super) monitor: &'env dyn Monitor,
    pub(super) pool: Pool<'env, Compressor>,
}

/// An item on its way.
struct OpenItem {
    plan: ItemPlan,
    progress: Progress,
    compression: Arc<ItemCompression>,
    recipe: RecipeBuilder,
    evidence: Option<serde_json::Value>,
}

/// A chunk that was compressed, or that does not shrink.
struct Packed {
    id: ChunkId,
    codec: Codec,
    /// Its number in the batch.
    number: usize,
    /// Where its compressed form is.
    text: Range<usize>,
}

/// The new chunks of a batch, compressed, and the batch for its next filling.
struct PackedBatch {
    batch: Batch,
    text: Vec<u8>,
    chunks: Vec<Packed>,
}

/// A batch and the hashes of its chunks.
type HashedBatch = (Batch, Vec<ChunkHash>);

/// Batches on the pool, in the order in which they came; those of one item are in its order.
#[derive(Default)]
struct Queues {
    hashing: VecDeque<(usize, Ticket<HashedBatch>)>,
    compressing: VecDeque<Ticket<PackedBatch>>,
    /// Buffers of texts that were packed.
    spare_texts: Vec<Vec<u8>>,
}

impl<'env> Write<'env> {
    /// Stores all items; what they refer to is durable and named when it returns.
    pub(super) fn all(
        &self,
        writer: &mut Writer<'env>,
        mut sources: Sources<'_>,
        items: Vec<ItemPlan>,
    ) -> Result<Vec<Item>, Error> {
        writer.publish()?;
        let mut items: Vec<OpenItem> = items.into_iter().map(|plan| self.open(plan)).collect();
        // With one thread jobs are done when they are submitted, and waiting for more would only take memory.
        let window = WINDOW * self.pool.width();
        let mut queues = Queues::default();
        while let Some(Event { item, content }) = sources.next()? {
            if self.monitor.is_cancelled() {
                return Err(Error::Cancelled);
            }
            let batch = match content? {
                Read::Batch(batch) => batch,
                Read::End(evidence) => {
                    items[item].evidence = evidence;
                    continue;
                }
            };
            items[item].progress.done_bytes += batch.content_bytes() as u64;
            queues.hashing.push_back((item, self.hash(batch)));
            self.drain(writer, &mut sources, &mut items, &mut queues, window)?;
        }
        self.drain(writer, &mut sources, &mut items, &mut queues, 0)?;
        // Their buffers are not needed for what follows, and parity may need as much.
        drop((sources, queues));
        let done = items.into_iter().map(|item| self.close(writer, item)).collect::<Result<_, _>>()?;
        writer.flush()?;
        Ok(done)
    }

    fn open(&self, plan: ItemPlan) -> OpenItem {
        let progress = Progress { subject: plan.name.clone(), done_bytes: 0, total_bytes: plan.size_hint };
        let compression = Arc::new(ItemCompression::new(self.repository.settings.compression));
        OpenItem { plan, progress, compression, recipe: RecipeBuilder::default(), evidence: None }
    }

    fn close(&self, writer: &mut Writer<'env>, item: OpenItem) -> Result<Item, Error> {
        let (root, Sums { bytes, .. }) = item.recipe.finish(&mut |node: &[u8]| writer.store_node(node))?;
        let ItemPlan { name, item_type, .. } = item.plan;
        Ok(Item { name, item_type, size: bytes, content: Content::Recipe, root, evidence: item.evidence })
    }

    /// Moves batches on until at most `window` are left in each queue.
    fn drain(
        &self,
        writer: &mut Writer<'env>,
        sources: &mut Sources<'_>,
        items: &mut [OpenItem],
        queues: &mut Queues,
        window: usize,
    ) -> Result<(), Error> {
        while queues.hashing.len() > window {
            let Some((item, ticket)) = queues.hashing.pop_front() else { break };
            let (batch, hashes) = ticket.redeem().ok_or(Error::Worker)?;
            let item = &mut items[item];
            let new = self.look_up(writer, &mut item.recipe, &batch, &hashes)?;
            self.monitor.progress(&item.progress);
            if new.is_empty() {
                sources.recycle(batch);
            } else {
                let text = queues.spare_texts.pop().unwrap_or_default();
                queues.compressing.push_back(self.compress(batch, new, text, &item.compression));
            }
        }
        while queues.compressing.len() > window {
            let Some(ticket) = queues.compressing.pop_front() else { break };
            let packed = ticket.redeem().ok_or(Error::Worker)?;
            for chunk in &packed.chunks {
                let plain = packed.batch.chunk(chunk.number);
                let text = if chunk.codec == Codec::None { plain } else { &packed.text[chunk.text.clone()] };
                writer.store(chunk.id, chunk.codec, text, plain.len() as u32)?;
            }
            sources.recycle(packed.batch);
            queues.spare_texts.push(packed.text);
        }
        Ok(())
    }

    fn hash(&self, batch: Batch) -> Ticket<HashedBatch> {
        let domain = self.domain;
        self.pool.submit(move |_| {
            let hashes = domain.hasher.hash_each(Kind::Data, batch.chunks());
            (batch, hashes)
        })
    }

    /// Appends a batch to the recipe and returns which of its chunks are new.
    fn look_up(
        &self,
        writer: &mut Writer<'env>,
        recipe: &mut RecipeBuilder,
        batch: &Batch,
        hashes: &[ChunkHash],
    ) -> Result<Vec<(usize, ChunkId)>, Error> {
        let mut new = Vec::new();
        for (number, (chunk, hash)) in batch.chunks().zip(hashes).enumerate() {
            let id = ChunkId { kind: Kind::Data, hash: *hash };
            if writer.is_new(id)? {
                writer.counters.new_chunks += 1;
                new.push((number, id));
            } else {
                writer.counters.reused_chunks += 1;
            }
            let entry = LeafEntry { hash: *hash, len: chunk.len() as u32 };
            recipe.push(entry, &mut |node: &[u8]| writer.store_node(node))?;
        }
        Ok(new)
    }

    fn compress(
        &self,
        batch: Batch,
        new: Vec<(usize, ChunkId)>,
        mut text: Vec<u8>,
        compression: &Arc<ItemCompression>,
    ) -> Ticket<PackedBatch> {
        let compression = Arc::clone(compression);
        self.pool.submit(move |compressor| {
            text.clear();
            let mut chunks = Vec::with_capacity(new.len());
            for (number, id) in new {
                let start = text.len();
                let codec = compression.compress(compressor, batch.chunk(number), &mut text);
                chunks.push(Packed { id, codec, number, text: start..text.len() });
            }
            PackedBatch { batch, text, chunks }
        })
    }
}
