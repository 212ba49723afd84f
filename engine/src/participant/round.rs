//! One round at one participant: `accept -> mask -> survive -> reveal`. What a slot may still serve is locked inside secagg; what
//! stands here is order, time and budget. Every refusal and abort is the same whatever the data holds.

mod accept;
mod chain;
pub(super) mod judge;
mod mask;
mod reveal;
mod survive;

use std::collections::BTreeSet;
use std::sync::Arc;

use governance::request::{MAX_LIFETIME_MS, MAX_SKEW_MS};
use governance::{ContentHash, Request};
use secagg::RingVec;

use super::{Participant, Stamp, Turn};
use crate::codes;
use crate::context::Planned;
use crate::ids::{EpochSeq, JobId, SlotId};
use crate::message::{ToCoordinator, Wire};
use crate::record::ParticipantRecord;
use crate::refused::Refused;
use crate::step::ParticipantEvent;
use crate::workload::Refusal;

/// From the first charge for a request until it cannot be valid by any clock.
const LONGEST_MS: u64 = MAX_LIFETIME_MS + MAX_SKEW_MS;

/// What is known about a request beside the books; lost in a crash, and may be.
#[derive(Default)]
pub(super) struct Run {
    pub(super) contributions: super::log::Contributions,
    /// Verified under the roster that holds now.
    pub(super) request: Option<Arc<Request>>,
    planned: Option<Planned>,
    /// One above the highest index accepted.
    cursor: u32,
    pub(super) expires_at_ms: u64,
    /// Among what its analyst asked in this hour.
    counted: bool,
    /// A token that was committed while the round before was closed, and not used yet.
    pub(super) ahead: Option<super::budget::Token>,
    /// Of a run without noise: the lowest round for which no vector was computed yet, as far as this process and the books know.
    bare_round: u32,
    /// The state of the newest round that this agent took part in.
    chain: Option<chain::Link>,
}

/// An open round.
pub(super) struct Round {
    /// None for a member outside the cohort: it only holds shares.
    part: Option<Part>,
    phase: Phase,
    deadline_ms: u64,
}

/// This agent's part in a round.
pub(super) struct Part {
    job: JobId,
    hash: ContentHash,
    /// The grant that admitted the analyst, if the owner's own list did not.
    grant: Option<ContentHash>,
    request: Arc<Request>,
    /// The roster that it was accepted under.
    roster: ContentHash,
    dataset: String,
    population: String,
    planned: Planned,
    round: u32,
    attempt: u32,
    state: Option<Arc<[u8]>>,
    receipt: Option<secagg::Receipt>,
}

/// In protocol order; `Watching` stands for all of it at a member outside the cohort.
enum Phase {
    Watching,
    Accepted,
    Computing {
        unasked: bool,
        leaves_at_ms: Option<u64>,
        /// From before data was touched.
        consent: Stamp,
    },
    /// Masked, and waiting for its tick or for a grant.
    Holding {
        unasked: bool,
        leaves_at_ms: Option<u64>,
        consent: Stamp,
        granted: bool,
        head: Wire,
        vector: RingVec,
    },
    Sent,
    Voted(Vec<(u16, secagg::Digest)>),
    Revealed,
}

impl Part {
    /// The grant that it is under.
    pub(super) fn grant(&self) -> Option<ContentHash> {
        self.grant
    }

    pub(super) fn dataset(&self) -> &str {
        &self.dataset
    }
}

impl Round {
    /// This agent's part, if it has one.
    pub(super) fn part(&self) -> Option<&Part> {
        self.part.as_ref()
    }

    pub(super) fn wake_at_ms(&self) -> u64 {
        match &self.phase {
            Phase::Holding {
                leaves_at_ms: Some(at), ..
            } => self.deadline_ms.min(*at),
            _ => self.deadline_ms,
        }
    }
}

impl Participant {
    /// Lets vectors go whose tick has come, and ends rounds whose time is up.
    pub(super) fn expire_rounds(&mut self, turn: &mut Turn<'_>) {
        let due: Vec<SlotId> = self
            .rounds
            .iter()
            .filter(|(_, round)| round.wake_at_ms() <= turn.now_ms)
            .map(|(at, _)| *at)
            .collect();
        for at in due {
            if self
                .rounds
                .get(&at)
                .is_some_and(|round| round.deadline_ms <= turn.now_ms)
            {
                self.abort(at, Refusal::new(codes::DEADLINE, "the round's time is up"), turn);
            } else {
                self.tick(at, turn);
            }
        }
    }

