//! `onnx`: models of every kind are trained, exported and run by onnxruntime on raw rows: as the tables have them, and
//! spoilt (missing, out of bounds, not finite, no category). A figure is the largest difference from `sotto predict`;
//! beyond 1e-5 the command fails. Half a minute, and a virtual environment of Python in the user's cache at the first
//! time.

mod models;
mod python;
mod rows;

use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::{Value, json};
use sottovoce::train::export::{Facts, Format, bytes};
use sottovoce::train::predict;
use tests::learn::Result;
use workload::training::{Head, Target, TrainedModel};

use crate::measure::keep;
use models::Sample;
use python::Python;

/// Differences are in probability; of a predicted number as a share of the target's range.
const TOLERANCE: f64 = 1e-5;

#[derive(clap::Args)]
pub struct Arguments {
    /// A Python that has numpy, onnx, onnxruntime and safetensors, instead of one with the newest of them
    #[arg(long)]
    python: Option<PathBuf>,
    /// Where the figures go
    #[arg(long, default_value = "experiments/results")]
    results: PathBuf,
}

/// What the script prints.
#[derive(Deserialize)]
struct Ran {
    onnxruntime: String,
    models: Vec<Predicted>,
}

#[derive(Deserialize)]
struct Predicted {
    model: String,
    /// What the file says its model is.
    model_hash: String,
    prediction: Vec<f64>,
    /// A row each; only softmax has them.
    probabilities: Option<Vec<Vec<f64>>>,
}

pub fn run(arguments: &Arguments) -> Value {
    measured(arguments).unwrap_or_else(|error| {
        eprintln!("onnx: {error}");
        std::process::exit(1);
    })
}

fn measured(arguments: &Arguments) -> Result<Value> {
    let python = Python::ready(arguments.python.as_deref())?;
    let samples = models::samples()?;
    let folder = tempfile::tempdir()?;
    let jobs = samples
        .iter()
        .map(|sample| write(sample, folder.path()))
        .collect::<Result<Vec<Value>>>()?;
    let jobs_file = folder.path().join("jobs.json");
    std::fs::write(&jobs_file, Value::from(jobs).to_string())?;
    let ran: Ran = serde_json::from_str(&python.check(&jobs_file)?)?;
    if ran.models.len() != samples.len() {
        return Err(format!(
            "mismatched models: expected {}, got {}",
            samples.len(),
            ran.models.len()
        )
        .into());
    }
    let mut figures = Vec::new();
    let mut worst = 0.0f64;
    for (sample, theirs) in samples.iter().zip(&ran.models) {
        let difference = compared(sample, theirs).map_err(|error| format!("{}: {error}", sample.name))?;
        let rows = theirs.prediction.len();
        println!("{:24} {rows:>6} rows  largest difference {difference:.2e}", sample.name);
        figures.push(json!({ "model": sample.name, "rows": rows, "largest_difference": difference }));
        worst = worst.max(difference);
    }
    if worst > TOLERANCE {
        return Err(format!("predictions differ by {worst:.2e}: expected at most {TOLERANCE:e}").into());
    }
    let figures = json!({ "models": figures, "onnxruntime": ran.onnxruntime });
    keep(&arguments.results, "onnx", &figures)?;
    Ok(figures)
}

/// Both exports and the raw rows of a sample, and what the script has to know of them.
fn write(sample: &Sample, folder: &Path) -> Result<Value> {
    let place = |ending: &str| folder.join(format!("{}.{ending}", sample.name));
    let facts = Facts::default().and("statement", "a model of the bench: nothing is claimed of it");
    std::fs::write(place("onnx"), bytes(&sample.model, &facts, Format::Onnx)?)?;
    std::fs::write(place("safetensors"), bytes(&sample.model, &facts, Format::Safetensors)?)?;
    rows::write_csv(&sample.frame, &place("csv"))?;
    Ok(json!({
        "model": sample.name, "onnx": place("onnx"), "safetensors": place("safetensors"), "rows": place("csv"),
    }))
}

/// The largest difference over rows. A number that is not one differs without bound.
fn compared(sample: &Sample, theirs: &Predicted) -> Result<f64> {
    let model = &sample.model;
    let expected = model.hash()?.to_string();
    if theirs.model != sample.name || theirs.model_hash != expected {
        return Err(format!("mismatched model hash: expected {expected}, got {}", theirs.model_hash).into());
    }
    let ours = predict::predict(model, &sample.frame)?;
    if ours.len() != theirs.prediction.len() {
        return Err(format!(
            "mismatched rows: expected {}, got {}",
            ours.len(),
            theirs.prediction.len()
        )
        .into());
    }
    let pairs = ours.iter().zip(&theirs.prediction);
    match (model.shape.head, &theirs.probabilities) {
        (Head::Softmax, Some(theirs_each)) => classes(sample, pairs, theirs_each),
        (Head::Softmax, None) => Err("no probabilities".into()),
        (_, Some(_)) => Err("probabilities where one number is predicted".into()),
        (Head::Squared | Head::Logistic, None) => {
            let unit = unit(model);
            Ok(largest(pairs.map(|(ours, theirs)| (ours - theirs) / unit)))
        }
    }
}

/// Differences of all probabilities; and where the classes are not the same, how much less probable theirs is to us: of
/// two classes that tie, either may win.
fn classes<'a>(
    sample: &Sample,
    pairs: impl Iterator<Item = (&'a f64, &'a f64)>,
    theirs_each: &[Vec<f64>],
) -> Result<f64> {
    let ours_each = sample.model.outputs(&predict::encode(&sample.model, &sample.frame)?)?;
    let found = (theirs_each.len(), theirs_each.first().map_or(0, Vec::len));
    if found != ours_each.dim() || theirs_each.iter().any(|row| row.len() != found.1) {
        return Err(format!(
            "mismatched probabilities: expected {:?}, got {found:?}",
            ours_each.dim()
        )
        .into());
    }
    let each = largest(ours_each.iter().zip(theirs_each.iter().flatten()).map(|(a, b)| a - b));
    let chosen = pairs.zip(ours_each.rows()).map(|((ours, theirs), row)| {
        let probability = |class: f64| row.get(class as usize).copied().unwrap_or(f64::NAN);
        probability(*ours) - probability(*theirs)
    });
    Ok(each.max(largest(chosen)))
}

fn unit(model: &TrainedModel) -> f64 {
    match &model.target {
        Target::Number { low, high } => high.get() - low.get(),
        _ => 1.0,
    }
}

fn largest(differences: impl Iterator<Item = f64>) -> f64 {
    let size = |x: f64| if x.is_nan() { f64::INFINITY } else { x.abs() };
    differences.map(size).fold(0.0, f64::max)
}
