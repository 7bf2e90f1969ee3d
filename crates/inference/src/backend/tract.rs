//! tract on the CPU.
//!
//! One plan serves every text: the sequence length stays a symbol, so that the weights are packed once and a text of
//! 9 tokens costs 9 tokens.

use std::sync::Arc;

use prost::Message;
use tract_onnx::prelude::*;

use super::roles::InputRole;
use super::{Backend, BackendError, Hidden};
use crate::protocol::BackendKind;

/// A model prepared for tract. Clones share the weights, and each may run on a thread of its own.
#[derive(Clone)]
pub struct TractBackend {
    plan: Arc<TypedRunnableModel>,
    inputs: Vec<InputRole>,
    dimension: usize,
}

impl TractBackend {
    /// Prepares a model from its ONNX file, which is consumed, so that its memory is free before tract copies the
    /// weights a second time.
    ///
    /// # Errors
    /// If tract cannot read or run the graph, or the graph is not one from token ids to hidden states.
    pub fn prepare(onnx: impl bytes::Buf, dimension: usize) -> Result<Self, BackendError> {
        let proto = tract_onnx::pb::ModelProto::decode(onnx).map_err(|error| refuse(&error))?;
        let inputs = proto.graph.as_ref().map_or(&[][..], |graph| &graph.input);
        let inputs = inputs
            .iter()
            .map(|input| {
                InputRole::of(&input.name).ok_or_else(|| refuse(&format!("unknown input {:?}", input.name)))
            })
            .collect::<Result<Vec<_>, _>>()?;
        let plan = plan(proto, inputs.len()).map_err(|error| refuse(&format!("{error:#}")))?;
        Ok(Self {
            plan,
            inputs,
            dimension,
        })
    }
}

impl Backend for TractBackend {
    fn kind(&self) -> BackendKind {
        BackendKind::Tract
    }

    fn padded_length(&self, tokens: usize) -> usize {
        tokens
    }

    async fn run(&mut self, ids: &[i64]) -> Result<Hidden, BackendError> {
        let failed = |error: TractError| BackendError::Run(format!("{error:#}"));
        let inputs = self
            .inputs
            .iter()
            .map(|role| Tensor::from_shape(&[1, ids.len()], &role.values(ids)).map(TValue::from));
        let inputs = inputs.collect::<TractResult<TVec<TValue>>>().map_err(failed)?;
        let outputs = self.plan.run(inputs).map_err(failed)?;
        let hidden = outputs
            .first()
            .ok_or_else(|| BackendError::Run("it has no output".to_owned()))?;
        let rows = hidden
            .try_as_plain_ram()
            .and_then(|plain| plain.as_slice::<f32>().map(<[f32]>::to_vec))
            .map_err(failed)?;
        Hidden::of(rows, ids.len() * self.dimension)
    }
}

fn plan(proto: tract_onnx::pb::ModelProto, inputs: usize) -> TractResult<Arc<TypedRunnableModel>> {
    let mut model = tract_onnx::onnx()
        .with_ignore_output_shapes(true)
        .model_for_proto_model(&proto)?;
    drop(proto);
    let length = model.symbols.sym("S").to_dim();
    for input in 0..inputs {
        model.set_input_fact(input, i64::fact([1.to_dim(), length.clone()]).into())?;
    }
    model.into_optimized()?.into_runnable()
}

fn refuse(error: &dyn std::fmt::Display) -> BackendError {
    BackendError::Prepare(error.to_string())
}
