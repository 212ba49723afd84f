//! Gathering votes for one survivor set until they make a certificate.

use std::collections::BTreeMap;

use super::Unmasking;
use super::relay::equivocation;
use crate::abort::{Abort, Usage};
use crate::message::{Certificate, Signed, Vote};
use crate::setup::same;

/// Waits for votes.
pub struct Voting {
    next: Unmasking,
    votes: BTreeMap<u16, Vote>,
}

impl Voting {
    pub(super) fn start(next: Unmasking) -> Self {
        Self {
            next,
            votes: BTreeMap::new(),
        }
    }

    /// Takes a vote; answers how many there are, or `None` for a repeated one.
    pub fn vote(&mut self, vote: Vote) -> Result<Option<usize>, Abort> {
        let round = self.next.round();
        same("epoch of vote", round.book.epoch_id(), vote.epoch_id)?;
        round.same_slot(vote.slot)?;
        vote.verify(round.book.members())?;
        match self.votes.get(&vote.member) {
            Some(seen) if *seen == vote => return Ok(None),
            Some(seen) => return Err(equivocation(vote.member, "votes", seen, &vote)),
            None => {}
        }
        same("survivor set of vote", self.next.u_hash(), vote.u_hash)?;
        self.votes.insert(vote.member, vote);
        Ok(Some(self.votes.len()))
    }

    /// For replays, which judge numbers and not consent.
    pub(crate) fn skip(self) -> Unmasking {
        self.next
    }

    /// Whether the votes make a certificate.
    pub fn ready(&self) -> bool {
        self.votes.len() >= self.next.round().book.members().threshold()
    }

    /// The certificate, and on to the reveals.
    pub fn close(self) -> Result<(Certificate, Unmasking), Abort> {
        if !self.ready() {
            return Err(Usage::TooFew {
                what: "votes",
                expected: self.next.round().book.members().threshold(),
                found: self.votes.len(),
            }
            .into());
        }
        let certificate = Certificate {
            slot: self.next.round().slot,
            votes: self.votes.into_values().collect(),
        };
        Ok((certificate, self.next))
    }
}
