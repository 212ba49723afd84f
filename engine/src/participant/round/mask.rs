//! Round step 2: the cohort is known, the charge becomes durable, the data is read, and what leaves is noised, masked and signed. With a
//! tick it leaves at an instant that says nothing about the data, or not at all.

use secagg::{Message, RingVec};

use super::{Phase, Round};
use crate::codes;
use crate::ids::SlotId;
use crate::message::{Cohort, MaskedInput, ToCoordinator};
use crate::participant::payer::Payer;
use crate::participant::{ComputeFailed, Participant, Turn};
use crate::step::{Compute, ParticipantEvent};
use crate::workload::Refusal;

impl Participant {
    /// Locks the slot to its cohort, charges, and asks for the computation.
    pub(in crate::participant) fn cohort(&mut self, cohort: Cohort, turn: &mut Turn<'_>) {
        let at = cohort.at;
        let Some(Round {
            part: Some(_),
            phase: Phase::Accepted,
            ..
        }) = self.rounds.get(&at)
        else {
            return;
        };
        if let Err(refusal) = self.charge(&cohort, turn) {
            self.abort(at, refusal, turn);
        }
    }

    fn charge(&mut self, cohort: &Cohort, turn: &mut Turn<'_>) -> Result<(), Refusal> {
        let at = cohort.at;
        let aborted = |reason: String| Refusal::new(codes::ABORT, reason);
        let accepts = secagg::Cohort::decode(&cohort.accepts).map_err(|error| aborted(error.to_string()))?;
        let gone = || Refusal::new(codes::NO_EPOCH, "the epoch is gone");
        let Some(part) = self.rounds.get(&at).and_then(|round| round.part.as_ref()) else {
            return Err(gone());
        };
        self.still_allowed(part, turn.now_ms)?;
        let s_min = part.planned.terms.s_min as usize;
        let index = part.round + part.attempt;
        let compute = Compute {
            at,
            job: part.job,
            round: part.round,
            dataset: part.dataset.clone(),
            request: part.request.clone(),
            contract: part.request.contract,
            plan: part.planned.plan.clone(),
            state: part.state.clone(),
        };
        let (hash, population, planned) = (part.hash, part.population.clone(), part.planned.clone());
        let (request, grant) = (part.request.clone(), part.grant);
        // Cohorts may arrive in another order than rounds were accepted: an index below one that was used stays unused.
        if index < self.next_token(&hash) {
            let text = format!("attempt {index} of the request came after a later one");
            return Err(Refusal::new(codes::TOKEN_USED, text));
        }
        let live = self.epochs.live_mut(at.epoch).ok_or_else(gone)?;
        let locked = live.epoch.cohort(at.slot, s_min, &accepts.accepts);
        if locked.map_err(|abort| aborted(abort.to_string()))?.is_none() {
            return Ok(());
        }
        let payer = Payer {
            request: &request,
            grant,
        };
        self.commit(hash, payer, &population, &planned, index, turn)?;
        if planned.plan.variance == 0 {
            self.runs.entry(hash).or_default().bare_round = compute.round + 1;
        }
        if planned.plan.rounds == 1 {
            self.send_offers(turn); // what is left, for `sotto budget`; a run says it once, at its end
        }
        turn.event(ParticipantEvent::Charged {
            job: compute.job,
            at,
            population,
        });
        let tick_ms = self.config.limits.tick_ms.filter(|tick| *tick > 0);
        // A whole tick at least, whenever the coordinator chose to announce the cohort.
        let leaves_at_ms = tick_ms.map(|tick| (turn.now_ms / tick + 2) * tick);
        let consent = self.config.consent.stamp(&compute.dataset, turn.now_ms);
        if let Some(round) = self.rounds.get_mut(&at) {
            let unasked = cohort.upload_unasked;
            round.phase = Phase::Computing {
                unasked,
                leaves_at_ms,
                consent,
            };
            turn.step.compute = Some(compute);
        }
        Ok(())
    }

    /// Masks what was computed. Only noised vectors exist here.
    pub(in crate::participant) fn computed(
        &mut self,
        at: SlotId,
        result: Result<privacy::Noised, ComputeFailed>,
        turn: &mut Turn<'_>,
    ) {
        let Some(Round {
            phase:
                Phase::Computing {
                    unasked,
                    leaves_at_ms,
                    consent,
                },
            ..
        }) = self.rounds.get(&at)
        else {
            return;
        };
        let (unasked, leaves_at_ms, consent) = (*unasked, *leaves_at_ms, *consent);
        let masked = match result {
            Err(ComputeFailed(reason)) => {
                turn.event(ParticipantEvent::ComputeFailed { at, reason });
                Err(not_delivered())
            }
            Ok(_) if leaves_at_ms.is_some_and(|leaves_at_ms| turn.now_ms > leaves_at_ms) => Err(not_delivered()),
            Ok(noised) => self.mask(at, noised, turn.now_ms),
        };
        match masked {
            // With a tick even the moment of a failure would say how long the data took: silence until the deadline.
            Err(refusal) if leaves_at_ms.is_some() => {
                self.withdraw(at, refusal, turn);
            }
            Err(refusal) => self.abort(at, refusal, turn),
            Ok((head, vector)) => {
                if let Some(round) = self.rounds.get_mut(&at) {
                    let (head, granted) = (head.encode().into(), false);
                    round.phase = Phase::Holding {
                        unasked,
                        leaves_at_ms,
                        consent,
                        granted,
                        head,
                        vector,
                    };
                }
                self.tick(at, turn);
            }
        }
    }

