//! What a member opens, and only from a slot locked to one survivor set: for each peer of the cohort one share, of `b` if it
//! survived and of `w` if it dropped, never both.

use super::lock::{Lock, Surveyed};
use super::{Epoch, second};
use crate::abort::{Abort, RelayFault};
use crate::digest::Digest;
use crate::members::Members;
use crate::message::{Certificate, EdgeReveal, Reveal, SharePaths, Signed, UNSIGNED};
use crate::setup::Kind;
use crate::shamir::scalar_bytes;

impl Epoch {
    /// Moves the slot from `Surveyed` to `Revealed`.
    pub(super) fn reveal(&mut self, slot: u16) -> Result<Reveal, Abort> {
        let Lock::Surveyed(seen) = self.lock(slot)? else {
            return Err(self.lock(slot)?.wrong_phase(slot, "locked to a survivor set"));
        };
        let (seen, secrets) = (seen.clone(), self.secrets(slot)?);
        let shares = seen
            .opened()
            .map(|(peer, kind)| {
                let [b, w] = &secrets.shares[usize::from(peer) - 1];
                *scalar_bytes(match kind {
                    Kind::B => b,
                    Kind::W => w,
                })
            })
            .collect();
        let reveal = Reveal {
            epoch_id: self.epoch_id,
            slot,
            member: self.me.index,
            u_hash: seen.u_hash,
            shares,
            signature: UNSIGNED,
        }
        .signed(&self.me.key);
        self.slots[usize::from(slot)].lock = Lock::Revealed(seen);
        Ok(reveal)
    }

    /// Merkle paths of the shares just revealed, for a coordinator whose reconstruction failed. Says nothing new about any
    /// secret: siblings are hashes of uniform shares.
    pub fn paths(&self, slot: u16) -> Result<SharePaths, Abort> {
        let seen = self.revealed(slot)?;
        let paths = seen
            .opened()
            .map(|(peer, kind)| {
                let leaf = 2 * usize::from(slot) + usize::from(kind == Kind::W);
                self.share_trees[usize::from(peer) - 1].path(leaf)
            })
            .collect();
        Ok(SharePaths {
            epoch_id: self.epoch_id,
            slot,
            member: self.me.index,
            paths,
            signature: UNSIGNED,
        }
        .signed(&self.me.key))
    }

    /// Own edge seeds with the dropped of the survivor set just revealed, for a coordinator that found a sealed bundle bad.
    /// They are what `w` would have opened, and no survivor's edge is among them.
    pub fn edges(&self, slot: u16) -> Result<EdgeReveal, Abort> {
        let seen = self.revealed(slot)?;
        if seen.survivors.binary_search(&self.me.index).is_err() {
            return Err(RelayFault::SurvivorOutsideCohort { member: self.me.index }.into());
        }
        let secrets = self.secrets(slot)?;
        let edges = seen
            .opened()
            .filter(|(_, kind)| *kind == Kind::W)
            .map(|(peer, _)| (peer, secrets.edges[usize::from(peer) - 1].0))
            .collect();
        Ok(EdgeReveal {
            epoch_id: self.epoch_id,
            slot,
            member: self.me.index,
            u_hash: seen.u_hash,
            edges,
            signature: UNSIGNED,
        }
        .signed(&self.me.key))
    }

    fn revealed(&self, slot: u16) -> Result<&Surveyed, Abort> {
        match self.lock(slot)? {
            Lock::Revealed(seen) => Ok(seen),
            Lock::Erased => Err(RelayFault::Erased { slot }.into()),
            other => Err(other.wrong_phase(slot, "revealed")),
        }
    }
}

impl Surveyed {
    /// Each peer of the cohort and which of its secrets may be opened.
    fn opened(&self) -> impl Iterator<Item = (u16, Kind)> {
        self.place.cohort.iter().map(|peer| {
            let survived = self.survivors.binary_search(peer).is_ok();
            (*peer, if survived { Kind::B } else { Kind::W })
        })
    }
}

impl Certificate {
    /// At least t different members voted for `u_hash` in this slot of this epoch.
    pub fn check(&self, members: &Members, epoch_id: &Digest, slot: u16, u_hash: &Digest) -> Result<(), Abort> {
        if self.slot != slot {
            return Err(RelayFault::WrongSlot {
                expected: slot,
                found: self.slot,
            }
            .into());
        }
        if self.votes.len() < members.threshold() {
            return Err(RelayFault::CertificateBelowThreshold {
                expected: members.threshold(),
                found: self.votes.len(),
            }
            .into());
        }
        let mut last = 0;
        for vote in &self.votes {
            if vote.member <= last {
                return Err(RelayFault::Unsorted {
                    what: "certificate",
                    member: vote.member,
                }
                .into());
            }
            last = vote.member;
            crate::setup::same("epoch of vote", *epoch_id, vote.epoch_id)?;
            if vote.slot != slot {
                return Err(RelayFault::WrongSlot {
                    expected: slot,
                    found: vote.slot,
                }
                .into());
            }
            if vote.u_hash != *u_hash {
                return Err(second(slot, "survivor set", *u_hash, vote.u_hash));
            }
            vote.verify(members)?;
        }
        Ok(())
    }
}
