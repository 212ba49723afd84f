//! What a researcher asks for: features, target, model, algorithm and its settings. Canonical JSON of this type is the
//! task of the signed request; epsilon, delta and dataset stand in the request. Reading one checks every setting.

use super::error::{HYPERPARAMETER, TASK, out_of_range};
use super::start::Start;
use engine::Refusal;
use governance::canonical::{self, Real};
use serde::{Deserialize, Serialize};

/// `Request::kind` of a training run.
pub const KIND: &str = "train";
/// Rounds of one run; each is a secure sum and a token in every ledger.
const MAX_ROUNDS: u32 = 1_000_000;
const MAX_WIDTH: u32 = 1 << 16;
const MAX_LOCAL_STEPS: u32 = 10_000;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainTask {
    /// Columns of the contract, in the order of the encoded vector.
    pub features: Vec<String>,
    pub target: String,
    /// Makes two classes of a numeric target: above this, or not.
    #[serde(default)]
    pub positive_above: Option<Real>,
    pub model: ModelKind,
    pub algorithm: Algorithm,
    /// What a participant does between two rounds; `dp-sgd` has none.
    #[serde(default)]
    pub local: Option<LocalWork>,
    pub rounds: u32,
    /// The rate at which `dp-sgd` samples units; 1 for the others.
    pub sampling_rate: Real,
    /// Norm that a unit's gradient (`dp-sgd`) or a participant's update (the others) is clipped to.
    pub clip_norm: Real,
    /// Of the server's step.
    pub learning_rate: Real,
    #[serde(default)]
    pub schedule: Schedule,
    /// Of the server's step in `dp-sgd`.
    pub momentum: Real,
    pub weight_decay: Real,
    /// Of the initial weights and nothing else.
    pub seed: u64,
    #[serde(default)]
    pub holdout: Option<Holdout>,
    /// Units at all participants together, as far as the public knows; `None`: the contract's maximum everywhere.
    /// It only scales the mean, never a privacy claim.
    #[serde(default)]
    pub expected_units: Option<u64>,
    /// "Secure aggregation only": no noise, an infinite charge, and every owner must allow it.
    #[serde(default)]
    pub non_private: bool,
    /// What the registry calls the model; `None`: dataset and target.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The model that training starts from; `None`: the initial weights of `seed`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<Start>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ModelKind {
    /// Squared loss on a numeric target.
    Linear,
    /// A target of two classes.
    Logistic,
    /// A target of two or more classes.
    Softmax,
    /// ReLU layers below the head that the target calls for.
    Mlp { hidden: Vec<u32> },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum Algorithm {
    /// One secure round a step over sampled units: the privacy of a unit.
    #[serde(rename = "dp-sgd")]
    DpSgd,
    #[serde(rename = "fedavg")]
    FedAvg,
    /// [LSZ+20]: local steps are pulled back to the global model with strength `mu`.
    #[serde(rename = "fedprox")]
    FedProx { mu: Real },
    /// [HQB19]: momentum at the server.
    #[serde(rename = "fedavgm")]
    FedAvgM { momentum: Real },
    /// [RCZ+21] Algorithm 2.
    #[serde(rename = "fedadam")]
    FedAdam { beta1: Real, beta2: Real, tau: Real },
    /// [RCZ+21] Algorithm 2.
    #[serde(rename = "fedyogi")]
    FedYogi { beta1: Real, beta2: Real, tau: Real },
    /// [KKM+20] Algorithm 1, option I.
    #[serde(rename = "scaffold")]
    Scaffold,
}

/// `steps` gradient steps on batches of `batch` rows each (0: all rows).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LocalWork {
    pub steps: u32,
    pub batch: u32,
    pub learning_rate: Real,
}

/// How the server's learning rate falls over the rounds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum Schedule {
    #[default]
    Constant,
    /// Half a cosine from the learning rate to zero.
    Cosine,
    /// Times `factor` after every `every` rounds.
    Step { every: u32, factor: Real },
}

/// The share of units that no step sees, chosen by a keyed hash of the unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Holdout {
    pub fraction: Real,
    pub seed: u64,
}

