//! A model as an ONNX graph that takes the contract's raw columns: one input a feature, `[rows, 1]`, and `prediction`
//! out, `[rows, 1]`. Encoding, layers and head stand in the graph, so nobody encodes beside it.
//!
//! ```text
//! columns -> encode.rs -> features -> layers.rs -> scores -> head.rs -> prediction (, probabilities)
//! ```
//! Opset 13 and IR 7 (ONNX 1.8, 2020): the oldest in which every operator used here means what it means today; and
//! LabelEncoder of ai.onnx.ml 2, as text has no other lookup. Widths follow our own predictor: what is doubles there
//! (raw numbers, head) is doubles here, and what is floats there (features, layers) is floats.

mod encode;
mod graph;
mod head;
mod layers;
pub(super) mod proto;

use prost::Message;
use workload::training::TrainedModel;

use super::{Facts, layers as dense};
use crate::Problem;
use graph::Graph;
use proto::{GraphProto, ModelProto, OperatorSetIdProto, StringStringEntryProto};

const IR_VERSION: i64 = 7;
const OPSET: i64 = 13;
const ML: &str = "ai.onnx.ml";
const ML_OPSET: i64 = 2;
/// The symbolic axis of every input and output.
const ROWS: &str = "rows";
const PREDICTION: &str = "prediction";
const PROBABILITIES: &str = "probabilities";

pub fn bytes(model: &TrainedModel, facts: &Facts) -> Result<Vec<u8>, Problem> {
    let taken = |name: &str| [PREDICTION, PROBABILITIES].contains(&name);
    if let Some(column) = model.encoder.columns.iter().find(|column| taken(&column.name)) {
        let message = format!("feature `{}` has the name of an output of the ONNX graph", column.name);
        return Err(Problem::usage(message).remedy("export to safetensors or JSON"));
    }
    let mut graph = Graph::default();
    let features = encode::encode(&mut graph, &model.encoder);
    let scores = layers::layers(&mut graph, &dense(model)?, features);
    head::head(&mut graph, model, scores);
    Ok(wrapped(graph, facts).encode_to_vec())
}

fn wrapped(graph: Graph, facts: &Facts) -> ModelProto {
    let opset = |domain: &str, version: i64| OperatorSetIdProto {
        domain: domain.to_owned(),
        version,
    };
    let fact = |(key, value): (&str, &str)| StringStringEntryProto {
        key: key.to_owned(),
        value: value.to_owned(),
    };
    ModelProto {
        ir_version: IR_VERSION,
        opset_import: vec![opset("", OPSET), opset(ML, ML_OPSET)],
        producer_name: "sottovoce".to_owned(),
        producer_version: env!("CARGO_PKG_VERSION").to_owned(),
        graph: Some(GraphProto {
            name: "model".to_owned(),
            ..graph.into_proto()
        }),
        metadata_props: facts.iter().map(fact).collect(),
    }
}
