//! Cutting a dispatch that would take too long into pieces.
//!
//! A GPU is not interrupted within a dispatch: while one runs, the page's own frames wait, and when one runs for seconds, the
//! browser takes the device away. So every kernel says how much a workgroup of it does at most, [`Machine`] how much
//! a slow machine of its kind does in a tenth of a second, and a grid of more workgroups than that becomes several,
//! row of workgroups by row. Whatever one workgroup would do alone cannot be cut; too much of it is refused.

use super::Step;
use crate::backend::webgpu::kernels::Machine;
use crate::limits;
use crate::onnx::OnnxError;

/// Multiplications of one workgroup: one alone has a small part of a GPU for itself.
const GROUP_WORK_MAX: u64 = 1 << 28;
/// Dispatches of full length that one run may have: two minutes.
const RUN_DISPATCHES_MAX: u64 = 1200;

/// Part of a step's grid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Piece {
    /// The first workgroup.
    pub(crate) first: [u32; 3],
    /// How many workgroups.
    pub(crate) groups: [u32; 3],
}

/// A grid in boxes of at most so many workgroups.
fn pieces(groups: [u32; 3], most: u64) -> Vec<Piece> {
    let [across, down, deep] = groups.map(u64::from);
    if across * down * deep <= most.max(1) {
        return vec![Piece {
            first: [0; 3],
            groups,
        }];
    }
    let wide = most.clamp(1, across.max(1));
    let high = (most / across.max(1)).clamp(1, down.max(1));
    let starts = |count: u64, step: u64| (0..count).step_by(step as usize);
    let size = |count: u64, start: u64, step: u64| (count - start).min(step) as u32;
    let boxes = starts(deep, 1).flat_map(|z| {
        starts(down, high).flat_map(move |y| {
            starts(across, wide).map(move |x| Piece {
                first: [x as u32, y as u32, z as u32],
                groups: [size(across, x, wide), size(down, y, high), 1],
            })
        })
    });
    boxes.collect()
}

impl Step {
    /// All of its work, in multiplications.
    fn work(&self) -> u64 {
        let groups = self
            .groups
            .iter()
            .fold(1_u64, |all, &count| all.saturating_mul(count.into()));
        groups.saturating_mul(self.group_work)
    }

    /// Cuts the step for a machine.
    fn cut(&mut self, machine: Machine) -> Result<(), OnnxError> {
        let most = machine.dispatch_work();
        let max = most.min(GROUP_WORK_MAX);
        if self.group_work > max {
            return Err(refuse(
                &self.label,
                "multiplications of one workgroup",
                self.group_work,
                max,
            ));
        }
        self.pieces = pieces(self.groups, most / self.group_work.max(1));
        let moving = std::mem::take(&mut self.moving);
        if self.pieces.len() > 1 {
            self.source = moving;
        }
        Ok(())
    }
}

/// Cuts every step, and refuses what takes too long altogether.
pub(super) fn cut(steps: &mut [Step], machine: Machine) -> Result<(), OnnxError> {
    let (mut work, max) = (0_u64, machine.dispatch_work() * RUN_DISPATCHES_MAX);
    for step in steps {
        work = work.saturating_add(step.work());
        if work > max {
            return Err(refuse(&step.label, "multiplications", work, max));
        }
        step.cut(machine)?;
    }
    Ok(())
}

/// Holds the memory of a plan on the GPU against what a session may take.
pub(super) fn check_memory(output: &str, elements: &[usize], weights: u64) -> Result<(), OnnxError> {
    let values = elements.iter().map(|&count| 4 * count as u64);
    let bytes = values.fold(weights, u64::saturating_add);
    let max = limits::SESSION_BYTES_MAX as u64;
    if bytes > max {
        return Err(refuse(output, "bytes of GPU memory", bytes, max));
    }
    Ok(())
}

