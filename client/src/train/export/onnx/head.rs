//! From scores to what a person reads, in doubles: a number in units of the target, the probability of class 1, or the
//! most probable class beside the probability of each.

use workload::training::{Head, Target, TrainedModel};

use super::graph::{Graph, Name, number};
use super::proto::DataType;
use super::{PREDICTION, PROBABILITIES};

pub fn head(graph: &mut Graph, model: &TrainedModel, scores: Name) {
    let target = &model.target_column;
    let labels = model.target.labels();
    let scores = graph.cast(&scores, DataType::Double, "head/scores");
    match (model.shape.head, &model.target) {
        (Head::Squared, Target::Number { low, high }) => {
            let (low, high) = (low.get(), high.get());
            let one = graph.doubles("head/one", &[], &[1.0]);
            let half = graph.doubles("head/half", &[], &[high / 2.0 - low / 2.0]);
            let least = graph.doubles("head/low", &[], &[low]);
            let above = graph.node("Add", &[&scores, &one], "head/above", vec![]);
            let width = graph.node("Mul", &[&above, &half], "head/width", vec![]);
            graph.node("Add", &[&width, &least], PREDICTION, vec![]);
            graph.output(PREDICTION, DataType::Double, 1, format!("`{target}`, in its own units"));
        }
        (Head::Squared, _) => {
            graph.node("Identity", &[&scores], PREDICTION, vec![]);
            graph.output(PREDICTION, DataType::Double, 1, format!("`{target}`, as it was learnt"));
        }
        (Head::Logistic, _) => {
            graph.node("Sigmoid", &[&scores], PREDICTION, vec![]);
            let about = format!(
                "probability that `{target}` is {}",
                labels.get(1).map_or("1", String::as_str)
            );
            graph.output(PREDICTION, DataType::Double, 1, about);
        }
        (Head::Softmax, _) => {
            let each = graph.node("Softmax", &[&scores], PROBABILITIES, vec![number("axis", 1)]);
            // The first of the greatest, as ours.
            let attributes = vec![number("axis", 1), number("keepdims", 1)];
            graph.node("ArgMax", &[&each], PREDICTION, attributes);
            let order = format!("in the order {labels:?}");
            graph.output(
                PREDICTION,
                DataType::Int64,
                1,
                format!("most probable class of `{target}`: a position {order}"),
            );
            let about = format!("probability of each class of `{target}`, {order}");
            graph.output(PROBABILITIES, DataType::Double, model.shape.outputs as usize, about);
        }
    }
}
