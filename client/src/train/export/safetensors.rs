//! The safetensors format (github.com/huggingface/safetensors, 0.8): the length of a header, a JSON header padded with
//! spaces to eight bytes, then little-endian tensors without gaps. `layers.N.weight` is `outputs x inputs` and
//! `layers.N.bias` is `outputs`, as `torch.nn.Linear` has them; a ReLU stands between layers.
//!
//! Doubles, not floats: these are the parameters that the model's hash names and that training would go on from, to the
//! last bit. Who predicts in floats rounds once while loading, as we do ourselves.
//!
//! By hand, as the library spells its metadata in the order of a hash map: one model would have many files.

use serde_json::{Map, Value, json};
use workload::training::TrainedModel;

use super::facts::spelled;
use super::{Dense, Facts, layers};
use crate::Problem;

const ALIGNMENT: usize = 8;

pub fn bytes(model: &TrainedModel, facts: &Facts) -> Result<Vec<u8>, Problem> {
    let facts = facts
        .clone()
        .and("encoder", spelled(&model.encoder))
        .and("encoded_features", spelled(&model.encoder.names()))
        .and("head", spelled(&model.shape.head));
    let named = facts.iter().map(|(name, text)| (name.to_owned(), Value::from(text)));
    let mut header = Map::from_iter([("__metadata__".to_owned(), Value::Object(named.collect()))]);
    let mut data = Vec::with_capacity(model.shape.parameters() * size_of::<f64>());
    for (n, dense) in layers(model)?.iter().enumerate() {
        let (inputs, outputs) = (dense.layer.inputs, dense.layer.outputs);
        let mut tensor = |what: &str, shape: &[usize], numbers: &mut dyn Iterator<Item = f64>| {
            let start = data.len();
            numbers.for_each(|x| data.extend_from_slice(&x.to_le_bytes()));
            let entry = json!({ "dtype": "F64", "shape": shape, "data_offsets": [start, data.len()] });
            header.insert(format!("layers.{n}.{what}"), entry);
        };
        tensor("weight", &[outputs, inputs], &mut transposed(dense));
        tensor("bias", &[outputs], &mut dense.biases.iter().copied());
    }
    let mut text = Value::Object(header).to_string().into_bytes();
    text.resize(text.len().next_multiple_of(ALIGNMENT), b' ');
    let mut file = (text.len() as u64).to_le_bytes().to_vec();
    file.append(&mut text);
    file.append(&mut data);
    Ok(file)
}

/// Weights output by output.
fn transposed(dense: &Dense) -> impl Iterator<Item = f64> {
    let outputs = dense.layer.outputs;
    (0..outputs).flat_map(move |j| dense.weights.iter().skip(j).step_by(outputs).copied())
}
