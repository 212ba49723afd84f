//! A graph under construction: nodes in the order in which they are computed, each named by what it computes. Names of
//! our own have a slash, which no column of a contract has, so the two never meet.

use super::proto::{
    AttributeProto, AttributeType, DataType, DimensionProto, GraphProto, NodeProto, TensorProto, TensorShapeProto,
    TensorTypeProto, TypeProto, ValueInfoProto,
};
use super::{ML, ROWS};

#[derive(Default)]
pub struct Graph {
    nodes: Vec<NodeProto>,
    constants: Vec<TensorProto>,
    inputs: Vec<ValueInfoProto>,
    outputs: Vec<ValueInfoProto>,
}

/// The name of a value in the graph.
pub type Name = String;

impl Graph {
    /// Computes `output` by a standard operator.
    pub fn node(&mut self, operator: &str, inputs: &[&Name], output: &str, attributes: Vec<AttributeProto>) -> Name {
        self.nodes.push(NodeProto {
            input: inputs.iter().map(|name| (*name).clone()).collect(),
            output: vec![output.to_owned()],
            name: output.to_owned(),
            op_type: operator.to_owned(),
            attribute: attributes,
            // Empty is the standard operators' one; text has its operator elsewhere.
            domain: if operator == "LabelEncoder" { ML } else { "" }.to_owned(),
        });
        output.to_owned()
    }

    pub fn cast(&mut self, input: &Name, to: DataType, output: &str) -> Name {
        self.node("Cast", &[input], output, vec![number("to", to as i64)])
    }

    pub fn floats(&mut self, name: &str, shape: &[usize], values: &[f32]) -> Name {
        let raw = values.iter().flat_map(|x| x.to_le_bytes()).collect();
        self.constant(name, DataType::Float, shape, raw)
    }

    pub fn doubles(&mut self, name: &str, shape: &[usize], values: &[f64]) -> Name {
        let raw = values.iter().flat_map(|x| x.to_le_bytes()).collect();
        self.constant(name, DataType::Double, shape, raw)
    }

    pub fn integers(&mut self, name: &str, shape: &[usize], values: &[i64]) -> Name {
        let raw = values.iter().flat_map(|x| x.to_le_bytes()).collect();
        self.constant(name, DataType::Int64, shape, raw)
    }

    pub fn booleans(&mut self, name: &str, shape: &[usize], values: &[bool]) -> Name {
        self.constant(
            name,
            DataType::Bool,
            shape,
            values.iter().map(|b| u8::from(*b)).collect(),
        )
    }

    fn constant(&mut self, name: &str, data_type: DataType, shape: &[usize], raw_data: Vec<u8>) -> Name {
        self.constants.push(TensorProto {
            dims: shape.iter().map(|n| *n as i64).collect(),
            data_type: data_type as i32,
            name: name.to_owned(),
            raw_data,
        });
        name.to_owned()
    }

    /// A column from outside: `[rows, 1]`.
    pub fn input(&mut self, name: &str, of: DataType, about: String) -> Name {
        self.inputs.push(matrix(name, of, 1, about));
        name.to_owned()
    }

    /// A value that leaves: `[rows, columns]`.
    pub fn output(&mut self, name: &str, of: DataType, columns: usize, about: String) {
        self.outputs.push(matrix(name, of, columns, about));
    }

    pub fn into_proto(self) -> GraphProto {
        GraphProto {
            node: self.nodes,
            name: String::new(),
            initializer: self.constants,
            input: self.inputs,
            output: self.outputs,
        }
    }
}

pub fn number(name: &str, value: i64) -> AttributeProto {
    AttributeProto {
        i: Some(value),
        ..attribute(name, AttributeType::Int)
    }
}

pub fn numbers(name: &str, values: impl Iterator<Item = i64>) -> AttributeProto {
    AttributeProto {
        ints: values.collect(),
        ..attribute(name, AttributeType::Ints)
    }
}

pub fn texts(name: &str, values: &[String]) -> AttributeProto {
    AttributeProto {
        strings: values.iter().map(|text| text.clone().into_bytes()).collect(),
        ..attribute(name, AttributeType::Strings)
    }
}

fn attribute(name: &str, of: AttributeType) -> AttributeProto {
    AttributeProto {
        name: name.to_owned(),
        r#type: of as i32,
        ..AttributeProto::default()
    }
}

fn matrix(name: &str, of: DataType, columns: usize, about: String) -> ValueInfoProto {
    let rows = DimensionProto {
        dim_param: Some(ROWS.to_owned()),
        dim_value: None,
    };
    let columns = DimensionProto {
        dim_value: Some(columns as i64),
        dim_param: None,
    };
    ValueInfoProto {
        name: name.to_owned(),
        r#type: Some(TypeProto {
            tensor_type: Some(TensorTypeProto {
                elem_type: of as i32,
                shape: Some(TensorShapeProto {
                    dim: vec![rows, columns],
                }),
            }),
        }),
        doc_string: about,
    }
}
