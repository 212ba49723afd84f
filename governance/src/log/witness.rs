//! A witness: what a participant does with every checkpoint before it puts its name to it.
//!
//! ```text
//! offer -> examine -> (make the view durable) -> cosign
//! ```
//! It remembers one checkpoint, the newest it accepted, and the events it handed in. It accepts what the log signed, what extends
//! the newest, and what holds its own events once they are due. Two checkpoints of one size with different roots convict the log by
//! its own signature: the witness keeps both and refuses from then on; only a person who clears the view starts it
//! again. The first few that it refuses it keeps as well: the log's signature binds the log, whatever else was wrong with the offer.
//! Examining costs a signature verification and a few dozen hashes, whatever the size of the log.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::checkpoint::{Checkpoint, CheckpointError, SignedCheckpoint};
use super::event::SignedEvent;
use super::note::{NoteError, NoteKey, Signature};
use super::proof::{ProofError, verify_consistency, verify_inclusion};
use super::tree::TreeHash;
use crate::SigningKey;

/// Refused checkpoints that are kept: a log that is refused without end fills no disk.
const REFUSED: usize = 8;
/// Of one: the log's own checkpoint is a few lines, and what is longer was padded.
const REFUSED_BYTES: usize = 4096;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    #[error("the log rolled back: {offered} leaves offered, {seen} were seen")]
    Rollback { seen: u64, offered: u64 },
    #[error("the log of {offered} leaves does not extend the {seen} that were seen: {error}")]
    Inconsistent { seen: u64, offered: u64, error: ProofError },
    #[error("own event {leaf} is not where the log says: {error}")]
    Own { leaf: TreeHash, error: ProofError },
    #[error("own event {leaf} is not in the log: handed in at {since_ms} ms, due by {due_ms} ms, it is {now_ms} ms")]
    Overdue {
        leaf: TreeHash,
        since_ms: u64,
        due_ms: u64,
        now_ms: u64,
    },
    #[error("the log signed two different trees of {} leaves: keep the evidence, ask the coordinator's organisation", .0.size)]
    Fork(Box<Fork>),
    #[error("checkpoint of {found} leaves was overtaken by one of {newest}: cosign that")]
    Overtaken { newest: u64, found: u64 },
}

/// Two signed checkpoints that no append-only log can both have signed. Anybody with the log's key can judge.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fork {
    pub size: u64,
    pub first: String,
    pub second: String,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ForkError {
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    #[error("no evidence: sizes {first} and {second}, expected {expected} twice")]
    Sizes { expected: u64, first: u64, second: u64 },
    #[error("no evidence: both trees of {0} leaves are the same")]
    Same(u64),
}

/// What a witness must not forget. Serialised by the shell that keeps it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct View {
    /// The newest checkpoint accepted, as a note.
    newest: Option<String>,
    /// Own events that were not shown to be in the log yet, and when they were handed in, in milliseconds since 1970.
    pending: BTreeMap<TreeHash, u64>,
    fork: Option<Fork>,
    /// Checkpoints above the newest that the log signed and that were refused, as notes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    refused: Vec<String>,
}

impl View {
    /// The newest checkpoint accepted, as a note.
    pub fn newest(&self) -> Option<&str> {
        self.newest.as_deref()
    }
}

/// A checkpoint as it reaches a witness, with the proofs that belong to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    pub checkpoint: Vec<u8>,
    /// From the newest checkpoint that the witness accepted.
    pub consistency: Vec<TreeHash>,
    pub own: Vec<Inclusion>,
    /// The leaves that it adds, from a caller that built the tree from them: what an [`Inclusion`] shows to a witness that is not sent
    /// the leaves.
    pub added: Vec<TreeHash>,
}

/// Where one own event stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inclusion {
    pub leaf: TreeHash,
    pub index: u64,
    pub path: Vec<TreeHash>,
}

/// A checkpoint that the witness will put its name to, once the view that holds it is durable.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "make `Witness::view` durable, then cosign"]
pub struct Accepted(SignedCheckpoint);

/// A participant's memory of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Witness {
    log: NoteKey,
    /// How long the coordinator may take to log what it was handed.
    merge_delay_ms: u64,
    newest: Option<SignedCheckpoint>,
    /// By size.
    refused: BTreeMap<u64, SignedCheckpoint>,
    view: View,
}

