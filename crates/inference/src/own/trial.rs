//! A first run with made-up inputs: whether a model runs at all, and how fast.
//!
//! A file need not say how large its inputs are. Sizes that are open are tried from a short list; a model that likes none of
//! them is not refused, since its owner knows better, and is not measured. A model whose sizes are all given has to run.

use std::collections::BTreeMap;

use super::{PortInfo, Speed};
use crate::data::{Data, Element};
use crate::generate::{Decoder, GenerateError};
use crate::onnx::OnnxError;
use crate::session::Session;
use crate::tensor::{Tensor, elements};

/// Tried for open dimensions, the first one excepted, which is a batch of 1.
const SIZES: [usize; 4] = [16, 1, 64, 224];
/// Tokens of a decoder's made-up prompt.
const PROMPT_TOKENS: usize = 4;
/// Runs are repeated for so long, since the clocks of browsers are coarse, but not more often than so.
const BENCHMARK_MS: f64 = 40.0;
const RUNS_MAX: u32 = 24;

/// Tries a decoder: a prompt, then tokens with the cache.
pub(super) fn decoder(decoder: &Decoder, now_ms: impl Fn() -> f64) -> Result<Speed, GenerateError> {
    let mut state = decoder.start()?;
    decoder.read(&mut state, &[0; PROMPT_TOKENS])?;
    let ms_per_run = repeat(now_ms, || decoder.read(&mut state, &[0]).map(drop))?;
    Ok(Speed {
        ms_per_run,
        tokens: 1,
    })
}

/// Tries any other model; `is_text` if what it reads are tokens.
pub(super) fn graph(
    session: &Session,
    ports: &[PortInfo],
    is_text: bool,
    now_ms: impl Fn() -> f64,
) -> Result<Option<Speed>, OnnxError> {
    let mut first = None;
    for size in SIZES {
        let Some(given) = made_up(ports, size) else {
            return Ok(None);
        };
        match repeat(&now_ms, || session.run(given.clone()).map(drop)) {
            Ok(ms_per_run) => {
                let tokens = if is_text { size } else { 0 };
                return Ok(Some(Speed { ms_per_run, tokens }));
            }
            Err(error) => first = first.or(Some(error)),
        }
        if !ports.iter().any(has_open_size) {
            break;
        }
    }
    match first {
        Some(error) if !ports.iter().any(has_open_size) => Err(error),
        _ => Ok(None),
    }
}

/// Milliseconds of one run, on average.
fn repeat<E>(now_ms: impl Fn() -> f64, mut run: impl FnMut() -> Result<(), E>) -> Result<f64, E> {
    let start = now_ms();
    for runs in 1..RUNS_MAX {
        run()?;
        let took = now_ms() - start;
        if took >= BENCHMARK_MS {
            return Ok(took / f64::from(runs));
        }
    }
    run()?;
    Ok((now_ms() - start) / f64::from(RUNS_MAX))
}

fn has_open_size(port: &PortInfo) -> bool {
    let mut dims = port.dims.iter().flatten().skip(1);
    dims.any(Option::is_none)
}

/// Inputs of a shape that the model declares; `None` if one has no declared shape, or is too large to be made up.
fn made_up(ports: &[PortInfo], size: usize) -> Option<BTreeMap<String, Tensor>> {
    let tensor = |port: &PortInfo| {
        let dims = port.dims.as_ref()?.iter().enumerate();
        let dims: Vec<usize> = dims
            .map(|(place, dim)| dim.unwrap_or(if place == 0 { 1 } else { size }))
            .collect();
        let count = elements(&dims).ok()?;
        let one = i64::from(port.name == "attention_mask");
        let data = match port.element {
            Element::Float32 => Data::F32((0..count).map(|at| (at % 7) as f32 / 7.0 - 0.5).collect()),
            Element::Int64 => Data::I64(vec![one; count]),
            Element::Int32 => Data::I32(vec![one as i32; count]),
            Element::Int8 => Data::I8(vec![0; count]),
            Element::Uint8 => Data::U8(vec![0; count]),
            Element::Bool => Data::Bool(vec![true; count]),
        };
        Some((port.name.clone(), Tensor::new(&dims, data).ok()?))
    };
    ports.iter().map(tensor).collect()
}
