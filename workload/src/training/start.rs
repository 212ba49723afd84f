//! A model as the start of a run. It stands whole in the signed task, so every party checks by itself that the run starts where it
//! says: the named hash is that of these parameters under this run's own features, target and shape.

use super::error::{HYPERPARAMETER, mismatched};
use super::plan::TrainPlan;
use super::release::TrainedModel;
use base64::prelude::{BASE64_STANDARD, Engine as _};
use engine::Refusal;
use governance::ContentHash;
use serde::{Deserialize, Serialize};

/// The parent of a run's model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Start {
    pub model: ContentHash,
    /// As in [`TrainedModel`].
    pub parameters: String,
}

impl Start {
    pub fn from_model(model: &TrainedModel) -> Result<Self, Refusal> {
        Ok(Self {
            model: model.hash()?,
            parameters: model.parameters.clone(),
        })
    }

    /// Whether this is the named model, and fits the plan.
    pub(super) fn check(&self, plan: &TrainPlan) -> Result<(), Refusal> {
        // Other features, target or layers mostly show in the number of parameters already.
        let weights = self.weights(plan.shape.parameters()).ok();
        let hash = weights
            .map(|weights| TrainedModel::new(plan, &weights).hash())
            .transpose()?;
        if hash == Some(self.model) {
            return Ok(());
        }
        let message = format!(
            "model {} does not fit this run: its features, target or shape are others",
            self.model
        );
        Err(Refusal::new(HYPERPARAMETER, message)
            .remedy("`sotto model show` says what it was trained on; a parent is continued with the same"))
    }

    pub(super) fn weights(&self, expected: usize) -> Result<Vec<f64>, Refusal> {
        let found = decoded(&self.parameters);
        let count = found.as_ref().map_or(0, Vec::len);
        found
            .filter(|weights| weights.len() == expected)
            .ok_or_else(|| mismatched("parent's parameters", format!("{expected} finite numbers"), count))
    }
}

/// Finite doubles as text.
pub(super) fn encoded(numbers: &[f64]) -> String {
    let bytes: Vec<u8> = numbers.iter().flat_map(|x| x.to_le_bytes()).collect();
    BASE64_STANDARD.encode(bytes)
}

/// The inverse; none if these are no finite doubles.
pub(super) fn decoded(text: &str) -> Option<Vec<f64>> {
    let bytes = BASE64_STANDARD.decode(text).ok()?;
    let (numbers, rest) = bytes.as_chunks::<8>();
    let numbers: Vec<f64> = numbers.iter().map(|x| f64::from_le_bytes(*x)).collect();
    (rest.is_empty() && numbers.iter().all(|x| x.is_finite())).then_some(numbers)
}
