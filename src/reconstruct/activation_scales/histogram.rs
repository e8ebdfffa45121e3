//! Which range of values integers should hold.

/// The least and the greatest of some values, zero included.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Reach {
    pub low: f32,
    pub high: f32,
}

impl Reach {
    /// `None` where no value is a finite number.
    pub fn of(values: &[f32]) -> Option<Self> {
        let finite = values.iter().copied().filter(|v| v.is_finite());
        finite.fold(None, |reach: Option<Self>, v| {
            let all = reach.unwrap_or(Self { low: 0.0, high: 0.0 });
            Some(all.with(Self { low: v, high: v }))
        })
    }

    /// Both together.
    pub fn with(self, other: Self) -> Self {
        Self {
            low: self.low.min(other.low),
            high: self.high.max(other.high),
        }
    }
}

/// Bins of a histogram.
const BINS: usize = 2048;
/// The share of the values that percentiles leave out, of both ends together.
const LEFT_OUT: f64 = 1e-4;
/// Ranges by entropy differ by so many bins.
const STRIDE: usize = 8;

/// How many values lie where in a range.
#[derive(Clone, Debug)]
pub(super) struct Histogram {
    over: Reach,
    bins: Vec<u64>,
}

impl Histogram {
    /// An empty one.
    pub fn over(over: Reach) -> Self {
        Self {
            over,
            bins: vec![0; BINS],
        }
    }

    fn width(&self) -> f64 {
        (f64::from(self.over.high) - f64::from(self.over.low)) / BINS as f64
    }

    /// Counts the finite values.
    pub fn add(&mut self, values: &[f32]) {
        let width = self.width();
        if width <= 0.0 {
            return;
        }
        for v in values.iter().filter(|v| v.is_finite()) {
            let at = ((f64::from(*v) - f64::from(self.over.low)) / width) as usize;
            if let Some(bin) = self.bins.get_mut(at.min(BINS - 1)) {
                *bin += 1;
            }
        }
    }

    /// The range without the outermost values on both sides.
    pub fn by_percentile(&self) -> Reach {
        let all: u64 = self.bins.iter().sum();
        let most = (LEFT_OUT / 2.0 * all as f64) as u64;
        let empty = |bins: &mut dyn Iterator<Item = &u64>| {
            let mut sum = 0;
            bins.take_while(|n| {
                sum += **n;
                sum <= most
            })
            .count()
        };
        let below = empty(&mut self.bins.iter());
        let above = empty(&mut self.bins.iter().rev());
        let (low, width) = (f64::from(self.over.low), self.width());
        let reach = Reach {
            low: (low + below as f64 * width) as f32,
            high: (low + (BINS - above.min(BINS)) as f64 * width) as f32,
        };
        self.within(reach)
    }

    /// The range to both sides of zero whose histogram in integers, `levels` of them, diverges least from that of the values.
    pub fn by_entropy(&self, levels: usize) -> Reach {
        let far = f64::from(self.over.high.max(-self.over.low));
        if far <= 0.0 {
            return self.over;
        }
        let (low, width) = (f64::from(self.over.low), self.width());
        let mut sizes = vec![0.0; BINS];
        for (at, &n) in self.bins.iter().enumerate() {
            let size = (low + (at as f64 + 0.5) * width).abs();
            if let Some(bin) = sizes.get_mut(((size / far * BINS as f64) as usize).min(BINS - 1)) {
                *bin += n as f64;
            }
        }
        // Values of one sign have all integers to themselves.
        let one_sided = self.over.low == 0.0 || self.over.high == 0.0;
        let levels = (if one_sided { levels } else { levels / 2 }).clamp(1, BINS);
        let first = levels.max(STRIDE);
        let divergences = (first..=BINS)
            .rev()
            .step_by(STRIDE)
            .map(|n| (n, divergence(&sizes, n, levels)));
        let best = divergences.min_by(|a, b| a.1.total_cmp(&b.1));
        let reached = best.map_or(far, |(n, _)| far * n as f64 / BINS as f64) as f32;
        self.within(Reach {
            low: -reached,
            high: reached,
        })
    }

    /// A range that reaches no further than the values, with zero in it.
    fn within(&self, reach: Reach) -> Reach {
        Reach {
            low: reach.low.max(self.over.low).min(0.0),
            high: reach.high.min(self.over.high).max(0.0),
        }
    }
}

/// The divergence of the first `n` bins in `levels` integers from all bins, those behind counted into the last one of them.
fn divergence(bins: &[f64], n: usize, levels: usize) -> f64 {
    let (inner, outer) = bins.split_at(n.min(bins.len()));
    let beyond: f64 = outer.iter().sum();
    let total: f64 = bins.iter().sum();
    let within: f64 = inner.iter().sum();
    if within <= 0.0 {
        return f64::INFINITY;
    }
    let mut sum = 0.0;
    for level in 0..levels {
        let part = &inner[level * n / levels..(level + 1) * n / levels];
        let filled = part.iter().filter(|v| **v > 0.0).count().max(1);
        let each = part.iter().sum::<f64>() / filled as f64;
        let last = level + 1 == levels;
        for (k, &v) in part.iter().enumerate() {
            let end = last && k + 1 == part.len();
            let p = (v + if end { beyond } else { 0.0 }) / total;
            if p > 0.0 {
                // What the integers do not tell from nothing counts as if it were one value.
                let q = if v > 0.0 { each / within } else { 1.0 / total / total };
                sum += p * (p / q).ln();
            }
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::{Histogram, Reach};

    fn normal(count: usize, seed: u64) -> Vec<f32> {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut one = || (0..12).map(|_| random.f32()).sum::<f32>() - 6.0;
        (0..count).map(|_| one()).collect()
    }

    fn filled(values: &[f32]) -> Option<Histogram> {
        let mut histogram = Histogram::over(Reach::of(values)?);
        histogram.add(values);
        Some(histogram)
    }

    #[test]
    fn a_lone_value_far_out_is_left_out() -> Result<(), &'static str> {
        let mut values = normal(200_000, 1);
        values.push(80.0);
        let histogram = filled(&values).ok_or("no values")?;
        assert_eq!(histogram.over.high, 80.0);
        for reach in [histogram.by_percentile(), histogram.by_entropy(256)] {
            assert!(reach.high > 2.5 && reach.high < 12.0, "{reach:?}");
            assert!(reach.low < -2.5 && reach.low >= histogram.over.low, "{reach:?}");
        }
        Ok(())
    }

    #[test]
    fn evenly_spread_values_keep_nearly_all_of_their_range() -> Result<(), &'static str> {
        let mut random = fastrand::Rng::with_seed(2);
        let values: Vec<f32> = (0..100_000).map(|_| 3.0 * random.f32()).collect();
        let histogram = filled(&values).ok_or("no values")?;
        for reach in [histogram.by_percentile(), histogram.by_entropy(256)] {
            assert!(reach.high > 2.9 && reach.high <= 3.0 && reach.low == 0.0, "{reach:?}");
        }
        Ok(())
    }

    #[test]
    fn values_without_a_range_have_none() -> Result<(), &'static str> {
        assert_eq!(Reach::of(&[f32::NAN, f32::INFINITY]), None);
        let zeros = filled(&[0.0; 9]).ok_or("no values")?;
        let nothing = Reach { low: 0.0, high: 0.0 };
        assert_eq!((zeros.by_percentile(), zeros.by_entropy(256)), (nothing, nothing));
        let one = filled(&[2.0; 9]).ok_or("no values")?;
        assert_eq!(one.by_percentile(), Reach { low: 0.0, high: 2.0 });
        Ok(())
    }
}