    fn mask(
        &mut self,
        at: SlotId,
        noised: privacy::Noised,
        now_ms: u64,
    ) -> Result<(secagg::MaskedHeader, RingVec), Refusal> {
        let missing = || Refusal::new(codes::NO_EPOCH, "the round is gone");
        let part = self
            .rounds
            .get(&at)
            .and_then(|round| round.part.as_ref())
            .ok_or_else(missing)?;
        self.still_allowed(part, now_ms)?;
        let plan = part.planned.plan.clone();
        if noised.dim() != plan.dim || noised.variance() != plan.variance {
            return Err(not_delivered());
        }
        let vector = RingVec::from_i64s(plan.ring, &noised.into_values());
        let live = self.epochs.live_mut(at.epoch).ok_or_else(missing)?;
        let masked = live
            .epoch
            .mask(at.slot, vector)
            .map_err(|abort| Refusal::new(codes::ABORT, abort.to_string()))?;
        Ok(masked.into_parts())
    }

    /// The coordinator has room for this vector.
    pub(in crate::participant) fn upload_granted(&mut self, at: SlotId, turn: &mut Turn<'_>) {
        if let Some(Round {
            phase: Phase::Holding { granted, .. },
            ..
        }) = self.rounds.get_mut(&at)
        {
            *granted = true;
            self.tick(at, turn);
        }
    }

    /// Sends the vector if its tick has come and there is room; asks for room if it was not asked for yet.
    pub(super) fn tick(&mut self, at: SlotId, turn: &mut Turn<'_>) {
        let Some(round) = self.rounds.get_mut(&at) else { return };
        let Some(part) = &round.part else { return };
        let job = part.job;
        let Phase::Holding {
            unasked,
            leaves_at_ms,
            consent,
            granted,
            ..
        } = &mut round.phase
        else {
            return;
        };
        if leaves_at_ms.is_some_and(|leaves_at_ms| turn.now_ms < leaves_at_ms) {
            return;
        }
        if !*unasked && !*granted {
            *leaves_at_ms = None;
            return turn.send(ToCoordinator::Ready { at });
        }
        let (dataset, consent) = (part.dataset.clone(), *consent);
        if self.config.consent.stamp(&dataset, turn.now_ms) != consent {
            // Nobody may tell a withdrawal from a disk that failed.
            match self.config.limits.tick_ms.filter(|tick| *tick > 0) {
                Some(_) => drop(self.withdraw(at, not_delivered(), turn)),
                None => self.abort(at, not_delivered(), turn),
            }
            return;
        }
        let part = self.rounds.get(&at).and_then(|round| round.part.as_ref());
        if let Some(Err(refusal)) = part.map(|part| self.still_allowed(part, turn.now_ms)) {
            return self.abort(at, refusal, turn);
        }
        let Some(round) = self.rounds.get_mut(&at) else { return };
        if let Phase::Holding { head, vector, .. } = std::mem::replace(&mut round.phase, Phase::Sent) {
            let logged = round.part.as_ref().map(|part| {
                let of_run = part.planned.plan.rounds > 1;
                (part.hash, part.request.clone(), part.grant, of_run, head.clone())
            });
            let next = round
                .part
                .as_ref()
                .filter(|part| part.round + 1 < part.planned.plan.rounds);
            let next = next.map(|part| {
                let index = part.round + part.attempt + 1;
                (
                    part.hash,
                    part.request.clone(),
                    part.grant,
                    part.population.clone(),
                    part.planned.clone(),
                    index,
                )
            });
            turn.event(ParticipantEvent::Sent { job, at });
            turn.send(ToCoordinator::MaskedInput(MaskedInput { at, head, vector }));
            if let Some((hash, request, grant, of_run, head)) = logged {
                let payer = Payer {
                    request: &request,
                    grant,
                };
                self.contributed(hash, payer, of_run, &head, turn);
            }
            if let Some((hash, request, grant, population, planned, index)) = next {
                let payer = Payer {
                    request: &request,
                    grant,
                };
                self.commit_ahead(hash, payer, &population, &planned, index, turn);
            }
        }
    }
}

/// One refusal for whatever depends on data: a file, a value, a withdrawn consent.
fn not_delivered() -> Refusal {
    Refusal::new(codes::COMPUTE, "the computation did not deliver")
}
