//! The log on an agent's stream. Leaves travel as their very bytes, since their hashes are the tree's; a note as its text.

use std::sync::Arc;

use engine::message::{LogGrown, LogSeen};
use governance::log::TreeHash;
use prost::bytes::Bytes;

use crate::v1;
use crate::wire::{MAX_DOCUMENT, Malformed, at_most, fixed, text};

/// The longest leaf, as the log's format has it.
const MAX_LEAF: usize = u16::MAX as usize;
/// Leaves in one message.
const MAX_LEAVES: usize = 10_000;
/// Hashes of a proof of the largest tree, and a few.
const MAX_PROOF: usize = 130;
/// A signature line.
const MAX_LINE: usize = 1_024;

impl From<LogGrown> for v1::LogGrown {
    fn from(grown: LogGrown) -> Self {
        Self {
            from: grown.from,
            head: grown.head,
            checkpoint: grown.checkpoint,
            entries: grown.entries.iter().map(ToString::to_string).collect(),
            consistency: grown.consistency.into_iter().map(hash).collect(),
        }
    }
}

impl TryFrom<v1::LogGrown> for LogGrown {
    type Error = Malformed;

    fn try_from(grown: v1::LogGrown) -> Result<Self, Malformed> {
        Ok(Self {
            from: grown.from,
            head: grown.head,
            checkpoint: text("checkpoint", MAX_DOCUMENT, grown.checkpoint)?,
            entries: leaves(grown.entries)?.into_iter().map(Arc::from).collect(),
            consistency: proof(&grown.consistency)?,
        })
    }
}

impl From<LogSeen> for v1::LogSeen {
    fn from(seen: LogSeen) -> Self {
        Self {
            size: seen.size,
            cosignature: seen.cosignature,
            refused: seen.refused.map(Into::into),
        }
    }
}

impl TryFrom<v1::LogSeen> for LogSeen {
    type Error = Malformed;

    fn try_from(seen: v1::LogSeen) -> Result<Self, Malformed> {
        let line = |line| text("cosignature", MAX_LINE, line);
        Ok(Self {
            size: seen.size,
            cosignature: seen.cosignature.map(line).transpose()?,
            refused: seen.refused.map(TryInto::try_into).transpose()?,
        })
    }
}

/// Leaves as they came, each no longer than a leaf can be.
pub fn leaves(leaves: Vec<String>) -> Result<Vec<String>, Malformed> {
    at_most("leaves", MAX_LEAVES, leaves.len())?;
    leaves.into_iter().map(|leaf| text("leaf", MAX_LEAF, leaf)).collect()
}

fn proof(path: &[Bytes]) -> Result<Vec<TreeHash>, Malformed> {
    at_most("hashes of a proof", MAX_PROOF, path.len())?;
    path.iter().map(read).collect()
}

fn read(bytes: &Bytes) -> Result<TreeHash, Malformed> {
    fixed("tree hash", bytes).map(TreeHash)
}

fn hash(hash: TreeHash) -> Bytes {
    Bytes::copy_from_slice(&hash.0)
}
