//! Measured times of one layer at some widths, and on the lines between them at others.

use std::collections::BTreeMap;

use super::layer_groups::LayerWidths;
use crate::profile::Summary;

/// A layer at some widths.
#[derive(Clone, Copy, Debug)]
pub(super) struct LayerTime {
    pub time: Summary,
    /// What a run launches, in gaps between kernels; 0 where it was not traced.
    pub gaps: f64,
}

/// What a layer takes, in milliseconds and in gaps between kernels.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct LayerCost {
    pub ms: f64,
    pub gaps: f64,
}

impl LayerCost {
    /// The two on a line: this one, and `share` of the way to the other.
    fn towards(self, other: Self, share: f64) -> Self {
        let on = |a: f64, b: f64| (1.0 - share) * a + share * b;
        Self {
            ms: on(self.ms, other.ms),
            gaps: on(self.gaps, other.gaps),
        }
    }
}

/// The times of one layer, by its widths.
#[derive(Clone, Debug, Default)]
pub(super) struct LayerTimes {
    known: BTreeMap<LayerWidths, LayerTime>,
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
    pub fn insert(&mut self, widths: LayerWidths, time: LayerTime) {
        self.known.insert(widths, time);
    }

    /// The measured time at exactly these widths.
    pub fn get(&self, widths: LayerWidths) -> Option<&Summary> {
        self.known.get(&widths).map(|known| &known.time)
    }

    /// Whether its time at these widths is known: one that is gone takes none.
    pub fn knows(&self, widths: LayerWidths) -> bool {
        widths.is_gone() || self.known.contains_key(&widths)
    }

    /// Whether nothing is known of the layer.
    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    /// What it takes at any widths: bilinear in the measured ones around them; off the grid of those, that of the least
    /// layer known that is at least as wide, else of the widest. 0 where nothing is known, and where the layer is gone.
    pub fn between(&self, widths: LayerWidths) -> LayerCost {
        if widths.is_gone() {
            return LayerCost::default();
        }
        let cost = |input: usize, output: usize| {
            let known = self.known.get(&LayerWidths { input, output })?;
            Some(LayerCost {
                ms: known.time.median,
                gaps: known.gaps,
            })
        };
        if let Some(own) = cost(widths.input, widths.output) {
            return own;
        }
        let inputs = Neighbours::of(widths.input, self.known.keys().map(|k| k.input));
        let outputs = Neighbours::of(widths.output, self.known.keys().map(|k| k.output));
        let (x, y) = (inputs.share(widths.input), outputs.share(widths.output));
        if let (Some(p), Some(q), Some(r), Some(s)) = (
            cost(inputs.low, outputs.low),
            cost(inputs.low, outputs.high),
            cost(inputs.high, outputs.low),
            cost(inputs.high, outputs.high),
        ) {
            return p.towards(q, y).towards(r.towards(s, y), x);
        }
        let size = |k: &LayerWidths| (k.input * k.output, *k);
        let wider = self
            .known
            .keys()
            .filter(|k| k.input >= widths.input && k.output >= widths.output)
            .min_by_key(|k| size(k));
        let any = wider.or_else(|| self.known.keys().max_by_key(|k| size(k)));
        any.and_then(|k| cost(k.input, k.output)).unwrap_or_default()
    }
}
