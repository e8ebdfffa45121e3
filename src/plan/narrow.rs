//! The widths that a group may be narrowed to.

use super::estimate::Estimate;
use crate::channels::Group;

/// Options of a group when it is only narrowed on blocks, and when MACs or parameters count.
const COARSE: usize = 7;
const FINE: usize = 16;
/// A wider layer that is faster by less than this share does not speak against a width.
const SLACK: f64 = 0.05;

/// Which widths are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grid {
    /// Multiples of a block.
    Blocks,
    /// Widths between blocks too.
    Fine,
}

/// When a width is free of a tail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TailFilter {
    /// Each wider one is slower beyond the noise.
    WiderSlower,
    /// No wider one is faster by more than 5 %.
    WiderNotFaster,
}

/// Channel counts below the present one, down to `least_width` indices, ascending: multiples of a block such that there
/// are not too many of them, and what the grid has besides.
pub fn narrower(group: &Group, least_width: usize, grid: Grid) -> Vec<usize> {
    let (count, unit) = (group.classes.len(), group.unit);
    let width = group.width();
    let mut found: Vec<usize> = Vec::new();
    let mut add = |wide: usize| {
        if wide.is_multiple_of(unit) && wide >= least_width.max(1) && wide < width {
            found.push(wide / unit);
        }
    };
    for block in [4, 8, 16, 32, 64, 128, 256] {
        if width / block <= COARSE || block == 256 {
            (1..=width / block).for_each(|k| add(k * block));
            break;
        }
    }
    if grid == Grid::Fine {
        let step = width.div_ceil(FINE).max(1);
        (1..=width / step).for_each(|k| add(k * step));
        // Papers remove equal shares; multiples of 8 are on most machines' blocks.
        (1..=width / 8)
            .filter(|k| k * 8 * FINE > width || width <= 128)
            .for_each(|k| add(k * 8));
    }
    found.retain(|&n| n >= 1 && n < count);
    found.sort_unstable();
    found.dedup();
    if found.len() > 2 * FINE {
        let every = found.len().div_ceil(2 * FINE);
        found = found.into_iter().rev().step_by(every).collect();
        found.sort_unstable();
    }
    found
}

/// Which of some widths (ascending, by their times) are worth taking.
pub fn without_tail(times: &[Estimate], filter: TailFilter) -> Vec<bool> {
    (0..times.len())
        .map(|i| {
            let own = &times[i];
            times[i + 1..].iter().all(|wider| {
                let noise = own.noise_to(wider);
                match filter {
                    TailFilter::WiderSlower => wider.ms > own.ms + noise,
                    TailFilter::WiderNotFaster => wider.ms >= own.ms * (1.0 - SLACK) - noise,
                }
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{Estimate, Grid, TailFilter, narrower, without_tail};
    use crate::plan::candidates::tests::group;

    #[test]
    fn widths_are_on_blocks_and_not_too_many() {
        assert_eq!(narrower(&group(64), 1, Grid::Blocks), [16, 32, 48]);
        assert_eq!(narrower(&group(512), 200, Grid::Blocks), [256, 384]);
        assert_eq!(narrower(&group(24), 1, Grid::Blocks), [4, 8, 12, 16, 20]);
        let fine = narrower(&group(16), 1, Grid::Fine);
        assert_eq!(fine, (1..16).collect::<Vec<_>>());
        assert!(narrower(&group(960), 1, Grid::Fine).len() <= 32);
    }

    #[test]
    fn a_width_with_a_tail_is_left_out() {
        // Width by width: 1.0, 1.0 (a plateau), 0.9 (a wider one is faster), 1.5.
        let times = [1.0, 1.0, 0.9, 1.5].map(|ms| Estimate { ms, noise: 0.0 });
        assert_eq!(
            without_tail(&times, TailFilter::WiderSlower),
            [false, false, true, true]
        );
        assert_eq!(
            without_tail(&times, TailFilter::WiderNotFaster),
            [false, false, true, true]
        );
        assert_eq!(without_tail(&times[..2], TailFilter::WiderNotFaster), [true, true]);
    }
}
