//! Figures as `experiments` prints and keeps them: JSON with the documented keys, and plots.

use super::{Bench, Convergence, Curve, Dropout, Figure, Result, Setting, svg};
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

/// The metric against epsilon; what is not private is a level line, and of the sites only the best one is drawn.
pub fn accuracy_svg(title: &str, figures: &[Figure]) -> String {
    let mut epsilons: Vec<f64> = figures.iter().map(|f| f.epsilon).filter(|e| e.is_finite()).collect();
    epsilons.sort_unstable_by(f64::total_cmp);
    epsilons.dedup();
    let ticks: Vec<(f64, String)> = epsilons.iter().map(|e| (e.log10(), e.to_string())).collect();
    let mut curves = Vec::new();
    for setting in [Setting::FederatedDp, Setting::CentralDp] {
        let own = figures.iter().filter(|figure| figure.setting == setting);
        let mut points: Vec<_> = own
            .map(|f| (f.epsilon.log10(), f.summary.mean, f.summary.min, f.summary.max))
            .collect();
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        curves.push(Curve {
            name: setting.name(),
            points,
        });
    }
    let best_site = figures
        .iter()
        .filter(|figure| matches!(figure.setting, Setting::Site(_)))
        .max_by(|a, b| a.summary.mean.total_cmp(&b.summary.mean));
    let levels = figures
        .iter()
        .filter(|f| matches!(f.setting, Setting::Pooled | Setting::FederatedNonPrivate));
    for figure in levels.chain(best_site) {
        let mean = figure.summary.mean;
        curves.push(Curve {
            name: figure.setting.name(),
            points: ticks.iter().map(|tick| (tick.0, mean, mean, mean)).collect(),
        });
    }
    let metric = figures.first().map_or("", |figure| figure.metric.name());
    svg(title, "epsilon (delta 1e-5), logarithmic", metric, &ticks, &curves)
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

/// The metric against rounds, a line an algorithm.
pub fn convergence_svg(title: &str, metric: &str, found: &[Convergence]) -> String {
    let curve = |c: &Convergence| Curve {
        name: c.algorithm.to_owned(),
        points: c
            .curve
            .iter()
            .map(|(at, mean)| (f64::from(*at), *mean, *mean, *mean))
            .collect(),
    };
    let last = found
        .iter()
        .flat_map(|c| c.curve.last())
        .map(|(at, _)| *at)
        .max()
        .unwrap_or(0);
    let ticks: Vec<(f64, String)> = (0..=4u32)
        .map(|i| i * last / 4)
        .map(|at| (f64::from(at), at.to_string()))
        .collect();
    let curves: Vec<Curve> = found.iter().map(curve).collect();
    svg(title, "rounds", metric, &ticks, &curves)
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
