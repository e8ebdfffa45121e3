//! Moments behind operators on single elements with two or more inputs, and bounds.

use super::channel_moments::{ChannelMoments, Guess, PLACES, place};
use super::constants::by_channel;
use super::input::MomentsInput;
use crate::onnx::Attributes;

type Function = fn(f64, f64) -> f64;

/// Sum of all inputs.
pub fn add(s: &MomentsInput) -> Option<ChannelMoments> {
    combined(s, |a, b| a + b, |x, y| Some((x.0 + y.0, x.1 + y.1)))
}

/// Mean of all inputs.
pub fn mean(s: &MomentsInput) -> Option<ChannelMoments> {
    let share = 1.0 / s.node.input.len().max(1) as f64;
    Some(add(s)?.map(&|x| share * x))
}

/// Difference.
pub fn sub(s: &MomentsInput) -> Option<ChannelMoments> {
    combined(s, |a, b| a - b, |x, y| Some((x.0 - y.0, x.1 + y.1)))
}

/// Product.
pub fn mul(s: &MomentsInput) -> Option<ChannelMoments> {
    let independent = |x: Guess, y: Guess| Some((x.0 * y.0, x.1 * y.1 + x.1 * y.0 * y.0 + y.1 * x.0 * x.0));
    combined(s, |a, b| a * b, independent)
}

/// Quotient.
pub fn div(s: &MomentsInput) -> Option<ChannelMoments> {
    let independent = |x: Guess, y: Guess| {
        // Only where the divisor keeps away from zero.
        let mean = x.0 / y.0;
        (y.1 < 0.1 * y.0 * y.0).then(|| (mean, (x.1 + mean * mean * y.1) / (y.0 * y.0)))
    };
    combined(s, |a, b| a / b, independent)
}

/// The greatest of all inputs.
pub fn max(s: &MomentsInput) -> Option<ChannelMoments> {
    combined(s, f64::max, |x, y| Some(both(x, y, f64::max)))
}

/// The least of all inputs.
pub fn min(s: &MomentsInput) -> Option<ChannelMoments> {
    combined(s, f64::min, |x, y| Some(both(x, y, f64::min)))
}

/// A power. Broken powers of negative numbers count as those of zero: a variable that is never negative has normal tails here.
pub fn pow(s: &MomentsInput) -> Option<ChannelMoments> {
    let power = |a: f64, b: f64| {
        if b.fract() == 0.0 {
            a.powf(b)
        } else {
            a.max(0.0).powf(b)
        }
    };
    combined(s, power, |_, _| None)
}

/// A rectifier whose slope for negative numbers is the second input.
pub fn prelu(s: &MomentsInput) -> Option<ChannelMoments> {
    const RECTIFIED: Function = |a, b| if a < 0.0 { a * b } else { a };
    combined(s, RECTIFIED, |x, y| Some(both(x, y, RECTIFIED)))
}

/// Between two bounds.
pub fn clipped(s: &MomentsInput) -> Option<ChannelMoments> {
    let bound = |attribute: &str, at: usize, none: f64| -> Option<f64> {
        if let Some(v) = s.node.attr(attribute).and_then(|a| a.f) {
            return Some(f64::from(v));
        }
        match s.node.input.get(at).filter(|n| !n.is_empty()) {
            None => Some(none),
            Some(name) => s.constant(name)?.0.first().map(|&v| f64::from(v)),
        }
    };
    let (low, high) = (bound("min", 1, f64::MIN)?, bound("max", 2, f64::MAX)?);
    Some(s.input(0)?.map(&|x| x.max(low).min(high)))
}

/// An operator with two or more inputs, of which the others are taken one after the other.
fn combined(s: &MomentsInput, f: Function, independent: fn(Guess, Guess) -> Option<Guess>) -> Option<ChannelMoments> {
    let mut sum: Option<ChannelMoments> = None;
    let rank = s.output_dims().len();
    let first = s.node.input.first()?;
    let rest = s.node.input.get(1..)?;
    if rest.is_empty() {
        return s.input(0).cloned();
    }
    for name in rest {
        let found = match (sum.take().or_else(|| s.aligned(first)), s.aligned(name)) {
            (Some(a), Some(b)) => match a.zip(&b, &f) {
                Some(both) => both,
                None => channel_by_channel(&a, &b, independent)?,
            },
            (Some(a), None) => with_constant(s, &a, name, rank, &f)?,
            (None, Some(b)) => with_constant(s, &b, first, rank, &|x, k| f(k, x))?,
            (None, None) => return None,
        };
        sum = Some(found);
    }
    sum
}

fn with_constant(
    s: &MomentsInput,
    x: &ChannelMoments,
    name: &str,
    rank: usize,
    f: &dyn Fn(f64, f64) -> f64,
) -> Option<ChannelMoments> {
    let numbers = by_channel(&s.constant(name)?, rank, x.axis, x.channels())?;
    let means: Vec<f64> = numbers.iter().map(|n| n.0).collect();
    if numbers.iter().all(|n| n.1 == 0.0) {
        return Some(x.map_with(&means, f));
    }
    // Numbers that differ from place to place: two of them for each channel, a deviation to either side.
    let side = |by: f64| {
        let shifted: Vec<f64> = numbers.iter().map(|n| n.0 + by * n.1.sqrt()).collect();
        x.map_with(&shifted, f).moments()
    };
    let mixed = side(-1.0)?.into_iter().zip(side(1.0)?).map(|(a, b)| {
        let mean = 0.5 * (a.0 + b.0);
        (mean, 0.5 * (a.1 + b.1) + 0.25 * (a.0 - b.0).powi(2))
    });
    Some(ChannelMoments::normal(x.axis, &mixed.collect::<Vec<_>>()))
}

/// Moments of a function of two values that do not hang together.
fn channel_by_channel(
    a: &ChannelMoments,
    b: &ChannelMoments,
    independent: fn(Guess, Guess) -> Option<Guess>,
) -> Option<ChannelMoments> {
    if a.axis != b.axis || a.channels() != b.channels() {
        return None;
    }
    let (xs, ys) = (a.moments()?, b.moments()?);
    let made: Vec<Guess> = xs
        .iter()
        .zip(&ys)
        .map(|(&x, &y)| independent(x, y))
        .collect::<Option<_>>()?;
    Some(ChannelMoments::normal(a.axis, &made))
}

/// Moments of a function of two independent normal variables, every fourth place of each.
fn both(x: Guess, y: Guess, f: Function) -> Guess {
    let (mut whole, mut first, mut second) = (0.0, 0.0, 0.0);
    for i in (0..PLACES).step_by(4) {
        for j in (0..PLACES).step_by(4) {
            let ((u, p), (v, q)) = (place(i), place(j));
            let value = f(x.0 + x.1.sqrt() * u, y.0 + y.1.sqrt() * v);
            let weight = p * q;
            (whole, first, second) = (whole + weight, first + weight * value, second + weight * value * value);
        }
    }
    let mean = first / whole;
    (mean, (second / whole - mean * mean).max(0.0))
}
