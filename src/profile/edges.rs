//! Finding the latency steps of a layer with few probes.

use std::collections::BTreeMap;

use crate::Result;

/// A time and the half-width of its 95 % interval, milliseconds.
pub type Time = (f64, f64);

/// Times a list of widths.
pub type TimeWidths<'t> = &'t mut dyn FnMut(&[usize]) -> Result<Vec<Time>>;

/// Two neighbours are on one plateau when their times differ by no more than this, or than their noise.
const EQUAL: f64 = 0.02;

/// Times at most `budget` of `widths` (ascending) so that the steps are between neighbours that were timed:
/// `must`, the ends, and a coarse lattice of round widths first; then, until nothing is left to find, the roundest
/// width in the middle of those neighbours whose times differ most over the longest stretch. Between equal times
/// nothing is probed. Widths in `must` are timed whatever the budget.
///
/// # Errors
/// When a probe fails.
pub fn find_edges(widths: &[usize], must: &[usize], budget: usize, time: TimeWidths) -> Result<BTreeMap<usize, Time>> {
    let mut known = BTreeMap::new();
    let mut probe = |wanted: &[usize], known: &mut BTreeMap<usize, Time>| -> Result<()> {
        for (&w, t) in wanted.iter().zip(time(wanted)?) {
            known.insert(w, t);
        }
        Ok(())
    };
    let mut first: Vec<usize> = must.to_vec();
    for w in coarse(widths, budget.saturating_sub(must.len())) {
        if !first.contains(&w) {
            first.push(w);
        }
    }
    probe(&first, &mut known)?;
    while known.len() < budget {
        let mut open: Vec<(f64, usize)> = Vec::new();
        let timed: Vec<(usize, Time)> = known.iter().map(|(&w, &t)| (w, t)).collect();
        for pair in timed.windows(2) {
            let ((a, ta), (b, tb)) = (pair[0], pair[1]);
            let step = (tb.0 - ta.0).abs();
            let equal = step <= EQUAL * ta.0.min(tb.0) || step <= ta.1.hypot(tb.1);
            if let Some(middle) = between(widths, a, b).filter(|_| !equal) {
                open.push((step * (b - a) as f64, middle));
            }
        }
        open.sort_by(|x, y| y.0.total_cmp(&x.0).then(x.1.cmp(&y.1)));
        let room = (budget - known.len()).div_ceil(2);
        let next: Vec<usize> = open.into_iter().take(room).map(|(_, w)| w).collect();
        if next.is_empty() {
            break;
        }
        probe(&next, &mut known)?;
    }
    Ok(known)
}

/// Multiples of the largest block of which there are a few, without more than `most` of them.
fn coarse(widths: &[usize], most: usize) -> Vec<usize> {
    for block in [64, 32, 16, 8, 4, 2, 1] {
        let found: Vec<usize> = widths.iter().copied().filter(|w| w.is_multiple_of(block)).collect();
        if found.len() >= 2.min(most) || block == 1 {
            let every = found.len().div_ceil(most.max(1));
            // From the wide end: a step's right edge is where its width is.
            return found.iter().rev().step_by(every.max(1)).take(most).copied().collect();
        }
    }
    Vec::new()
}

/// The roundest width in the middle half between `a` and `b`; the one nearest to the middle of equals.
fn between(widths: &[usize], a: usize, b: usize) -> Option<usize> {
    let middle = (a + b) / 2;
    let quarter = (b - a) / 4;
    let inner = widths.iter().copied().filter(|&w| w > a && w < b);
    let central = inner.clone().filter(|&w| w >= a + quarter && w <= b - quarter);
    let roundest = |it: &mut dyn Iterator<Item = usize>| {
        it.max_by_key(|&w| (w.trailing_zeros().min(6), std::cmp::Reverse(w.abs_diff(middle))))
    };
    roundest(&mut central.into_iter()).or_else(|| roundest(&mut inner.into_iter()))
}

/// The fastest timed width that is at least `present`: ties within the noise go to the nearest.
pub fn fastest_from(known: &BTreeMap<usize, Time>, present: usize) -> Option<usize> {
    let mut best: Option<(usize, Time)> = None;
    for (&w, &t) in known.range(present..) {
        if best.is_none_or(|(_, b)| t.0 + t.1.hypot(b.1) < b.0) {
            best = Some((w, t));
        }
    }
    best.map(|(w, _)| w)
}

#[cfg(test)]
mod tests {
    use super::{Time, fastest_from, find_edges};
    use crate::Result;

    /// Times with steps of `block`, and a price for odd widths.
    fn stairs(block: usize, odd: f64) -> impl FnMut(&[usize]) -> Result<Vec<Time>> {
        move |widths| {
            let time = |&w: &usize| {
                let t = w.div_ceil(block) as f64 * if w.is_multiple_of(4) { 1.0 } else { odd };
                (t, 0.001)
            };
            Ok(widths.iter().map(time).collect())
        }
    }

    #[test]
    fn the_edge_behind_the_present_width_is_found_with_a_tenth_of_the_probes() -> Result<()> {
        let widths: Vec<usize> = (60..=260).collect();
        for (block, odd) in [(16, 1.0), (32, 1.3), (64, 1.2)] {
            let known = find_edges(&widths, &[130], 20, &mut stairs(block, odd))?;
            assert!(known.len() <= 20);
            let chosen = fastest_from(&known, 130).map(|w| w.div_ceil(block));
            assert_eq!(chosen, Some(130usize.div_ceil(block)), "block {block}");
        }
        Ok(())
    }

    #[test]
    fn nothing_is_probed_between_equal_times() -> Result<()> {
        let widths: Vec<usize> = (1..=256).collect();
        let known = find_edges(&widths, &[100], 40, &mut |w| Ok(vec![(1.0, 0.0); w.len()]))?;
        assert!(known.len() <= 22, "{}", known.len());
        Ok(())
    }

    #[test]
    fn a_budget_of_nothing_still_times_what_must_be() -> Result<()> {
        let known = find_edges(&[1, 2, 3], &[2], 0, &mut stairs(1, 1.0))?;
        assert_eq!(known.keys().copied().collect::<Vec<_>>(), [2]);
        Ok(())
    }
}
