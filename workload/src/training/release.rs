//! What a run releases: the model as a self-contained value that predicts from raw columns, and beside it what the
//! privacy statement covers. Canonical JSON; the parameters travel as base64 of little-endian doubles.

use super::curve::LossPoint;
use super::error::mismatched;
use super::features::{Cells, EncodeError, Encoder, unscaled};
use super::model::{Head, Network, Shape};
use super::plan::TrainPlan;
use super::start::{decoded, encoded};
use super::state::State;
use super::target::Target;
use super::task::Algorithm;
use engine::Refusal;
use governance::canonical::Real;
use governance::{ContentHash, canonical};
use ndarray::{Array2, Axis, concatenate};
use serde::{Deserialize, Serialize};

/// A trained model and everything that applying it needs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainedModel {
    pub encoder: Encoder,
    pub target_column: String,
    pub target: Target,
    pub shape: Shape,
    /// Base64 of doubles, little-endian, in the order of `Shape::layers`.
    pub parameters: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainRelease {
    pub dataset: String,
    pub model: TrainedModel,
    pub model_hash: ContentHash,
    /// What the registry calls it.
    #[serde(default)]
    pub name: String,
    /// The model that training started from.
    #[serde(default)]
    pub parent: Option<ContentHash>,
    pub algorithm: Algorithm,
    /// Rounds that the model holds, and rounds that were paid for: one more if the last one diverged.
    pub rounds: u32,
    pub rounds_charged: u32,
    /// The step after the last good model left the finite numbers or grew beyond all use.
    pub diverged: bool,
    pub contributors_last_round: u32,
    /// How the loss fell, as far as the noise lets it be seen; none in releases of earlier versions.
    #[serde(default)]
    pub losses: Vec<LossPoint>,
    pub privacy: TrainPrivacy,
}

/// What the statement is about: never blurred.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Covers {
    #[serde(rename = "add or remove one unit")]
    Unit,
    #[serde(rename = "replace one site's data")]
    Site,
    #[serde(rename = "secure aggregation only")]
    Nothing,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainPrivacy {
    pub covers: Covers,
    /// The model that training started from. The statement is about what this run added: what that model cost comes on top, and
    /// if nothing was claimed for it, nothing is claimed for what is left of it in this one.
    #[serde(default)]
    pub on_top_of: Option<ContentHash>,
    /// What a unit is: `one row`, or all rows of one value of a column.
    pub unit: String,
    /// Of the rounds that were charged; `None` if nothing is claimed.
    pub epsilon: Option<Real>,
    pub delta: Real,
    /// What the run was planned for.
    pub epsilon_planned: Option<Real>,
    pub mechanism: String,
    pub clip_norm: Real,
    pub sampling_rate: Real,
    pub noise_multiplier: Option<Real>,
    pub members: u32,
    /// Noise shares that the claim counts on.
    pub shares: u32,
}

impl TrainedModel {
    pub fn new(plan: &TrainPlan, parameters: &[f64]) -> Self {
        Self {
            encoder: plan.encoder.clone(),
            target_column: plan.task.target.clone(),
            target: plan.target.clone(),
            shape: plan.shape.clone(),
            parameters: encoded(parameters),
        }
    }

    /// The parameter vector; layout as [`Shape::layers`] says.
    pub fn weights(&self) -> Result<Vec<f64>, Refusal> {
        let expected = self.shape.parameters();
        let weights = decoded(&self.parameters).unwrap_or_default();
        if weights.len() != expected {
            return Err(mismatched(
                "model parameters",
                format!("{expected} finite numbers"),
                weights.len(),
            ));
        }
        if self.encoder.width() != self.shape.inputs as usize {
            return Err(mismatched("model inputs", self.encoder.width(), self.shape.inputs));
        }
        Ok(weights)
    }

    pub(super) fn network(&self) -> Result<Network, Refusal> {
        let weights = self.weights()?;
        let found = weights.len();
        Network::new(&self.shape, &weights).ok_or_else(|| mismatched("parameters", "the shape's", found))
    }

