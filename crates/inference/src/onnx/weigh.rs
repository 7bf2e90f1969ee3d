//! What a file becomes in memory, found by walking over it without reserving anything.
//!
//! A message of two bytes on the wire, such as a node without any content, becomes a structure of hundreds in memory, and a
//! number of one byte becomes one of eight. [`weigh`] adds up what decoding would reserve, so that the reader can refuse
//! a file before it does. It knows the fields of [`proto`](super::proto); what is unknown there is skipped here too.

use std::mem::size_of;

use bytes::Bytes;

use crate::limits;

use super::proto::{
    AttributeProto, DimensionProto, NodeProto, OperatorSetIdProto, StringStringEntryProto, TensorProto,
    ValueInfoProto,
};

/// A vector that grows by doubling may hold room for as much again.
const GROWTH: u64 = 2;
/// ONNX's messages are nested less deeply than this.
const DEPTH_MAX: usize = 10;

/// Bytes that decoding reserves besides the file itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Weight {
    /// Structures and texts.
    pub(super) parts: u64,
    /// Numbers that the file lists one by one.
    pub(super) numbers: u64,
}

/// A message whose fields count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Message {
    Model,
    Graph,
    Node,
    Attribute,
    Tensor,
    ValueInfo,
    Type,
    TensorType,
    Shape,
    Dimension,
    /// Texts and numbers only.
    Plain,
}

/// What becomes of a field.
#[derive(Debug, Clone, Copy)]
enum Field {
    /// A message, and the bytes of its structure if it stands in a list.
    Message(Message, usize),
    /// A text of its own, and the bytes of its header if it stands in a list.
    Text(usize),
    /// A slice of the file, with the bytes of its header if it stands in a list.
    Slice(usize),
    /// Numbers of so many bytes in memory, listed as varints.
    Varints(usize),
    /// Numbers of so many bytes in memory and in the file.
    Fixed(usize),
    /// A single number, or a field that is skipped.
    Nothing,
}

impl Message {
    fn field(self, number: u64) -> Field {
        const TEXT: usize = size_of::<String>();
        match (self, number) {
            (Self::Model, 7) => Field::Message(Self::Graph, 0),
            (Self::Model, 8) => Field::Message(Self::Plain, size_of::<OperatorSetIdProto>()),
            (Self::Graph, 1) => Field::Message(Self::Node, size_of::<NodeProto>()),
            (Self::Graph, 5) => Field::Message(Self::Tensor, size_of::<TensorProto>()),
            (Self::Graph, 11..=13) => Field::Message(Self::ValueInfo, size_of::<ValueInfoProto>()),
            (Self::Node, 1 | 2) => Field::Text(TEXT),
            (Self::Node, 5) => Field::Message(Self::Attribute, size_of::<AttributeProto>()),
            (Self::Attribute, 5) => Field::Message(Self::Tensor, 0),
            (Self::Attribute, 7) => Field::Fixed(4),
            (Self::Attribute, 8) | (Self::Tensor, 1 | 7) => Field::Varints(8),
            (Self::Attribute, 4) | (Self::Tensor, 9) => Field::Slice(0),
            (Self::Attribute, 9) => Field::Slice(size_of::<Bytes>()),
            (Self::Tensor, 4) => Field::Fixed(4),
            (Self::Tensor, 5) => Field::Varints(4),
            (Self::Tensor, 10) => Field::Fixed(8),
            (Self::Tensor, 13) => Field::Message(Self::Plain, size_of::<StringStringEntryProto>()),
            (Self::ValueInfo, 2) => Field::Message(Self::Type, 0),
            (Self::Type, 1) => Field::Message(Self::TensorType, 0),
            (Self::TensorType, 2) => Field::Message(Self::Shape, 0),
            (Self::Shape, 1) => Field::Message(Self::Dimension, size_of::<DimensionProto>()),
            (Self::Model, 2 | 3 | 6)
            | (Self::Graph, 2)
            | (Self::Node, 3 | 4 | 7)
            | (Self::Attribute | Self::ValueInfo, 1)
            | (Self::Tensor, 8)
            | (Self::Dimension, 2)
            | (Self::Plain, _) => Field::Text(0),
            _ => Field::Nothing,
        }
    }
}

/// Weighs a model's file, up to where it becomes too heavy; `None` if it is no protobuf message, or has groups, which ONNX
/// has none of.
pub(super) fn weigh(file: &[u8]) -> Option<Weight> {
    let mut weight = Weight::default();
    walk(file, Message::Model, 0, &mut weight)?;
    Some(weight)
}

