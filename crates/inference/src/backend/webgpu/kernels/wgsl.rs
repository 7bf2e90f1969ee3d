//! Writing shaders: bindings, places of elements, and the function that ends every kernel.
//!
//! All sizes are constants of the text, so that loops have bounds that a compiler sees. Axes are collapsed first
//! ([`collapse_all`]), which is why a shader rarely mentions how many rows there are: one text serves many shapes.

use crate::backend::webgpu::plan::program::{Binary, Load, Operation, Program, Term, Unary};
use crate::backend::webgpu::plan::view::{View, collapse_all};
use crate::backend::webgpu::plan::{Buffer, Step};
use crate::lower::decompose::{ERF_A, ERF_P};

/// The most workgroups in one direction that WebGPU promises.
pub(super) const GROUPS_MAX: usize = 65_535;

/// Text that grows.
pub(super) trait Text {
    /// Appends.
    fn add(&mut self, text: impl AsRef<str>);

    /// Appends a line.
    fn line(&mut self, text: impl AsRef<str>) {
        self.add(text);
        self.add("\n");
    }
}

impl Text for String {
    fn add(&mut self, text: impl AsRef<str>) {
        self.push_str(text.as_ref());
    }
}

/// A shader that grows binding by binding.
#[derive(Default)]
pub(super) struct Shader {
    head: String,
    buffers: Vec<Buffer>,
}

impl Shader {
    /// Declares a buffer that is read.
    pub(super) fn read(&mut self, name: &str, buffer: Buffer, element: &str) {
        let at = self.buffers.len();
        self.buffers.push(buffer);
        self.line(&format!(
            "@group(0) @binding({at}) var<storage, read> {name}: array<{element}>;"
        ));
    }

    /// Declares the buffer that is written; it must be the last.
    pub(super) fn write(&mut self, name: &str, buffer: Buffer, element: &str) {
        let at = self.buffers.len();
        self.buffers.push(buffer);
        self.line(&format!(
            "@group(0) @binding({at}) var<storage, read_write> {name}: array<{element}>;"
        ));
    }

    /// Adds text.
    pub(super) fn line(&mut self, text: &str) {
        self.head.line(text);
    }

    /// Adds the entry point and makes it a step. `work` is that of a workgroup.
    pub(super) fn step(self, size: [u32; 2], body: &str, groups: [usize; 3], work: u64) -> Step {
        let [x, y] = size;
        let main = |id: &str, group: &str, start: &str| {
            format!(
                "@compute @workgroup_size({x}, {y}) fn main(@builtin(global_invocation_id) {id}: vec3u, \
                 @builtin(local_invocation_id) local: vec3u, @builtin(workgroup_id) {group}: vec3u) \
                 {{\n{start}{body}\n}}\n"
            )
        };
        // The pieces of a step that is cut count from where they start in the whole.
        let start = format!(
            "let group = group_here + first.xyz;\nlet id = id_here + first.xyz * vec3u({x}u, {y}u, 1u);\n"
        );
        let (head, at) = (&self.head, self.buffers.len());
        let moving = format!(
            "{head}@group(0) @binding({at}) var<uniform> first: vec4u;\n{}",
            main("id_here", "group_here", &start)
        );
        Step {
            label: String::new(),
            source: format!("{head}{}", main("id", "group", "")),
            bindings: self.buffers,
            group_work: work,
            moving,
            pieces: Vec::new(),
            // A grid beyond the promise is refused by the GPU with an error that reaches the caller.
            groups: groups.map(|count| u32::try_from(count).unwrap_or(u32::MAX)),
        }
    }
}

/// How many neighbours on the last axis an invocation handles at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lanes {
    One,
    Four,
}

impl Lanes {
    /// Four where the output and everything loaded allow it.
    pub(super) fn of(program: &Program, views: &[&View]) -> Self {
        let loads = program.loads.iter().all(|load| match load {
            Load::Plain(view) => view.is_vector() || view.strides.last().is_none_or(|&last| last == 0),
            Load::Row { table, .. } => table.is_vector(),
        });
        if loads && views.iter().all(|view| view.is_vector()) {
            Self::Four
        } else {
            Self::One
        }
    }

