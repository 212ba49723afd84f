//! The Merkle tree of RFC 6962 (and RFC 9162, section 2.1) over SHA-256: append, root of any size, proofs.
//!
//! The tree keeps the hash of every complete subtree: 64 bytes a leaf, and an append hashes the leaf and, on average,
//! one inner node. A root or a proof costs O(log^2 n) look-ups at most. Whoever holds complete subtrees ([`Nodes`]: this tree in
//! memory, or tiles on a disk) proves with the same code. Verification, which needs no tree, is in [`super::proof`].

use std::fmt;

use aws_lc_rs::digest::{Context, SHA256};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A hash of this tree. C2SP spells it in base64; a [`crate::ContentHash`] is another function and another spelling.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TreeHash(pub [u8; 32]);

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TreeError {
    #[error("the tree has {available} leaves: a tree of {asked} was asked for")]
    Size { asked: u64, available: u64 },
    #[error("leaf {index} is not in a tree of {size} leaves")]
    Leaf { index: u64, size: u64 },
    #[error("a tree of {to} leaves cannot extend one of {from}")]
    Shrinks { from: u64, to: u64 },
    #[error("subtree {index} of height {level} is not complete in a tree of {size} leaves")]
    Incomplete { level: u32, index: u64, size: u64 },
}

/// An append-only tree in memory.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tree {
    /// At height h, the hashes of the complete subtrees of 2^h leaves, from the left.
    levels: Vec<Vec<TreeHash>>,
}

impl Tree {
    /// Appends an entry and returns its index.
    pub fn append(&mut self, entry: &[u8]) -> u64 {
        self.append_hash(TreeHash::leaf(entry))
    }

    /// Appends a leaf by its hash, as when the tree is rebuilt from the tiles of height 0.
    pub fn append_hash(&mut self, leaf: TreeHash) -> u64 {
        let index = self.size();
        let mut carried = leaf;
        for level in 0.. {
            if level == self.levels.len() {
                self.levels.push(Vec::new());
            }
            let row = &mut self.levels[level];
            row.push(carried);
            let &[.., left, right] = row.as_slice() else { break };
            if row.len() % 2 == 1 {
                break;
            }
            carried = TreeHash::node(&left, &right);
        }
        index
    }

    pub fn root(&self) -> TreeHash {
        // Unwrap safety: complete subtrees of the tree's own size are all kept.
        range(self, 0, self.size()).expect("a tree holds its own subtrees")
    }
}

impl Nodes for Tree {
    type Error = TreeError;

    fn size(&self) -> u64 {
        self.levels.first().map_or(0, |leaves| leaves.len() as u64)
    }

    fn node(&self, level: u32, index: u64) -> Result<TreeHash, TreeError> {
        let row = self.levels.get(level as usize);
        row.and_then(|row| row.get(index as usize))
            .copied()
            .ok_or(TreeError::Incomplete {
                level,
                index,
                size: self.size(),
            })
    }
}

/// Complete subtrees, wherever they are kept, and what follows from them.
pub trait Nodes {
    type Error: From<TreeError>;

    /// Leaves that are there.
    fn size(&self) -> u64;

    /// The hash of leaves `index * 2^level .. (index + 1) * 2^level`, all of which are there.
    fn node(&self, level: u32, index: u64) -> Result<TreeHash, Self::Error>;

    /// `MTH(D[0:size])` of RFC 9162, section 2.1.1.
    fn root_at(&self, size: u64) -> Result<TreeHash, Self::Error> {
        self.holds(size)?;
        range(self, 0, size)
    }

    /// `PATH(index, D[0:size])` of RFC 9162, section 2.1.3.1: siblings from the leaf up.
    fn inclusion(&self, index: u64, size: u64) -> Result<Vec<TreeHash>, Self::Error> {
        self.holds(size)?;
        if index >= size {
            return Err(TreeError::Leaf { index, size }.into());
        }
        let (mut start, mut end, mut path) = (0, size, Vec::new());
        while end - start > 1 {
            let middle = start + split(end - start);
            if index < middle {
                path.push(range(self, middle, end)?);
                end = middle;
            } else {
                path.push(range(self, start, middle)?);
                start = middle;
            }
        }
        path.reverse();
        Ok(path)
    }

    /// `PROOF(from, D[0:to])` of RFC 9162, section 2.1.4.1. From the empty tree, and between equal trees, nothing is
    /// to be shown.
    fn consistency(&self, from: u64, to: u64) -> Result<Vec<TreeHash>, Self::Error> {
        self.holds(to)?;
        if from > to {
            return Err(TreeError::Shrinks { from, to }.into());
        }
        let (mut start, mut end, mut path) = (0, to, Vec::new());
        if from == 0 {
            return Ok(path);
        }
        while end != from {
            let middle = start + split(end - start);
            if from <= middle {
                path.push(range(self, middle, end)?);
                end = middle;
            } else {
                path.push(range(self, start, middle)?);
                start = middle;
            }
        }
        // The old tree itself needs no hash: the verifier has its root.
        if start > 0 {
            path.push(range(self, start, end)?);
        }
        path.reverse();
        Ok(path)
    }

    fn holds(&self, size: u64) -> Result<(), Self::Error> {
        let available = self.size();
        if size > available {
            return Err(TreeError::Size { asked: size, available }.into());
        }
        Ok(())
    }
}

/// The hash of leaves `start..end`, where `start` is a multiple of the largest power of two below the length: complete
/// subtrees from the left, joined from the right.
fn range<N: Nodes + ?Sized>(nodes: &N, start: u64, end: u64) -> Result<TreeHash, N::Error> {
    let mut joined = None;
    let mut end = end;
    while end > start {
        let level = (end - start).trailing_zeros();
        end -= 1 << level;
        let left = nodes.node(level, end >> level)?;
        joined = Some(joined.map_or(left, |right| TreeHash::node(&left, &right)));
    }
    Ok(joined.unwrap_or_else(TreeHash::empty))
}

/// The largest power of two smaller than `n`, for n > 1.
fn split(n: u64) -> u64 {
    1 << (n - 1).ilog2()
}

impl TreeHash {
    /// `HASH(0x00 || entry)`.
    pub fn leaf(entry: &[u8]) -> Self {
        Self::of(&[&[0], entry])
    }

    /// `HASH(0x01 || left || right)`.
    pub fn node(left: &Self, right: &Self) -> Self {
        Self::of(&[&[1], &left.0, &right.0])
    }

    /// The root of the tree without leaves.
    pub fn empty() -> Self {
        Self::of(&[])
    }

    fn of(parts: &[&[u8]]) -> Self {
        let mut context = Context::new(&SHA256);
        parts.iter().for_each(|part| context.update(part));
        let mut bytes = [0; 32];
        bytes.copy_from_slice(context.finish().as_ref());
        Self(bytes)
    }

    /// Reads 44 base64 digits.
    pub fn from_base64(text: &str) -> Option<Self> {
        Some(Self(STANDARD.decode(text).ok()?.try_into().ok()?))
    }
}

impl fmt::Display for TreeHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&STANDARD.encode(self.0))
    }
}

impl fmt::Debug for TreeHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for TreeHash {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for TreeHash {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        Self::from_base64(&String::deserialize(d)?)
            .ok_or_else(|| serde::de::Error::custom("malformed tree hash: expected 32 bytes in base64"))
    }
}
