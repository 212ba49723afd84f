//! What stands in the files; that a runtime of others predicts as we do is `experiments onnx`.

use std::collections::BTreeSet;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use governance::Contract;
use governance::canonical::Real;
use prost::Message;
use serde_json::Value;
use workload::training::{Coding, Encoder, Head, Shape, Target};

use super::onnx::proto::{DataType, ModelProto, NodeProto, TensorProto};
use super::*;

const FEATURES: [&str; 4] = ["age", "sex", "chol", "fbs"];

/// 3 + 2 + 2 features; weights are 1, 2, 3, ... in the order of the parameter vector.
fn model(head: Head, outputs: u32, target: Target, hidden: Vec<u32>) -> TrainedModel {
    let contract = Contract::parse(include_str!("../../../../governance/contracts/heart.toml")).unwrap();
    let encoder = Encoder::new(&FEATURES.map(str::to_owned), &contract).unwrap();
    let shape = Shape {
        inputs: encoder.width() as u32,
        hidden,
        outputs,
        head,
    };
    let parameters = (1..=shape.parameters()).flat_map(|x| (x as f64).to_le_bytes());
    TrainedModel {
        encoder,
        target_column: "num".to_owned(),
        target,
        parameters: BASE64_STANDARD.encode(parameters.collect::<Vec<u8>>()),
        shape,
    }
}

fn logistic() -> TrainedModel {
    let threshold = Real::new(0.0).unwrap();
    model(Head::Logistic, 1, Target::Above { threshold }, vec![])
}

fn deep() -> TrainedModel {
    model(Head::Softmax, 5, Target::Integers { min: 0, max: 4 }, vec![3])
}

fn facts() -> Facts {
    Facts::default()
        .and("epsilon", "3")
        .and("statement", "covers each privacy unit")
}

fn graph_of(model: &TrainedModel) -> ModelProto {
    ModelProto::decode(&bytes(model, &facts(), Format::Onnx).unwrap()[..]).unwrap()
}

fn header(file: &[u8]) -> (Value, &[u8]) {
    let (length, rest) = file.split_first_chunk().unwrap();
    let (text, data) = rest.split_at(u64::from_le_bytes(*length) as usize);
    (serde_json::from_slice(text).unwrap(), data)
}

fn tensor<'a>(header: &Value, data: &'a [u8], name: &str) -> (Value, Vec<f64>, &'a [u8]) {
    let entry = &header[name];
    assert_eq!(entry["dtype"], "F64", "{name}");
    let at = |i: usize| entry["data_offsets"][i].as_u64().unwrap() as usize;
    let raw = &data[at(0)..at(1)];
    let numbers = raw.as_chunks::<8>().0.iter().map(|x| f64::from_le_bytes(*x));
    (entry["shape"].clone(), numbers.collect(), raw)
}

#[test]
fn safetensors_hold_every_parameter_to_the_last_bit_and_name_the_model() {
    let model = deep();
    let file = bytes(&model, &facts(), Format::Safetensors).unwrap();
    let (header, data) = header(&file);
    assert_eq!((file.len() - data.len()) % 8, 0, "tensors are aligned");
    let (shape, weights, first) = tensor(&header, data, "layers.0.weight");
    assert_eq!(shape, serde_json::json!([3, 7]));
    // Output 0 has the weights 1, 4, 7, ... of the row-by-row vector.
    assert_eq!(&weights[..8], [1.0, 4.0, 7.0, 10.0, 13.0, 16.0, 19.0, 2.0]);
    let (_, biases, _) = tensor(&header, data, "layers.0.bias");
    assert_eq!(biases, [22.0, 23.0, 24.0]);
    let (shape, weights, _) = tensor(&header, data, "layers.1.weight");
    assert_eq!((shape, weights[0], weights[1]), (serde_json::json!([5, 3]), 25.0, 30.0));
    let (_, _, last) = tensor(&header, data, "layers.1.bias");
    assert_eq!(first.as_ptr(), data.as_ptr(), "no gap before the first tensor");
    assert_eq!(last.as_ptr_range().end, data.as_ptr_range().end, "nor after the last");
    let said = &header["__metadata__"];
    assert_eq!(said["model_hash"], model.hash().unwrap().to_string());
    assert_eq!(
        (said["epsilon"].as_str(), said["target"].as_str()),
        (Some("3"), Some("num"))
    );
    let encoder: Encoder = serde_json::from_str(said["encoder"].as_str().unwrap()).unwrap();
    assert_eq!(encoder, model.encoder);
}

