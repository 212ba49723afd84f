//! A run file: what `sotto train run.toml` reads, and what its flags may say instead. One flat list of settings, so that
//! every field is a flag of the same name; flags win. Nothing here touches a network or spends anything.

use std::path::Path;

use clap::{Args, ValueEnum};
use governance::canonical::Real;
use serde::{Deserialize, Serialize};
use workload::training::{Algorithm, Holdout, LocalWork, ModelKind, Schedule, TrainTask};

use crate::Problem;

/// Settings of a run; what is left out has the default that its help names.
#[derive(Args, Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunFile {
    /// Dataset to learn from
    #[arg(long)]
    pub dataset: Option<String>,
    /// Purpose, one that the contract allows [default: the profile's]
    #[arg(long)]
    pub purpose: Option<String>,
    /// Epsilon of the whole run
    #[arg(long, allow_negative_numbers = true)]
    pub epsilon: Option<f64>,
    /// Failed rounds to allow in the whole run; each that participants computed was charged [default: a tenth of the rounds, at least 5]
    #[arg(long)]
    pub attempts: Option<u32>,
    /// Columns of the contract to learn from
    #[arg(long, value_delimiter = ',')]
    #[serde(default)]
    pub features: Vec<String>,
    /// Column to learn
    #[arg(long)]
    pub target: Option<String>,
    /// Makes two classes of a numeric target: above this, or not
    #[arg(long, allow_negative_numbers = true)]
    pub positive_above: Option<f64>,
    /// What is learnt [default: logistic]
    #[arg(long)]
    pub model: Option<Model>,
    /// Units of each hidden layer of an mlp [default: 32]
    #[arg(long, value_delimiter = ',')]
    #[serde(default)]
    pub hidden: Vec<u32>,
    /// How it is learnt [default: dp-sgd]
    #[arg(long)]
    pub algorithm: Option<Method>,
    /// Secure rounds [default: 15]
    #[arg(long)]
    pub rounds: Option<u32>,
    /// dp-sgd: the share of units that a step samples [default: 1]
    #[arg(long)]
    pub sampling_rate: Option<f64>,
    /// Norm that a unit's gradient (dp-sgd) or a participant's update (the others) is clipped to [default: 1]
    #[arg(long)]
    pub clip_norm: Option<f64>,
    /// Of the server's step [default: 1]
    #[arg(long, allow_negative_numbers = true)]
    pub learning_rate: Option<f64>,
    /// How the learning rate falls [default: constant]
    #[arg(long)]
    pub schedule: Option<Falls>,
    /// step schedule: after how many rounds [default: 10]
    #[arg(long)]
    pub schedule_every: Option<u32>,
    /// step schedule: times what [default: 0.5]
    #[arg(long)]
    pub schedule_factor: Option<f64>,
    /// dp-sgd, fedavgm: momentum of the server's step [default: 0.9 for fedavgm, else 0]
    #[arg(long)]
    pub momentum: Option<f64>,
    /// Weight decay [default: 0]
    #[arg(long)]
    pub weight_decay: Option<f64>,
    /// fedprox: the pull back to the global model [default: 0.1]
    #[arg(long)]
    pub mu: Option<f64>,
    /// fedadam, fedyogi [default: 0.9]
    #[arg(long)]
    pub beta1: Option<f64>,
    /// fedadam, fedyogi [default: 0.99]
    #[arg(long)]
    pub beta2: Option<f64>,
    /// fedadam, fedyogi: keeps steps finite where moments are small [default: 0.001]
    #[arg(long)]
    pub tau: Option<f64>,
    /// All but dp-sgd: local steps in a round [default: 10]
    #[arg(long)]
    pub local_steps: Option<u32>,
    /// All but dp-sgd: rows of a local step; 0 is all [default: 32]
    #[arg(long)]
    pub local_batch: Option<u32>,
    /// All but dp-sgd: learning rate of local steps [default: 0.1]
    #[arg(long)]
    pub local_learning_rate: Option<f64>,
    /// Chooses the initial weights and the units that are held out; the noise is fresh in every run [default: 0]
    #[arg(long)]
    pub seed: Option<u64>,
    /// Share of units that no step sees, for evaluation [default: 0.25]
    #[arg(long)]
    pub holdout: Option<f64>,
    /// Units at all participants together, as far as the public knows; scales the mean, never a claim
    #[arg(long)]
    pub expected_units: Option<u64>,
    /// No noise: sums are hidden and nothing else is claimed; every owner has to allow it
    #[arg(long)]
    #[serde(default)]
    pub non_private: bool,
    /// What the registry calls the model [default: DATASET.TARGET]
    #[arg(long)]
    pub name: Option<String>,
    /// Model to start from: NAME (in production), NAME@VERSION, or the first digits of its hash
    #[arg(long)]
    pub parent: Option<String>,
    /// Column whose values the evaluation compares: figures for each, and the gaps between them
    #[arg(long)]
    pub evaluate_group: Option<String>,
    /// Epsilon of the evaluation after the run; 0 is none [default: a tenth of epsilon]
    #[arg(long)]
    pub evaluate_epsilon: Option<f64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Model {
    Linear,
    Logistic,
    Softmax,
    Mlp,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    DpSgd,
    #[value(name = "fedavg")]
    #[serde(rename = "fedavg")]
    FedAvg,
    #[value(name = "fedprox")]
    #[serde(rename = "fedprox")]
    FedProx,
    #[value(name = "fedavgm")]
    #[serde(rename = "fedavgm")]
    FedAvgM,
    #[value(name = "fedadam")]
    #[serde(rename = "fedadam")]
    FedAdam,
    #[value(name = "fedyogi")]
    #[serde(rename = "fedyogi")]
    FedYogi,
    Scaffold,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Falls {
    Constant,
    Cosine,
    Step,
}

impl RunFile {
    /// Reads a file; an unknown key is refused with its line and the nearest known one.
    pub fn read(path: &Path) -> Result<Self, Problem> {
        let text = std::fs::read_to_string(path).map_err(|error| Problem::unread(path, &error))?;
        toml::from_str(&text).map_err(|error| malformed(path, &text, &error))
    }

    /// What these settings are with `flags` on top.
    pub fn with(self, flags: Self) -> Self {
        macro_rules! first {
            ($($field:ident),*) => { Self {
                features: if flags.features.is_empty() { self.features } else { flags.features },
                hidden: if flags.hidden.is_empty() { self.hidden } else { flags.hidden },
                non_private: flags.non_private || self.non_private,
                $($field: flags.$field.or(self.$field)),*
            } };
        }
        first!(
            dataset,
            purpose,
            epsilon,
            attempts,
            target,
            positive_above,
            model,
            algorithm,
            rounds,
            sampling_rate,
            clip_norm,
            learning_rate,
            schedule,
            schedule_every,
            schedule_factor,
            momentum,
            weight_decay,
            mu,
            beta1,
            beta2,
            tau,
            local_steps,
            local_batch,
            local_learning_rate,
            seed,
            holdout,
            expected_units,
            name,
            parent,
            evaluate_group,
            evaluate_epsilon
        )
    }

    /// The dataset, which has no default.
    pub fn dataset(&self) -> Result<&str, Problem> {
        self.dataset.as_deref().ok_or_else(|| missing("dataset", "heart"))
    }

    /// The epsilon, which has no default; without noise it is a placeholder that nobody reads.
    pub fn epsilon(&self) -> Result<f64, Problem> {
        match (self.epsilon, self.non_private) {
            (Some(epsilon), _) if epsilon.is_finite() && epsilon > 0.0 => Ok(epsilon),
            (Some(epsilon), _) => Err(Problem::usage(format!(
                "mismatched epsilon: expected a finite number above 0, got {epsilon}"
            ))),
            (None, true) => Ok(1.0),
            (None, false) => Err(missing("epsilon", "3")),
        }
    }

    pub fn attempts(&self) -> u32 {
        self.attempts
            .unwrap_or_else(|| (self.rounds() / 10).clamp(5, governance::request::MAX_ATTEMPTS))
    }

    pub fn rounds(&self) -> u32 {
        self.rounds.unwrap_or(15)
    }

    /// What the evaluation after the run may cost.
    pub fn evaluate_epsilon(&self) -> Option<f64> {
        let default = self.epsilon.map(|epsilon| epsilon / 10.0);
        self.evaluate_epsilon.or(default).filter(|epsilon| *epsilon > 0.0)
    }

    /// The task that is signed.
    pub fn task(&self) -> Result<TrainTask, Problem> {
        if self.features.is_empty() {
            return Err(missing("features", "[\"age\", \"chol\"]"));
        }
        let target = self.target.clone().ok_or_else(|| missing("target", "\"num\""))?;
        let algorithm = self.algorithm.unwrap_or(Method::DpSgd);
        let local = LocalWork {
            steps: self.local_steps.unwrap_or(10),
            batch: self.local_batch.unwrap_or(32),
            learning_rate: real("local_learning_rate", self.local_learning_rate, 0.1)?,
        };
        let server_momentum = if algorithm == Method::DpSgd {
            self.momentum
        } else {
            None
        };
        Ok(TrainTask {
            features: self.features.clone(),
            target,
            positive_above: self
                .positive_above
                .map(|x| real("positive_above", Some(x), x))
                .transpose()?,
            model: match self.model.unwrap_or(Model::Logistic) {
                Model::Linear => ModelKind::Linear,
                Model::Logistic => ModelKind::Logistic,
                Model::Softmax => ModelKind::Softmax,
                Model::Mlp => ModelKind::Mlp {
                    hidden: if self.hidden.is_empty() {
                        vec![32]
                    } else {
                        self.hidden.clone()
                    },
                },
            },
            algorithm: self.method(algorithm)?,
            local: (algorithm != Method::DpSgd).then_some(local),
            rounds: self.rounds(),
            sampling_rate: real("sampling_rate", self.sampling_rate, 1.0)?,
            clip_norm: real("clip_norm", self.clip_norm, 1.0)?,
            learning_rate: real("learning_rate", self.learning_rate, 1.0)?,
            schedule: match self.schedule.unwrap_or(Falls::Constant) {
                Falls::Constant => Schedule::Constant,
                Falls::Cosine => Schedule::Cosine,
                Falls::Step => Schedule::Step {
                    every: self.schedule_every.unwrap_or(10),
                    factor: real("schedule_factor", self.schedule_factor, 0.5)?,
                },
            },
            momentum: real("momentum", server_momentum, 0.0)?,
            weight_decay: real("weight_decay", self.weight_decay, 0.0)?,
            seed: self.seed.unwrap_or(0),
            holdout: match self.holdout.unwrap_or(0.25) {
                0.0 => None,
                fraction => Some(Holdout {
                    fraction: real("holdout", Some(fraction), fraction)?,
                    seed: self.seed.unwrap_or(0),
                }),
            },
            expected_units: self.expected_units,
            non_private: self.non_private,
            name: self.name.clone(),
            start: None,
        })
    }

    fn method(&self, algorithm: Method) -> Result<Algorithm, Problem> {
        let beta1 = real("beta1", self.beta1, 0.9)?;
        let beta2 = real("beta2", self.beta2, 0.99)?;
        let tau = real("tau", self.tau, 0.001)?;
        Ok(match algorithm {
            Method::DpSgd => Algorithm::DpSgd,
            Method::FedAvg => Algorithm::FedAvg,
            Method::FedProx => Algorithm::FedProx {
                mu: real("mu", self.mu, 0.1)?,
            },
            Method::FedAvgM => Algorithm::FedAvgM {
                momentum: real("momentum", self.momentum, 0.9)?,
            },
            Method::FedAdam => Algorithm::FedAdam { beta1, beta2, tau },
            Method::FedYogi => Algorithm::FedYogi { beta1, beta2, tau },
            Method::Scaffold => Algorithm::Scaffold,
        })
    }
}

fn missing(field: &str, example: &str) -> Problem {
    let flag = field.replace('_', "-");
    Problem::usage(format!("no {field} in this run")).remedy(format!("{field} = {example} in the file, or --{flag}"))
}

fn real(field: &str, given: Option<f64>, default: f64) -> Result<Real, Problem> {
    let number = given.unwrap_or(default);
    Real::new(number)
        .ok_or_else(|| Problem::usage(format!("mismatched {field}: expected a finite number, got {number}")))
}

/// The parser's words with the line, and a near miss named.
fn malformed(path: &Path, text: &str, error: &toml::de::Error) -> Problem {
    let before = error.span().map_or(0, |span| span.start.min(text.len()));
    let line = 1 + text[..before].matches('\n').count();
    let problem = Problem::usage(format!("{}:{line}: {}", path.display(), error.message()));
    let quoted: Vec<&str> = error.message().split('`').skip(1).step_by(2).collect();
    let Some((unknown, known)) = quoted
        .split_first()
        .filter(|_| error.message().starts_with("unknown field"))
    else {
        return problem.remedy("`sotto train --help` lists all settings and what each expects");
    };
    let near = known.iter().max_by_key(|name| likeness(unknown, name));
    match near {
        Some(near) => problem.remedy(format!(
            "did you mean `{near}`? `sotto train --help` lists all settings"
        )),
        None => problem,
    }
}

/// Letters in common, in order: enough to find a slip of the pen.
fn likeness(a: &str, b: &str) -> usize {
    let mut rest = b.chars();
    let common = a
        .chars()
        .filter(|c| rest.clone().any(|d| d == *c) && rest.any(|d| d == *c))
        .count();
    2 * common + usize::from(a.len() == b.len()) - common.min(a.len().abs_diff(b.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = r#"
dataset = "heart"
epsilon = 3
features = ["age", "sex"]
target = "num"
positive_above = 0
rounds = 12
momentum = 0.9
"#;

    #[test]
    fn a_file_and_flags_make_one_task_and_flags_win() {
        let file: RunFile = toml::from_str(FILE).unwrap();
        let flags = RunFile {
            rounds: Some(20),
            learning_rate: Some(0.5),
            ..RunFile::default()
        };
        let run = file.with(flags);
        let task = run.task().unwrap();
        assert_eq!(
            (task.rounds, task.momentum.get(), task.learning_rate.get()),
            (20, 0.9, 0.5)
        );
        assert_eq!(task.algorithm, Algorithm::DpSgd);
        assert_eq!((run.epsilon().unwrap(), run.evaluate_epsilon()), (3.0, Some(0.3)));
    }

    #[test]
    fn an_unknown_key_is_refused_with_its_line_and_the_near_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run.toml");
        std::fs::write(&path, FILE.replace("rounds", "rouns")).unwrap();
        let problem = RunFile::read(&path).unwrap_err();
        assert!(problem.message.contains("run.toml:7"), "{problem}");
        assert!(problem.remedy.unwrap().contains("`rounds`"));
        assert!(RunFile::default().dataset().is_err() && RunFile::default().epsilon().is_err());
    }
}
