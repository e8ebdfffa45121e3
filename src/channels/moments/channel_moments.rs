//! What is guessed of one value: a distribution for every channel.

use std::cell::Cell;

/// Mean and variance of one channel.
pub type Guess = (f64, f64);

/// Places on a normal variable from −4.8 to 4.8 deviations, a tenth apart.
pub const PLACES: usize = 97;

/// A place in deviations, and the share of the normal distribution around it.
pub fn place(at: usize) -> (f64, f64) {
    let z = 0.1 * at as f64 - 4.8;
    (z, 0.1 * (-0.5 * z * z).exp() / (2.0 * std::f64::consts::PI).sqrt())
}

/// Channels on one axis, each as a function of a normal variable of its own, known at [`PLACES`] places. Values with one
/// source are functions of the same variables: x · sigmoid(x) is no product of independent numbers.
#[derive(Clone, Debug)]
pub struct ChannelMoments {
    /// The axis of the channels.
    pub axis: usize,
    source: usize,
    grid: Vec<f64>,
}

thread_local! {
    static SOURCES: Cell<usize> = const { Cell::new(0) };
}

fn new_source() -> usize {
    SOURCES.with(|s| s.replace(s.get() + 1))
}

impl ChannelMoments {
    /// Normal variables that depend on nothing else.
    pub fn normal(axis: usize, channels: &[Guess]) -> Self {
        let mut grid = Vec::with_capacity(channels.len() * PLACES);
        for &(mean, variance) in channels {
            let deviation = variance.max(0.0).sqrt();
            grid.extend((0..PLACES).map(|at| mean + deviation * place(at).0));
        }
        Self {
            axis,
            source: new_source(),
            grid,
        }
    }

    /// How many channels.
    pub fn channels(&self) -> usize {
        self.grid.len() / PLACES
    }

    /// Mean and variance of every channel; `None` when one is no number.
    pub fn moments(&self) -> Option<Vec<Guess>> {
        let one = |channel: &[f64]| {
            let sum = |f: &dyn Fn(f64) -> f64| -> f64 {
                channel
                    .iter()
                    .enumerate()
                    .map(|(at, &x)| place(at).1 * f(x))
                    .sum::<f64>()
            };
            let whole = sum(&|_| 1.0);
            let mean = sum(&|x| x) / whole;
            let variance = sum(&|x| (x - mean).powi(2)) / whole;
            (mean.is_finite() && variance.is_finite()).then_some((mean, variance))
        };
        self.grid.chunks_exact(PLACES).map(one).collect()
    }

    /// The same channels with a function applied.
    pub fn map(&self, f: &dyn Fn(f64) -> f64) -> Self {
        Self {
            grid: self.grid.iter().map(|&x| f(x)).collect(),
            ..self.clone()
        }
    }

    /// The same channels with a function of a number of each channel applied.
    pub fn map_with(&self, numbers: &[f64], f: &dyn Fn(f64, f64) -> f64) -> Self {
        let mut copy = self.clone();
        for (channel, &k) in copy.grid.chunks_exact_mut(PLACES).zip(numbers) {
            channel.iter_mut().for_each(|x| *x = f(*x, k));
        }
        copy
    }

    /// A function of two values of one source, place by place; `None` where their sources or channels are not the same.
    pub fn zip(&self, other: &Self, f: &dyn Fn(f64, f64) -> f64) -> Option<Self> {
        let same = self.source == other.source && self.axis == other.axis && self.grid.len() == other.grid.len();
        same.then(|| Self {
            grid: self.grid.iter().zip(&other.grid).map(|(&a, &b)| f(a, b)).collect(),
            ..self.clone()
        })
    }

    /// The channels on another axis.
    pub fn on_axis(self, axis: usize) -> Self {
        Self { axis, ..self }
    }

    /// Some of the channels, as variables of their own.
    pub fn picked(&self, channels: impl Iterator<Item = usize>) -> Option<Self> {
        let mut grid = Vec::new();
        for c in channels {
            grid.extend_from_slice(self.grid.get(c * PLACES..(c + 1) * PLACES)?);
        }
        Some(Self {
            axis: self.axis,
            source: new_source(),
            grid,
        })
    }

    /// Several values' channels side by side.
    pub fn joined(parts: &[Self]) -> Option<Self> {
        Some(Self {
            axis: parts.first()?.axis,
            source: new_source(),
            grid: parts.iter().flat_map(|p| p.grid.iter().copied()).collect(),
        })
    }

    /// One channel that is each of these as often as the others.
    pub fn pooled(&self) -> Option<Guess> {
        Some(pooled(&self.moments()?))
    }
}

/// The moments of a number that is each of these as often as the others.
pub fn pooled(all: &[Guess]) -> Guess {
    let n = all.len().max(1) as f64;
    let mean = all.iter().map(|g| g.0).sum::<f64>() / n;
    let second = all.iter().map(|g| g.0 * g.0 + g.1).sum::<f64>() / n;
    (mean, (second - mean * mean).max(0.0))
}

/// Moments of `channels` channels on an axis; those of a value whose channels are on another axis are the same for all.
pub fn on_axis((own, moments): &(usize, Vec<Guess>), axis: usize, channels: usize) -> Option<Vec<Guess>> {
    if *own == axis {
        return Some(moments.clone()).filter(|m| m.len() == channels);
    }
    Some(vec![pooled(moments); channels])
}