    pub(super) fn count(self) -> usize {
        match self {
            Self::One => 1,
            Self::Four => 4,
        }
    }

    /// WGSL's type for that many floats.
    pub(super) fn element(self) -> &'static str {
        match self {
            Self::One => "f32",
            Self::Four => "vec4f",
        }
    }
}

/// The coordinates that a kernel counts by: collapsed outer axes and, with a size in units of lanes, the last one.
pub(super) struct Axes {
    outer: Vec<usize>,
    last: usize,
}

/// A view's strides along [`Axes`], in units of what is loaded at a time.
pub(super) struct Walk {
    outer: Vec<usize>,
    last: usize,
    offset: usize,
}

impl Axes {
    /// Axes that fit all views, which have the same shape except for the size of the last axis.
    pub(super) fn over(views: &[&View], lanes: Lanes) -> (Self, Vec<Walk>) {
        let Some(first) = views.first() else {
            return (
                Self {
                    outer: vec![1],
                    last: 1,
                },
                Vec::new(),
            );
        };
        let (last, outer) = first
            .dims
            .split_last()
            .map_or((1, &[][..]), |(last, outer)| (*last, outer));
        let mut strides: Vec<Vec<usize>> = views
            .iter()
            .map(|view| view.strides[..outer.len()].to_vec())
            .collect();
        let sizes = collapse_all(outer, &mut strides);
        let walks = views
            .iter()
            .zip(strides)
            .map(|(view, outer)| Walk::new(view, outer, lanes))
            .collect();
        let axes = Self {
            outer: sizes,
            last: last / lanes.count(),
        };
        (axes, walks)
    }

    /// Rows: elements of all axes but the last.
    pub(super) fn rows(&self) -> usize {
        self.outer.iter().product()
    }

    /// Columns, in units of lanes.
    pub(super) fn columns(&self) -> usize {
        self.last
    }

    /// Names the coordinates of a row: `{prefix}0`, `{prefix}1`, …
    pub(super) fn decode(&self, row: &str, prefix: &str) -> String {
        let mut text = String::new();
        let mut inner = 1;
        for (axis, &size) in self.outer.iter().enumerate().rev() {
            let divided = if inner == 1 {
                row.to_owned()
            } else {
                format!("{row} / {inner}u")
            };
            let place = if axis == 0 {
                divided
            } else {
                format!("({divided}) % {size}u")
            };
            text.line(format!("let {prefix}{axis} = {place};"));
            inner *= size;
        }
        text
    }
}

impl Walk {
    fn new(view: &View, outer: Vec<usize>, lanes: Lanes) -> Self {
        let unit = if view.strides.last() == Some(&0) {
            1
        } else {
            lanes.count()
        };
        Self {
            outer: outer.into_iter().map(|stride| stride / unit).collect(),
            last: view.strides.last().copied().unwrap_or(0),
            offset: view.offset / unit,
        }
    }

    /// Where a row starts.
    pub(super) fn row(&self, prefix: &str) -> String {
        let mut text = format!("{}u", self.offset);
        for (axis, &stride) in self.outer.iter().enumerate().filter(|(_, stride)| **stride != 0) {
            text.add(match stride {
                1 => format!(" + {prefix}{axis}"),
                stride => format!(" + {prefix}{axis} * {stride}u"),
            });
        }
        text
    }

    /// Where an element lies.
    pub(super) fn element(&self, prefix: &str, column: &str) -> String {
        match self.last {
            0 => self.row(prefix),
            1 => format!("{} + {column}", self.row(prefix)),
            stride => format!("{} + ({column}) * {stride}u", self.row(prefix)),
        }
    }
}

