//! Federated training: a signed task becomes a plan, a participant's rows one integer vector a round, sums a model.
//!
//! ```text
//! TrainTask -> TrainPlan (features, shape, lattice, noise, price)     plan.rs: milliseconds, no data
//! TrainingData + State -> contribution (clipped, rounded, no noise)   local.rs: at a participant, secret coins
//! State + PlainSum -> State -> ... -> TrainRelease                    server.rs: f64 + - * / sqrt in fixed order
//! EvaluateTask -> counts per group, class and score -> Evaluation     evaluate/: one round, costs budget
//! ```
//! Preprocessing comes from the contract alone, so nothing about data is spent on it and every site computes the same
//! features. The integer claim of a step is argued in `workload/proofs/clipped-sums.md`.
//!
//! Deliberately absent: files, noise, clocks, ambient randomness; the shells bring them.

mod budget;
mod coins;
mod curve;
mod data;
mod error;
mod evaluate;
mod features;
mod local;
pub mod model;
mod plan;
mod release;
mod server;
mod start;
mod state;
mod symptoms;
mod target;
mod task;
mod workload;

pub use coins::{Bernoulli, Coins, KeyedCoins};
pub use curve::{Curve, LossPoint};
pub use data::{DataError, TrainingData, in_holdout};
pub use error::{FEATURE, HYPERPARAMETER};
pub use evaluate::{
    CalibrationBin, EVALUATE_KIND, Estimate, EvaluatePlan, EvaluateTask, EvaluateWorkload, Evaluation, GroupFigures,
    Part, counts,
};
pub use features::{Cells, Coding, EncodeError, Encoder, FeatureColumn};
pub use local::{Contribution, contribution};
pub use model::{Head, Layer, Network, Shape};
pub use plan::{TrainNoise, TrainPlan};
pub use release::{Covers, TrainPrivacy, TrainRelease, TrainedModel};
pub use server::{Stepped, step};
pub use start::Start;
pub use state::{State, StateError};
pub use symptoms::Rise;
pub use target::Target;
pub use task::{Algorithm, Holdout, KIND, LocalWork, ModelKind, Schedule, TrainTask};
pub use workload::TrainWorkload;