impl Witness {
    /// From the view that was kept, or an empty one. A first checkpoint is taken as it is: what a witness never saw, other
    /// witnesses vouch for.
    pub fn new(log: NoteKey, merge_delay_ms: u64, view: View) -> Result<Self, CheckpointError> {
        let newest = view.newest.as_ref();
        let newest = newest
            .map(|note| SignedCheckpoint::open(note.as_bytes(), &log))
            .transpose()?;
        let refused = view.refused.iter().map(|note| {
            let signed = SignedCheckpoint::open(note.as_bytes(), &log)?;
            Ok((signed.checkpoint().size, signed))
        });
        Ok(Self {
            refused: refused.collect::<Result<_, CheckpointError>>()?,
            log,
            merge_delay_ms,
            newest,
            view,
        })
    }

    /// What to keep, after every call that changes it.
    pub fn view(&self) -> &View {
        &self.view
    }

    /// Leaves in the newest checkpoint accepted: where the next consistency proof starts.
    pub fn size(&self) -> u64 {
        self.newest.as_ref().map_or(0, |newest| newest.checkpoint().size)
    }

    /// Remembers an own event that went to the coordinator, until a checkpoint is shown to hold it.
    pub fn handed_in(&mut self, event: &SignedEvent, now_ms: u64) {
        self.view.pending.entry(event.hash()).or_insert(now_ms);
    }

    /// A new connection: these events, and no others, are handed in again. The merge delay counts the time with a connection: what passed
    /// since `gone_ms` without one does not, and what passed before does, however often a coordinator hangs up.
    pub fn hand_in_again(&mut self, leaves: impl IntoIterator<Item = TreeHash>, gone_ms: u64, now_ms: u64) {
        let waited = |leaf: &TreeHash| {
            let since_ms = self.view.pending.get(leaf).copied().unwrap_or(now_ms);
            gone_ms.saturating_sub(since_ms)
        };
        let again = leaves
            .into_iter()
            .map(|leaf| (leaf, now_ms.saturating_sub(waited(&leaf))));
        self.view.pending = again.collect();
    }

    /// The log's key.
    pub fn key(&self) -> &NoteKey {
        &self.log
    }

    /// The newest checkpoint accepted.
    pub fn newest(&self) -> Option<&SignedCheckpoint> {
        self.newest.as_ref()
    }

    /// Whether the log was convicted: nothing is accepted any more.
    pub fn fork(&self) -> Option<&Fork> {
        self.view.fork.as_ref()
    }

    /// Whether the log signed another tree of this size before, accepted here or not: then it is convicted, and that latches.
    pub fn compare(&mut self, signed: &SignedCheckpoint) -> Result<(), Refusal> {
        self.latched()?;
        let offered = signed.checkpoint();
        let mut before = self.newest.iter().chain(self.refused.get(&offered.size));
        let other = |before: &SignedCheckpoint| {
            before.checkpoint().size == offered.size && before.checkpoint().root != offered.root
        };
        if let Some(first) = before.find(|before| other(before)) {
            self.view.fork = Some(Fork {
                size: offered.size,
                first: first.to_string(),
                second: signed.to_string(),
            });
        }
        self.latched()
    }

    /// Keeps a checkpoint that was refused, so that whatever else the log signs of its size convicts it. Whether the view changed.
    pub fn refuse(&mut self, signed: &SignedCheckpoint) -> bool {
        let size = signed.checkpoint().size;
        let above = self
            .newest
            .as_ref()
            .is_none_or(|newest| newest.checkpoint().size < size);
        let short = signed.to_string().len() <= REFUSED_BYTES;
        let news = above && short && !self.refused.contains_key(&size);
        // The smaller its size, the sooner a checkpoint meets another one of its size: so the largest makes room, for one at most half as far
        // ahead. It can do that 63 times for each place, and then only a checkpoint that is accepted brings another record.
        let full = self.refused.len() >= REFUSED;
        let ahead = |size: u64| size - self.size();
        let last = self.refused.last_key_value().map(|(last, _)| ahead(*last));
        let news = news && (!full || last.is_some_and(|last| ahead(size) <= last / 2));
        if news {
            if full {
                self.refused.pop_last();
            }
            self.refused.insert(size, signed.clone());
            self.view.refused = self.refused.values().map(ToString::to_string).collect();
        }
        news
    }

