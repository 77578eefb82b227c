//! Recipes: building one from a stream of chunks, and walking one, both in memory that grows with its height only.

use crate::base::ChunkHash;
use crate::format::FormatError;
use crate::format::node::{
    Entries, INNER_ENTRY_LEN, InnerEntry, LEAF_ENTRY_LEN, LeafEntry, Node, Sums, ends_node,
};

/// Builds a recipe from its chunks in order. `store` is called with each finished node's plaintext and returns its hash.
#[derive(Default)]
pub struct RecipeBuilder {
    leaf: Vec<LeafEntry>,
    /// Entries of the open inner node of each level, from level 1 on.
    inner: Vec<Vec<InnerEntry>>,
}

impl RecipeBuilder {
    /// Appends a data chunk.
    ///
    /// # Errors
    /// `store` failed.
    pub fn push<E: From<FormatError>>(
        &mut self,
        entry: LeafEntry,
        store: &mut dyn FnMut(&[u8]) -> Result<ChunkHash, E>,
    ) -> Result<(), E> {
        self.leaf.push(entry);
        if ends_node(self.leaf.len(), LEAF_ENTRY_LEN, &entry.hash) {
            self.end_leaf(store)?;
        }
        Ok(())
    }

    /// Ends the recipe and returns its root and sums.
    ///
    /// # Errors
    /// `store` failed.
    pub fn finish<E: From<FormatError>>(
        mut self,
        store: &mut dyn FnMut(&[u8]) -> Result<ChunkHash, E>,
    ) -> Result<(ChunkHash, Sums), E> {
        let is_one_leaf = self.inner.iter().all(Vec::is_empty);
        if is_one_leaf {
            let root = self.take_leaf();
            return Ok((store(&root.encode())?, root.sums()?));
        }
        if !self.leaf.is_empty() {
            self.end_leaf(store)?;
        }
        let mut level = 0;
        loop {
            let is_top = self.inner[level + 1..].iter().all(Vec::is_empty);
            match self.inner[level].as_slice() {
                [] => {}
                // The only node of its level is the root.
                [only] if is_top => return Ok((only.hash, Sums { chunks: only.chunks, bytes: only.bytes })),
                _ => self.end_inner(level, store)?,
            }
            level += 1;
        }
    }

    fn take_leaf(&mut self) -> Node {
        Node { level: 0, entries: Entries::Leaf(std::mem::take(&mut self.leaf)) }
    }

    fn end_leaf<E: From<FormatError>>(
        &mut self,
        store: &mut dyn FnMut(&[u8]) -> Result<ChunkHash, E>,
    ) -> Result<(), E> {
        let node = self.take_leaf();
        self.add_child(0, &node, store)
    }

    fn end_inner<E: From<FormatError>>(
        &mut self,
        level: usize,
        store: &mut dyn FnMut(&[u8]) -> Result<ChunkHash, E>,
    ) -> Result<(), E> {
        let entries = std::mem::take(&mut self.inner[level]);
        let node = Node { level: level as u8 + 1, entries: Entries::Inner(entries) };
        self.add_child(level + 1, &node, store)
    }

    /// Stores a node and makes it an entry of the level above.
    fn add_child<E: From<FormatError>>(
        &mut self,
        level: usize,
        node: &Node,
        store: &mut dyn FnMut(&[u8]) -> Result<ChunkHash, E>,
    ) -> Result<(), E> {
        let Sums { chunks, bytes } = node.sums()?;
        let hash = store(&node.encode())?;
        if self.inner.len() == level {
            self.inner.push(Vec::new());
        }
        self.inner[level].push(InnerEntry { hash, chunks, bytes });
        if ends_node(self.inner[level].len(), INNER_ENTRY_LEN, &hash) {
            self.end_inner(level, store)?;
        }
        Ok(())
    }
}

