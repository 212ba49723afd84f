//! A bundle: a stretch of the log as one file that proves itself, offline, to whoever has a trust file.
//!
//! It holds a checkpoint with cosignatures and, for each index of `from..to`, the leaf, its inclusion proof and, where the exporter may
//! show it, the payload. Verification goes from the left and names the first index at which the file and the signed tree
//! part: an entry changed, missing, moved or cut off. What it cannot know is what was outside the stretch:
//! [`Verified::whole`] says whether there is anything. A verified entry costs a signature and some 20 hashes, 40 us.

use serde::{Deserialize, Serialize};

use super::checkpoint::{CheckpointError, SignedCheckpoint};
use super::event::{EventError, Payload, SignedEvent};
use super::proof::{ProofError, verify_inclusion};
use super::tree::{Nodes, TreeError, TreeHash};
use super::trust::{Trust, TrustError};
use crate::SignedRoster;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BundleError {
    #[error("malformed bundle: {0}")]
    Malformed(String),
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    #[error(transparent)]
    Trust(#[from] TrustError),
    #[error("bundle claims entries {from} to {to} of a log of {size}")]
    Stretch { from: u64, to: u64, size: u64 },
    #[error("entry {index}: {fault}")]
    Entry { index: u64, fault: Fault },
}

/// What is wrong at the first bad index.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    #[error("missing: the bundle breaks off")]
    Missing,
    #[error("misplaced: entry {found} stands here")]
    Misplaced { found: u64 },
    #[error("surplus: the bundle ends before it")]
    Surplus,
    #[error("not in the log at this place: {0}")]
    Inclusion(ProofError),
    #[error(transparent)]
    Event(#[from] EventError),
}

/// The file, in JSON. Reading one says nothing of it: ask [`Bundle::verify`].
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bundle {
    /// The signed note.
    pub checkpoint: String,
    pub from: u64,
    pub to: u64,
    pub entries: Vec<Entry>,
    /// The rosters that the log names, as governance signed them. Believed by who holds governance's key: [`super::Rosters`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rosters: Vec<SignedRoster>,
}

#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    pub index: u64,
    /// The leaf's very bytes.
    pub leaf: String,
    pub proof: Vec<TreeHash>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload: Option<Payload>,
}

/// A bundle that holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    pub checkpoint: SignedCheckpoint,
    pub from: u64,
    /// One for each index from `from` on.
    pub events: Vec<SignedEvent>,
    /// Names of the witnesses that cosigned.
    pub witnesses: Vec<String>,
    /// As they came: whether governance signed them is [`super::Rosters::open`]'s to ask.
    pub rosters: Vec<SignedRoster>,
}

impl Bundle {
    /// Exports entries `from..`, in the log's order, with proofs from wherever the tree is kept.
    pub fn export<N: Nodes>(
        nodes: &N,
        checkpoint: &SignedCheckpoint,
        from: u64,
        entries: Vec<(SignedEvent, Option<Payload>)>,
    ) -> Result<Self, N::Error> {
        let size = checkpoint.checkpoint().size;
        let to = from.saturating_add(entries.len() as u64);
        if to > size {
            return Err(TreeError::Leaf { index: to - 1, size }.into());
        }
        let entry = |(index, (event, payload)): (u64, (SignedEvent, _))| {
            Ok(Entry {
                index,
                leaf: event.leaf().into(),
                proof: nodes.inclusion(index, size)?,
                payload,
            })
        };
        Ok(Self {
            checkpoint: checkpoint.to_string(),
            from,
            to,
            entries: (from..).zip(entries).map(entry).collect::<Result<_, N::Error>>()?,
            rosters: Vec::new(),
        })
    }

    pub fn parse(text: &str) -> Result<Self, BundleError> {
        serde_json::from_str(text).map_err(|e| BundleError::Malformed(e.to_string()))
    }

    /// The events, if the log signed the checkpoint, a quorum cosigned it, and every entry of the stretch is in its tree at its place.
    pub fn verify(&self, trust: &Trust) -> Result<Verified, BundleError> {
        let checkpoint = SignedCheckpoint::open(self.checkpoint.as_bytes(), trust.log())?;
        let cosigned = trust.quorum(&checkpoint)?;
        let size = checkpoint.checkpoint().size;
        if self.from > self.to || self.to > size {
            return Err(BundleError::Stretch {
                from: self.from,
                to: self.to,
                size,
            });
        }
        let mut entries = self.entries.iter();
        let mut events = Vec::with_capacity(self.entries.len());
        for index in self.from..self.to {
            let event = match entries.next() {
                Some(entry) => entry.verify(index, &checkpoint),
                None => Err(Fault::Missing),
            };
            events.push(event.map_err(|fault| BundleError::Entry { index, fault })?);
        }
        if entries.next().is_some() {
            return Err(BundleError::Entry {
                index: self.to,
                fault: Fault::Surplus,
            });
        }
        Ok(Verified {
            from: self.from,
            events,
            witnesses: cosigned.iter().map(|by| by.key.name().into()).collect(),
            rosters: self.rosters.clone(),
            checkpoint,
        })
    }
}

impl Entry {
    fn verify(&self, index: u64, checkpoint: &SignedCheckpoint) -> Result<SignedEvent, Fault> {
        if self.index != index {
            return Err(Fault::Misplaced { found: self.index });
        }
        let head = checkpoint.checkpoint();
        verify_inclusion(
            &TreeHash::leaf(self.leaf.as_bytes()),
            index,
            head.size,
            &self.proof,
            &head.root,
        )
        .map_err(Fault::Inclusion)?;
        let event = SignedEvent::parse(self.leaf.as_bytes())?;
        if let Some(payload) = &self.payload {
            event.opens(payload)?;
        }
        Ok(event)
    }
}

impl Verified {
    /// Whether these are all the events that the log held at this checkpoint.
    pub fn whole(&self) -> bool {
        self.from == 0 && self.events.len() as u64 == self.checkpoint.checkpoint().size
    }
}
