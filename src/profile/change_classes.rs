//! What a change of widths costs, judged by like changes of other layers.

use std::collections::HashMap;

use super::problem::{Problem, ProducerLayout};

/// What changes must share to be judged by each other.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ChangeKind {
    op: String,
    dtype: String,
    depthwise: bool,
    grouped: bool,
    pointwise: bool,
    plain_feed: bool,
    /// The largest block that divides each width, before and after: input, output.
    blocks: [[usize; 2]; 2],
}

/// Changes that were timed, by their kind.
#[derive(Clone, Debug, Default)]
pub struct ChangeClasses {
    /// The logarithms of what the time and what the work was multiplied by.
    seen: HashMap<ChangeKind, Vec<(f64, f64)>>,
}

/// A judgement needs so many like changes.
const FEW: usize = 3;
/// Layers of one kind differ by at least this much (standard deviation of the logarithm).
const LEAST_SPREAD: f64 = 0.04;

impl ChangeClasses {
    /// Takes in what a change did to a layer's time.
    pub fn observe(&mut self, before: &Problem, after: &Problem, times: (f64, f64)) {
        if times.0 > 0.0 && times.1 > 0.0 {
            let change = ((times.1 / times.0).ln(), growth(before, after));
            self.seen.entry(kind(before, after)).or_default().push(change);
        }
    }

    /// The time after over the time before, as a logarithm: its mean and standard deviation for a further layer of this kind.
    /// Where both widths change and too few such changes were seen, one width after the other is judged. `None` when too few
    /// of these were seen either.
    ///
    /// Such changes multiply the time by one factor (where what is added is free), or by one factor besides that of the work:
    /// whichever those seen agree on better.
    pub fn judge(&self, before: &Problem, after: &Problem) -> Option<(f64, f64)> {
        self.directly(before, after).or_else(|| {
            let between = before.at(after.cin, before.cout);
            if between == *before || between == *after || before.is_depthwise() {
                return None;
            }
            let (input, output) = (self.directly(before, &between)?, self.directly(&between, after)?);
            Some((input.0 + output.0, input.1.hypot(output.1)))
        })
    }

    fn directly(&self, before: &Problem, after: &Problem) -> Option<(f64, f64)> {
        let seen = self.seen.get(&kind(before, after)).filter(|s| s.len() >= FEW)?;
        let n = seen.len() as f64;
        let of = |share: f64| {
            let rest = |c: &(f64, f64)| c.0 - share * c.1;
            let mean = seen.iter().map(rest).sum::<f64>() / n;
            let variance = seen.iter().map(|c| (rest(c) - mean).powi(2)).sum::<f64>() / (n - 1.0);
            let spread = variance.sqrt().max(LEAST_SPREAD) * (1.0 + 1.0 / n).sqrt();
            (mean + share * growth(before, after), spread)
        };
        let (free, paid) = (of(0.0), of(1.0));
        Some(if free.1 < paid.1 { free } else { paid })
    }
}

/// The logarithm of the growth of the work.
fn growth(before: &Problem, after: &Problem) -> f64 {
    let work = |p: &Problem| (p.cin * p.cout / p.groups.max(1)).max(1) as f64;
    (work(after) / work(before)).ln()
}

/// The kind of a change.
pub fn kind(before: &Problem, after: &Problem) -> ChangeKind {
    let block = |width: usize| [16, 8, 4].into_iter().find(|b| width.is_multiple_of(*b)).unwrap_or(1);
    // Of a width that stays it matters whether it is in blocks at all.
    let blocks = |a: usize, b: usize| {
        if a == b {
            [block(a).min(4); 2]
        } else {
            [block(a), block(b)]
        }
    };
    ChangeKind {
        op: before.op.clone(),
        dtype: before.dtype.clone(),
        depthwise: before.is_depthwise(),
        grouped: before.groups > 1,
        pointwise: before.kernel.iter().all(|&k| k == 1),
        plain_feed: before.producer_layout != ProducerLayout::Input,
        blocks: [blocks(before.cin, after.cin), blocks(before.cout, after.cout)],
    }
}

#[cfg(test)]
mod tests {
    use super::{ChangeClasses, Problem};

    fn layer(cin: usize, cout: usize) -> Problem {
        Problem::plain(cin, cout, 14)
    }

    #[test]
    fn like_changes_are_judged_by_each_other_and_others_are_not() {
        let mut change_classes = ChangeClasses::default();
        let (before, after) = (layer(64, 56), layer(64, 64));
        assert_eq!(change_classes.judge(&before, &after), None);
        // From a multiple of 8 to one of 16, at four sizes: as fast as before.
        for n in [1, 2, 3, 5] {
            change_classes.observe(&layer(64, 64 * n - 8), &layer(64, 64 * n), (n as f64, n as f64 * 1.01));
        }
        let (mean, spread) = change_classes.judge(&before, &after).unwrap();
        assert!(mean.abs() < 0.12 && spread < 0.12, "{mean} {spread}");
        assert_eq!(change_classes.judge(&layer(64, 60), &after), None);
        // Both sides at once: one after the other.
        for n in [1, 2, 3] {
            change_classes.observe(&layer(64 * n - 8, 56), &layer(64 * n, 56), (n as f64, n as f64 * 1.02));
        }
        let (both, _) = change_classes.judge(&layer(56, 56), &layer(64, 64)).unwrap();
        assert!((both - mean).abs() < 0.2, "{both} {mean}");
    }

    #[test]
    fn what_only_adds_work_is_judged_slower() {
        let mut change_classes = ChangeClasses::default();
        for n in [1usize, 2, 3] {
            let work = (64 * n + 32) as f64 / (64 * n) as f64;
            change_classes.observe(&layer(64, 64 * n), &layer(64, 64 * n + 32), (1.0, work));
        }
        let (mean, spread) = change_classes.judge(&layer(64, 256), &layer(64, 288)).unwrap();
        assert!(mean - 2.0 * spread > 0.0, "{mean} {spread}");
    }
}