impl TrainTask {
    /// A `dp-sgd` run with plain settings, to be changed field by field.
    pub fn dp_sgd(features: &[&str], target: &str, model: ModelKind, rounds: u32) -> Self {
        // Unwrap safety: the numbers below are finite.
        let real = |x: f64| Real::new(x).expect("a finite constant");
        Self {
            features: features.iter().map(|f| (*f).to_owned()).collect(),
            target: target.to_owned(),
            positive_above: None,
            model,
            algorithm: Algorithm::DpSgd,
            local: None,
            rounds,
            sampling_rate: real(1.0),
            clip_norm: real(1.0),
            learning_rate: real(0.5),
            schedule: Schedule::Constant,
            momentum: real(0.0),
            weight_decay: real(0.0),
            seed: 0,
            holdout: None,
            expected_units: None,
            non_private: false,
            name: None,
            start: None,
        }
    }

    pub fn to_task(&self) -> String {
        // Unwrap safety: strings, integers, booleans and finite reals are spellable in JSON.
        canonical::to_string(self).expect("a task is spellable")
    }

    /// The task of a request, if every setting is within its range.
    pub fn from_task(task: &str) -> Result<Self, Refusal> {
        let task: Self =
            serde_json::from_str(task).map_err(|e| Refusal::new(TASK, format!("malformed training task: {e}")))?;
        task.check()?;
        Ok(task)
    }

    /// Whether one unit's gradient is what is clipped, and not a participant's update.
    pub fn is_unit_level(&self) -> bool {
        self.algorithm == Algorithm::DpSgd
    }

    pub fn check(&self) -> Result<(), Refusal> {
        let positive = |name, x: Real| match x.get() > 0.0 && x.get() <= 1e6 {
            true => Ok(()),
            false => Err(out_of_range(name, "above 0 and at most 1e6", x)),
        };
        let share = |name, x: Real| match (0.0..1.0).contains(&x.get()) {
            true => Ok(()),
            false => Err(out_of_range(name, "at least 0 and below 1", x)),
        };
        if !(1..=MAX_ROUNDS).contains(&self.rounds) {
            return Err(out_of_range("rounds", "1 to 1000000", self.rounds));
        }
        let q = self.sampling_rate.get();
        if !(1e-6..=1.0).contains(&q) {
            return Err(out_of_range("sampling_rate", "0.000001 to 1", q));
        }
        positive("clip_norm", self.clip_norm)?;
        positive("learning_rate", self.learning_rate)?;
        share("momentum", self.momentum)?;
        share("weight_decay", self.weight_decay)?;
        if let Some(holdout) = self.holdout {
            share("holdout.fraction", holdout.fraction)?;
        }
        let is_name = |name: &String| {
            let fine = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
            (1..=64).contains(&name.len()) && name.bytes().all(fine)
        };
        if let Some(name) = self.name.as_ref().filter(|name| !is_name(name)) {
            return Err(out_of_range("name", "1 to 64 letters, digits, `.`, `_` or `-`", name));
        }
        if self.expected_units == Some(0) {
            return Err(out_of_range("expected_units", "at least 1", 0));
        }
        if let Schedule::Step { every, factor } = self.schedule {
            positive("schedule.factor", factor)?;
            if every == 0 {
                return Err(out_of_range("schedule.every", "at least 1", every));
            }
        }
        if let ModelKind::Mlp { hidden } = &self.model {
            if !(1..=3).contains(&hidden.len()) {
                return Err(out_of_range("model.mlp.hidden", "1 to 3 layers", hidden.len()));
            }
            if let Some(width) = hidden.iter().find(|w| !(1..=MAX_WIDTH).contains(*w)) {
                return Err(out_of_range("model.mlp.hidden", "1 to 65536 units a layer", width));
            }
        }
        match self.algorithm {
            Algorithm::FedProx { mu } => positive("algorithm.fedprox.mu", mu)?,
            Algorithm::FedAvgM { momentum } => share("algorithm.fedavgm.momentum", momentum)?,
            Algorithm::FedAdam { beta1, beta2, tau } | Algorithm::FedYogi { beta1, beta2, tau } => {
                share("algorithm.beta1", beta1)?;
                share("algorithm.beta2", beta2)?;
                positive("algorithm.tau", tau)?;
            }
            Algorithm::DpSgd | Algorithm::FedAvg | Algorithm::Scaffold => {}
        }
        self.check_local()
    }

