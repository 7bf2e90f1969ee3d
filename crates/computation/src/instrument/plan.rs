//! What a function needs: decided in one pass over its instructions, which validates them on the way.
//!
//! Code is charged for in *segments*: instructions that run one after the other whenever the first of them does, up to a trap.
//! A segment begins at the function, in a loop, in each arm of an `if`, behind a conditional branch, and wherever branches meet.
//! Calls do not end one. Whatever cannot be reached costs nothing and is left as it is.
//!
//! A short segment is charged in advance with the one that it always comes after, up to [`ADVANCE_MAX`] units, whether it is then
//! reached or not: a charge costs about as much as such a segment. One in a loop is never charged outside of it.

use wasmparser::{FunctionBody, Operator};

use crate::floats::Float;
use crate::limits::Limits;
use crate::refusal::{Part, Refusal};
use crate::survey::Body;
use crate::weights;

use super::pending::Pending;

/// Units that are charged in advance with one segment. The lower it is, the nearer the fuel is to what was executed. On the example
/// modules 16 units charge 1 to 12 % more than none, and 32 charge 5 to 25 % more and are hardly faster.
const ADVANCE_MAX: u64 = 16;

/// What the rewriting puts into a function.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// In the order of their places.
    pub(super) charges: Vec<Charge>,
    /// The instructions, counted from 0, whose NaNs are made canonical; in order.
    pub(super) floats: Vec<(usize, Float)>,
    /// Parameters and locals.
    pub(super) locals: u32,
    /// Stack slots that a call takes.
    pub(super) slots: u32,
    /// Whether it calls anything: only then can calls pile up in it.
    pub(super) calls: bool,
}

/// Fuel for a segment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Charge {
    /// The instruction that it comes before, counted from 0.
    pub(super) before: usize,
    pub(super) units: u64,
    /// Whether the run ends here when none is left. Every cycle passes one of these.
    pub(super) check: bool,
}

/// Validates a function and decides what it needs.
pub(super) fn plan<'a>(body: Body<'a>, limits: &Limits) -> Result<(FunctionBody<'a>, Plan), Refusal> {
    let Body { validator, code } = body;
    let mut validator = validator.into_validator(Default::default());
    let mut locals = code.get_locals_reader()?;
    let (mut declared, mut wide) = (0_u64, 0_u64);
    for _ in 0..locals.get_count() {
        let offset = locals.original_position();
        let (count, kind) = locals.read()?;
        declared += u64::from(count);
        if kind == wasmparser::ValType::V128 {
            wide += u64::from(count);
        }
        Refusal::beyond(Part::FrameSlots, declared + wide, limits.frame_slots_max)?;
        validator.define_locals(offset, count, kind)?;
    }
    let mut planner = Planner::new();
    let (mut height, mut vectors) = (0, wide > 0);
    let mut operators = code.get_operators_reader()?;
    let mut index = 0;
    while !operators.eof() {
        let offset = operators.original_position();
        let op = operators.read()?;
        validator.op(offset, &op)?;
        planner.see(index, &op, validator.operand_stack_height() as usize);
        Refusal::beyond(Part::Nesting, planner.frames.len(), limits.nesting_max)?;
        height = height.max(u64::from(validator.operand_stack_height()));
        vectors |= matches!(op, Operator::V128Load { .. } | Operator::V128Const { .. })
            || matches!(validator.get_operand_type(0), Some(Some(kind)) if kind == wasmparser::ValType::V128);
        index += 1;
    }
    operators.finish()?;
    let locals = validator.len_locals();
    // Parameters may be vectors, too.
    let width = if vectors { 2 } else { 1 };
    let slots = (u64::from(locals) + height) * width + u64::from(weights::FRAME_SLOTS);
    Refusal::beyond(Part::FrameSlots, slots, limits.frame_slots_max)?;
    let mut plan = planner.plan;
    plan.locals = locals;
    // Within a limit of 32 bits.
    plan.slots = u32::try_from(slots).unwrap_or(u32::MAX);
    if let Some(entry) = plan.charges.first_mut() {
        entry.units += slots.div_ceil(4);
    }
    advance(&mut plan.charges, &planner.homes);
    plan.floats.sort_unstable();
    Ok((code, plan))
}