/// Walks a recipe in order, from any offset. `fetch` returns the plaintext of a recipe chunk.
pub struct RecipeReader {
    /// Nodes from the root down to the leaf that is being read, each with the next entry.
    path: Vec<(Node, usize)>,
    sums: Sums,
}

impl RecipeReader {
    /// Opens a recipe at its first chunk.
    ///
    /// # Errors
    /// `fetch` failed, or the root is no node.
    pub fn open<E: From<FormatError>>(
        root: ChunkHash,
        fetch: &mut dyn FnMut(ChunkHash) -> Result<Vec<u8>, E>,
    ) -> Result<Self, E> {
        let node = Node::parse(&fetch(root)?)?;
        let sums = node.sums()?;
        Ok(Self { path: vec![(node, 0)], sums })
    }

    /// Chunks and bytes of the whole recipe.
    #[must_use]
    pub fn sums(&self) -> Sums {
        self.sums
    }

    /// The next chunk; `None` at the end.
    ///
    /// # Errors
    /// `fetch` failed, or a node breaks a rule.
    pub fn next<E: From<FormatError>>(
        &mut self,
        fetch: &mut dyn FnMut(ChunkHash) -> Result<Vec<u8>, E>,
    ) -> Result<Option<LeafEntry>, E> {
        while let Some((node, next)) = self.path.last_mut() {
            match &node.entries {
                Entries::Leaf(entries) => {
                    if let Some(entry) = entries.get(*next) {
                        *next += 1;
                        return Ok(Some(*entry));
                    }
                }
                Entries::Inner(entries) => {
                    if let Some(entry) = entries.get(*next).copied() {
                        *next += 1;
                        let child = child(node.level, &entry, fetch)?;
                        self.path.push((child, 0));
                        continue;
                    }
                }
            }
            self.path.pop();
        }
        Ok(None)
    }

    /// Goes to the chunk that has the byte at `offset`; returns the offset of that chunk's first byte. At or behind the
    /// end there is no next chunk. Costs one node per level.
    ///
    /// # Errors
    /// `fetch` failed, or a node breaks a rule.
    pub fn seek<E: From<FormatError>>(
        &mut self,
        offset: u64,
        fetch: &mut dyn FnMut(ChunkHash) -> Result<Vec<u8>, E>,
    ) -> Result<u64, E> {
        self.path.truncate(1);
        if let Some((_, next)) = self.path.first_mut() {
            *next = 0;
        }
        let mut start = 0u64;
        while let Some((node, next)) = self.path.last_mut() {
            match &node.entries {
                Entries::Leaf(entries) => {
                    while let Some(entry) =
                        entries.get(*next).filter(|entry| start + u64::from(entry.len) <= offset)
                    {
                        start += u64::from(entry.len);
                        *next += 1;
                    }
                    break;
                }
                Entries::Inner(entries) => {
                    while let Some(entry) =
                        entries.get(*next).filter(|entry| start.saturating_add(entry.bytes) <= offset)
                    {
                        start += entry.bytes;
                        *next += 1;
                    }
                    let Some(entry) = entries.get(*next).copied() else { break };
                    *next += 1;
                    let child = child(node.level, &entry, fetch)?;
                    self.path.push((child, 0));
                }
            }
        }
        Ok(start)
    }
}

/// Fetches a child and compares it with what its parent says (R-NODE-2, R-NODE-3).
fn child<E: From<FormatError>>(
    parent_level: u8,
    entry: &InnerEntry,
    fetch: &mut dyn FnMut(ChunkHash) -> Result<Vec<u8>, E>,
) -> Result<Node, E> {
    const RULE: &str = "R-NODE-3";
    let node = Node::parse(&fetch(entry.hash)?)?;
    if node.level + 1 != parent_level {
        return Err(FormatError::broken(RULE, "a node's level is not one below its parent's").into());
    }
    if node.sums()? != (Sums { chunks: entry.chunks, bytes: entry.bytes }) {
        return Err(FormatError::broken(RULE, "a node's sums are not those that its parent states").into());
    }
    Ok(node)
}
