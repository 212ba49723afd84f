//! The participant's data work: noise first, then data, then clipped and noised integers. Nothing else leaves this module.
//!
//! Values are never logged and no error holds one. Training rounds will stand beside `query` here.

mod batch;
mod query;
mod texts;
mod translate;
mod units;

use crate::data::{DataError, Dataset};
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

/// The datasets that are served, by the hash of their contract, and the local key that bounding chooses rows with.
pub struct Engine {
    datasets: RwLock<BTreeMap<ContentHash, Arc<Dataset>>>,
    key: BoundingKey,
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
        }
    }

    pub fn dataset(&self, contract: &ContentHash) -> Option<Arc<Dataset>> {
        // Poisoned or not, the map is whole: nothing panics while it is written.
        let datasets = self.datasets.read().unwrap_or_else(PoisonError::into_inner);
        datasets.get(contract).cloned()
    }

    /// Files that were opened again take the place of those under the same contract.
    pub fn reopened(&self, dataset: Arc<Dataset>) {
        let mut datasets = self.datasets.write().unwrap_or_else(PoisonError::into_inner);
        datasets.insert(dataset.contract().hash(), dataset);
    }

    /// Computes a contribution, with noise from a fresh key of the operating system. Blocks: seconds for millions of rows.
    pub fn compute(&self, compute: &engine::Compute) -> Result<Noised, ComputeFailed> {
        let mut key = [0; 32];
        SysRng.try_fill_bytes(&mut key).map_err(|_| ComputeFailed::Entropy)?;
        let mut sampler = ExactSampler::new(key);
        key.zeroize();
        self.compute_with(&compute.contract, &compute.plan, &mut sampler)
    }

    /// The same with noise of the caller's, for simulations.
    pub fn compute_with(
        &self,
        contract: &ContentHash,
        plan: &engine::Plan,
        sampler: &mut dyn Sampler,
    ) -> Result<Noised, ComputeFailed> {
        let noise = match plan.variance {
            0 => NoiseBatch::none(plan.dim),
            variance => NoiseBatch::draw(plan.dim, variance, sampler)?,
        };
        let query = QueryPlan::from_bytes(&plan.bytes).map_err(|_| ComputeFailed::Plan("a query plan"))?;
        if query.contract != *contract || query.layout().dim() != plan.dim {
            return Err(ComputeFailed::Plan("the contract and dimension that the round names"));
        }
        let dataset = self.dataset(contract).ok_or(ComputeFailed::NotServed(*contract))?;
        dataset.unchanged()?;
        let values = execute(&query, &dataset, &self.key).map_err(|reason| ComputeFailed::NotExecuted {
            dataset: query.dataset.clone(),
            reason,
        })?;
        // Rows that changed while they were read were not checked.
        dataset.unchanged()?;
        Ok(Clipped::clamp(values, &plan.bounds)?.add(noise)?)
    }
}