#[test]
fn an_onnx_model_takes_the_contracts_columns_as_a_hospital_has_them() {
    let found = graph_of(&logistic());
    let versions: Vec<_> = found
        .opset_import
        .iter()
        .map(|o| (o.domain.as_str(), o.version))
        .collect();
    assert_eq!((found.ir_version, versions), (7, vec![("", 13), ("ai.onnx.ml", 2)]));
    let graph = found.graph.unwrap();
    let named = |values: &[super::onnx::proto::ValueInfoProto]| -> Vec<(String, i32, Option<String>, Option<i64>)> {
        let read = |value: &super::onnx::proto::ValueInfoProto| {
            let tensor = value.r#type.clone().unwrap().tensor_type.unwrap();
            let dim = tensor.shape.unwrap().dim;
            assert_eq!(dim.len(), 2);
            (
                value.name.clone(),
                tensor.elem_type,
                dim[0].dim_param.clone(),
                dim[1].dim_value,
            )
        };
        values.iter().map(read).collect()
    };
    let column = |name: &str, of: DataType| (name.to_owned(), of as i32, Some("rows".to_owned()), Some(1));
    let kinds = [DataType::Double, DataType::String, DataType::Double, DataType::Int64];
    assert_eq!(
        named(&graph.input),
        FEATURES
            .iter()
            .zip(kinds)
            .map(|(n, k)| column(n, k))
            .collect::<Vec<_>>()
    );
    assert_eq!(named(&graph.output), [column("prediction", DataType::Double)]);

    let softmax = graph_of(&deep()).graph.unwrap();
    let probabilities = (
        "probabilities".to_owned(),
        DataType::Double as i32,
        Some("rows".to_owned()),
        Some(5),
    );
    assert_eq!(
        named(&softmax.output),
        [column("prediction", DataType::Int64), probabilities]
    );
}

#[test]
fn features_leave_the_graph_in_the_encoders_order() {
    let graph = graph_of(&logistic()).graph.unwrap();
    let order = constant(&graph.initializer, "encode/order");
    let order: Vec<i64> = order
        .raw_data
        .as_chunks::<8>()
        .0
        .iter()
        .map(|x| i64::from_le_bytes(*x))
        .collect();
    // Parts: age, chol | is age missing (nobody's), is chol missing | fbs | is fbs missing | Female, Male.
    assert_eq!(logistic().encoder.names()[3..5], ["chol", "chol is missing"]);
    assert_eq!(order, [0, 6, 7, 1, 3, 4, 5]);
}

#[test]
fn every_value_of_a_graph_is_made_once_and_before_it_is_used() {
    let number = Target::Number {
        low: Real::new(0.0).unwrap(),
        high: Real::new(4.0).unwrap(),
    };
    for model in [logistic(), deep(), model(Head::Squared, 1, number, vec![4, 2])] {
        let found = graph_of(&model);
        let graph = found.graph.unwrap();
        let mut known = BTreeSet::new();
        let outside = graph
            .input
            .iter()
            .map(|i| &i.name)
            .chain(graph.initializer.iter().map(|c| &c.name));
        for name in outside {
            assert!(known.insert(name), "{name} is made twice");
        }
        for node in &graph.node {
            assert!(
                node.input.iter().all(|name| known.contains(name)),
                "{} is early",
                node.name
            );
            assert!(
                node.output.iter().all(|name| known.insert(name)),
                "{} is made twice",
                node.name
            );
        }
        assert!(graph.output.iter().all(|output| known.contains(&output.name)));
        let used: BTreeSet<&String> = graph.node.iter().flat_map(|node| &node.input).collect();
        assert!(
            graph.initializer.iter().all(|c| used.contains(&c.name)),
            "a constant of no use"
        );
        let said = |key: &str| {
            found
                .metadata_props
                .iter()
                .find(|p| p.key == key)
                .map(|p| p.value.clone())
        };
        assert_eq!(said("model_hash"), Some(model.hash().unwrap().to_string()));
        assert_eq!(said("statement").as_deref(), Some("covers each privacy unit"));
    }
}

