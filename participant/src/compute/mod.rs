//! The participant's data work: noise first, then data, then clipped and noised integers. Nothing else leaves this module.
//!
//! Values are never logged and no error holds one. A kind of request is a module here: `query`, `train`.

mod batch;
mod consent;
mod query;
mod rows;
mod texts;
mod train;
mod translate;
mod units;
mod who;

use crate::consent::Consents;
use crate::data::{DataError, Dataset};
use crate::driver::now_ms;
use governance::ContentHash;
use privacy::clip::{Clipped, NoiseBatch, Noised};
use privacy::sampler::{ExactSampler, Sampler};
use rand::TryRng;
use rand::rngs::SysRng;
use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};
use workload::query::{BoundingKey, QueryPlan};
use zeroize::Zeroize;

pub use query::{NotExecuted, execute};
use who::Who;

/// The datasets that are served, by the hash of their contract, and the local key that bounding chooses rows with.
pub struct Engine {
    datasets: RwLock<BTreeMap<ContentHash, Arc<Dataset>>>,
    key: BoundingKey,
    trainer: train::Trainer,
    /// None: no dataset here requires consent.
    filters: Option<consent::Filters>,
}

/// Why there is no contribution: the agent misses the round. Never depends on a value, since files are validated at open.
#[derive(Debug, thiserror::Error)]
pub enum ComputeFailed {
    #[error("malformed plan: expected {0}")]
    Plan(&'static str),
    #[error("no dataset is served here under contract {0}")]
    NotServed(ContentHash),
    #[error(transparent)]
    Data(#[from] DataError),
    #[error("{dataset}: {reason}")]
    NotExecuted { dataset: String, reason: NotExecuted },
    #[error("{0}")]
    Consent(String),
    #[error("the operating system gave no randomness")]
    Entropy,
    #[error(transparent)]
    Shape(#[from] privacy::clip::ClipError),
}

impl Engine {
    /// `key` is 32 secret random bytes, made once per store and kept beside it.
    pub fn new(datasets: impl IntoIterator<Item = Arc<Dataset>>, key: &[u8; 32]) -> Self {
        let datasets: BTreeMap<_, _> = datasets.into_iter().map(|d| (d.contract().hash(), d)).collect();
        Self {
            datasets: RwLock::new(datasets),
            key: BoundingKey::new(key),
            trainer: train::Trainer::default(),
            filters: None,
        }
    }

    /// The same, of whose rows only those are used whose units consent, where `consents` says that a dataset requires it.
    pub fn requiring(mut self, consents: Arc<Consents>) -> Self {
        self.filters = Some(consent::Filters::new(consents));
        self
    }

    pub fn dataset(&self, contract: &ContentHash) -> Option<Arc<Dataset>> {
        // Poisoned or not, the map is whole: nothing panics while it is written.
        let datasets = self.datasets.read().unwrap_or_else(PoisonError::into_inner);
        datasets.get(contract).cloned()
    }

    /// Files that were opened again take the place of those under the same contract.
    pub fn reopened(&self, dataset: Arc<Dataset>) {
        if let Some(filters) = &self.filters {
            filters.prepare(&self.key, &dataset);
        }
        let mut datasets = self.datasets.write().unwrap_or_else(PoisonError::into_inner);
        datasets.insert(dataset.contract().hash(), dataset);
        self.trainer.forget();
    }

    /// Computes a contribution, with noise from a fresh key of the operating system. Blocks: seconds for millions of rows.
    pub fn compute(&self, compute: &engine::Compute) -> Result<Noised, ComputeFailed> {
        let plan = &compute.plan;
        let noise = match self.trainer.drawn(plan.dim, plan.variance) {
            Some(noise) => noise,
            None => noise(plan, &mut sampler()?)?,
        };
        self.compute_on(compute, noise)
    }

    /// The same with noise of the caller's, for simulations.
    pub fn compute_with(&self, compute: &engine::Compute, sampler: &mut dyn Sampler) -> Result<Noised, ComputeFailed> {
        self.compute_on(compute, noise(&compute.plan, sampler)?)
    }

    /// After a contribution left: draws what the next round of its run will need, while the network is busy.
    pub fn prepare_next(&self, compute: &engine::Compute) {
        let plan = &compute.plan;
        if plan.variance > 0 && compute.round + 1 < plan.rounds {
            let drawn = sampler().and_then(|mut sampler| noise(plan, &mut sampler));
            // A failure here is met again, and told, when the round comes.
            if let Ok(noise) = drawn {
                self.trainer.keep(plan.dim, plan.variance, noise);
            }
        }
    }

    /// Noise was drawn before any row is looked at.
    fn compute_on(&self, compute: &engine::Compute, noise: NoiseBatch) -> Result<Noised, ComputeFailed> {
        let (contract, plan) = (&compute.contract, &compute.plan);
        let dataset = self.dataset(contract).ok_or(ComputeFailed::NotServed(*contract))?;
        dataset.unchanged()?;
        let who = match &self.filters {
            Some(filters) => filters.who(&self.key, &dataset, &compute.request.purpose, now_ms())?,
            None => Who::everybody(&self.key),
        };
        let values = match compute.request.kind.as_str() {
            workload::query::KIND => answer(contract, plan, &dataset, &who)?,
            workload::training::KIND => self.trainer.contribute(compute, &dataset, &who)?,
            workload::training::EVALUATE_KIND => train::evaluate(compute, &dataset, &who)?,
            _ => return Err(ComputeFailed::Plan("a kind of request that is computed here")),
        };
        // Rows that changed while they were read were not checked.
        dataset.unchanged()?;
        Ok(Clipped::clamp(values, &plan.bounds)?.add(noise)?)
    }
}

fn answer(
    contract: &ContentHash,
    plan: &engine::Plan,
    dataset: &Dataset,
    who: &Who,
) -> Result<Vec<i64>, ComputeFailed> {
    let query = QueryPlan::from_bytes(&plan.bytes).map_err(|_| ComputeFailed::Plan("a query plan"))?;
    if query.contract != *contract || query.layout().dim() != plan.dim {
        return Err(ComputeFailed::Plan("the contract and dimension that the round names"));
    }
    query::execute_over(&query, dataset, who).map_err(|reason| ComputeFailed::NotExecuted {
        dataset: query.dataset.clone(),
        reason,
    })
}

fn sampler() -> Result<ExactSampler, ComputeFailed> {
    let mut key = [0; 32];
    SysRng.try_fill_bytes(&mut key).map_err(|_| ComputeFailed::Entropy)?;
    let sampler = ExactSampler::new(key);
    key.zeroize();
    Ok(sampler)
}

fn noise(plan: &engine::Plan, sampler: &mut dyn Sampler) -> Result<NoiseBatch, ComputeFailed> {
    Ok(match plan.variance {
        0 => NoiseBatch::none(plan.dim),
        variance => NoiseBatch::draw(plan.dim, variance, sampler)?,
    })
}
