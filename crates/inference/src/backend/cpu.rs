//! The project's own kernels on the CPU: a [`Session`] that is asked for one text at a time.
//!
//! Nothing is padded, and nothing is prepared for a length: a text of 9 tokens costs 9 tokens. A file whose matrices are
//! bytes is computed in integers ([`Products::Rounded`]).

use bytes::Bytes;

use super::roles::InputRole;
use super::{Backend, BackendError, Hidden};
use crate::onnx::{self, OnnxError};
use crate::protocol::BackendKind;
use crate::session::{Products, Session};
use crate::tensor::Tensor;

/// A model prepared for the CPU.
pub struct CpuBackend {
    session: Session,
    roles: Vec<(String, InputRole)>,
    output: String,
    dimension: usize,
}

impl CpuBackend {
    /// Prepares a model from its ONNX file.
    ///
    /// # Errors
    /// What is wrong with the file, the operator that is in the way, or an input that is not of a text encoder.
    pub fn prepare(onnx: Bytes, dimension: usize) -> Result<Self, BackendError> {
        let refuse = |problem: String| BackendError::Prepare(problem);
        let model = onnx::read(onnx).map_err(|error| refuse(error.to_string()))?;
        let session = Session::with(model, Products::Rounded).map_err(|error| refuse(error.to_string()))?;
        let roles = session.inputs().iter().map(|port| {
            let role = InputRole::of(&port.name);
            let role = role.ok_or_else(|| refuse(format!("unknown input {:?}", port.name)))?;
            Ok((port.name.clone(), role))
        });
        let roles = roles.collect::<Result<_, _>>()?;
        let output = session.outputs().first().map(|port| port.name.clone());
        Ok(Self {
            roles,
            output: output.ok_or_else(|| refuse("it has no output".to_owned()))?,
            session,
            dimension,
        })
    }
}

impl Backend for CpuBackend {
    fn kind(&self) -> BackendKind {
        BackendKind::Cpu
    }

    fn padded_length(&self, tokens: usize) -> usize {
        tokens
    }

    async fn run(&mut self, ids: &[i64]) -> Result<Hidden, BackendError> {
        let failed = |error: OnnxError| BackendError::Run(error.to_string());
        let inputs = self.roles.iter().map(|(name, role)| {
            let tensor = Tensor::integers(&[1, ids.len()], role.values(ids));
            let tensor = tensor.map_err(|error| BackendError::Run(error.to_string()))?;
            Ok((name.clone(), tensor))
        });
        let inputs = inputs.collect::<Result<_, BackendError>>()?;
        let mut outputs = self.session.run(inputs).map_err(failed)?;
        let rows = outputs
            .remove(&self.output)
            .and_then(Tensor::into_floats)
            .ok_or_else(|| BackendError::Run("its output is not of floats".to_owned()))?;
        Hidden::of(rows, ids.len() * self.dimension)
    }
}
