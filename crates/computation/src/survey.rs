//! Reads a module, refuses what may not run, and keeps what the rewriting needs.
//!
//! The validator sees only features whose results are the same on every engine. Counts are compared with their limits when a
//! section begins, before anything is reserved for what it holds.

use wasmparser::{
    CompositeInnerType, DataKind, ElementItems, ElementKind, ExternalKind, FuncToValidate, FuncType,
    FunctionBody, Imports, Operator, Parser, Payload, SectionLimited, ValType, ValidPayload, Validator,
    ValidatorResources, WasmFeatures,
};

use crate::limits::{Limits, PAGE_BYTES};
use crate::refusal::{Part, Refusal, quote};

/// WebAssembly 1.0 and what was finished since and leaves nothing open: no relaxed SIMD, threads, references, garbage
/// collection, exceptions, tail calls, 64-bit or several memories. compilers write the index of an indirect call's table with
/// more bytes than it needs, which is all that is taken of the references proposal.
const FEATURES: WasmFeatures = WasmFeatures::MUTABLE_GLOBAL
    .union(WasmFeatures::SATURATING_FLOAT_TO_INT)
    .union(WasmFeatures::SIGN_EXTENSION)
    .union(WasmFeatures::MULTI_VALUE)
    .union(WasmFeatures::BULK_MEMORY)
    .union(WasmFeatures::CALL_INDIRECT_OVERLONG)
    .union(WasmFeatures::SIMD)
    .union(WasmFeatures::FLOATS);

/// What a section holds, as it stands in the module.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Items<'a> {
    pub(crate) count: u32,
    /// Everything after the count.
    pub(crate) bytes: &'a [u8],
}

/// A module that may run, in the parts that the rewriting works on.
pub(crate) struct Survey<'a> {
    pub(crate) types: Items<'a>,
    pub(crate) signatures: Vec<FuncType>,
    pub(crate) functions: Items<'a>,
    pub(crate) tables: Items<'a>,
    pub(crate) memory: Pages,
    pub(crate) globals: Items<'a>,
    pub(crate) alloc: u32,
    pub(crate) run: u32,
    pub(crate) elements: Items<'a>,
    pub(crate) data_count: Option<u32>,
    pub(crate) data: Items<'a>,
    /// Functions whose code is still to be validated, instruction by instruction.
    pub(crate) bodies: Vec<Body<'a>>,
}

/// A function with what validates it.
pub(crate) struct Body<'a> {
    pub(crate) validator: FuncToValidate<ValidatorResources>,
    pub(crate) code: FunctionBody<'a>,
}

/// The size of a memory.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Pages {
    pub(crate) initial: u64,
    /// The module's own maximum, where that is less than the limit, or the limit.
    pub(crate) maximum: u64,
}

/// Reads all but the instructions.
pub(crate) fn survey<'a>(module: &'a [u8], limits: &Limits) -> Result<Survey<'a>, Refusal> {
    Refusal::beyond(Part::ModuleBytes, module.len(), limits.module_bytes_max)?;
    let mut reading = Reading {
        module,
        limits,
        parts: Parts::default(),
    };
    let mut validator = Validator::new_with_features(FEATURES);
    let mut parser = Parser::new(0);
    parser.set_features(FEATURES);
    for payload in parser.parse_all(module) {
        let payload = payload?;
        reading.bound(&payload)?;
        if let ValidPayload::Func(validator, code) = validator.payload(&payload)? {
            reading.parts.bodies.push(Body { validator, code });
        }
        reading.keep(payload)?;
    }
    reading.finish()
}

struct Reading<'a, 'l> {
    module: &'a [u8],
    limits: &'l Limits,
    parts: Parts<'a>,
}

