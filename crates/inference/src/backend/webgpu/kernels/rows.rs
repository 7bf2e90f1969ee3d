//! Kernels that go over whole rows: normalisation, softmax, and the average over a text's tokens.
//!
//! A workgroup takes a row: each invocation adds up what it meets, the sums meet in workgroup memory behind one
//! barrier, and everyone adds them in the same order, so that the result does not depend on timing.

use super::wgsl::{self, Lanes, Shader};
use super::{LINE, line_of_groups, line_work};
use crate::backend::webgpu::plan::Step;
use crate::backend::webgpu::plan::program::{Load, Program, Term};
use crate::backend::webgpu::plan::view::View;

/// Invocations that share a row.
const TEAM: u32 = 32;

/// (x − mean) / √(variance + ε) over the last axis. The variance is taken of differences, as a second pass, because
/// the mean of squares minus the square of the mean loses every digit that both share.
pub(crate) fn layer_norm(x: &View, epsilon: f32, program: &Program, out: &View) -> Step {
    let count = wgsl::number(x.dims.last().copied().unwrap_or(1) as f32);
    let epsilon = wgsl::number(epsilon);
    row_wise(x, program, out, &|lanes, read| {
        let (sum, squares) = match lanes {
            Lanes::Four => ("dot(x, vec4f(1f))", "dot(x - mean, x - mean)"),
            Lanes::One => ("x", "(x - mean) * (x - mean)"),
        };
        let mean = reduce("mean", "0f", "+", &read(sum));
        let variance = reduce("variance", "0f", "+", &read(squares));
        let mean = format!("{mean}let mean = mean_all / {count};\n");
        let scale = format!("let scale = inverseSqrt(variance_all / {count} + {epsilon});\n");
        (
            format!("{mean}{variance}{scale}"),
            "(x - mean) * scale".to_owned(),
        )
    })
}

/// exp(x − max) / Σ exp(x − max) over the last axis.
pub(crate) fn softmax(x: &View, program: &Program, out: &View) -> Step {
    row_wise(x, program, out, &|lanes, read| {
        let (most, sum) = match lanes {
            Lanes::Four => (
                "max(max(x.x, x.y), max(x.z, x.w))",
                "dot(exp(x - most_all), vec4f(1f))",
            ),
            Lanes::One => ("x", "exp(x - most_all)"),
        };
        let most = reduce("most", &wgsl::number(f32::MIN), "max", &read(most));
        let sum = reduce("sum", "0f", "+", &read(sum));
        (format!("{most}{sum}"), "exp(x - most_all) / sum_all".to_owned())
    })
}

/// A row's statistics and what they make of each element: the text before the last loop, and the element's value.
type Body<'a> = dyn Fn(Lanes, &dyn Fn(&str) -> (String, String)) -> (String, String) + 'a;

fn row_wise(x: &View, program: &Program, out: &View, body: &Body<'_>) -> Step {
    let lanes = Lanes::of(program, &[x, out]);
    let mut shader = Shader::default();
    shader.read("source", x.buffer, lanes.element());
    let (axes, walks) = wgsl::finish(&mut shader, program, out, &[x], lanes);
    let columns = axes.columns();
    let place = walks[0].element("c", "at");
    let each = format!("for (var at = local.x; at < {columns}u; at += {TEAM}u) {{ let x = source[{place}];");
    let read = |value: &str| (each.clone(), value.to_owned());
    let (statistics, value) = body(lanes, &read);
    for name in ["mean", "variance", "most", "sum"] {
        if statistics.contains(&format!("{name}_parts")) {
            shader.line(&format!("var<workgroup> {name}_parts: array<f32, {TEAM}>;"));
        }
    }
    let text = format!(
        "let row = group.x;\n{}{statistics}{each} finish({value}, row, at); }}",
        axes.decode("row", "c")
    );
    // Two statistics and the result, each with a function.
    let work = columns as u64 * (lanes.count() * (12 + super::cost(program))) as u64;
    shader.step([TEAM, 1], &text, [axes.rows(), 1, 1], work)
}

/// Text that combines a value over the row as `{name}_all`.
fn reduce(name: &str, start: &str, function: &str, (each, value): &(String, String)) -> String {
    let combine = |left: &str, right: &str| match function {
        "+" => format!("{left} + {right}"),
        function => format!("{function}({left}, {right})"),
    };
    format!(
        "var {name}_own = {start};\n{each} {name}_own = {own}; }}\n\
         {name}_parts[local.x] = {name}_own;\nworkgroupBarrier();\n\
         var {name}_all = {start};\n\
         for (var part = 0u; part < {TEAM}u; part++) {{ {name}_all = {all}; }}\n",
        own = combine(&format!("{name}_own"), value),
        all = combine(&format!("{name}_all"), &format!("{name}_parts[part]")),
    )
}

/// The average of each text's rows where the mask is not zero: texts × tokens × dimension to texts × dimension.
pub(crate) fn mean_pool(hidden: &View, mask: &View, out: &View) -> Step {
    let (tokens, dimension) = (hidden.dims[1], hidden.dims[2]);
    let program = Program::new(Term::Root, Vec::<Load>::new());
    let lanes = Lanes::of(&program, &[hidden, out]);
    let columns = dimension / lanes.count();
    let mut shader = Shader::default();
    shader.read("hidden", hidden.buffer, lanes.element());
    shader.read("mask", mask.buffer, "f32");
    wgsl::finish(&mut shader, &program, out, &[], lanes);
    let total = out.elements() / lanes.count();
    let (groups, size) = line_of_groups(total);
    let element = lanes.element();
    let body = format!(
        "let n = id.x + id.y * {size}u;\nif (n >= {total}u) {{ return; }}\n\
         let text = n / {columns}u;\nlet column = n % {columns}u;\n\
         var sum = {element}(0f);\nvar count = 0f;\n\
         for (var token = 0u; token < {tokens}u; token++) {{\n\
         let row = text * {tokens}u + token;\nlet kept = mask[row];\n\
         sum += kept * hidden[row * {columns}u + column];\ncount += kept;\n}}\n\
         finish(sum / max(count, 1f), text, column);"
    );
    shader.step([LINE, 1], &body, groups, line_work(2 * tokens * lanes.count()))
}