    /// The root that the log signed for a size above the newest, if that was refused.
    pub fn refused_root(&self, size: u64) -> Option<TreeHash> {
        self.refused.get(&size).map(|signed| signed.checkpoint().root)
    }

    /// Verifies an offer. Nothing changes on a refusal, except that a fork latches: what a refused checkpoint holds is still owed.
    pub fn examine(&mut self, offer: &Offer, now_ms: u64) -> Result<Accepted, Refusal> {
        let signed = SignedCheckpoint::open(&offer.checkpoint, &self.log)?;
        self.compare(&signed)?;
        let offered = signed.checkpoint();
        if let Some(newest) = &self.newest {
            extends(newest.checkpoint(), offered, &offer.consistency)?;
        }
        let mut pending = self.view.pending.clone();
        for Inclusion { leaf, index, path } in &offer.own {
            verify_inclusion(leaf, *index, offered.size, path, &offered.root)
                .map_err(|error| Refusal::Own { leaf: *leaf, error })?;
            pending.remove(leaf);
        }
        for leaf in &offer.added {
            pending.remove(leaf);
        }
        self.in_time(&pending, now_ms)?;
        self.view.pending = pending;
        self.refused.retain(|size, _| *size > offered.size);
        self.view.refused = self.refused.values().map(ToString::to_string).collect();
        self.view.newest = Some(signed.to_string());
        self.newest = Some(signed.clone());
        Ok(Accepted(signed))
    }

    /// The witness's signature line. Not for a checkpoint that a newer one overtook: a cosignature says that this is the largest
    /// tree it has seen.
    pub fn cosign(&self, accepted: Accepted, name: &str, key: &SigningKey, at_s: u64) -> Result<Signature, Refusal> {
        self.latched()?;
        let found = accepted.0.checkpoint().size;
        if self.size() != found {
            return Err(Refusal::Overtaken {
                newest: self.size(),
                found,
            });
        }
        let cosigned: Result<_, NoteError> = accepted.0.cosign(name, key, at_s);
        cosigned.map_err(|error| CheckpointError::from(error).into())
    }

    /// Evidence that somebody else found. It latches here as well.
    pub fn told(&mut self, fork: Fork) -> Result<(), ForkError> {
        fork.verify(&self.log)?;
        self.view.fork.get_or_insert(fork);
        Ok(())
    }

    fn latched(&self) -> Result<(), Refusal> {
        let fork = self.view.fork.clone();
        fork.map_or(Ok(()), |fork| Err(Refusal::Fork(Box::new(fork))))
    }

    /// Whether every own event is in the log, or not due yet. A coordinator that shows no checkpoint is found out here.
    pub fn own_in_time(&self, now_ms: u64) -> Result<(), Refusal> {
        self.in_time(&self.view.pending, now_ms)
    }

    fn in_time(&self, pending: &BTreeMap<TreeHash, u64>, now_ms: u64) -> Result<(), Refusal> {
        for (leaf, since_ms) in pending {
            let due_ms = since_ms.saturating_add(self.merge_delay_ms);
            if now_ms > due_ms {
                return Err(Refusal::Overdue {
                    leaf: *leaf,
                    since_ms: *since_ms,
                    due_ms,
                    now_ms,
                });
            }
        }
        Ok(())
    }
}

fn extends(seen: &Checkpoint, offered: &Checkpoint, proof: &[TreeHash]) -> Result<(), Refusal> {
    if offered.size < seen.size {
        return Err(Refusal::Rollback {
            seen: seen.size,
            offered: offered.size,
        });
    }
    verify_consistency(seen.size, &seen.root, offered.size, &offered.root, proof).map_err(|error| {
        Refusal::Inconsistent {
            seen: seen.size,
            offered: offered.size,
            error,
        }
    })
}

impl Fork {
    /// Whether these two notes convict the log with this key.
    pub fn verify(&self, log: &NoteKey) -> Result<(), ForkError> {
        let first = SignedCheckpoint::open(self.first.as_bytes(), log)?;
        let second = SignedCheckpoint::open(self.second.as_bytes(), log)?;
        let (first, second) = (first.checkpoint(), second.checkpoint());
        if first.size != self.size || second.size != self.size {
            return Err(ForkError::Sizes {
                expected: self.size,
                first: first.size,
                second: second.size,
            });
        }
        if first.root == second.root {
            return Err(ForkError::Same(self.size));
        }
        Ok(())
    }
}
