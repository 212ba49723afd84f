//! Round step 3: who survived. Every member of the epoch checks it, whether or not it was in the cohort, and answers once: with a
//! reveal if nobody was lost, with a vote if somebody was. A vector that has not left by now never does.

use secagg::{Answer, Message, Receipt, Survivors};

use super::{Phase, Round};
use crate::codes;
use crate::ids::SlotId;
use crate::message::ToCoordinator;
use crate::participant::{Participant, Turn};
use crate::step::ParticipantEvent;
use crate::workload::Refusal;

impl Participant {
    pub(in crate::participant) fn survivors(&mut self, at: SlotId, wire: &[u8], turn: &mut Turn<'_>) {
        let part = self.rounds.get(&at).and_then(|round| round.part.as_ref());
        if let Some(Err(refusal)) = part.map(|part| self.still_allowed(part, turn.now_ms)) {
            return self.abort(at, refusal, turn); // revoked: no vote and no share of ours
        }
        let agreed = part.map(|part| part.planned.terms.s_min as usize);
        let Some(live) = self.epochs.live_mut(at.epoch) else {
            return;
        };
        let s_min = agreed.unwrap_or(live.members.threshold().max(self.roster.min_cohort as usize));
        let message = match Survivors::decode(wire) {
            Ok(message) => message,
            Err(error) => return turn.suspicious(Some(at), Refusal::new(codes::ABORT, error.to_string())),
        };
        let answer = match live.epoch.survivors(at.slot, s_min, &message) {
            Ok(Some(answer)) => answer,
            Ok(None) => return,
            Err(abort) => return turn.suspicious(Some(at), Refusal::new(codes::ABORT, abort.to_string())),
        };
        let deadline_ms = turn.now_ms.saturating_add(self.config.limits.round_timeout_ms);
        let round = self.rounds.entry(at).or_insert(Round {
            part: None,
            phase: Phase::Watching,
            deadline_ms,
        });
        match answer {
            Answer::Reveal(reveal) => {
                round.phase = Phase::Revealed;
                self.revealed(at, &reveal, turn);
            }
            Answer::Vote(vote) => {
                round.phase = Phase::Voted(
                    message
                        .headers
                        .iter()
                        .map(|header| (header.member, header.digest))
                        .collect(),
                );
                turn.send(ToCoordinator::Vote {
                    at,
                    vote: vote.encode().into(),
                });
            }
        }
    }

    /// The coordinator's word that a vector arrived: half of the proof should it leave that vector out.
    pub(in crate::participant) fn receipt(&mut self, at: SlotId, wire: &[u8], turn: &mut Turn<'_>) {
        let key = secagg::VerifyingKey(self.roster.coordinator.signing_key.0);
        let part = self.rounds.get_mut(&at).and_then(|round| round.part.as_mut());
        match (part, Receipt::decode(wire)) {
            (Some(part), Ok(receipt)) if receipt.verify(&key) => part.receipt = Some(receipt),
            (None, _) => {}
            _ => turn.suspicious(Some(at), Refusal::new(codes::ABORT, "a receipt that does not hold")),
        }
    }

    pub(super) fn revealed(&mut self, at: SlotId, reveal: &secagg::Reveal, turn: &mut Turn<'_>) {
        turn.event(ParticipantEvent::Revealed { at });
        turn.send(ToCoordinator::Reveal {
            at,
            reveal: reveal.encode().into(),
        });
    }
}
