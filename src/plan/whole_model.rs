//! The parts of a latency model held against what the whole model was measured to take.

use super::latency::LatencyModel;
use super::layer_groups::ChannelCounts;
use super::layer_times::LayerTime;
use crate::device::NodeClock;
use crate::profile::{InModel, summarize};

/// A probe that is off by more than this many times tells nothing of the layer in the model.
const FAR_OFF: f64 = 3.0;

impl LatencyModel {
    /// Corrects the layers' times by what they took in the whole model at their `present` widths, and the sum by what the
    /// model takes when nothing watches it (`whole_ms`): a profiler adds its own time to each node. A probe that is off by
    /// more than three times is left as it is; a layer that was not probed has its time in the model.
    pub fn correct(&mut self, seen: &InModel, present: &ChannelCounts, whole_ms: f64) {
        for layer in 0..self.layers.len() {
            let Some(&Some(ms)) = seen.layers.get(layer) else {
                continue;
            };
            let widths = self.widths_at(layer, present);
            if self.times[layer].get(widths).is_none() {
                let time = summarize(&[ms]);
                self.times[layer].insert(widths, LayerTime { time, gaps: 0.0 });
            }
            let Some(probed) = self.times[layer].get(widths) else {
                continue;
            };
            let factor = ms / probed.median;
            if (1.0 / FAR_OFF..=FAR_OFF).contains(&factor) {
                self.factors[layer] = factor;
            }
        }
        self.overhead = seen.overhead;
        self.shares.seen(&seen.nodes);
        self.clock = seen.clock;
        if seen.clock == NodeClock::Device {
            self.shares.by_times(seen.overhead, seen.fixed);
        }
        let sum = self.of(&self.all(), present).map_or(0.0, |t| t.ms) + self.overhead;
        if sum <= 0.0 || whole_ms <= 0.0 {
            return;
        }
        match seen.clock {
            NodeClock::Host => self.scale = whole_ms / sum,
            // What a run takes longer than its kernels are gaps between them, alike for all: each other node has one.
            NodeClock::Device => {
                self.scale = (whole_ms / sum).min(1.0);
                self.idle = (whole_ms - sum).max(0.0);
                let of_layers: f64 = self.all().iter().map(|&l| self.gaps_of(l, present)).sum();
                self.gap = match of_layers > 0.0 {
                    true => self.idle / (of_layers + seen.nodes.len() as f64),
                    false => 0.0,
                };
                self.launches = self.idle - self.gap * of_layers;
            }
        }
    }

    /// Takes the layers whose time at `present` is not known to be part of what the whole model (`whole_ms`) takes besides
    /// those known. No plan may change them.
    pub fn rest_of(&mut self, whole_ms: f64, present: &ChannelCounts) {
        self.leave_out_unknown(present);
        let known = self.of(&self.all(), present).map_or(0.0, |t| t.ms);
        self.overhead = (whole_ms - known).max(0.0);
        (self.launches, self.gap, self.idle) = (0.0, 0.0, 0.0);
        self.scale = 1.0;
    }

    /// Takes what the whole model (`whole_ms`) takes besides its layers to be the same for every plan: for devices that do not time
    /// single nodes.
    pub fn launches_of(&mut self, whole_ms: f64, present: &ChannelCounts) {
        let known = self.of(&self.all(), present).map_or(0.0, |t| t.ms);
        self.launches = (whole_ms - known).max(0.0);
    }

    /// Takes what the whole model (`whole_ms`) takes besides its layers to be overhead, for providers that compile whole graphs: there
    /// is no launch a layer, but a call of the whole (`call_ms`). Where the layers alone would take longer than the whole, all are scaled
    /// to it. `pace` is how much longer everything took when the whole model was timed than when the layers were.
    pub fn compiled(&mut self, whole_ms: f64, call_ms: f64, pace: f64, present: &ChannelCounts) {
        let known = self.of(&self.all(), present).map_or(0.0, |t| t.ms) * pace;
        if known <= 0.0 || whole_ms <= 0.0 {
            return;
        }
        self.scale = (whole_ms / known).min(1.0) * pace;
        self.launches = (whole_ms - known).min(call_ms).max(0.0);
        self.overhead = (whole_ms - known - self.launches).max(0.0) / self.scale;
    }
}