    /// The coordinator is done with the round.
    pub(super) fn round_ended(&mut self, at: SlotId, turn: &mut Turn<'_>) {
        self.rounds.remove(&at);
        self.erase(at, turn);
    }

    /// Rounds of an epoch whose secrets are gone.
    pub(super) fn drop_rounds_of(&mut self, epoch: EpochSeq) {
        self.rounds.retain(|at, _| at.epoch != epoch);
    }

    /// No token of this request is used any more; what was set aside comes back.
    pub(super) fn close_request(&mut self, hash: ContentHash, turn: &mut Turn<'_>) {
        let (tokens, terms) = (self.books.tokens(&hash), self.books.log().terms(&hash));
        let known = self.runs.contains_key(&hash) || tokens.used > 0 || terms.is_some();
        if !known || tokens.closed {
            // What left after its request was closed is said all the same.
            self.log_contributions(hash, turn);
            self.runs.remove(&hash);
            self.ended.remove(&hash);
            return;
        }
        // What an old store takes for unused may have been used: nothing comes back before the log was read to its end, and what it shows
        // to be missing was replayed.
        if self.log_current(turn.now_ms).is_err() {
            self.ended.insert(hash);
            return;
        }
        self.ended.remove(&hash);
        self.log_contributions(hash, turn);
        self.runs.remove(&hash);
        // Nothing of these has left, and nothing will.
        let unsent = |round: &Round| {
            let of_it = round.part.as_ref().is_some_and(|part| part.hash == hash);
            of_it
                && matches!(
                    round.phase,
                    Phase::Accepted | Phase::Computing { .. } | Phase::Holding { .. }
                )
        };
        let unsent: Vec<SlotId> = self
            .rounds
            .iter()
            .filter(|(_, round)| unsent(round))
            .map(|(at, _)| *at)
            .collect();
        for at in unsent {
            self.round_ended(at, turn);
        }
        let terms = self.books.log().terms(&hash).cloned();
        self.record(ParticipantRecord::RequestClosed { request: hash }, turn);
        self.void_rest(&hash, terms.as_ref(), turn);
        self.send_offers(turn);
    }

    /// Closes what is over by the clock, whether its end was said or not: by the request's own time, and where a restart forgot that, by the
    /// longest time that one may have. What ended while the log was not read to its end is closed when it was.
    pub(super) fn close_expired_requests(&mut self, turn: &mut Turn<'_>) {
        let expired = self.runs.iter().filter(|(_, run)| run.expires_at_ms <= turn.now_ms);
        let charged = self.books.log().charged_until(turn.now_ms.saturating_sub(LONGEST_MS));
        let over: BTreeSet<ContentHash> = (expired.map(|(hash, _)| *hash))
            .chain(charged)
            .chain(self.ended.iter().copied())
            .collect();
        if over.is_empty() || self.log_current(turn.now_ms).is_err() {
            return;
        }
        for hash in over {
            self.close_request(hash, turn);
        }
    }

    /// A new roster may have removed an analyst or changed a key: requests are verified again.
    pub(super) fn forget_verified(&mut self) {
        self.runs.values_mut().for_each(|run| run.request = None);
    }

    /// Stops at this round and says so. Nothing was revealed, and nothing of it ever will be.
    pub(super) fn abort(&mut self, at: SlotId, refusal: Refusal, turn: &mut Turn<'_>) {
        if let Some(refused) = self.withdraw(at, refusal, turn) {
            turn.send(ToCoordinator::Aborted { at, refused });
        }
    }

    /// Stops at this round without a word; the coordinator sees a dropout when its deadline passes.
    fn withdraw(&mut self, at: SlotId, refusal: Refusal, turn: &mut Turn<'_>) -> Option<Refused> {
        self.rounds.remove(&at)?;
        self.erase(at, turn);
        let refused = Refused::from(refusal);
        turn.event(ParticipantEvent::Aborted {
            at,
            refused: refused.clone(),
        });
        Some(refused)
    }

    fn erase(&mut self, at: SlotId, turn: &mut Turn<'_>) {
        let Some(live) = self.epochs.live_mut(at.epoch) else {
            return;
        };
        if let Err(abort) = live.epoch.erase(at.slot) {
            turn.suspicious(Some(at), Refusal::new(codes::ABORT, abort.to_string()));
        }
    }
}
