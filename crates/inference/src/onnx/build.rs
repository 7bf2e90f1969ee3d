//! Writing ONNX graphs: one short call per node.

use bytes::Bytes;

use super::proto::{
    AttributeProto, AttributeType, DataType, DimensionProto, DimensionValue, GraphProto, ModelProto,
    NodeProto, OperatorSetIdProto, TensorProto, TensorShapeProto, TensorTypeProto, TypeProto, ValueInfoProto,
};

/// The operator set that is written: the first with LayerNormalization.
pub const OPSET: i64 = 17;
/// ONNX's file format at the time of that operator set.
const IR_VERSION: i64 = 8;

/// A dimension of a declared value: a number, or a name for one that is known at run time.
pub enum Dim<'a> {
    /// A number.
    Fixed(i64),
    /// A name.
    Named(&'a str),
}

impl From<i64> for Dim<'_> {
    fn from(size: i64) -> Self {
        Self::Fixed(size)
    }
}

impl<'a> From<&'a str> for Dim<'a> {
    fn from(name: &'a str) -> Self {
        Self::Named(name)
    }
}

/// A graph under construction.
#[derive(Debug, Default)]
pub struct GraphBuilder {
    graph: GraphProto,
}

impl GraphBuilder {
    /// An empty graph.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self {
            graph: GraphProto {
                name: name.to_owned(),
                ..GraphProto::default()
            },
        }
    }

    /// Declares an input.
    pub fn input(&mut self, name: &str, data_type: DataType, dims: &[Dim<'_>]) {
        self.graph.input.push(value_info(name, data_type, dims));
    }

    /// Declares an output.
    pub fn output(&mut self, name: &str, data_type: DataType, dims: &[Dim<'_>]) {
        self.graph.output.push(value_info(name, data_type, dims));
    }

    /// Declares the type of a value in between.
    pub fn value(&mut self, name: &str, data_type: DataType, dims: &[Dim<'_>]) {
        self.graph.value_info.push(value_info(name, data_type, dims));
    }

    /// Adds a constant.
    pub fn constant(&mut self, tensor: TensorProto) {
        self.graph.initializer.push(tensor);
    }

    /// Adds a node with one output, which also names the node, and returns that name.
    pub fn node(
        &mut self,
        op: &str,
        inputs: &[&str],
        output: &str,
        attributes: Vec<AttributeProto>,
    ) -> String {
        self.graph.node.push(NodeProto {
            input: inputs.iter().map(|&input| input.to_owned()).collect(),
            output: vec![output.to_owned()],
            name: format!("{output}/{op}"),
            op_type: op.to_owned(),
            attribute: attributes,
            domain: String::new(),
        });
        output.to_owned()
    }

    /// Wraps the graph in a model.
    #[must_use]
    pub fn finish(self, producer: &str, doc: &str) -> ModelProto {
        self.finish_for_opset(producer, doc, OPSET)
    }

    /// Wraps the graph in a model of another operator set.
    #[must_use]
    pub fn finish_for_opset(self, producer: &str, doc: &str, opset: i64) -> ModelProto {
        ModelProto {
            ir_version: IR_VERSION,
            producer_name: producer.to_owned(),
            producer_version: env!("CARGO_PKG_VERSION").to_owned(),
            doc_string: doc.to_owned(),
            graph: Some(self.graph),
            opset_import: vec![OperatorSetIdProto {
                domain: String::new(),
                version: opset,
            }],
        }
    }
}

/// An integer setting.
#[must_use]
pub fn int(name: &str, value: i64) -> AttributeProto {
    let r#type = AttributeType::Int as i32;
    AttributeProto {
        name: name.to_owned(),
        i: value,
        r#type,
        ..AttributeProto::default()
    }
}

/// A setting of several integers.
#[must_use]
pub fn ints(name: &str, values: &[i64]) -> AttributeProto {
    let r#type = AttributeType::Ints as i32;
    AttributeProto {
        name: name.to_owned(),
        ints: values.to_vec(),
        r#type,
        ..AttributeProto::default()
    }
}

/// A setting with a fraction.
#[must_use]
pub fn float(name: &str, value: f32) -> AttributeProto {
    let r#type = AttributeType::Float as i32;
    AttributeProto {
        name: name.to_owned(),
        f: value,
        r#type,
        ..AttributeProto::default()
    }
}

/// A constant of floats.
#[must_use]
pub fn f32_tensor(name: &str, dims: &[i64], values: &[f32]) -> TensorProto {
    let raw: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    raw_tensor(name, DataType::Float, dims, raw.into())
}

/// A constant of 64-bit integers.
#[must_use]
pub fn i64_tensor(name: &str, dims: &[i64], values: &[i64]) -> TensorProto {
    let raw: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    raw_tensor(name, DataType::Int64, dims, raw.into())
}

/// A constant whose little-endian bytes are at hand.
#[must_use]
pub fn raw_tensor(name: &str, data_type: DataType, dims: &[i64], raw_data: Bytes) -> TensorProto {
    TensorProto {
        dims: dims.to_vec(),
        data_type: data_type as i32,
        name: name.to_owned(),
        raw_data,
        ..TensorProto::default()
    }
}

fn value_info(name: &str, data_type: DataType, dims: &[Dim<'_>]) -> ValueInfoProto {
    let dimension = |dim: &Dim<'_>| DimensionProto {
        value: Some(match *dim {
            Dim::Fixed(size) => DimensionValue::DimValue(size),
            Dim::Named(name) => DimensionValue::DimParam(name.to_owned()),
        }),
    };
    let shape = TensorShapeProto {
        dim: dims.iter().map(dimension).collect(),
    };
    let tensor_type = TensorTypeProto {
        elem_type: data_type as i32,
        shape: Some(shape),
    };
    ValueInfoProto {
        name: name.to_owned(),
        r#type: Some(TypeProto {
            tensor_type: Some(tensor_type),
        }),
    }
}
