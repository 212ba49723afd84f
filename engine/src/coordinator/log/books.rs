//! The log as the coordinator's books hold it: every leaf, the tree over them, and the newest checkpoint with a quorum. Rebuilt by the
//! same `apply` that runs, so a restarted coordinator holds the tree that it signed.
//!
//! Costs some 0.9 KB a leaf in memory: agents that were away, auditors and proofs are served from here.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use governance::ContentHash;
use governance::log::{Event, EventError, Kind, Nodes, Proven, SignedEvent, Tree, TreeHash};

use crate::ids::JobId;

/// The durable log.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LogBooks {
    tree: Tree,
    leaves: Vec<Arc<str>>,
    places: BTreeMap<TreeHash, u64>,
    /// Where a job's release stands.
    releases: BTreeMap<JobId, u64>,
    /// Where an act stands, by the hash of the act.
    acts: BTreeMap<ContentHash, u64>,
    /// The newest roster that the log names.
    roster: Option<ContentHash>,
    /// The newest checkpoint that a quorum cosigned, and its size.
    cosigned: Option<(u64, String)>,
}

impl LogBooks {
    /// Leaves from `first` on: the next ones, or records are missing.
    pub(in crate::coordinator) fn append(
        &mut self,
        leaves: &[String],
        mut seen: impl FnMut(&Event),
    ) -> Result<(), EventError> {
        for text in leaves {
            let event = SignedEvent::peek(text.as_bytes())?;
            let index = self.tree.append(text.as_bytes());
            self.places.insert(TreeHash::leaf(text.as_bytes()), index);
            self.index(&event, index);
            seen(&event);
            self.leaves.push(text.as_str().into());
        }
        Ok(())
    }

    fn index(&mut self, event: &Event, index: u64) {
        let reference = |name: &str| event.references.get(name).copied();
        match (event.kind, reference("request")) {
            (Kind::Release, Some(request)) => {
                // One job, one answer: nothing that comes later takes its place.
                self.releases.entry(JobId::of(&request.0)).or_insert(index);
            }
            (Kind::Roster, _) => self.roster = reference("roster"),
            _ => {}
        }
        if let Some(act) = reference("act").filter(|_| event.kind.is_of_act()) {
            self.acts.insert(act, index);
        }
    }

    pub(in crate::coordinator) fn cosign(&mut self, size: u64, checkpoint: String) {
        self.cosigned = Some((size, checkpoint));
    }

    /// Leaves there are.
    pub fn size(&self) -> u64 {
        self.tree.size()
    }

    pub fn tree(&self) -> &Tree {
        &self.tree
    }

    /// Leaves that a quorum vouches for.
    pub fn cosigned_size(&self) -> u64 {
        self.cosigned.as_ref().map_or(0, |(size, _)| *size)
    }

    /// The newest checkpoint that a quorum cosigned, as a note.
    pub fn cosigned(&self) -> Option<&str> {
        self.cosigned.as_ref().map(|(_, checkpoint)| checkpoint.as_str())
    }

    pub fn holds(&self, leaf: &TreeHash) -> bool {
        self.places.contains_key(leaf)
    }

    /// The leaves of a stretch, as far as they are there.
    pub fn leaves(&self, range: Range<u64>) -> impl Iterator<Item = &Arc<str>> {
        let end = range.end.min(self.size()) as usize;
        let start = (range.start as usize).min(end);
        self.leaves[start..end].iter()
    }

    /// Where the release of a job stands.
    pub fn release(&self, job: &JobId) -> Option<u64> {
        self.releases.get(job).copied()
    }

    /// Whether a quorum vouches for the release of a job: only then its analyst may see it.
    pub fn is_witnessed(&self, job: &JobId) -> bool {
        self.release(job).is_some_and(|index| index < self.cosigned_size())
    }

    pub(in crate::coordinator) fn holds_act(&self, act: &ContentHash) -> bool {
        self.acts.contains_key(act)
    }

    /// Whether a quorum vouches for an act: what a grant waits for before it is active.
    pub fn act_is_witnessed(&self, act: &ContentHash) -> bool {
        self.acts.get(act).is_some_and(|index| *index < self.cosigned_size())
    }

    pub(in crate::coordinator) fn roster(&self) -> Option<ContentHash> {
        self.roster
    }

    /// The release's leaf with its proof and the checkpoint that a quorum cosigned.
    pub fn proof(&self, job: &JobId) -> Option<Proven> {
        let (size, checkpoint) = self.cosigned.as_ref()?;
        let index = self.release(job).filter(|index| index < size)?;
        Some(Proven {
            leaf: self.leaves.get(index as usize)?.to_string(),
            index,
            path: self.tree.inclusion(index, *size).ok()?,
            checkpoint: checkpoint.clone(),
        })
    }
}
