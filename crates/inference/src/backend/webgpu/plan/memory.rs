//! Reusing buffers: values that are never alive at the same time share one.
//!
//! Steps run in order, so a value lives from the step that writes it to the last one that reads it. A value takes the
//! smallest free slot that holds it, or makes the largest free one grow, or opens a new one.

use super::{Buffer, Step};

/// Where each temporary value lives, and how large each place must be, in elements.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Slots {
    pub(crate) of_value: Vec<usize>,
    pub(crate) sizes: Vec<usize>,
}

/// Assigns slots. `elements` has the size of each temporary value; `outputs` are never reused.
pub(super) fn assign(steps: &[Step], elements: &[usize], outputs: &[Buffer]) -> Slots {
    let mut last_use = vec![0; elements.len()];
    for (time, step) in steps.iter().enumerate() {
        temporaries(step).for_each(|value| last_use[value] = time);
    }
    for output in outputs {
        if let Buffer::Temp(value) = output {
            last_use[*value] = usize::MAX;
        }
    }
    let mut slots = Slots {
        of_value: vec![usize::MAX; elements.len()],
        sizes: Vec::new(),
    };
    let mut free: Vec<usize> = Vec::new();
    for (time, step) in steps.iter().enumerate() {
        // The written value is placed while the read ones still hold their slots: no step reads what it writes.
        if let Some(&Buffer::Temp(written)) = step.bindings.last()
            && slots.of_value[written] == usize::MAX
        {
            slots.of_value[written] = place(&mut free, &mut slots.sizes, elements[written]);
        }
        let mut ended: Vec<usize> = temporaries(step)
            .filter(|&value| last_use[value] == time)
            .map(|value| slots.of_value[value])
            .collect();
        ended.sort_unstable();
        ended.dedup();
        free.extend(ended);
    }
    slots
}

fn place(free: &mut Vec<usize>, sizes: &mut Vec<usize>, wanted: usize) -> usize {
    let fits = |slot: &usize| (sizes[*slot] < wanted, sizes[*slot].abs_diff(wanted));
    let Some(best) = (0..free.len()).min_by_key(|&at| fits(&free[at])) else {
        sizes.push(wanted);
        return sizes.len() - 1;
    };
    let slot = free.swap_remove(best);
    sizes[slot] = sizes[slot].max(wanted);
    slot
}

fn temporaries(step: &Step) -> impl Iterator<Item = usize> + '_ {
    step.bindings.iter().filter_map(|buffer| match buffer {
        Buffer::Temp(value) => Some(*value),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(reads: &[usize], writes: usize) -> Step {
        Step {
            label: String::new(),
            source: String::new(),
            bindings: reads
                .iter()
                .chain([&writes])
                .map(|&value| Buffer::Temp(value))
                .collect(),
            groups: [1; 3],
            group_work: 1,
            moving: String::new(),
            pieces: Vec::new(),
        }
    }

    #[test]
    fn a_chain_needs_two_slots() {
        let steps = [step(&[], 0), step(&[0], 1), step(&[1], 2), step(&[2], 3)];
        let slots = assign(&steps, &[4, 8, 4, 8], &[Buffer::Temp(3)]);
        assert_eq!(slots.of_value, [0, 1, 0, 1]);
        assert_eq!(slots.sizes, [4, 8]);
    }

    #[test]
    fn what_is_read_later_keeps_its_slot() {
        let steps = [step(&[], 0), step(&[0], 1), step(&[1], 2), step(&[0, 2], 3)];
        let slots = assign(&steps, &[4; 4], &[Buffer::Temp(3)]);
        assert_eq!(slots.of_value, [0, 1, 2, 1]);
    }
}
