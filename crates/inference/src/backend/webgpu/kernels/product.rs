//! Matrix products.
//!
//! Three kernels. Rows by a constant matrix is where a transformer spends its time, and what is fast there depends on
//! the [`Machine`]:
//!
//! - A GPU hides memory latency with many threads that share what they load: a workgroup of 16 × 8 invocations
//!   computes a tile of [`TILE_ROWS`] × [`TILE_COLUMNS`], going through the depth in slices that it holds in
//!   workgroup memory.
//! - A software renderer pays for each load and each barrier and nothing for registers: each invocation computes
//!   [`BLOCK_ROWS`] rows of two vectors by itself and shares nothing. Measured with SwiftShader, this is three to
//!   five times as fast as one vector per invocation (32 × 384 × 1536: 11 ms against 54).
//!
//! Everything else (stacks of matrices, sizes that are not multiples of four, odd strides) takes a plain loop.

use super::wgsl::{self, Lanes, Shader, Text as _};
use super::{LINE, Machine, cost, line_of_groups, line_work};
use crate::backend::webgpu::plan::Step;
use crate::backend::webgpu::plan::program::Program;
use crate::backend::webgpu::plan::view::View;

/// Rows that one invocation computes on a software renderer.
const BLOCK_ROWS: usize = 8;
/// Vectors of columns that it computes, where there are enough.
const BLOCK_VECTORS: usize = 2;
/// Invocations of a workgroup there, side by side.
const BLOCK_LINE: u32 = 16;

/// Rows of a workgroup's tile on a GPU.
const TILE_ROWS: usize = 32;
/// Columns of it.
const TILE_COLUMNS: usize = 64;
/// Depth of a slice in workgroup memory.
const TILE_DEPTH: usize = 16;
/// Invocations of a workgroup; each computes 4 rows of one vector.
const TILE_GROUP: [usize; 2] = [TILE_COLUMNS / 4, TILE_ROWS / 4];

/// The product of `left` and `right`, with a chain.
pub(crate) fn product(machine: Machine, left: &View, right: &View, program: &Program, out: &View) -> Step {
    let is_vector = Lanes::of(program, &[left, right, out]) == Lanes::Four;
    match machine {
        _ if !is_vector || right.dims.len() != 2 || left.dims.len() < 2 => any(left, right, program, out),
        Machine::Gpu if depth(left).is_multiple_of(TILE_DEPTH) => tiles(left, right, program, out),
        Machine::Gpu | Machine::Software => blocks(left, right, program, out),
    }
}

fn depth(left: &View) -> usize {
    left.dims.last().copied().unwrap_or(1)
}

/// Declares both operands, the chain's end, and `start(row)`, which says where a row of the left operand starts.
fn rows_by_matrix(
    shader: &mut Shader,
    left: &View,
    right: &View,
    program: &Program,
    out: &View,
) -> wgsl::Axes {
    shader.read("left", left.buffer, "vec4f");
    shader.read("right", right.buffer, "vec4f");
    let (axes, walks) = wgsl::finish(shader, program, out, &[left], Lanes::Four);
    let (decoded, start) = (axes.decode("row", "c"), walks[0].row("c"));
    shader.line(&format!(
        "fn start(row: u32) -> u32 {{\n{decoded}return {start};\n}}"
    ));
    axes
}

fn blocks(left: &View, right: &View, program: &Program, out: &View) -> Step {
    let mut shader = Shader::default();
    let axes = rows_by_matrix(&mut shader, left, right, program, out);
    let (rows, columns, depth) = (axes.rows(), axes.columns(), depth(left) / 4);
    let (stride, offset) = (right.strides[0] / 4, right.offset / 4);
    let vectors = if columns.is_multiple_of(BLOCK_VECTORS) {
        BLOCK_VECTORS
    } else {
        1
    };
    let is_ragged = !rows.is_multiple_of(BLOCK_ROWS);
    let across = columns / vectors;
    let mut body = format!(
        "if (id.x >= {across}u) {{ return; }}\n\
         let row = id.y * {BLOCK_ROWS}u;\nlet column = id.x * {vectors}u;\n"
    );
    for i in 0..BLOCK_ROWS {
        let row = if is_ragged {
            format!("min(row + {i}u, {}u)", rows - 1)
        } else {
            format!("row + {i}u")
        };
        body.line(format!("let r{i} = start({row});"));
        for j in 0..vectors {
            body.add(format!("var s{i}_{j} = vec4f();"));
        }
    }
    body.line(format!("\nfor (var k = 0u; k < {depth}u; k++) {{"));
    for i in 0..BLOCK_ROWS {
        body.line(format!("let a{i} = left[r{i} + k];"));
    }
    for (q, part) in ['x', 'y', 'z', 'w'].into_iter().enumerate() {
        for j in 0..vectors {
            body.line(format!(
                "let b{q}_{j} = right[{offset}u + (k * 4u + {q}u) * {stride}u + column + {j}u];"
            ));
            for i in 0..BLOCK_ROWS {
                body.add(format!("s{i}_{j} += a{i}.{part} * b{q}_{j};"));
            }
            body.line("");
        }
    }
    body.add("}\n");
    for i in 0..BLOCK_ROWS {
        for j in 0..vectors {
            let store = format!("finish(s{i}_{j}, row + {i}u, column + {j}u);");
            body.line(if is_ragged {
                format!("if (row + {i}u < {rows}u) {{ {store} }}")
            } else {
                store
            });
        }
    }
    let groups = [across.div_ceil(BLOCK_LINE as usize), rows.div_ceil(BLOCK_ROWS), 1];
    let cells = BLOCK_LINE as usize * BLOCK_ROWS * vectors * 4;
    shader.step([BLOCK_LINE, 1], &body, groups, work(cells, 4 * depth, program))
}

