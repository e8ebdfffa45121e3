//! The widths worth measuring for each group.

use std::collections::BTreeMap;

use crate::channels::{Analysis, Group};

/// Candidate channel counts by group number; the present count comes first.
pub type Candidates = BTreeMap<usize, Vec<usize>>;

/// Block sizes at which processors change speed: SIMD lanes on CPUs, tiles on GPUs.
const BLOCKS: [usize; 5] = [4, 8, 16, 32, 64];

/// Odd widths are looked at from so many channels on: narrower layers are rarely those of small maps.
const ODD_FROM: usize = 512;

/// Which wider widths are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WiderWidths {
    /// The next multiples of each block.
    Blocks,
    /// Also the next odd width: cuDNN has kernels for odd widths that do without a change of the layout, and they win where maps
    /// are small (2022 channels at 7×7 take 0.7 of what 2024 take on an H100). Narrow layers may grow to the next multiple of 32, however far that
    /// is: what they compute takes next to nothing beside what it takes to start a kernel.
    BlocksAndOdd,
}

/// Candidates for every group that may change: rounded up to each block where the group may grow, and down
/// where `spare` channels may go.
pub fn candidates(analysis: &Analysis, spare: &dyn Fn(usize) -> usize, wider: WiderWidths) -> Candidates {
    let changing = analysis.groups.iter().filter(|g| g.may_change());
    changing
        .filter_map(|group| {
            let counts = of_group(group, spare(group.id), wider);
            (counts.len() > 1).then_some((group.id, counts))
        })
        .collect()
}

fn of_group(group: &Group, spare: usize, wider: WiderWidths) -> Vec<usize> {
    let (count, unit) = (group.classes.len(), group.unit);
    let width = group.width();
    let mut counts = vec![count];
    let mut add = |wide: usize| {
        if wide.is_multiple_of(unit) && wide > 0 && !counts.contains(&(wide / unit)) {
            counts.push(wide / unit);
        }
    };
    if spare > 0 && group.constraint.is_none() {
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
        let narrow = match wider {
            WiderWidths::Blocks if width < 6 => 8,
            WiderWidths::Blocks => 16,
            WiderWidths::BlocksAndOdd => width.next_multiple_of(32),
        };
        let limit = (width + width / 3).max(narrow);
        for block in BLOCKS {
            let wide = width.next_multiple_of(block);
            if wide > width && wide <= limit {
                add(wide);
            }
        }
        if wider == WiderWidths::BlocksAndOdd && width >= ODD_FROM {
            add(width + 1 + width % 2);
        }
    }
    counts
}

#[cfg(test)]
pub(super) mod tests {
    use super::{WiderWidths, of_group};
    use crate::channels::{Constraint, Group, NewChannels};

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
            new_channels: NewChannels::Anywhere,
            no_growth: None,
        }
    }

    #[test]
    fn misaligned_widths_may_grow_to_the_next_blocks() {
        assert_eq!(of_group(&group(86), 0, WiderWidths::Blocks), [86, 88, 96]);
        assert_eq!(of_group(&group(130), 0, WiderWidths::Blocks), [130, 132, 136, 144, 160]);
    }

    #[test]
    fn the_next_odd_width_is_one_more_where_it_is_wanted() {
        let with_odd = |n| of_group(&group(n), 0, WiderWidths::BlocksAndOdd);
        assert_eq!(with_odd(64), [64]);
        assert_eq!(with_odd(1024), [1024, 1025]);
        assert_eq!(with_odd(2021), [2021, 2024, 2032, 2048, 2023]);
    }

    #[test]
    fn narrow_layers_may_grow_further_on_a_gpu() {
        let of = |n, wider| of_group(&group(n), 0, wider);
        assert_eq!(of(12, WiderWidths::Blocks), [12, 16]);
        assert_eq!(of(12, WiderWidths::BlocksAndOdd), [12, 16, 32]);
        assert_eq!(of(34, WiderWidths::BlocksAndOdd), [34, 36, 40, 48, 64]);
        assert_eq!(of(70, WiderWidths::BlocksAndOdd), [70, 72, 80, 96]);
    }

    #[test]
    fn widths_on_every_block_have_nowhere_to_go() {
        assert_eq!(of_group(&group(64), 0, WiderWidths::Blocks), [64]);
    }

    #[test]
    fn a_width_that_grows_at_its_end_never_goes_down() {
        let held = Constraint {
            node: None,
            reason: "each channel is mixed with its neighbours".to_owned(),
            silent: false,
        };
        let mut group = Group {
            constraint: Some(held),
            new_channels: NewChannels::AtEnd,
            ..group(19)
        };
        assert_eq!(of_group(&group, 10, WiderWidths::Blocks), [19, 20, 24]);
        group.new_channels = NewChannels::Nowhere;
        assert_eq!(of_group(&group, 10, WiderWidths::Blocks), [19]);
    }

    #[test]
    fn spare_channels_may_go_down_to_the_blocks_below() {
        assert_eq!(of_group(&group(64), 20, WiderWidths::Blocks), [64, 44, 48]);
        assert_eq!(of_group(&group(3), 5, WiderWidths::Blocks), [3, 1, 4, 8]);
    }
}
