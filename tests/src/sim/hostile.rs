//! A coordinator that lies: it replays what it said before, to whom it did not say it, and changes what it says now. It signs nothing
//! that it has no key for; it does not need to, since it is trusted for nothing.

use engine::message::{Carried, EpochOpen, Previous, RoundStart, ToAgent, Wire};
use engine::{CohortTerms, SlotId, ToAgent as M};
use rand::{Rng, RngExt};
use secagg::{Certificate, Cohort, Message, Survivors};

use super::Options;

/// How much it remembers.
const MEMORY: usize = 400;

/// What it said so far.
#[derive(Default)]
pub struct Adversary {
    said: Vec<ToAgent>,
}

impl Adversary {
    /// Lies that go out after `message` to `agent`.
    pub fn lie(
        &mut self,
        rng: &mut impl Rng,
        options: &Options,
        agent: usize,
        message: &ToAgent,
    ) -> Vec<(usize, ToAgent)> {
        if options.hostile == 0 {
            return Vec::new();
        }
        if self.said.len() == MEMORY {
            let oldest = rng.random_range(0..MEMORY);
            self.said.swap_remove(oldest);
        }
        self.said.push(message.clone());
        if rng.random_range(0..1000) >= options.hostile {
            return Vec::new();
        }
        let victim = if rng.random_bool(0.5) {
            agent
        } else {
            rng.random_range(0..options.agents)
        };
        let lie = if rng.random_bool(0.4) {
            self.said[rng.random_range(0..self.said.len())].clone()
        } else {
            bend(rng, message)
        };
        vec![(victim, lie)]
    }
}

/// The same message, changed in one place.
fn bend(rng: &mut impl Rng, message: &ToAgent) -> ToAgent {
    let at = slot(message);
    let other = at.map(|at| match rng.random_range(0..6) {
        0 => M::PathsWanted { at },
        1 => M::EdgesWanted { at },
        2 => M::UploadGrant { at },
        3 => M::RoundEnded { at, next: None },
        _ => bent(rng, message),
    });
    other.unwrap_or_else(|| bent(rng, message))
}

/// Another model, another sum, or none.
fn bend_chain(rng: &mut impl Rng, start: &mut RoundStart) {
    let state: Wire = vec![1; 12].into();
    let Some(previous) = &mut start.previous else {
        let (sum_hash, state_hash) = ([0; 32], Previous::hash_of(&state));
        let carried = Carried::State(state);
        let terms = CohortTerms { n: 4, c: 1, s_min: 3 };
        start.previous = Some(Previous {
            sum_hash,
            state_hash,
            terms,
            carried,
        });
        return;
    };
    match (rng.random_range(0..3), &mut previous.carried) {
        (0, _) => start.previous = None,
        (1, Carried::Sum { values, .. }) => {
            let mut other = values.to_vec();
            other[0] ^= 1;
            *values = other.into();
        }
        _ => {
            previous.state_hash = Previous::hash_of(&state);
            previous.carried = Carried::State(state);
        }
    }
}

pub(super) fn bent(rng: &mut impl Rng, message: &ToAgent) -> ToAgent {
    match message {
        M::RoundStart(start) => {
            let mut start = start.clone();
            match rng.random_range(0..7) {
                0 => start.s_min = start.s_min.saturating_sub(1),
                1 => start.attempt += 1,
                2 => start.round += 1,
                3 => start.plan_hash[0] ^= 1,
                4 => start.at.slot += 1,
                5 => bend_chain(rng, &mut start),
                _ => start.timeout_ms /= 2,
            }
            M::RoundStart(start)
        }
        M::Cohort(cohort) => {
            let mut cohort = cohort.clone();
            if let Ok(mut accepts) = Cohort::decode(&cohort.accepts) {
                let place = rng.random_range(0..accepts.accepts.len());
                accepts.accepts.remove(place);
                cohort.accepts = accepts.encode().into();
            }
            M::Cohort(cohort)
        }
        M::Survivors { at, survivors } => {
            let mut survivors = survivors.clone();
            if let Ok(mut message) = Survivors::decode(&survivors) {
                let place = rng.random_range(0..message.headers.len());
                message.headers.remove(place);
                survivors = message.encode().into();
            }
            M::Survivors { at: *at, survivors }
        }
        M::Certificate { at, certificate } => {
            let mut certificate = certificate.clone();
            if let Ok(mut message) = Certificate::decode(&certificate) {
                let place = rng.random_range(0..message.votes.len());
                message.votes.remove(place);
                certificate = message.encode().into();
            }
            M::Certificate { at: *at, certificate }
        }
        M::EpochOpen(open) => {
            let mut members = open.members.clone();
            members.pop();
            M::EpochOpen(EpochOpen {
                members,
                epoch: open.epoch + rng.random_range(0..2),
                ..open.clone()
            })
        }
        M::Setup(setup) => {
            let mut setup = setup.clone();
            setup.parts.pop();
            M::Setup(setup)
        }
        other => other.clone(),
    }
}

fn slot(message: &ToAgent) -> Option<SlotId> {
    match message {
        M::RoundStart(start) => Some(start.at),
        M::Cohort(cohort) => Some(cohort.at),
        M::Survivors { at, .. } | M::Certificate { at, .. } | M::Receipt { at, .. } | M::RoundEnded { at, .. } => {
            Some(*at)
        }
        _ => None,
    }
}
