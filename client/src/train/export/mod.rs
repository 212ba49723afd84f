//! A trained model as a file for others: our own JSON, safetensors for whoever goes on with the weights, ONNX for whoever
//! predicts from raw columns where no Rust runs. Pure: a model in, bytes out, the same bytes every time; costs a copy or
//! two of the parameters.
//!
//! Deliberately absent: files, a network, and any way back. A model enters `sotto predict` as JSON or from its release.

mod facts;
mod onnx;
mod safetensors;
#[cfg(test)]
mod tests;

use std::path::Path;

use workload::training::{Layer, TrainedModel};

use super::Trained;
use crate::Problem;

pub use facts::Facts;

/// What to write. The ending of a file's name is the name of its format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// The model alone, as `sotto predict` reads it
    Json,
    /// Weights and biases in double precision, and the statement
    Safetensors,
    /// A graph from raw columns to predictions, and the statement
    Onnx,
}

impl Format {
    /// The format that a file's ending names.
    pub fn of(file: &Path) -> Result<Self, Problem> {
        if file == Path::new("-") {
            return Err(Problem::usage("a model is written to a file, not to standard output")
                .remedy("-o NAME.onnx, -o NAME.safetensors or -o NAME.json"));
        }
        let ending = file.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
        match ending.to_ascii_lowercase().as_str() {
            "json" => Ok(Self::Json),
            "safetensors" => Ok(Self::Safetensors),
            "onnx" => Ok(Self::Onnx),
            _ => Err(
                Problem::usage(format!("the ending of {} names no format of a model", file.display()))
                    .remedy("a name that ends in .json, .safetensors or .onnx"),
            ),
        }
    }
}

/// The model of a finished run, with what its release says of it.
pub fn export(trained: &Trained, format: Format) -> Result<Vec<u8>, Problem> {
    bytes(&trained.run.model, &Facts::of(trained), format)
}

/// A model with these facts beside it. JSON holds the model alone: its hash is the name of exactly that.
pub fn bytes(model: &TrainedModel, facts: &Facts, format: Format) -> Result<Vec<u8>, Problem> {
    match format {
        Format::Json => serde_json::to_vec_pretty(model).map_err(|error| Problem::local("model", error)),
        Format::Safetensors => safetensors::bytes(model, &facts.with_model(model)?),
        Format::Onnx => onnx::bytes(model, &facts.with_model(model)?),
    }
}

/// One dense layer with its numbers: `inputs` rows of `outputs` weights, then the biases.
struct Dense {
    layer: Layer,
    weights: Vec<f64>,
    biases: Vec<f64>,
}

/// The layers from the inputs up, checked against the shape.
fn layers(model: &TrainedModel) -> Result<Vec<Dense>, Problem> {
    let parameters = model.weights().map_err(super::refused)?;
    let cut = |layer: Layer| Dense {
        weights: parameters[layer.weights()].to_vec(),
        biases: parameters[layer.biases()].to_vec(),
        layer,
    };
    Ok(model.shape.layers().into_iter().map(cut).collect())
}