/// Nobody may say of a model's file that it is another model.
#[test]
fn the_hash_in_a_file_is_that_of_its_model_whatever_the_facts_say() {
    let lie = facts().and("model_hash", "00").and("target", "age");
    let truth = bytes(&deep(), &facts(), Format::Safetensors).unwrap();
    assert!(bytes(&deep(), &lie, Format::Safetensors).unwrap() == truth);
}

#[test]
fn a_missing_text_falls_on_the_indicator_or_on_what_the_contract_imputes() {
    let default_of = |model: &TrainedModel| {
        let nodes = graph_of(model).graph.unwrap().node;
        let lookup: Vec<NodeProto> = nodes.into_iter().filter(|n| n.op_type == "LabelEncoder").collect();
        assert_eq!((lookup.len(), lookup[0].domain.as_str()), (1, "ai.onnx.ml"));
        lookup[0]
            .attribute
            .iter()
            .find(|a| a.name == "default_int64")
            .unwrap()
            .i
    };
    let mut model = logistic();
    assert_eq!(default_of(&model), Some(2));
    model.encoder.columns[1].impute = Some(governance::Scalar::Text("Female".into()));
    assert_eq!(default_of(&model), Some(0));
}

#[test]
fn what_is_no_model_or_has_no_name_for_its_outputs_is_refused() {
    let mut short = logistic();
    short.parameters = BASE64_STANDARD.encode([0; 8]);
    for format in [Format::Safetensors, Format::Onnx] {
        assert!(
            bytes(&short, &facts(), format)
                .unwrap_err()
                .message
                .contains("model parameters")
        );
    }
    let mut shadowing = logistic();
    shadowing.encoder.columns[0].name = "prediction".to_owned();
    let refused = bytes(&shadowing, &facts(), Format::Onnx).unwrap_err();
    assert!(refused.message.contains("`prediction`") && refused.remedy.is_some());
}

#[test]
fn json_is_the_model_that_predict_reads() {
    let file = bytes(&deep(), &facts(), Format::Json).unwrap();
    assert_eq!(serde_json::from_slice::<TrainedModel>(&file).unwrap(), deep());
    assert!(matches!(deep().encoder.columns[1].coding, Coding::Categories(_)));
}

#[test]
fn the_ending_of_a_file_names_its_format_and_no_other_ending_is_guessed_at() {
    let of = |name: &str| Format::of(Path::new(name));
    assert_eq!(of("a/model.json").unwrap(), Format::Json);
    assert_eq!(of("model.SafeTensors").unwrap(), Format::Safetensors);
    assert_eq!(of("v1.2.onnx").unwrap(), Format::Onnx);
    for name in ["model", "model.pt", "onnx", ".json"] {
        assert_eq!(of(name).unwrap_err().exit, crate::Exit::Usage, "{name}");
    }
}

fn constant<'a>(constants: &'a [TensorProto], name: &str) -> &'a TensorProto {
    constants.iter().find(|c| c.name == name).unwrap()
}

#[test]
fn a_model_goes_to_a_named_file_and_its_ending_says_how() {
    let of = |name: &str| Format::of(Path::new(name));
    assert_eq!(of("heart.ONNX").unwrap(), Format::Onnx);
    for name in ["-", "heart", "heart.bin"] {
        assert!(of(name).unwrap_err().remedy.unwrap().contains(".safetensors"), "{name}");
    }
}
