//! Gathering a cohort: who said yes to this context in this slot.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::relay::equivocation;
use super::{Collect, EpochBook, Round};
use crate::abort::{Abort, Usage};
use crate::digest::Digest;
use crate::member::check_minimum;
use crate::message::{Accept, Cohort, Signed, ctx2_of};
use crate::ring::Ring;
use crate::setup::same;

/// Waits for Accepts.
pub struct Gather {
    book: Arc<EpochBook>,
    slot: u16,
    ctx_hash: Digest,
    s_min: usize,
    accepts: BTreeMap<u16, Accept>,
}

impl Gather {
    /// Opens a round in a slot that was never used.
    pub fn open(book: Arc<EpochBook>, slot: u16, ctx_hash: Digest, s_min: usize) -> Result<Self, Abort> {
        check_minimum(book.members(), s_min)?;
        if slot >= book.slots() {
            return Err(Usage::SlotOutOfRange {
                slots: book.slots(),
                found: slot,
            }
            .into());
        }
        Ok(Self {
            book,
            slot,
            ctx_hash,
            s_min,
            accepts: BTreeMap::new(),
        })
    }

    /// Takes an Accept; answers how many there are, or `None` for a repeated one.
    pub fn accept(&mut self, accept: Accept) -> Result<Option<usize>, Abort> {
        same("epoch of accept", self.book.epoch_id(), accept.epoch_id)?;
        if accept.slot != self.slot {
            return Err(crate::abort::RelayFault::WrongSlot {
                expected: self.slot,
                found: accept.slot,
            }
            .into());
        }
        accept.verify(self.book.members())?;
        match self.accepts.get(&accept.member) {
            Some(seen) if *seen == accept => return Ok(None),
            Some(seen) => return Err(equivocation(accept.member, "accepts", seen, &accept)),
            None => {}
        }
        same("context of accept", self.ctx_hash, accept.ctx_hash)?;
        self.accepts.insert(accept.member, accept);
        Ok(Some(self.accepts.len()))
    }

    /// Accepts so far.
    pub fn len(&self) -> usize {
        self.accepts.len()
    }

    /// Whether nobody has accepted yet.
    pub fn is_empty(&self) -> bool {
        self.accepts.is_empty()
    }

    /// Whether the cohort may be closed.
    pub fn ready(&self) -> bool {
        self.accepts.len() >= self.s_min
    }

    /// Freezes the cohort and waits for its vectors of `dim` values.
    pub fn close(self, ring: Ring, dim: usize) -> Result<(Collect, Cohort), Abort> {
        if !self.ready() {
            return Err(Usage::TooFew {
                what: "accepts",
                expected: self.s_min,
                found: self.accepts.len(),
            }
            .into());
        }
        let members: Vec<u16> = self.accepts.keys().copied().collect();
        let accepts: Vec<Accept> = self.accepts.into_values().collect();
        let round = Round {
            ctx2: ctx2_of(&self.book.epoch_id(), self.slot, &self.ctx_hash, &members),
            book: self.book,
            slot: self.slot,
            s_min: self.s_min,
            accepts: accepts.clone(),
        };
        let cohort = Cohort {
            slot: self.slot,
            accepts,
        };
        Ok((Collect::start(round, ring, dim), cohort))
    }
}
