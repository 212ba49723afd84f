//! The chain of states: an agent that took part continues from what it holds itself, by the sum, and refuses a round that stands on
//! another state. So a coordinator can neither hand different models to different agents nor one that does not follow
//! from the sums.
//!
//! An agent that missed the round before has nothing to continue from and takes the state whole. Every Accept carries the
//! state's hash, so a cohort with one agent that was there holds the state that follows. Absorbing costs O(dim).

use std::sync::Arc;

use governance::{Contract, Request};
use secagg::{MAX_MEMBERS, RingVec};

use super::Run;
use crate::codes;
use crate::context::Planned;
use crate::message::{Carried, Previous, RoundStart};
use crate::participant::Participant;
use crate::workload::{CohortTerms, Outcome, PlainSum, Refusal};

/// The state that the newest round of a run stood on. Round 0 stands on none.
#[derive(Clone)]
pub(super) struct Link {
    round: u32,
    before: Option<([u8; 32], Arc<[u8]>)>,
    planned: Planned,
}

impl Link {
    pub(super) fn state(&self) -> Option<Arc<[u8]>> {
        self.before.as_ref().map(|(_, state)| state.clone())
    }
}

impl Participant {
    /// The state for a round that starts, or why it cannot be taken.
    pub(super) fn linked(
        &self,
        run: Option<&Run>,
        request: &Request,
        contract: &Contract,
        planned: &Planned,
        start: &RoundStart,
    ) -> Result<Link, Refusal> {
        let round = start.round;
        let link = |before| Link {
            round,
            before,
            planned: planned.clone(),
        };
        let Some(previous) = &start.previous else {
            return Ok(link(None));
        };
        let held = run.and_then(|run| run.chain.as_ref());
        let state = match (held, &previous.carried) {
            // Another attempt at a round whose state is known.
            (Some(held), _) if held.round == round => held.state().ok_or_else(|| other_state(round))?,
            (Some(held), Carried::Sum { values, contributors }) if held.round + 1 == round => {
                self.absorbed(held, request, contract, previous, values, *contributors)?
            }
            (Some(held), Carried::State(_)) if held.round + 1 == round => {
                let text = format!("round {round} can be derived here: its sum is wanted, not its state");
                return Err(Refusal::new(codes::SUM_WANTED, text));
            }
            (_, Carried::State(state)) => state.clone(),
            (_, Carried::Sum { .. }) => {
                let text = format!("nothing is held here to continue round {round} from");
                return Err(Refusal::new(codes::NO_STATE, text));
            }
        };
        match Previous::hash_of(&state) == previous.state_hash {
            true => Ok(link(Some((previous.state_hash, state)))),
            false => Err(other_state(round)),
        }
    }

    fn absorbed(
        &self,
        held: &Link,
        request: &Request,
        contract: &Contract,
        previous: &Previous,
        values: &[u8],
        contributors: u32,
    ) -> Result<Arc<[u8]>, Refusal> {
        let unreadable = || Refusal::new(codes::OTHER_STATE, "the sum of the round before is not one of its plan");
        let workload = self.config.workloads.get(&request.kind).ok_or_else(unreadable)?;
        let plan = match held.planned.terms == previous.terms {
            true => held.planned.plan.clone(),
            false if is_possible(&previous.terms) => Arc::new(workload.plan(request, contract, &previous.terms)?),
            false => return Err(unreadable()),
        };
        let vector = RingVec::from_bytes(plan.ring, values.to_vec()).map_err(|_| unreadable())?;
        if vector.dim() != plan.dim {
            return Err(unreadable());
        }
        let sum = PlainSum::new(&vector, contributors, &plan);
        match workload.absorb(&plan, held.round, held.state().as_deref(), &sum)? {
            Outcome::Again { state, .. } => Ok(state),
            Outcome::Done { .. } => Err(other_state(held.round + 1)),
        }
    }
}

/// Terms of another attempt are the coordinator's word: no workload plans for a cohort that no epoch could have.
fn is_possible(terms: &CohortTerms) -> bool {
    terms.n as usize <= MAX_MEMBERS && terms.s_min <= terms.n && terms.honest_shares() > 0
}

fn other_state(round: u32) -> Refusal {
    let text = format!("round {round} stands on another state than the one that follows from the sums");
    Refusal::new(codes::OTHER_STATE, text)
}
