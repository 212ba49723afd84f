//! A run's settings in words: what `sotto explain` says before it, and `sotto model show` and the report after it. Names and values, nothing of
//! data.

use serde::Serialize;
use serde_json::Value;
use workload::training::{Covers, Holdout, ModelKind, TrainTask};

use crate::output::plain;

/// Names and values.
pub type Settings = Vec<(String, String)>;

/// Whom a statement is about and through what: said first, in the same words before a run and after it, and never blurred.
pub fn covered(covers: Covers, unit: &str) -> String {
    match covers {
        Covers::Unit => format!("covers each privacy unit ({unit})"),
        Covers::Site => format!(
            "covers each privacy unit ({unit}) through \"replace one site's data\": a participant's whole update is clipped and hidden"
        ),
        Covers::Nothing => {
            "secure aggregation only: NO differential privacy is claimed, for units or for participants".to_owned()
        }
    }
}

/// The target, and what makes two classes of it.
pub fn target(task: &TrainTask) -> String {
    let above = task
        .positive_above
        .map(|above| format!(", class 1 above {}", plain(above.get())));
    format!("{}{}", task.target, above.unwrap_or_default())
}

pub fn held_out(task: &TrainTask) -> String {
    let held = |h: Holdout| format!("{} of the units, split {}", plain(h.fraction.get()), h.seed);
    task.holdout.map_or("nothing".to_owned(), held)
}

/// `mlp with hidden layers of 64, 32`.
pub fn model(kind: &ModelKind) -> String {
    match kind {
        ModelKind::Mlp { hidden } => {
            let widths: Vec<String> = hidden.iter().map(u32::to_string).collect();
            format!("mlp with hidden layers of {}", widths.join(", "))
        }
        other => named(other).0,
    }
}

/// The algorithm with every setting.
pub fn algorithm(task: &TrainTask) -> Settings {
    let (name, settings) = named(&task.algorithm);
    let mut all = vec![("algorithm".to_owned(), name)];
    all.extend(settings);
    if let Some(local) = task.local {
        let batch = if local.batch == 0 {
            "all rows".to_owned()
        } else {
            format!("{} rows", local.batch)
        };
        all.push(("local steps between rounds".into(), local.steps.to_string()));
        all.push(("local batch".into(), batch));
        all.push(("local learning rate".into(), plain(local.learning_rate.get())));
    }
    let (schedule, falls) = named(&task.schedule);
    all.push(("learning rate of the server".into(), plain(task.learning_rate.get())));
    all.push(("schedule".into(), schedule));
    all.extend(falls);
    // Of `dp-sgd`; that of fedavgm is among the algorithm's own.
    if task.is_unit_level() {
        all.push(("momentum".into(), plain(task.momentum.get())));
    }
    all.push(("weight decay".into(), plain(task.weight_decay.get())));
    all.push(("clip norm".into(), plain(task.clip_norm.get())));
    all.push(("sampling rate".into(), plain(task.sampling_rate.get())));
    all.push(("seed of the initial weights".into(), task.seed.to_string()));
    all
}

/// The task as JSON, without the parameters that it starts from: `parent` names them.
pub fn as_json(task: &TrainTask) -> Value {
    let mut json = serde_json::to_value(task).unwrap_or_default();
    if let Some(task) = json.as_object_mut() {
        task.remove("start");
    }
    json
}

/// An enum as its name and its settings.
pub fn named(value: &impl Serialize) -> (String, Settings) {
    let word = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    match serde_json::to_value(value).unwrap_or_default() {
        Value::Object(one) => one
            .into_iter()
            .next()
            .map_or_else(Default::default, |(name, settings)| {
                let settings = settings.as_object().into_iter().flatten();
                (name, settings.map(|(key, value)| (key.clone(), word(value))).collect())
            }),
        other => (word(&other), Vec::new()),
    }
}
