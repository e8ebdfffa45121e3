//! The widths worth measuring for each group.

use std::collections::BTreeMap;

use crate::channels::{Analysis, Group};

/// Candidate channel counts by group number; the present count comes first.
pub type Candidates = BTreeMap<usize, Vec<usize>>;

/// Block sizes at which processors change speed: SIMD lanes on CPUs, tiles on GPUs.
const BLOCKS: [usize; 5] = [4, 8, 16, 32, 64];

/// Candidates for every unconstrained group: rounded up to each block where the group may grow, and down
/// where `spare` channels may go.
pub fn candidates(analysis: &Analysis, spare: &dyn Fn(usize) -> usize) -> Candidates {
    let unconstrained = analysis.groups.iter().filter(|g| g.constraint.is_none());
    unconstrained
        .filter_map(|group| {
            let counts = of_group(group, spare(group.id));
            (counts.len() > 1).then_some((group.id, counts))
        })
        .collect()
}

fn of_group(group: &Group, spare: usize) -> Vec<usize> {
    let (count, unit) = (group.classes.len(), group.unit);
    let width = group.width();
    let mut counts = vec![count];
    let mut add = |wide: usize| {
        if wide.is_multiple_of(unit) && wide > 0 && !counts.contains(&(wide / unit)) {
            counts.push(wide / unit);
        }
    };
    if spare > 0 {
        let least = (count - spare.min(count - 1)) * unit;
        for block in BLOCKS {
            for wide in [least.next_multiple_of(block), width / block * block] {
                if (least..width).contains(&wide) {
                    add(wide);
                }
            }
        }
        add(least);
    }
    if group.can_grow() {
        // Past a third more channels, or a SIMD block for the narrow, no plateau is that long.
        let limit = (width + width / 3).max(if width >= 6 { 16 } else { 8 });
        for block in BLOCKS {
            let wide = width.next_multiple_of(block);
            if wide > width && wide <= limit {
                add(wide);
            }
        }
    }
    counts
}

#[cfg(test)]
pub(super) mod tests {
    use super::of_group;
    use crate::channels::Group;

    /// An unconstrained group of one layer.
    pub(in crate::plan) fn group(channels: usize) -> Group {
        Group {
            id: 0,
            classes: (0..channels as u32).collect(),
            unit: 1,
            producers: vec![0],
            consumers: vec![1],
            places: vec![],
            constraint: None,
            no_growth: None,
        }
    }

    #[test]
    fn misaligned_widths_may_grow_to_the_next_blocks() {
        assert_eq!(of_group(&group(86), 0), [86, 88, 96]);
        assert_eq!(of_group(&group(130), 0), [130, 132, 136, 144, 160]);
    }

    #[test]
    fn widths_on_every_block_have_nowhere_to_go() {
        assert_eq!(of_group(&group(64), 0), [64]);
    }

    #[test]
    fn spare_channels_may_go_down_to_the_blocks_below() {
        assert_eq!(of_group(&group(64), 20), [64, 44, 48]);
        assert_eq!(of_group(&group(3), 5), [3, 1, 4, 8]);
    }
}
