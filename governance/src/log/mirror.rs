//! A mirror: all leaves that a participant was sent, with the checkpoint over them, and the acts and rosters that it heard. Any one of
//! them, whole and verified, is the log again after the coordinator lost everything, and together they are what people decided:
//! [`super::restore`]. Verifying costs a hash a leaf, and its signature.

use serde::{Deserialize, Serialize};

use super::checkpoint::{CheckpointError, SignedCheckpoint};
use super::event::{EventError, SignedEvent};
use super::frontier::Frontier;
use super::note::NoteKey;
use super::tree::TreeHash;
use crate::{SignedAct, SignedRoster};

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MirrorError {
    #[error("malformed mirror: {0}")]
    Malformed(String),
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    #[error("mirror of {found} leaves under a checkpoint of {expected}")]
    Size { expected: u64, found: u64 },
    #[error("the leaves are not those of the checkpoint: expected root {expected}, found {found}")]
    Root { expected: TreeHash, found: TreeHash },
    #[error("leaf {index}: {error}")]
    Leaf { index: u64, error: EventError },
}

/// The file, in JSON. Reading one says nothing of it: ask [`Mirror::verify`].
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mirror {
    /// Whose it is, by its own word. Absent in files from before it was written, as are the next ones.
    #[serde(default)]
    pub participant: String,
    /// The newest signed note that the participant accepted.
    pub checkpoint: String,
    pub leaves: Vec<String>,
    /// What the participant heard, in that order. Leaves name acts and rosters by their hashes alone.
    #[serde(default)]
    pub acts: Vec<SignedAct>,
    #[serde(default)]
    pub rosters: Vec<SignedRoster>,
}

impl Mirror {
    pub fn parse(text: &str) -> Result<Self, MirrorError> {
        serde_json::from_str(text).map_err(|e| MirrorError::Malformed(e.to_string()))
    }

    /// The checkpoint, if the log signed it and these are exactly the leaves of its tree.
    pub fn verify(&self, log: &NoteKey) -> Result<SignedCheckpoint, MirrorError> {
        let signed = SignedCheckpoint::open(self.checkpoint.as_bytes(), log)?;
        let mut frontier = Frontier::default();
        for (index, leaf) in (0..).zip(&self.leaves) {
            SignedEvent::parse(leaf.as_bytes()).map_err(|error| MirrorError::Leaf { index, error })?;
            frontier.append(TreeHash::leaf(leaf.as_bytes()));
        }
        let head = signed.checkpoint();
        let (expected, found) = (head.size, frontier.size());
        if expected != found {
            return Err(MirrorError::Size { expected, found });
        }
        let (expected, found) = (head.root, frontier.root());
        if expected != found {
            return Err(MirrorError::Root { expected, found });
        }
        Ok(signed)
    }
}