/// Charges for short segments where their homes are, and drops charges of nothing.
fn advance(charges: &mut Vec<Charge>, homes: &[Option<usize>]) {
    let mut payers: Vec<usize> = (0..charges.len()).collect();
    let mut advanced = vec![0; charges.len()];
    for segment in 0..charges.len() {
        // A home comes before what it is the home of.
        let Some(payer) = homes[segment].map(|home| payers[home]) else {
            continue;
        };
        let units = charges[segment].units;
        if advanced[payer] + units <= ADVANCE_MAX {
            advanced[payer] += units;
            charges[payer].units += units;
            charges[segment].units = 0;
            payers[segment] = payer;
        }
    }
    charges.retain(|charge| charge.units > 0);
}

struct Planner {
    plan: Plan,
    /// For each segment the one that surely ran before it, at least as often, and in the same loop or outside of it.
    homes: Vec<Option<usize>>,
    /// The segment that instructions are added to; none where nothing can be reached.
    segment: Option<usize>,
    frames: Vec<Frame>,
    pending: Pending,
}

/// A block that is open.
struct Frame {
    kind: Kind,
    /// The segment that it begins in, if that can be reached.
    entered: Option<usize>,
    /// Whether its end can be reached other than by falling through.
    joined: bool,
}

#[derive(PartialEq, Eq)]
enum Kind {
    Block,
    Loop,
    If,
    Else,
}

impl Planner {
    fn new() -> Self {
        let mut planner = Self {
            plan: Plan::default(),
            homes: Vec::new(),
            segment: None,
            // The function's own block, which branches may name.
            frames: vec![Frame {
                kind: Kind::Block,
                entered: Some(0),
                joined: false,
            }],
            pending: Pending::default(),
        };
        planner.begin(0, None, true);
        planner
    }

    /// `height` is how many operands there are after the instruction.
    fn see(&mut self, index: usize, op: &Operator<'_>, height: usize) {
        if let Some(segment) = self.segment {
            self.plan.charges[segment].units += weights::weight(op);
            self.pending.see(index, op, height, &mut self.plan.floats);
        }
        let next = index + 1;
        match op {
            Operator::Block { .. } => self.open(Kind::Block),
            Operator::Loop { .. } => {
                self.open(Kind::Loop);
                if self.segment.is_some() {
                    let segment = self.begin(next, None, true);
                    // A loop around nothing costs something, too.
                    self.plan.charges[segment].units = 1;
                }
            }
            Operator::If { .. } => {
                self.open(Kind::If);
                self.continue_at(next);
            }
            Operator::Else => {
                let falls_through = self.segment.take().is_some();
                let Some(frame) = self.frames.last_mut() else {
                    return;
                };
                frame.kind = Kind::Else;
                frame.joined |= falls_through;
                if let Some(home) = frame.entered {
                    self.begin(next, Some(home), false);
                }
            }
            Operator::End => self.close(next),
            Operator::Br { relative_depth } => {
                self.branch(*relative_depth);
                self.segment = None;
            }
            Operator::BrIf { relative_depth } => {
                self.branch(*relative_depth);
                self.continue_at(next);
            }
            Operator::BrTable { targets } => {
                // The validator has read them all.
                for target in targets.targets().flatten() {
                    self.branch(target);
                }
                self.branch(targets.default());
                self.segment = None;
            }
            Operator::Return | Operator::Unreachable => self.segment = None,
            Operator::Call { .. } | Operator::CallIndirect { .. } => self.plan.calls = true,
            _ => {}
        }
    }

    fn begin(&mut self, before: usize, home: Option<usize>, check: bool) -> usize {
        let segment = self.plan.charges.len();
        self.plan.charges.push(Charge {
            before,
            units: 0,
            check,
        });
        self.homes.push(home);
        self.segment = Some(segment);
        segment
    }

    /// Begins a segment, if this place can be reached.
    fn continue_at(&mut self, next: usize) {
        if let Some(home) = self.segment {
            self.begin(next, Some(home), false);
        }
    }

    fn open(&mut self, kind: Kind) {
        self.frames.push(Frame {
            kind,
            entered: self.segment,
            joined: false,
        });
    }

    fn close(&mut self, next: usize) {
        let Some(frame) = self.frames.pop() else { return };
        // The arm that is not there is taken when the condition does not hold.
        let joined = frame.joined || (frame.kind == Kind::If && frame.entered.is_some());
        if joined {
            self.begin(next, frame.entered, false);
        }
    }

    fn branch(&mut self, depth: u32) {
        if self.segment.is_none() {
            return;
        }
        let target = self.frames.iter_mut().nth_back(depth as usize);
        if let Some(frame) = target {
            // A branch to a loop goes to its beginning.
            frame.joined |= frame.kind != Kind::Loop;
        }
    }
}
