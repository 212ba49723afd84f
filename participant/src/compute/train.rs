//! Training rounds: what the engine hands over becomes a model's contribution. The mathematics is `workload::training`'s;
//! here rows are read once per run and kept, coins come fresh from the operating system, and the noise of the next round
//! is drawn while the current one closes.
//!
//! A round costs the gradient of the sampled rows; reading and encoding is paid in the first round of a run.

use super::rows::{Reading, read};
use super::who::{Basis, Who};
use super::{ComputeFailed, NotExecuted};
use crate::data::Dataset;
use privacy::clip::NoiseBatch;
use rand::TryRng;
use rand::rngs::SysRng;
use std::sync::{Arc, Mutex, PoisonError};
use workload::training::{EvaluatePlan, KeyedCoins, State, TrainPlan, TrainingData, contribution, counts};
use zeroize::Zeroizing;

/// What is kept from one round of a run to the next: one run's rows, and noise that was drawn ahead.
#[derive(Default)]
pub(super) struct Trainer {
    run: Mutex<Option<Arc<Run>>>,
    ahead: Mutex<Option<Ahead>>,
}

struct Run {
    /// The plan's bytes: one allocation for all rounds of a run.
    bytes: Arc<[u8]>,
    /// Under which consents the rows were read.
    basis: Basis,
    plan: TrainPlan,
    rows: TrainingData,
}

struct Ahead {
    dim: usize,
    variance: u64,
    noise: NoiseBatch,
}

impl Trainer {
    /// The clipped integers of one round.
    pub fn contribute(
        &self,
        compute: &engine::Compute,
        dataset: &Dataset,
        who: &Who,
    ) -> Result<Vec<i64>, ComputeFailed> {
        let run = self.run(&compute.plan.bytes, dataset, who)?;
        let malformed = |_| ComputeFailed::Plan("a state of its plan");
        let state = match &compute.state {
            None => State::initial(&run.plan),
            Some(bytes) => State::from_bytes(bytes, &run.plan).map_err(malformed)?,
        };
        let mut secret = Zeroizing::new([0; 32]);
        SysRng
            .try_fill_bytes(&mut *secret)
            .map_err(|_| ComputeFailed::Entropy)?;
        let mut coins = KeyedCoins::new(&secret);
        let found = contribution(&run.plan, &state, &run.rows, &mut coins)
            .map_err(|_| ComputeFailed::Plan("a shape that its state has"))?;
        if found.dropped > 0 {
            // The count would be data; that it happened tells this owner, and nobody else, to look at the file.
            tracing::warn!(dataset = %compute.dataset, "a gradient or loss was no finite number and was left out");
        }
        Ok(found.values)
    }

    /// The files were opened again: rows that were read before are not theirs.
    pub fn forget(&self) {
        *self.run.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Noise that was drawn ahead for just this shape.
    pub fn drawn(&self, dim: usize, variance: u64) -> Option<NoiseBatch> {
        let mut ahead = self.ahead.lock().unwrap_or_else(PoisonError::into_inner);
        let fits = ahead.as_ref().is_some_and(|a| a.dim == dim && a.variance == variance);
        ahead.take().filter(|_| fits).map(|ahead| ahead.noise)
    }

    /// Keeps noise for the next round.
    pub fn keep(&self, dim: usize, variance: u64, noise: NoiseBatch) {
        *self.ahead.lock().unwrap_or_else(PoisonError::into_inner) = Some(Ahead { dim, variance, noise });
    }

    fn run(&self, bytes: &Arc<[u8]>, dataset: &Dataset, who: &Who) -> Result<Arc<Run>, ComputeFailed> {
        let mut kept = self.run.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(run) = kept
            .as_ref()
            .filter(|run| run.bytes == *bytes && run.basis == who.basis)
        {
            return Ok(run.clone());
        }
        *kept = None; // one run's rows at a time
        let plan = TrainPlan::from_bytes(bytes).map_err(|_| ComputeFailed::Plan("a training plan"))?;
        if plan.contract != dataset.contract().hash() {
            return Err(ComputeFailed::Plan("the contract that the round names"));
        }
        let reading = Reading {
            encoder: &plan.encoder,
            target_column: &plan.task.target,
            target: &plan.target,
            unit: plan.unit.as_deref(),
            holdout: plan.task.holdout,
            group: None,
        };
        let rows = read(&reading, dataset, who).map_err(|reason| not_executed(&plan.dataset, reason))?;
        let run = Run {
            bytes: bytes.clone(),
            basis: who.basis.clone(),
            plan,
            rows: rows.data,
        };
        Ok(kept.insert(Arc::new(run)).clone())
    }
}

/// The counts of one evaluation.
pub(super) fn evaluate(compute: &engine::Compute, dataset: &Dataset, who: &Who) -> Result<Vec<i64>, ComputeFailed> {
    let plan = EvaluatePlan::from_bytes(&compute.plan.bytes).map_err(|_| ComputeFailed::Plan("an evaluation plan"))?;
    if plan.contract != dataset.contract().hash() {
        return Err(ComputeFailed::Plan("the contract that the round names"));
    }
    let model = &plan.task.model;
    let group = plan.task.group.as_deref().zip(plan.group.as_ref());
    let reading = Reading {
        encoder: &model.encoder,
        target_column: &model.target_column,
        target: &model.target,
        unit: plan.unit.as_deref(),
        holdout: plan.task.holdout,
        group: group.map(|(name, (domain, _))| (name, domain)),
    };
    let rows = read(&reading, dataset, who).map_err(|reason| not_executed(&plan.dataset, reason))?;
    counts(&plan, &rows.data, &rows.groups).map_err(|_| ComputeFailed::Plan("a model that fits its plan"))
}

fn not_executed(dataset: &str, reason: NotExecuted) -> ComputeFailed {
    ComputeFailed::NotExecuted {
        dataset: dataset.to_owned(),
        reason,
    }
}
