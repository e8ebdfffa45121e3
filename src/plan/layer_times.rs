//! Measured times of one layer at some widths, and on the lines between them at others.

use std::collections::BTreeMap;

use super::layer_groups::LayerWidths;
use crate::profile::Summary;

/// The times of one layer, by its widths.
#[derive(Clone, Debug, Default)]
pub(super) struct LayerTimes {
    known: BTreeMap<LayerWidths, Summary>,
}

/// The measured values next to one: the nearest at most as large, and the nearest at least as large.
struct Neighbours {
    low: usize,
    high: usize,
}

impl Neighbours {
    /// Of `at` among `measured`; outside of their range both are its end.
    fn of(at: usize, measured: impl Iterator<Item = usize> + Clone) -> Self {
        let below = measured.clone().filter(|&n| n <= at).max();
        let above = measured.filter(|&n| n >= at).min();
        Self {
            low: below.or(above).unwrap_or(at),
            high: above.or(below).unwrap_or(at),
        }
    }

    /// How far `at` is from the lower one to the higher one, 0 to 1.
    fn share(&self, at: usize) -> f64 {
        if self.high > self.low {
            (at - self.low) as f64 / (self.high - self.low) as f64
        } else {
            0.0
        }
    }
}

impl LayerTimes {
    pub fn insert(&mut self, widths: LayerWidths, time: Summary) {
        self.known.insert(widths, time);
    }

    /// The measured time at exactly these widths.
    pub fn get(&self, widths: LayerWidths) -> Option<&Summary> {
        self.known.get(&widths)
    }

    /// Whether nothing is known of the layer.
    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    /// Milliseconds at any widths: bilinear in the measured ones around them; off the grid of those, the time of the least
    /// layer known that is at least as wide, else of the widest. 0 where nothing is known.
    pub fn between(&self, widths: LayerWidths) -> f64 {
        let time = |input: usize, output: usize| self.known.get(&LayerWidths { input, output }).map(|s| s.median);
        if let Some(ms) = time(widths.input, widths.output) {
            return ms;
        }
        let inputs = Neighbours::of(widths.input, self.known.keys().map(|k| k.input));
        let outputs = Neighbours::of(widths.output, self.known.keys().map(|k| k.output));
        let (x, y) = (inputs.share(widths.input), outputs.share(widths.output));
        if let (Some(p), Some(q), Some(r), Some(s)) = (
            time(inputs.low, outputs.low),
            time(inputs.low, outputs.high),
            time(inputs.high, outputs.low),
            time(inputs.high, outputs.high),
        ) {
            return (1.0 - x) * ((1.0 - y) * p + y * q) + x * ((1.0 - y) * r + y * s);
        }
        let size = |k: &LayerWidths| (k.input * k.output, *k);
        let wider = self
            .known
            .keys()
            .filter(|k| k.input >= widths.input && k.output >= widths.output)
            .min_by_key(|k| size(k));
        let any = wider.or_else(|| self.known.keys().max_by_key(|k| size(k)));
        any.and_then(|k| time(k.input, k.output)).unwrap_or(0.0)
    }
}
