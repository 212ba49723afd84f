//! A run round by round: every site's clipped contribution and its share of exact discrete Gaussian noise, their
//! integer sum, the server's step. Costs what the sites would compute, one after the other.

use super::bench::real;
use super::{Bench, DELTA, Encoded, Result};
use engine::{CohortTerms, PlainSum};
use privacy::clip::{Clipped, ComponentBounds, NoiseBatch};
use privacy::sampler::ExactSampler;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha20Rng;
use workload::training::{KeyedCoins, State, Stepped, TrainPlan, TrainTask, TrainedModel, TrainingData};
use workload::training::{contribution, step};

/// What a run ended with.
pub struct Trained {
    pub model: TrainedModel,
    pub rounds: u32,
    /// Rounds that were tried and are charged: more than `rounds` if too many sites dropped or a step diverged.
    pub attempts: u32,
    pub diverged: bool,
}

/// A round as anybody may see it: the state that it was computed at, and the sum.
pub(super) type Watch<'a> = &'a mut dyn FnMut(&State, &PlainSum) -> Result<()>;

/// Trains over `sites`; each drops out of a round with probability `drop`, and a round that keeps fewer than `s_min`
/// repeats. Everything follows from `seed`.
pub fn federated(plan: &TrainPlan, sites: &[TrainingData], seed: u64, drop: f64) -> Result<Trained> {
    watched(plan, sites, seed, drop, &mut |_, _| Ok(()))
}

pub(super) fn watched(
    plan: &TrainPlan,
    sites: &[TrainingData],
    seed: u64,
    drop: f64,
    watch: Watch<'_>,
) -> Result<Trained> {
    if sites.len() as u32 != plan.noise.members {
        return Err(format!("mismatched sites: expected {}, got {}", plan.noise.members, sites.len()).into());
    }
    let bounds = ComponentBounds::uniform(plan.dim(), -plan.clip, plan.clip)?;
    let mut absences = ChaCha20Rng::seed_from_u64(seed ^ 0xd0);
    let (mut state, mut attempts) = (State::initial(plan), 0);
    while state.round < plan.task.rounds {
        // A rate at which hardly ever enough sites stay would never end.
        if attempts >= plan.task.rounds.saturating_mul(100) {
            return Err(format!(
                "only {} of {} rounds ended after {attempts}",
                state.round, plan.task.rounds
            )
            .into());
        }
        attempts += 1;
        let stays: Vec<bool> = sites.iter().map(|_| absences.random::<f64>() >= drop).collect();
        let contributors = stays.iter().filter(|stays| **stays).count() as u32;
        if contributors < plan.noise.s_min {
            continue;
        }
        let mut values = vec![0i64; plan.dim()];
        for (i, data) in sites.iter().enumerate().filter(|(i, _)| stays[*i]) {
            let noise = match plan.noise.variance {
                0 => NoiseBatch::none(plan.dim()),
                variance => {
                    let mut sampler = ExactSampler::new(key("noise", seed, attempts, i));
                    NoiseBatch::draw(plan.dim(), variance, &mut sampler)?
                }
            };
            let mut coins = KeyedCoins::new(&key("coins", seed, attempts, i));
            let own = contribution(plan, &state, data, &mut coins)?;
            let noised = Clipped::clamp(own.values, &bounds)?.add(noise)?;
            values
                .iter_mut()
                .zip(noised.into_values())
                .for_each(|(sum, x)| *sum += x);
        }
        let sum = PlainSum {
            values,
            contributors,
            variance: plan.noise.variance * u64::from(contributors),
        };
        watch(&state, &sum)?;
        match step(plan, &state, &sum)? {
            Stepped::Next(next) => state = next,
            Stepped::Diverged => return Ok(Trained::new(plan, &state, attempts, true)),
        }
    }
    Ok(Trained::new(plan, &state, attempts, false))
}

/// These units in one place, without privacy, noise or a clip that bites: what all data together, or one site on its
/// own, could learn.
pub fn plain(bench: &Bench, encoded: &Encoded, units: &[usize], seed: u64) -> Result<Trained> {
    let data = encoded.data(units)?;
    let contract = bench.roomy(units.len())?;
    let task = TrainTask {
        non_private: true,
        clip_norm: real(1e3)?,
        learning_rate: real(bench.open.1)?,
        rounds: bench.open.0,
        expected_units: Some(data.train_units().max(1) as u64),
        holdout: None,
        ..bench.task.clone()
    };
    let alone = CohortTerms { n: 1, c: 0, s_min: 1 };
    let plan = TrainPlan::new(task, &contract, &alone, 1.0, DELTA)?;
    federated(&plan, &[data], seed, 0.0)
}

impl Trained {
    pub(super) fn new(plan: &TrainPlan, state: &State, attempts: u32, diverged: bool) -> Self {
        Self {
            model: TrainedModel::new(plan, &state.parameters),
            rounds: state.round,
            attempts,
            diverged,
        }
    }
}

/// Thirty-two bytes for one use of one site in one attempt.
pub(super) fn key(what: &str, seed: u64, attempt: u32, site: usize) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new_derive_key("sottovoce 1 researcher's bench");
    hasher
        .update(&seed.to_le_bytes())
        .update(&attempt.to_le_bytes())
        .update(&(site as u64).to_le_bytes());
    *hasher.update(what.as_bytes()).finalize().as_bytes()
}
