//! The kernels: WGSL for views of any strides, with a chain of element-wise operations at the end of each.
//!
//! A kernel takes views and a [`Program`] and gives a [`Step`]. Where all rows are aligned it loads four numbers at a
//! time. Nothing here knows a GPU; what suits the machine comes in as [`Machine`].

mod attention;
mod product;
mod rows;
mod wgsl;

use super::plan::Step;
use super::plan::program::Program;
use super::plan::view::View;
use wgsl::{GROUPS_MAX, Lanes, Shader};

pub(crate) use attention::attention;
pub(crate) use product::product;
pub(crate) use rows::{layer_norm, mean_pool, softmax};

/// What kind of machine runs the shaders.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Machine {
    /// A GPU: many threads, fast memory shared by a workgroup.
    Gpu,
    /// A CPU that imitates one (SwiftShader, lavapipe): few threads, a barrier is expensive, registers are plenty.
    Software,
}

impl Machine {
    /// Multiplications that a slow machine of its kind does in a tenth of a second: 2.4 GFLOP/s for a software renderer, which is
    /// what SwiftShader does on two cores, and 86 GFLOP/s for a GPU, which phones exceed.
    pub(crate) fn dispatch_work(self) -> u64 {
        match self {
            Self::Gpu => 1 << 32,
            Self::Software => 120_000_000,
        }
    }
}

/// Invocations in a workgroup of kernels that need no cooperation.
const LINE: u32 = 64;

/// One element per invocation: element-wise chains, gathered rows, copies.
pub(crate) fn map(program: &Program, out: &View) -> Step {
    let lanes = Lanes::of(program, &[out]);
    let mut shader = Shader::default();
    let (axes, _) = wgsl::finish(&mut shader, program, out, &[], lanes);
    let (columns, total) = (axes.columns(), axes.rows() * axes.columns());
    let (groups, size) = line_of_groups(total);
    let body = format!(
        "let n = id.x + id.y * {size}u;\n\
         if (n >= {total}u) {{ return; }}\n\
         finish({}(0f), n / {columns}u, n % {columns}u);",
        lanes.element()
    );
    shader.step([LINE, 1], &body, groups, line_work(lanes.count() * cost(program)))
}

/// What an element costs, in multiplications: a load or a function takes as long as several.
fn cost(program: &Program) -> usize {
    4 * (1 + program.loads.len() + program.operations.len())
}

/// The work of a workgroup of [`LINE`] invocations.
fn line_work(invocation: usize) -> u64 {
    u64::from(LINE).saturating_mul(invocation as u64)
}

/// Enough workgroups for so many invocations, and how many invocations are in a line of them.
fn line_of_groups(invocations: usize) -> ([usize; 3], usize) {
    let groups = invocations.div_ceil(LINE as usize);
    let across = groups.min(GROUPS_MAX);
    ([across, groups.div_ceil(across), 1], across * LINE as usize)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::webgpu::plan::Buffer;
    use crate::backend::webgpu::plan::program::{Load, Term};

    #[test]
    fn a_large_copy_takes_two_dimensions_of_groups() {
        let out = View::contiguous(Buffer::Temp(1), &[LINE as usize * 4 * (GROUPS_MAX + 1)]);
        let from = View {
            buffer: Buffer::Temp(0),
            ..out.clone()
        };
        let step = map(&Program::new(Term::Loaded(0), vec![Load::Plain(from)]), &out);
        assert_eq!(step.groups, [65_535, 2, 1]);
        assert_eq!(step.bindings, [Buffer::Temp(0), Buffer::Temp(1)]);
    }
}