/// Declares what a program loads, and the function `finish(x, row, column)` that runs it and stores the result.
///
/// `others` are views that the kernel walks by the same axes; their walks are given back.
pub(super) fn finish(
    shader: &mut Shader,
    program: &Program,
    out: &View,
    others: &[&View],
    lanes: Lanes,
) -> (Axes, Vec<Walk>) {
    let mut views: Vec<&View> = vec![out];
    views.extend(program.loads.iter().map(|load| match load {
        Load::Plain(view) => view,
        Load::Row { ids, .. } => ids,
    }));
    views.extend(others);
    let (axes, mut walks) = Axes::over(&views, lanes);
    let rest = walks.split_off(1 + program.loads.len());
    let element = lanes.element();
    let mut body = axes.decode("row", "c");
    for (at, (load, walk)) in program.loads.iter().zip(&walks[1..]).enumerate() {
        let place = walk.element("c", "column");
        let text = match load {
            Load::Plain(view) => {
                let scalar = view.strides.last() == Some(&0);
                shader.read(
                    &format!("l{at}"),
                    view.buffer,
                    if scalar { "f32" } else { element },
                );
                format!("let x{at} = {element}(l{at}[{place}]);\n")
            }
            Load::Row { table, ids } => {
                shader.read(&format!("ids{at}"), ids.buffer, "i32");
                shader.read(&format!("l{at}"), table.buffer, element);
                let (stride, offset) = (table.strides[0] / lanes.count(), table.offset / lanes.count());
                format!("let x{at} = l{at}[{offset}u + u32(ids{at}[{place}]) * {stride}u + column];\n")
            }
        };
        body.add(&text);
    }
    shader.write("out", out.buffer, element);
    if program
        .operations
        .iter()
        .any(|operation| matches!(operation, Operation::Unary(Unary::Erf, _)))
    {
        shader.line(&erf(element));
    }
    for (at, operation) in program.operations.iter().enumerate() {
        body.line(format!("let v{at} = {};", expression(operation, element)));
    }
    body.line(format!(
        "out[{}] = {};",
        walks[0].element("c", "column"),
        term(program.result(), element)
    ));
    shader.line(&format!(
        "fn finish(x: {element}, row: u32, column: u32) {{\n{body}}}"
    ));
    (axes, rest)
}

/// A float as WGSL spells it, with every digit: the shortest spelling of the greatest float is a little greater than it,
/// which WGSL refuses.
pub(super) fn number(value: f32) -> String {
    format!("{:e}f", f64::from(value))
}

fn term(term: Term, element: &str) -> String {
    match term {
        Term::Root => "x".to_owned(),
        Term::Loaded(at) => format!("x{at}"),
        Term::Computed(at) => format!("v{at}"),
        Term::Number(value) => format!("{element}({})", number(value)),
    }
}

fn expression(operation: &Operation, element: &str) -> String {
    match *operation {
        Operation::Unary(function, x) => {
            let x = term(x, element);
            match function {
                Unary::Abs => format!("abs({x})"),
                Unary::Erf => format!("erf({x})"),
                Unary::Exp => format!("exp({x})"),
                Unary::Neg => format!("-{x}"),
                Unary::Reciprocal => format!("{element}(1f) / {x}"),
                Unary::Sign => format!("sign({x})"),
                Unary::Sqrt => format!("sqrt({x})"),
                // Beyond 15 the result is 1 in f32, while some drivers divide infinities.
                Unary::Tanh => format!("tanh(clamp({x}, {element}(-15f), {element}(15f)))"),
            }
        }
        Operation::Binary(function, x, y) => {
            let sign = match function {
                Binary::Add => '+',
                Binary::Sub => '-',
                Binary::Mul => '*',
                Binary::Div => '/',
            };
            format!("{} {sign} {}", term(x, element), term(y, element))
        }
    }
}

/// The approximation that [`ERF_A`] names.
fn erf(element: &str) -> String {
    let [a1, a2, a3, a4, a5] = ERF_A.map(number);
    let p = number(ERF_P);
    format!(
        "fn erf(x: {element}) -> {element} {{\n\
         let size = abs(x);\n\
         let t = {element}(1f) / ({p} * size + 1f);\n\
         let sum = t * ({a1} + t * ({a2} + t * ({a3} + t * ({a4} + t * {a5}))));\n\
         return sign(x) * (1f - sum * exp(-size * size));\n}}"
    )
}
