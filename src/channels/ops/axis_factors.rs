//! Axes that merge and split: two shapes of the same elements cut into stretches, and these into common factors.

/// A stretch of input axes and the stretch of output axes with the same elements.
#[derive(Debug, PartialEq)]
pub(super) struct Stretch {
    pub ins: Vec<usize>,
    pub outs: Vec<usize>,
}

/// Cuts both shapes into stretches of equal products; axes of size 1 are left out.
pub(super) fn stretches(dx: &[usize], dy: &[usize]) -> Option<Vec<Stretch>> {
    let solid = |d: &[usize]| (0..d.len()).filter(|&a| d[a] != 1).collect::<Vec<_>>();
    let (ins, outs) = (solid(dx), solid(dy));
    let (mut i, mut j) = (0, 0);
    let mut found = Vec::new();
    while i < ins.len() && j < outs.len() {
        let (mut a, mut b) = (dx[ins[i]], dy[outs[j]]);
        let (from_i, from_j) = (i, j);
        (i, j) = (i + 1, j + 1);
        while a != b {
            if a < b {
                a = a.checked_mul(dx[*ins.get(i)?])?;
                i += 1;
            } else {
                b = b.checked_mul(dy[*outs.get(j)?])?;
                j += 1;
            }
        }
        found.push(Stretch {
            ins: ins[from_i..i].to_vec(),
            outs: outs[from_j..j].to_vec(),
        });
    }
    (i == ins.len() && j == outs.len()).then_some(found)
}

/// A common factor of a stretch: its size, and the axis it is part of on each side.
#[derive(Clone, Debug)]
pub(super) struct AxisFactor {
    pub size: usize,
    pub in_axis: usize,
    pub out_axis: usize,
}

pub(super) fn factors(stretch: &Stretch, dx: &[usize], dy: &[usize]) -> Option<Vec<AxisFactor>> {
    let mut found = Vec::new();
    let (mut i, mut j) = (0, 0);
    let (mut a, mut b) = (dx[stretch.ins[0]], dy[stretch.outs[0]]);
    loop {
        let size = if a <= b { a } else { b };
        if size == 0 || a % size != 0 || b % size != 0 {
            return None;
        }
        found.push(AxisFactor {
            size,
            in_axis: stretch.ins[i],
            out_axis: stretch.outs[j],
        });
        (a, b) = (a / size, b / size);
        if a == 1 {
            i += 1;
            a = stretch.ins.get(i).map_or(1, |&axis| dx[axis]);
        }
        if b == 1 {
            j += 1;
            b = stretch.outs.get(j).map_or(1, |&axis| dy[axis]);
        }
        if i == stretch.ins.len() || j == stretch.outs.len() {
            let done = i == stretch.ins.len() && j == stretch.outs.len();
            return done.then_some(found);
        }
    }
}

/// The indices of `axis` that belong to index `k` of the carrier.
pub(super) fn block(
    all: &[AxisFactor],
    carrier: usize,
    axis: usize,
    side: fn(&AxisFactor) -> usize,
    k: usize,
) -> Vec<usize> {
    let mine: Vec<usize> = (0..all.len()).filter(|&f| side(&all[f]) == axis).collect();
    let product = |range: &mut dyn Iterator<Item = &usize>| range.map(|&f| all[f].size).product::<usize>();
    let before = product(&mut mine.iter().filter(|&&f| f < carrier));
    let after = product(&mut mine.iter().filter(|&&f| f > carrier));
    let size = all[carrier].size;
    (0..before)
        .flat_map(|p| (0..after).map(move |q| (p * size + k) * after + q))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{Stretch, block, factors, stretches};

    #[test]
    fn a_shuffle_splits_channels_into_group_and_place() {
        let (dx, dy) = ([1, 6, 4, 4], [1, 2, 3, 4, 4]);
        let all = stretches(&dx, &dy).unwrap_or_default();
        assert_eq!(
            all[0],
            Stretch {
                ins: vec![1],
                outs: vec![1, 2]
            }
        );
        assert_eq!(all.len(), 3);
        let parts = factors(&all[0], &dx, &dy).unwrap_or_default();
        assert_eq!(parts.iter().map(|f| f.size).collect::<Vec<_>>(), [2, 3]);
        assert_eq!(block(&parts, 1, 1, |f| f.in_axis, 0), [0, 3]);
        assert_eq!(block(&parts, 1, 2, |f| f.out_axis, 2), [2]);
    }

    #[test]
    fn flatten_gives_each_channel_its_block() {
        let (dx, dy) = ([2, 3, 2, 2], [2, 12]);
        let all = stretches(&dx, &dy).unwrap_or_default();
        let parts = factors(&all[1], &dx, &dy).unwrap_or_default();
        assert_eq!(block(&parts, 0, 1, |f| f.out_axis, 1), [4, 5, 6, 7]);
    }

    #[test]
    fn shapes_that_share_no_factors_are_refused() {
        let all = stretches(&[4, 9], &[6, 6]).unwrap_or_default();
        assert_eq!(all.len(), 1);
        assert!(factors(&all[0], &[4, 9], &[6, 6]).is_none());
    }
}