fn refuse(node: &str, what: &'static str, needed: u64, max: u64) -> OnnxError {
    let node = node.to_owned();
    OnnxError::Budget {
        node,
        what,
        needed,
        max,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::backend::webgpu::kernels;
    use crate::backend::webgpu::plan::Buffer;
    use crate::backend::webgpu::plan::program::{Program, Term};
    use crate::backend::webgpu::plan::view::View;

    fn product(machine: Machine, rows: usize, depth: usize, columns: usize) -> Step {
        let view = |value, dims: &[usize]| View::contiguous(Buffer::Temp(value), dims);
        let program = Program::new(Term::Root, Vec::new());
        kernels::product(
            machine,
            &view(0, &[rows, depth]),
            &view(1, &[depth, columns]),
            &program,
            &view(2, &[rows, columns]),
        )
    }

    #[test]
    fn a_long_product_takes_no_piece_longer_than_its_machine_allows() {
        for machine in [Machine::Software, Machine::Gpu] {
            // Of 512 rows, a hundred times wider on a GPU.
            let columns = if machine == Machine::Gpu { 1 << 16 } else { 4096 };
            let whole = product(machine, 512, 1024, columns);
            let (work, head) = (whole.work(), whole.source.clone());
            let mut steps = [whole];
            cut(&mut steps, machine).unwrap();
            let [step] = steps;
            assert!(
                work > machine.dispatch_work() && step.pieces.len() as u64 >= work / machine.dispatch_work()
            );
            for piece in &step.pieces {
                let groups: u64 = piece.groups.iter().map(|&count| u64::from(count)).product();
                assert!(groups * step.group_work <= machine.dispatch_work());
            }
            assert!(step.source.contains("var<uniform> first") && !head.contains("var<uniform>"));
        }
    }

    #[test]
    fn what_cannot_be_cut_or_takes_too_long_is_refused() {
        for machine in [Machine::Software, Machine::Gpu] {
            let deep = product(machine, 8, 1 << 22, 64);
            assert!(matches!(cut(&mut [deep], machine), Err(OnnxError::Budget { .. })));
            let step = || product(machine, 4096, 4096, 1 << 16);
            let mut many: Vec<Step> = (0..2000).map(|_| step()).collect();
            assert!(matches!(cut(&mut many, machine), Err(OnnxError::Budget { .. })));
        }
        assert!(check_memory("y", &[1 << 27, 1 << 27], 0).is_err());
        assert!(check_memory("y", &[1 << 20], 1 << 20).is_ok());
    }

    #[test]
    fn what_is_short_stays_whole() {
        assert_eq!(
            pieces([8, 4, 1], 32),
            [Piece {
                first: [0; 3],
                groups: [8, 4, 1]
            }]
        );
    }

    #[test]
    fn what_is_long_is_cut_by_rows() {
        let piece = |y, high| Piece {
            first: [0, y, 0],
            groups: [8, high, 1],
        };
        assert_eq!(pieces([8, 5, 1], 17), [piece(0, 2), piece(2, 2), piece(4, 1)]);
        let piece = |x, y, wide| Piece {
            first: [x, y, 0],
            groups: [wide, 1, 1],
        };
        assert_eq!(
            pieces([3, 2, 1], 2),
            [piece(0, 0, 2), piece(2, 0, 1), piece(0, 1, 2), piece(2, 1, 1)]
        );
    }

    proptest! {
        #[test]
        fn every_workgroup_is_in_one_piece(groups in [1_u32..20, 1..20, 1..3], most in 0_u64..500) {
            let mut seen = std::collections::BTreeSet::new();
            for piece in pieces(groups, most) {
                let count: u64 = piece.groups.iter().map(|&count| u64::from(count)).product();
                prop_assert!(count <= most.max(1));
                for (x, y, z) in (0..piece.groups[0]).flat_map(|x| (0..piece.groups[1]).flat_map(move |y| (0..piece.groups[2]).map(move |z| (x, y, z)))) {
                    let [a, b, c] = piece.first;
                    prop_assert!(seen.insert([a + x, b + y, c + z]), "twice");
                }
            }
            let all: u32 = groups.iter().product();
            prop_assert_eq!(seen.len() as u32, all);
        }
    }
}