fn tiles(left: &View, right: &View, program: &Program, out: &View) -> Step {
    let mut shader = Shader::default();
    let axes = rows_by_matrix(&mut shader, left, right, program, out);
    let (rows, columns, slices) = (axes.rows(), axes.columns(), depth(left) / TILE_DEPTH);
    let (stride, offset) = (right.strides[0] / 4, right.offset / 4);
    let [width, height] = TILE_GROUP;
    let vectors = TILE_DEPTH / 4;
    shader.line(&format!(
        "var<workgroup> a: array<vec4f, {}>;",
        TILE_ROWS * vectors
    ));
    shader.line(&format!(
        "var<workgroup> b: array<vec4f, {}>;",
        TILE_DEPTH * width
    ));
    let last_row = rows - 1;
    let last_column = columns - 1;
    let mut body = format!(
        "let place = local.y * {width}u + local.x;\n\
         let top = group.y * {TILE_ROWS}u;\n\
         let column = group.x * {width}u + local.x;\n\
         let begin = start(min(top + place / {vectors}u, {last_row}u)) + place % {vectors}u;\n\
         var s0 = vec4f(); var s1 = vec4f(); var s2 = vec4f(); var s3 = vec4f();\n\
         for (var slice = 0u; slice < {slices}u; slice++) {{\n\
         a[place] = left[begin + slice * {vectors}u];\n"
    );
    for part in 0..TILE_DEPTH / height {
        body.line(format!("b[(local.y + {0}u) * {width}u + local.x] = right[{offset}u + (slice * {TILE_DEPTH}u + local.y + {0}u) \
             * {stride}u + min(column, {last_column}u)];",
            part * height
        ));
    }
    body.line(format!(
        "workgroupBarrier();\nfor (var k = 0u; k < {vectors}u; k++) {{"
    ));
    for q in 0..4 {
        body.line(format!("let b{q} = b[(k * 4u + {q}u) * {width}u + local.x];"));
    }
    for i in 0..4 {
        body.line(format!(
            "let a{i} = a[(local.y * 4u + {i}u) * {vectors}u + k];\n\
             s{i} += a{i}.x * b0 + a{i}.y * b1 + a{i}.z * b2 + a{i}.w * b3;"
        ));
    }
    body.add("}\nworkgroupBarrier();\n}\n");
    body.line(format!(
        "if (column >= {columns}u) {{ return; }}\nlet row = top + local.y * 4u;"
    ));
    for i in 0..4 {
        body.line(format!(
            "if (row + {i}u < {rows}u) {{ finish(s{i}, row + {i}u, column); }}"
        ));
    }
    let groups = [columns.div_ceil(width), rows.div_ceil(TILE_ROWS), 1];
    let work = work(TILE_ROWS * TILE_COLUMNS, slices * TILE_DEPTH, program);
    shader.step([width as u32, height as u32], &body, groups, work)
}

/// One element per invocation, any strides, stacks of matrices that broadcast.
fn any(left: &View, right: &View, program: &Program, out: &View) -> Step {
    let depth = depth(left);
    let axis = left.strides.len() - 1;
    let (along, down) = (left.strides[axis], right.strides[right.strides.len() - 2]);
    // Both operands as views of the output's shape whose other matrix axis stands still.
    let still = |view: &View, axis_from_end: usize| {
        let mut view = view.clone();
        let axis = view.dims.len() - axis_from_end;
        view.dims[axis] = 1;
        view.broadcast(&out.dims).unwrap_or(view)
    };
    let (rows_of_left, columns_of_right) = (still(left, 1), still(right, 2));
    let mut shader = Shader::default();
    shader.read("left", left.buffer, "f32");
    shader.read("right", right.buffer, "f32");
    let (axes, walks) = wgsl::finish(
        &mut shader,
        program,
        out,
        &[&rows_of_left, &columns_of_right],
        Lanes::One,
    );
    let (columns, total) = (axes.columns(), axes.rows() * axes.columns());
    let (groups, size) = line_of_groups(total);
    let body = format!(
        "let n = id.x + id.y * {size}u;\nif (n >= {total}u) {{ return; }}\n\
         let row = n / {columns}u;\nlet column = n % {columns}u;\n{decoded}\
         let l = {l};\nlet r = {r};\nvar sum = 0f;\n\
         for (var k = 0u; k < {depth}u; k++) {{ sum += left[l + k * {along}u] * right[r + k * {down}u]; }}\n\
         finish(sum, row, column);",
        decoded = axes.decode("row", "c"),
        l = walks[0].element("c", "column"),
        r = walks[1].element("c", "column"),
    );
    // Single loads, far from each other, take much longer than what is done with them.
    let work = depth.saturating_mul(16).saturating_add(cost(program));
    shader.step([LINE, 1], &body, groups, line_work(work))
}

/// Multiplications for so many cells of a product.
fn work(cells: usize, depth: usize, program: &Program) -> u64 {
    (cells as u64).saturating_mul((depth + cost(program)) as u64)
}
