//! Figures as `experiments` prints and keeps them: JSON with the documented keys.

use super::{Bench, Convergence, Dropout, Figure, Result};
use serde_json::{Value, json};

/// A JSON number, or the word that the command line has for infinity.
pub fn epsilon_json(epsilon: f64) -> Value {
    if epsilon.is_finite() {
        json!(epsilon)
    } else {
        json!("inf")
    }
}

/// What a run was asked for, without its list of features: 784 pixels say little.
pub fn settings_json(bench: &Bench) -> Result<Value> {
    let mut task: Value = serde_json::from_str(&bench.task.to_task())?;
    if let Some(settings) = task.as_object_mut() {
        settings.remove("features");
    }
    let terms = bench.terms;
    Ok(json!({ "task": task, "participants": terms.n, "colluders": terms.c, "s_min": terms.s_min }))
}

/// `results` of the accuracy table.
pub fn accuracy_json(figures: &[Figure]) -> Value {
    let one = |figure: &Figure| {
        json!({
            "setting": figure.setting.name(),
            "epsilon": epsilon_json(figure.epsilon),
            "metric": figure.metric.name(),
            "mean": figure.summary.mean,
            "min": figure.summary.min,
            "max": figure.summary.max,
            "seeds": figure.seeds,
        })
    };
    figures.iter().map(one).collect()
}

pub fn convergence_json(found: &[Convergence]) -> Value {
    let one = |c: &Convergence| {
        json!({
            "algorithm": c.algorithm,
            "alpha": c.alpha,
            "rounds": c.curve.iter().map(|(round, _)| *round).collect::<Vec<_>>(),
            "mean": c.curve.iter().map(|(_, mean)| *mean).collect::<Vec<_>>(),
            "diverged": c.diverged,
        })
    };
    found.iter().map(one).collect()
}

pub fn dropout_json(found: &[Dropout]) -> Value {
    let one = |d: &Dropout| {
        json!({
            "dropout": d.rate,
            "mean": d.summary.mean,
            "min": d.summary.min,
            "max": d.summary.max,
            "attempts_per_round": d.attempts_per_round,
            "epsilon": d.epsilon,
            "seconds": d.seconds,
        })
    };
    found.iter().map(one).collect()
}
