//! One test: reading it, running it, comparing.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result as Outcome};
use bytes::Bytes;
use inference::onnx::proto::{DataType, ModelProto, TensorProto};
use inference::onnx::{self, value_type};
use inference::session::Session;
use inference::tensor::{Data, Tensor};
use prost::Message;

/// Distances that ONNX's own test runner allows.
const RELATIVE_MAX: f64 = 1e-3;
const ABSOLUTE_MAX: f64 = 1e-7;

/// Operators that are there for training, or whose result is random: no inference needs them.
const NOT_INFERENCE: [&str; 8] = [
    "Adagrad",
    "Adam",
    "Bernoulli",
    "Gradient",
    "Momentum",
    "Multinomial",
    "RandomNormalLike",
    "RandomUniformLike",
];

/// A test on disk.
pub(crate) struct Case {
    pub(crate) name: String,
    folder: PathBuf,
    /// The operators of its graph.
    pub(crate) operators: BTreeSet<String>,
    /// Whether it is about f32, i64 and truth values and an operator of inference.
    pub(crate) in_scope: bool,
    /// Whether its graph is a function body, written out.
    pub(crate) expanded: bool,
}

/// How a test ended.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Verdict {
    Passed,
    Refused(String),
    Wrong(String),
}

/// A test and how it ended.
pub(crate) struct Result<'a> {
    pub(crate) case: &'a Case,
    pub(crate) verdict: Verdict,
}

impl fmt::Display for Result<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {:?}", self.case.name, self.verdict)
    }
}

/// All tests of a folder, by name.
pub(crate) fn list(folder: &Path) -> Outcome<Vec<Case>> {
    let mut cases = Vec::new();
    for entry in fs::read_dir(folder)? {
        let folder = entry?.path();
        let file = fs::read(folder.join("model.onnx")).with_context(|| format!("{}", folder.display()))?;
        let model = ModelProto::decode(&file[..])?;
        let graph = model.graph.clone().unwrap_or_default();
        let operators: BTreeSet<String> = graph.node.iter().map(|node| node.op_type.clone()).collect();
        let plain = [DataType::Float, DataType::Int64, DataType::Bool];
        let mut ports = graph.input.iter().chain(&graph.output);
        let in_scope = ports.all(|port| value_type(port).is_some_and(|kind| plain.contains(&kind)))
            && model.opset_import.iter().all(|set| set.domain.is_empty())
            && !operators.iter().any(|op| NOT_INFERENCE.contains(&op.as_str()))
            && !folder.to_string_lossy().contains("training");
        let name = folder
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let expanded = name.contains("_expanded");
        cases.push(Case {
            name,
            folder,
            operators,
            in_scope,
            expanded,
        });
    }
    cases.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(cases)
}

/// Runs a test to its verdict.
pub(crate) fn run(case: &Case) -> Result<'_> {
    let verdict = match catch_unwind(AssertUnwindSafe(|| verdict(&case.folder))) {
        Ok(Ok(verdict)) => verdict,
        Ok(Err(error)) => Verdict::Refused(format!("{error:#}")),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
            Verdict::Wrong(format!("it crashed: {}", text.unwrap_or_default()))
        }
    };
    Result { case, verdict }
}

/// Errors on the way are refusals.
fn verdict(folder: &Path) -> Outcome<Verdict> {
    let model = onnx::read(Bytes::from(fs::read(folder.join("model.onnx"))?))?;
    let graph = model.graph.clone().unwrap_or_default();
    let session = Session::new(model)?;
    for set in 0.. {
        let data = folder.join(format!("test_data_set_{set}"));
        if !data.is_dir() {
            break;
        }
        let mut given = BTreeMap::new();
        for (at, input) in graph.input.iter().enumerate() {
            let file = data.join(format!("input_{at}.pb"));
            if file.is_file() {
                given.insert(input.name.clone(), tensor(&file)?);
            }
        }
        let found = session.run(given)?;
        for (at, output) in graph.output.iter().enumerate() {
            let known = tensor(&data.join(format!("output_{at}.pb")))?;
            let Some(found) = found.get(&output.name) else {
                return Ok(Verdict::Wrong(format!("output {:?} is missing", output.name)));
            };
            if let Some(problem) = difference(found, &known) {
                return Ok(Verdict::Wrong(format!("output {:?}: {problem}", output.name)));
            }
        }
    }
    Ok(Verdict::Passed)
}

fn tensor(file: &Path) -> Outcome<Tensor> {
    let proto = TensorProto::decode(Bytes::from(fs::read(file)?))?;
    Ok(Tensor::from_proto(&proto)?)
}

/// How a tensor differs from the known one, if it does.
fn difference(found: &Tensor, known: &Tensor) -> Option<String> {
    if found.dims() != known.dims() || found.kind() != known.kind() {
        return Some(format!(
            "{:?} {:?} where {:?} {:?} is right",
            found.kind(),
            found.dims(),
            known.kind(),
            known.dims()
        ));
    }
    let (Data::F32(found_values), Data::F32(known_values)) = (found.data(), known.data()) else {
        return (found != known).then(|| "its integers differ".to_owned());
    };
    let differs = |found: f32, known: f32| {
        let distance = f64::from(found) - f64::from(known);
        let allowed = ABSOLUTE_MAX + RELATIVE_MAX * f64::from(known.abs());
        !(found == known || (found.is_nan() && known.is_nan()) || distance.abs() <= allowed)
    };
    let place = (0..found.len()).find(|&at| differs(found_values[at], known_values[at]))?;
    Some(format!(
        "element {place} is {} where {} is right",
        found_values[place], known_values[place]
    ))
}
