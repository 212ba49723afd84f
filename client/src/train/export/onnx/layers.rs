//! The dense layers in floats, with a ReLU between them, as the predictor computes them.

use super::super::Dense;
use super::graph::{Graph, Name};

/// From features to scores: floats, `[rows, outputs]`.
pub fn layers(graph: &mut Graph, layers: &[Dense], features: Name) -> Name {
    let mut below = features;
    for (n, dense) in layers.iter().enumerate() {
        let name = |what: &str| format!("layers/{n}/{what}");
        let (inputs, outputs) = (dense.layer.inputs, dense.layer.outputs);
        let weight = graph.floats(&name("weight"), &[inputs, outputs], &narrowed(&dense.weights));
        let bias = graph.floats(&name("bias"), &[outputs], &narrowed(&dense.biases));
        below = graph.node("Gemm", &[&below, &weight, &bias], &name("scores"), vec![]);
        if n + 1 < layers.len() {
            below = graph.node("Relu", &[&below], &name("active"), vec![]);
        }
    }
    below
}

/// As the predictor rounds them.
fn narrowed(values: &[f64]) -> Vec<f32> {
    values.iter().map(|x| *x as f32).collect()
}
