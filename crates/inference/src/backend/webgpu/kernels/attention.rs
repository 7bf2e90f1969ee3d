//! Attention in one kernel: `softmax(q·kᵀ · scale + mask)·v` without storing the scores.
//!
//! Each invocation takes one query and goes once over the keys, [`KEYS`] at a time, keeping the greatest score, the
//! sum of powers and the weighted sum of values so far, and rescales them when a greater score comes (Milakov and
//! Gimelshein, "Online normalizer calculation for softmax", 2018; Dao et al., "FlashAttention", 2022). Query and sum
//! stay in registers.

use super::wgsl::{Lanes, Shader, Text as _, number};
use super::{LINE, line_of_groups, line_work};
use crate::backend::webgpu::plan::Step;
use crate::backend::webgpu::plan::view::View;

/// Keys whose scores are computed before the sums are rescaled, where their number is a multiple of it.
const KEYS: usize = 4;
/// The deepest head whose query and sum are kept in registers one by one, in vectors of four.
const VECTORS_MAX: usize = 32;

/// Attention over texts × heads × rows × depth; `mask` has the scores' shape, `out` the queries'.
pub(crate) fn attention(
    query: &View,
    key: &View,
    value: &View,
    mask: Option<&View>,
    scale: f32,
    out: &View,
) -> Step {
    let is_vector = [query, key, value, out].iter().all(|view| view.is_vector());
    let lanes = if is_vector { Lanes::Four } else { Lanes::One };
    let (element, unit) = (lanes.element(), lanes.count());
    let (heads, rows, depth) = (query.dims[1], query.dims[2], query.dims[3] / unit);
    let columns = key.dims[2];
    let step = if columns.is_multiple_of(KEYS) { KEYS } else { 1 };
    let mut shader = Shader::default();
    shader.read("query", query.buffer, element);
    shader.read("key", key.buffer, element);
    shader.read("value", value.buffer, element);
    if let Some(mask) = mask {
        shader.read("mask", mask.buffer, "f32");
    }
    shader.write("out", out.buffer, element);
    let total = query.dims[0] * heads * rows;
    let (groups, size) = line_of_groups(total);
    let mut body = format!(
        "let n = id.x + id.y * {size}u;\nif (n >= {total}u) {{ return; }}\n\
         let row = n % {rows}u;\nlet head = n / {rows}u % {heads}u;\nlet text = n / {both}u;\n\
         let q = {q};\nlet o = {o};\nlet k = {k};\nlet v = {v};\n",
        both = rows * heads,
        q = start(query, unit, true),
        o = start(out, unit, true),
        k = start(key, unit, false),
        v = start(value, unit, false),
    );
    let registers = depth <= VECTORS_MAX;
    if registers {
        for d in 0..depth {
            body.line(format!("let q{d} = query[q + {d}u]; var sum{d} = {element}(0f);"));
        }
    } else {
        body.line(format!("var sums: array<{element}, {depth}>;"));
    }
    body.line(format!("var most = {};\nvar all = 0f;", number(f32::MIN)));
    body.line(format!("for (var at = 0u; at < {columns}u; at += {step}u) {{"));
    for j in 0..step {
        let place = format!("k + (at + {j}u) * {}u", key.strides[2] / unit);
        body.add(score(j, &place, depth, lanes, registers));
        let added = mask.map_or_else(String::new, |mask| format!(" + mask[{}]", cell(mask, j)));
        body.line(format!("let s{j} = dot{j} * {}{added};", number(scale)));
    }
    let greatest = (0..step).fold("most".to_owned(), |text, j| format!("max({text}, s{j})"));
    body.line(format!(
        "let next = {greatest};\nlet fade = exp(most - next);\nmost = next;"
    ));
    for j in 0..step {
        body.line(format!("let p{j} = exp(s{j} - next);"));
    }
    let powers: Vec<String> = (0..step).map(|j| format!("p{j}")).collect();
    body.line(format!("all = all * fade + {};", powers.join(" + ")));
    for j in 0..step {
        body.line(format!(
            "let v{j} = v + (at + {j}u) * {}u;",
            value.strides[2] / unit
        ));
    }
    let weighted = |d: &str| {
        let terms: Vec<String> = (0..step).map(|j| format!("p{j} * value[v{j} + {d}]")).collect();
        terms.join(" + ")
    };
    if registers {
        for d in 0..depth {
            body.line(format!(
                "sum{d} = sum{d} * fade + {};",
                weighted(&format!("{d}u"))
            ));
        }
        body.add("}\n");
        for d in 0..depth {
            body.line(format!("out[o + {d}u] = sum{d} / all;"));
        }
    } else {
        body.line(format!(
            "for (var d = 0u; d < {depth}u; d++) {{ sums[d] = sums[d] * fade + {}; }}\n}}\n\
             for (var d = 0u; d < {depth}u; d++) {{ out[o + d] = sums[d] / all; }}",
            weighted("d")
        ));
    }
    // Each key costs two products of a head and an exponential.
    let work = columns.saturating_mul(2 * query.dims[3] + 16);
    shader.step([LINE, 1], &body, groups, line_work(work))
}

/// The product of the query and one key.
fn score(j: usize, place: &str, depth: usize, lanes: Lanes, registers: bool) -> String {
    let multiply = |left: String, right: String| match lanes {
        Lanes::Four => format!("dot({left}, {right})"),
        Lanes::One => format!("{left} * {right}"),
    };
    if registers {
        let terms: Vec<String> = (0..depth)
            .map(|d| multiply(format!("q{d}"), format!("key[k{j} + {d}u]")))
            .collect();
        return format!("let k{j} = {place};\nlet dot{j} = {};\n", terms.join(" + "));
    }
    let term = multiply("query[q + d]".to_owned(), format!("key[k{j} + d]"));
    format!(
        "let k{j} = {place};\nvar dot{j} = 0f;\n\
         for (var d = 0u; d < {depth}u; d++) {{ dot{j} += {term}; }}\n"
    )
}

/// Where a text's head starts in a view, or one row of it.
fn start(view: &View, unit: usize, is_row: bool) -> String {
    let [text, head, row] = [0, 1, 2].map(|axis| view.strides[axis] / unit);
    let offset = view.offset / unit;
    let row = if is_row {
        format!(" + row * {row}u")
    } else {
        String::new()
    };
    format!("{offset}u + text * {text}u + head * {head}u{row}")
}

/// Where the mask of a score lies.
fn cell(mask: &View, j: usize) -> String {
    let mut text = format!("{}u", mask.offset);
    let names = [
        "text".to_owned(),
        "head".to_owned(),
        "row".to_owned(),
        format!("(at + {j}u)"),
    ];
    for (name, stride) in names
        .iter()
        .zip(&mask.strides)
        .filter(|(_, stride)| **stride != 0)
    {
        text.add(format!(" + {name} * {stride}u"));
    }
    text
}