    /// `dp-sgd` has no local work and samples; the others have it and do not.
    fn check_local(&self) -> Result<(), Refusal> {
        let contradiction = |message: &str, remedy: &str| Err(Refusal::new(HYPERPARAMETER, message).remedy(remedy));
        match (self.is_unit_level(), self.local) {
            (true, None) => Ok(()),
            (true, Some(_)) => contradiction(
                "`dp-sgd` has no local steps: one secure round is one step",
                "leave `local` out, or choose fedavg, fedprox, fedavgm, fedadam, fedyogi or scaffold",
            ),
            (false, None) => contradiction(
                "this algorithm trains locally, and `local` is not given",
                "local = { steps = 10, batch = 32, learning_rate = \"0.1\" }",
            ),
            (false, Some(local)) => {
                if !(1..=MAX_LOCAL_STEPS).contains(&local.steps) {
                    return Err(out_of_range("local.steps", "1 to 10000", local.steps));
                }
                let rate = local.learning_rate.get();
                if !(rate > 0.0 && rate <= 1e6) {
                    return Err(out_of_range("local.learning_rate", "above 0 and at most 1e6", rate));
                }
                if self.sampling_rate.get() != 1.0 {
                    return contradiction(
                        "sampling_rate below 1 is for `dp-sgd`: whole participants are not sampled",
                        "sampling_rate = \"1.0\"; local.batch sets the size of local batches",
                    );
                }
                if self.momentum.get() != 0.0 {
                    return contradiction(
                        "momentum is a setting of `dp-sgd`",
                        "momentum = \"0.0\", or fedavgm with its own momentum",
                    );
                }
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_survives_its_own_spelling_and_unknown_keys_do_not() {
        let task = TrainTask::dp_sgd(&["age"], "num", ModelKind::Mlp { hidden: vec![8] }, 10);
        assert_eq!(TrainTask::from_task(&task.to_task()).unwrap(), task);
        let unknown = task.to_task().replacen("{", "{\"epochs\":3,", 1);
        assert_eq!(TrainTask::from_task(&unknown).unwrap_err().code, TASK);
    }

    #[test]
    fn settings_out_of_range_are_refused_by_name() {
        let real = |x| Real::new(x).unwrap();
        let base = TrainTask::dp_sgd(&["age"], "num", ModelKind::Linear, 10);
        let local = Some(LocalWork {
            steps: 3,
            batch: 0,
            learning_rate: real(0.1),
        });
        for (named, wrong) in [
            (
                "rounds",
                TrainTask {
                    rounds: 0,
                    ..base.clone()
                },
            ),
            (
                "sampling_rate",
                TrainTask {
                    sampling_rate: real(0.0),
                    ..base.clone()
                },
            ),
            (
                "clip_norm",
                TrainTask {
                    clip_norm: real(-1.0),
                    ..base.clone()
                },
            ),
            (
                "momentum",
                TrainTask {
                    momentum: real(1.0),
                    ..base.clone()
                },
            ),
            (
                "hidden",
                TrainTask {
                    model: ModelKind::Mlp { hidden: vec![] },
                    ..base.clone()
                },
            ),
            ("local", TrainTask { local, ..base.clone() }),
            (
                "local",
                TrainTask {
                    algorithm: Algorithm::FedAvg,
                    ..base.clone()
                },
            ),
            (
                "mu",
                TrainTask {
                    algorithm: Algorithm::FedProx { mu: real(-1.0) },
                    local,
                    ..base.clone()
                },
            ),
        ] {
            let refusal = wrong.check().unwrap_err();
            assert_eq!(refusal.code, HYPERPARAMETER);
            assert!(refusal.message.contains(named), "{refusal}");
        }
    }
}