#[derive(Default)]
struct Parts<'a> {
    types: Items<'a>,
    signatures: Vec<FuncType>,
    functions: Items<'a>,
    function_types: Vec<u32>,
    tables: Items<'a>,
    table_elements: u64,
    memory: Option<Pages>,
    globals: Items<'a>,
    exports_memory: bool,
    alloc: Option<u32>,
    run: Option<u32>,
    elements: Items<'a>,
    data_count: Option<u32>,
    data: Items<'a>,
    bodies: Vec<Body<'a>>,
}

impl<'a> Reading<'a, '_> {
    /// Compares counts with limits before the validator reserves anything for them.
    fn bound(&self, payload: &Payload<'a>) -> Result<(), Refusal> {
        let limits = self.limits;
        match payload {
            Payload::TypeSection(section) => Refusal::beyond(Part::Types, section.count(), limits.types_max),
            Payload::ImportSection(section) => match section.clone().into_iter().next() {
                Some(Ok(Imports::Single(_, import))) => Err(Refusal::Import {
                    module: quote(import.module),
                    name: quote(import.name),
                }),
                // The validator refuses the other forms.
                _ => Ok(()),
            },
            Payload::FunctionSection(section) => {
                Refusal::beyond(Part::Functions, section.count(), limits.functions_max)
            }
            Payload::GlobalSection(section) => {
                Refusal::beyond(Part::Globals, section.count(), limits.globals_max)
            }
            Payload::ExportSection(section) => {
                Refusal::beyond(Part::Exports, section.count(), limits.exports_max)
            }
            Payload::StartSection { .. } => Err(Refusal::Start),
            Payload::ElementSection(section) => {
                Refusal::beyond(Part::ElementSegments, section.count(), limits.segments_max)
            }
            Payload::DataCountSection { count, .. } => {
                Refusal::beyond(Part::DataSegments, *count, limits.segments_max)
            }
            Payload::DataSection(section) => {
                Refusal::beyond(Part::DataSegments, section.count(), limits.segments_max)
            }
            Payload::CodeSectionEntry(body) => {
                Refusal::beyond(Part::BodyBytes, body.as_bytes().len(), limits.body_bytes_max)
            }
            _ => Ok(()),
        }
    }

    /// Takes note of a section that the validator has let pass.
    fn keep(&mut self, payload: Payload<'a>) -> Result<(), Refusal> {
        let parts = &mut self.parts;
        match payload {
            Payload::TypeSection(section) => {
                parts.types = items(self.module, &section);
                parts.signatures = signatures(section, self.limits)?;
            }
            Payload::FunctionSection(section) => {
                parts.functions = items(self.module, &section);
                parts.function_types = section.into_iter().collect::<Result<_, _>>()?;
            }
            Payload::TableSection(section) => {
                parts.tables = items(self.module, &section);
                for table in section {
                    parts.table_elements = table?.ty.initial;
                    let limit = self.limits.table_elements_max;
                    Refusal::beyond(Part::TableElements, parts.table_elements, limit)?;
                }
            }
            Payload::MemorySection(section) => {
                for memory in section {
                    let memory = memory?;
                    let limit = u64::from(self.limits.memory_pages_max);
                    Refusal::beyond(Part::MemoryPages, memory.initial, limit)?;
                    parts.memory = Some(Pages {
                        initial: memory.initial,
                        maximum: memory.maximum.map_or(limit, |own| own.min(limit)),
                    });
                }
            }
            Payload::GlobalSection(section) => parts.globals = items(self.module, &section),
            Payload::ExportSection(section) => {
                for export in section {
                    let export = export?;
                    match (export.name, export.kind) {
                        ("memory", ExternalKind::Memory) => parts.exports_memory = true,
                        ("alloc", ExternalKind::Func) => parts.alloc = Some(export.index),
                        ("run", ExternalKind::Func) => parts.run = Some(export.index),
                        _ => {}
                    }
                }
            }
            Payload::ElementSection(section) => {
                parts.elements = items(self.module, &section);
                for element in section {
                    let element = element?;
                    let count = match &element.items {
                        ElementItems::Functions(functions) => functions.count(),
                        ElementItems::Expressions(_, expressions) => expressions.count(),
                    };
                    if let ElementKind::Active { offset_expr, .. } = &element.kind {
                        let end = offset(offset_expr).map(|start| start + u64::from(count));
                        within(Part::ElementSegments, end, parts.table_elements)?;
                    }
                }
            }
            Payload::DataCountSection { count, .. } => parts.data_count = Some(count),
            Payload::DataSection(section) => {
                parts.data = items(self.module, &section);
                let bytes = parts.memory.unwrap_or_default().initial * PAGE_BYTES;
                for data in section {
                    let data = data?;
                    if let DataKind::Active { offset_expr, .. } = &data.kind {
                        let end = offset(offset_expr).map(|start| start + data.data.len() as u64);
                        within(Part::DataSegments, end, bytes)?;
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn finish(self) -> Result<Survey<'a>, Refusal> {
        let parts = self.parts;
        let signature = |function: u32| {
            let index = *parts.function_types.get(function as usize)?;
            parts.signatures.get(index as usize)
        };
        let convention = |function: Option<u32>, params: &[ValType], results: &[ValType], export| {
            function
                .filter(|&function| {
                    signature(function).is_some_and(|it| it.params() == params && it.results() == results)
                })
                .ok_or(Refusal::Convention { export })
        };
        let alloc = convention(parts.alloc, &[ValType::I32], &[ValType::I32], "alloc(i32) -> i32")?;
        let run = convention(
            parts.run,
            &[ValType::I32, ValType::I32],
            &[ValType::I64],
            "run(i32, i32) -> i64",
        )?;
        let memory = parts
            .memory
            .filter(|_| parts.exports_memory)
            .ok_or(Refusal::Convention { export: "memory" })?;
        Ok(Survey {
            types: parts.types,
            signatures: parts.signatures,
            functions: parts.functions,
            tables: parts.tables,
            memory,
            globals: parts.globals,
            alloc,
            run,
            elements: parts.elements,
            data_count: parts.data_count,
            data: parts.data,
            bodies: parts.bodies,
        })
    }
}

/// Function types in their order. Without garbage collection each is a group of its own.
fn signatures(section: wasmparser::TypeSectionReader<'_>, limits: &Limits) -> Result<Vec<FuncType>, Refusal> {
    let mut signatures = Vec::new();
    for group in section {
        for kind in group?.into_types() {
            if let CompositeInnerType::Func(signature) = kind.composite_type.inner {
                let arity = signature.params().len().max(signature.results().len());
                Refusal::beyond(Part::Arity, arity, limits.arity_max)?;
                signatures.push(signature);
            }
        }
    }
    Ok(signatures)
}

/// A section's bytes behind its count.
fn items<'a, T>(module: &'a [u8], section: &SectionLimited<'a, T>) -> Items<'a> {
    let range = section.range();
    // A module has at most a few megabytes, and the parser has read the section.
    let bytes = module
        .get(range.start as usize..range.end as usize)
        .unwrap_or_default();
    let count_bytes = bytes
        .iter()
        .take_while(|&&byte| byte & 0x80 != 0)
        .count()
        .saturating_add(1);
    Items {
        count: section.count(),
        bytes: bytes.get(count_bytes..).unwrap_or_default(),
    }
}

/// Where a segment goes. With no imports there is no other constant expression than a constant.
fn offset(expression: &wasmparser::ConstExpr<'_>) -> Option<u64> {
    match expression.get_operators_reader().read() {
        // Places are unsigned.
        Ok(Operator::I32Const { value }) => Some(u64::from(value.cast_unsigned())),
        _ => None,
    }
}

fn within(part: Part, end: Option<u64>, length: u64) -> Result<(), Refusal> {
    if end.is_some_and(|end| end <= length) {
        Ok(())
    } else {
        Err(Refusal::OutOfBounds { part })
    }
}
