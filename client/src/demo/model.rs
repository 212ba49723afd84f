//! The tour's last act: a model that learns from four hospitals, its AUC as the hospitals report it with noise, and, because
//! the data is public, its AUC over everybody. About a second.

use governance::canonical::Real;
use workload::training::{Holdout, ModelKind, TrainTask};

use super::data::heart;
use crate::datasets::Dataset;
use crate::train::{self, Evaluated, Trained, predict};
use crate::{Client, Problem};

/// Of the run, and of its evaluation.
pub const EPSILON: f64 = 3.0;
pub const EVALUATION: f64 = 1.0;
const ROUNDS: u32 = 15;

/// What was learnt, and how good it is.
pub struct Learnt {
    pub trained: Trained,
    pub evaluated: Evaluated,
    /// Over all rows, those that the steps saw included. No real consortium has it.
    pub true_auc: f64,
}

/// Trains a classifier of heart disease.
pub async fn learn(client: &mut Client, dataset: &Dataset) -> Result<Learnt, Problem> {
    let trained = train::run(client, dataset, &task(), EPSILON, "research", 5).await?;
    let evaluated = train::evaluate(client, dataset, &trained, EVALUATION, "research", None).await?;
    let true_auc = true_auc(&trained)?;
    Ok(Learnt {
        trained,
        evaluated,
        true_auc,
    })
}

fn task() -> TrainTask {
    // Unwrap safety: the numbers below are finite.
    let real = |x: f64| Real::new(x).expect("a finite constant");
    TrainTask {
        positive_above: Some(real(0.0)),
        learning_rate: real(1.5),
        momentum: real(0.6),
        expected_units: Some(920),
        holdout: Some(Holdout {
            fraction: real(0.25),
            seed: 7,
        }),
        ..TrainTask::dp_sgd(
            &["age", "sex", "cp", "trestbps", "thalch", "exang", "oldpeak"],
            "num",
            ModelKind::Logistic,
            ROUNDS,
        )
    }
}

fn true_auc(trained: &Trained) -> Result<f64, Problem> {
    let failed = |error: polars::prelude::PolarsError| Problem::local("embedded data", error);
    let frame = heart()?.collect().map_err(failed)?;
    let scores = predict::predict(&trained.run.model, &frame)?;
    let num = frame
        .column("num")
        .map_err(failed)?
        .cast(&polars::prelude::DataType::Float64)
        .map_err(failed)?;
    let positive: Vec<bool> = num
        .f64()
        .map_err(failed)?
        .iter()
        .map(|x| x.is_some_and(|x| x > 0.0))
        .collect();
    let mut ranked: Vec<(f64, bool)> = scores.into_iter().zip(positive).collect();
    ranked.sort_by(|a, b| a.0.total_cmp(&b.0));
    // Ties would need mid-ranks; scores of doubles practically have none.
    let (mut below, mut pairs, mut positives) = (0.0, 0.0, 0.0);
    for (_, positive) in &ranked {
        match positive {
            true => {
                pairs += below;
                positives += 1.0;
            }
            false => below += 1.0,
        }
    }
    Ok(pairs / (positives * below))
}