fn walk(mut rest: &[u8], message: Message, depth: usize, weight: &mut Weight) -> Option<()> {
    if depth > DEPTH_MAX {
        return None;
    }
    while !rest.is_empty()
        && weight.parts <= limits::MODEL_PARTS_BYTES_MAX
        && weight.numbers <= limits::MODEL_NUMBERS_BYTES_MAX
    {
        let tag = varint(&mut rest)?;
        let field = message.field(tag >> 3);
        match tag & 7 {
            0 => {
                varint(&mut rest)?;
                listed(weight, field, 1);
            }
            1 => {
                take(&mut rest, 8)?;
                listed(weight, field, 1);
            }
            5 => {
                take(&mut rest, 4)?;
                listed(weight, field, 1);
            }
            2 => {
                let length = varint(&mut rest)?;
                let content = take(&mut rest, usize::try_from(length).ok()?)?;
                match field {
                    Field::Message(inner, structure) => {
                        weight.parts += GROWTH * structure as u64;
                        walk(content, inner, depth + 1, weight)?;
                    }
                    Field::Text(header) => weight.parts += GROWTH * header as u64 + length,
                    Field::Slice(header) => weight.parts += GROWTH * header as u64,
                    // Each varint ends in a byte without the highest bit.
                    Field::Varints(_) => {
                        let ends = content.iter().filter(|&&byte| byte < 0x80).count();
                        listed(weight, field, ends as u64);
                    }
                    Field::Fixed(size) => listed(weight, field, length / size as u64),
                    Field::Nothing => {}
                }
            }
            _ => return None,
        }
    }
    Some(())
}

fn listed(weight: &mut Weight, field: Field, count: u64) {
    if let Field::Varints(size) | Field::Fixed(size) = field {
        weight.numbers += GROWTH * size as u64 * count;
    }
}

fn take<'a>(rest: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let (taken, left) = rest.split_at_checked(count)?;
    *rest = left;
    Some(taken)
}

fn varint(rest: &mut &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let (&byte, left) = rest.split_first()?;
        *rest = left;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use prost::Message as _;

    use super::*;
    use crate::onnx::build::{self, GraphBuilder, int, ints};
    use crate::onnx::proto::{DataType, ModelProto};

    fn model() -> ModelProto {
        let mut graph = GraphBuilder::new("weighed");
        graph.input("x", DataType::Float, &["n".into(), 2.into()]);
        graph.constant(build::f32_tensor("w", &[2, 2], &[1.0; 4]));
        graph.node(
            "Conv",
            &["x", "w"],
            "y",
            vec![ints("pads", &[1, 2, 3, 4]), int("group", 1)],
        );
        graph.output("y", DataType::Float, &["n".into()]);
        graph.finish("test", "")
    }

    #[test]
    fn small_messages_weigh_what_they_become() {
        // A graph with a thousand empty nodes: two bytes each.
        let nodes = [0x0a, 0].repeat(1000);
        let mut file = vec![0x3a, 0xd0, 0x0f];
        file.extend(nodes);
        let weight = weigh(&file).unwrap();
        assert_eq!(
            ModelProto::decode(&file[..]).unwrap().graph.unwrap().node.len(),
            1000
        );
        assert_eq!(weight.parts, 2000 * size_of::<NodeProto>() as u64);
        assert_eq!(weight.numbers, 0);
    }

    #[test]
    fn numbers_weigh_what_they_become() {
        let mut file = model();
        let before = weigh(&file.encode_to_vec()).unwrap().numbers;
        let tensor = &mut file.graph.as_mut().unwrap().initializer[0];
        tensor.int64_data = vec![1; 100];
        tensor.float_data = vec![1.0; 10];
        tensor.double_data = vec![1.0; 10];
        tensor.int32_data = vec![300; 10];
        let after = weigh(&file.encode_to_vec()).unwrap().numbers;
        assert_eq!(after - before, 2 * (100 * 8 + 10 * 4 + 10 * 8 + 10 * 4));
    }

    #[test]
    fn what_is_no_message_has_no_weight() {
        for wrong in [&[0x3a][..], &[0x3a, 5, 0], &[0x3b], &[0xff; 11], &[0x38]] {
            assert_eq!(weigh(wrong), None, "{wrong:?}");
        }
    }

    proptest! {
        #[test]
        fn what_decodes_was_weighed(position in any::<prop::sample::Index>(), value in any::<u8>()) {
            let mut bytes = model().encode_to_vec();
            let at = position.index(bytes.len());
            bytes[at] = value;
            if let Ok(model) = ModelProto::decode(&bytes[..]) {
                // Groups are the exception: they are skipped there and refused here.
                if let Some(weight) = weigh(&bytes) {
                    let graph = model.graph.unwrap_or_default();
                    let parts = graph.node.len() * size_of::<NodeProto>() + graph.initializer.len() * size_of::<TensorProto>();
                    prop_assert!(weight.parts >= parts as u64);
                }
            }
        }
    }
}
