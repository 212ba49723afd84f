//! Adding masked vectors up as they come; the vector is given back for spooling and never kept.

use std::collections::BTreeMap;

use super::relay::equivocation;
use super::{Round, Unmasking, Voting};
use crate::abort::{Abort, MemberFault, RelayFault, Usage};
use crate::digest::Digest;
use crate::message::{MaskedHeader, Signed, Survivors};
use crate::ring::{Ring, RingVec};
use crate::setup::same;

/// Waits for masked vectors.
pub struct Collect {
    round: Round,
    sum: RingVec,
    headers: BTreeMap<u16, MaskedHeader>,
}

/// How the round goes on after the survivors are known.
pub enum Opening {
    /// Everyone of the cohort survived: members reveal at once.
    Fast(Unmasking),
    /// Somebody dropped: members vote first.
    Slow(Voting),
}

impl Collect {
    pub(super) fn start(round: Round, ring: Ring, dim: usize) -> Self {
        Self {
            round,
            sum: RingVec::zero(ring, dim),
            headers: BTreeMap::new(),
        }
    }

    /// Epoch, slot, context and cohort.
    pub fn ctx2(&self) -> Digest {
        self.round.ctx2
    }

    /// Checks a header as soon as it arrives, before its vector has.
    pub fn check(&self, header: &MaskedHeader) -> Result<(), Abort> {
        self.round.same_slot(header.slot)?;
        same("context of masked header", self.round.ctx2, header.ctx2)?;
        if !self.round.cohort().any(|member| member == header.member) {
            return Err(RelayFault::SurvivorOutsideCohort { member: header.member }.into());
        }
        header.verify(self.round.book.members())
    }

    /// Adds a vector whose signature, digest and length hold, and gives it back. A repeated one is `None`.
    pub fn add(&mut self, header: MaskedHeader, y: RingVec) -> Result<Option<RingVec>, Abort> {
        self.check(&header)?;
        match self.headers.get(&header.member) {
            Some(seen) if *seen == header => return Ok(None),
            Some(seen) => return Err(equivocation(header.member, "masked headers", seen, &header)),
            None => {}
        }
        same("digest of masked vector", header.digest, MaskedHeader::digest_of(&y))?;
        if y.ring() != self.sum.ring() || y.as_bytes().len() != self.sum.as_bytes().len() {
            let fault = MemberFault::WrongShape { what: "masked vector" };
            return Err(Abort::blame(header.member, fault, &[&header]));
        }
        self.sum.add_assign(&y)?;
        self.headers.insert(header.member, header);
        Ok(Some(y))
    }

    /// Vectors added so far.
    pub fn len(&self) -> usize {
        self.headers.len()
    }

    /// Whether no vector has been added yet.
    pub fn is_empty(&self) -> bool {
        self.headers.is_empty()
    }

    /// Whether the whole cohort has sent.
    pub fn complete(&self) -> bool {
        self.headers.len() == self.round.accepts.len()
    }

    /// Whether enough have sent for the round to end well.
    pub fn ready(&self) -> bool {
        self.headers.len() >= self.round.s_min
    }

    /// Freezes the survivors.
    pub fn close(self) -> Result<(Survivors, Opening), Abort> {
        if !self.ready() {
            return Err(Usage::TooFew {
                what: "masked vectors",
                expected: self.round.s_min,
                found: self.headers.len(),
            }
            .into());
        }
        let fast = self.complete();
        let survivors = Survivors {
            slot: self.round.slot,
            accepts: self.round.accepts.clone(),
            headers: self.headers.into_values().collect(),
        };
        let unmasking = Unmasking::start(self.round, &survivors, self.sum);
        let opening = if fast {
            Opening::Fast(unmasking)
        } else {
            Opening::Slow(Voting::start(unmasking))
        };
        Ok((survivors, opening))
    }
}
