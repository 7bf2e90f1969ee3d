//! Puts meters into a module: fuel, call depth, a bound on its memory, and one NaN.
//!
//! Nothing is imported, so every index of the module stays what it was: the meters' own types, functions and globals come
//! behind the module's, and instructions that stay as they are are copied byte for byte. The same module and limits give the same
//! bytes. Only what the calling convention names is exported, and what the meters say; custom sections are left out.

mod body;
mod meters;
mod pending;
mod plan;
pub(crate) mod stop;

use wasm_encoder::{
    Encode, ExportKind, ExportSection, MemorySection, MemoryType, RawSection, Section, SectionId,
};

use crate::limits::Limits;
use crate::refusal::{Part, Refusal};
use crate::survey::{Items, Survey};
use crate::weights;

use self::body::Wrappers;
use self::meters::Meters;

/// The export that holds the fuel that is left: a 64-bit integer, negative where more was wanted than there was.
pub(crate) const FUEL: &str = "fuel";
/// The export that says why the meters ended the run: one of [`stop`]'s.
pub(crate) const STOP: &str = "stop";

/// A module with its meters.
pub(crate) struct Metered {
    pub(crate) wasm: Vec<u8>,
    /// Fuel that starting it takes.
    pub(crate) start_units: u64,
}

/// Validates the instructions of a module and meters them.
pub(crate) fn instrument(
    module_bytes: usize,
    survey: Survey<'_>,
    limits: &Limits,
) -> Result<Metered, Refusal> {
    let meters = Meters::of(&survey, limits);
    let mut wrappers = Wrappers::new(survey.types.count + meters::TYPES);
    let mut code = Vec::new();
    let functions = survey.bodies.len() as u32;
    for body in survey.bodies {
        let signature = body::signature(&survey.signatures, &body);
        let (body, plan) = plan::plan(body, limits)?;
        body::rewrite(&body, &plan, signature, &meters, &mut wrappers, &mut code)?;
        Refusal::beyond(Part::InstrumentedBytes, code.len(), limits.instrumented_bytes_max)?;
    }
    meters.write_functions(&mut code);

    let mut wasm = b"\0asm\x01\0\0\0".to_vec();
    let types = meters.types().chain(wrappers.into_types());
    append(&mut wasm, SectionId::Type, survey.types, types);
    append(
        &mut wasm,
        SectionId::Function,
        survey.functions,
        meters.signatures(),
    );
    append(&mut wasm, SectionId::Table, survey.tables, std::iter::empty());
    MemorySection::new()
        .memory(MemoryType {
            minimum: survey.memory.initial,
            maximum: Some(survey.memory.maximum),
            memory64: false,
            shared: false,
            page_size_log2: None,
        })
        .append_to(&mut wasm);
    append(&mut wasm, SectionId::Global, survey.globals, meters.globals());
    ExportSection::new()
        .export("memory", ExportKind::Memory, 0)
        .export("alloc", ExportKind::Func, survey.alloc)
        .export("run", ExportKind::Func, survey.run)
        .export(FUEL, ExportKind::Global, meters.fuel)
        .export(STOP, ExportKind::Global, meters.stop)
        .append_to(&mut wasm);
    append(&mut wasm, SectionId::Element, survey.elements, std::iter::empty());
    if let Some(count) = survey.data_count {
        let mut data = Vec::new();
        count.encode(&mut data);
        raw(&mut wasm, SectionId::DataCount, &data);
    }
    let code = Items {
        count: functions + meters::FUNCTIONS,
        bytes: &code,
    };
    append(&mut wasm, SectionId::Code, code, std::iter::empty());
    append(&mut wasm, SectionId::Data, survey.data, std::iter::empty());
    Refusal::beyond(Part::InstrumentedBytes, wasm.len(), limits.instrumented_bytes_max)?;
    Ok(Metered {
        wasm,
        start_units: survey.memory.initial * weights::PAGE + module_bytes as u64 * weights::MODULE_BYTE,
    })
}

/// Writes a section of the module's items and then more of them; none if there are neither.
fn append(wasm: &mut Vec<u8>, id: SectionId, own: Items<'_>, more: impl Iterator<Item = Vec<u8>>) {
    let more: Vec<Vec<u8>> = more.collect();
    let count = own.count + more.len() as u32;
    if count == 0 {
        return;
    }
    let mut data = Vec::with_capacity(own.bytes.len() + 16);
    count.encode(&mut data);
    data.extend_from_slice(own.bytes);
    for item in more {
        data.extend_from_slice(&item);
    }
    raw(wasm, id, &data);
}

fn raw(wasm: &mut Vec<u8>, id: SectionId, data: &[u8]) {
    RawSection { id: id.into(), data }.append_to(wasm);
}