    /// The name of the model: of what it computes, not of how it was made.
    pub fn hash(&self) -> Result<ContentHash, Refusal> {
        let body = canonical::to_string(self).map_err(|e| mismatched("model", "a spellable model", e))?;
        Ok(ContentHash::of("model", &[body.as_bytes()]))
    }

    /// One row of outputs for each row of encoded features: a number in units of the target, the probability of class
    /// 1, or of each class.
    pub fn outputs(&self, features: &Array2<f32>) -> Result<Array2<f64>, Refusal> {
        let network = self.network()?;
        if features.ncols() != self.encoder.width() {
            return Err(mismatched("features", self.encoder.width(), features.ncols()));
        }
        let ones = Array2::ones((features.nrows(), 1));
        let inputs = concatenate(Axis(1), &[features.view(), ones.view()])
            .map_err(|e| mismatched("features", self.encoder.width(), e))?;
        let mut outputs = network.outputs(inputs.view());
        if let (Head::Squared, Target::Number { low, high }) = (self.shape.head, &self.target) {
            outputs.mapv_inplace(|y| unscaled(y, low.get(), high.get()));
        }
        Ok(outputs)
    }

    /// One number a row: the predicted number, the probability of class 1, or the most probable class.
    pub fn predict(&self, features: &Array2<f32>) -> Result<Vec<f64>, Refusal> {
        let outputs = self.outputs(features)?;
        Ok(match self.shape.head {
            Head::Squared | Head::Logistic => outputs.column(0).to_vec(),
            Head::Softmax => outputs
                .rows()
                .into_iter()
                .map(|row| argmax(row.iter().copied()) as f64)
                .collect(),
        })
    }

    /// Raw columns, in the order of the encoder, as encoded rows.
    pub fn encode(&self, cells: &[Cells<'_>]) -> Result<Array2<f32>, EncodeError> {
        self.encoder.encode(cells)
    }
}

/// The first of the greatest.
pub(super) fn argmax(values: impl Iterator<Item = f64>) -> usize {
    let mut best = (0, f64::NEG_INFINITY);
    for (i, x) in values.enumerate() {
        if x > best.1 {
            best = (i, x);
        }
    }
    best.0
}

impl TrainRelease {
    pub(super) fn new(plan: &TrainPlan, state: &State, charged: u32, contributors: u32) -> Result<Self, Refusal> {
        let model = TrainedModel::new(plan, &state.parameters);
        let private = plan.noise.variance > 0;
        let covers = plan.covers();
        let if_private = |x: f64| Real::new(x).filter(|_| private);
        Ok(Self {
            dataset: plan.dataset.clone(),
            model_hash: model.hash()?,
            name: plan.model_name(),
            parent: plan.task.start.as_ref().map(|start| start.model),
            model,
            algorithm: plan.task.algorithm,
            rounds: state.round,
            rounds_charged: charged,
            diverged: charged > state.round,
            contributors_last_round: contributors,
            losses: state.curve.points(plan, state.round),
            privacy: TrainPrivacy {
                covers,
                on_top_of: plan.task.start.as_ref().map(|start| start.model),
                unit: plan.unit_words(),
                epsilon: if_private(plan.epsilon_after(charged)),
                delta: plan.noise.delta,
                epsilon_planned: if_private(plan.noise.epsilon.get()),
                mechanism: match covers {
                    Covers::Unit => "Poisson-sampled distributed discrete Gaussian".into(),
                    Covers::Site => "distributed discrete Gaussian".into(),
                    Covers::Nothing => "none: sums are hidden, nothing is claimed about a unit".into(),
                },
                clip_norm: plan.task.clip_norm,
                sampling_rate: plan.task.sampling_rate,
                noise_multiplier: if_private(plan.noise_multiplier()),
                members: plan.noise.members,
                shares: plan.noise.s_min.saturating_sub(plan.noise.silent),
            },
        })
    }

    pub fn from_json(bytes: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(bytes)
    }
}
