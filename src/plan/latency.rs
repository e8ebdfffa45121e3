//! The time of a plan: its layers' measured times at their input and output widths, and the overhead.

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap, HashSet};

use super::candidates::Candidates;
use super::estimate::Estimate;
use super::layer_groups::{ChannelCounts, LayerGroups, LayerWidths, LayersAt};
use super::layer_sum::LayerSum;
use super::layer_times::{LayerTime, LayerTimes};
use super::overhead::Overhead;
use super::resource::Resource;
use super::space::SearchSpace;
use crate::Result;
use crate::channels::Analysis;
use crate::device::NodeClock;
use crate::onnx::Graph;
use crate::profile::{Layer, Nearest, ProbeProgress, Prober, Problem, Summary};

/// Gaps between kernels that a fill is worth in a captured graph: 1.5 µs for 0.29 µs on an H100, by least squares over four RegNetX.
const CAPTURED_FILL: f64 = 5.0;

/// The one predictor of latencies: tables of a search and totals of plans are sums of the same addends.
///
/// A layer's time is its probe's, between measured widths on the line between them, times what the layer takes in the model
/// over what its probe takes. The overhead counts in proportion to the elements that it moves. Both are scaled to what the
/// model takes unwatched.
#[derive(Debug)]
pub struct LatencyModel {
    pub(super) layers: Vec<Layer>,
    base: ChannelCounts,
    pub(super) groups: LayerGroups,
    pub(super) times: Vec<LayerTimes>,
    /// How each layer's time is written as a sum.
    sums: Vec<LayerSum>,
    /// What a layer takes in the model over what its probe takes.
    pub(super) factors: Vec<f64>,
    pub(super) shares: Overhead,
    /// What all but the layers takes in the model, milliseconds.
    pub(super) overhead: f64,
    /// What the model takes besides its nodes' own times, such as launches, or besides its layers where nodes cannot be timed
    /// one by one: the same for every plan, milliseconds.
    pub(super) launches: f64,
    /// What a run takes longer than its kernels, by kernel, where they were traced, milliseconds.
    pub(super) gap: f64,
    /// How many such gaps a fill or a copy of memory is worth.
    pub(super) fill_gaps: f64,
    /// What a run takes longer than its kernels, milliseconds.
    pub(super) idle: f64,
    /// Layers that no plan's time counts, because nothing is known of them.
    pub(super) unknown: Vec<usize>,
    /// What the whole model takes over the sum of its parts.
    pub(super) scale: f64,
    /// Whose time that of layers is.
    pub(super) clock: NodeClock,
}

impl LatencyModel {
    /// Works out each layer's widths in terms of groups. Nothing is timed yet.
    pub fn new(graph: &Graph, analysis: &Analysis, layers: &[Layer]) -> Self {
        Self {
            layers: layers.to_vec(),
            base: analysis.groups.iter().map(|g| g.classes.len()).collect(),
            groups: LayerGroups::new(analysis, layers),
            times: vec![LayerTimes::default(); layers.len()],
            sums: vec![LayerSum::joint(); layers.len()],
            factors: vec![1.0; layers.len()],
            shares: Overhead::new(graph, analysis),
            overhead: 0.0,
            launches: 0.0,
            gap: 0.0,
            fill_gaps: 1.0,
            idle: 0.0,
            unknown: Vec::new(),
            scale: 1.0,
            clock: NodeClock::Host,
        }
    }

    /// The same for runs that are captured as graphs: from one kernel to the next these go on at once, and wait longer around a fill or a copy.
    #[must_use]
    pub fn captured(self, captured: bool) -> Self {
        Self {
            fill_gaps: if captured { CAPTURED_FILL } else { 1.0 },
            ..self
        }
    }

    /// The latency of a plan in milliseconds; `None` when nothing is known of a layer at any width.
    pub fn predict(&self, counts: &ChannelCounts) -> Option<f64> {
        let known = |&l: &usize| self.unknown.contains(&l) || !self.times[l].is_empty();
        let layer = |l: usize| match self.widths_at(l, counts).is_gone() {
            true => 0.0,
            false => self.sums[l].at(&self.base, counts, &|c| self.scaled_time(l, c), &|c| self.work(l, c)),
        };
        let overhead = || {
            let moved = self.shares.groups().map(|g| self.shares.of_group(g, counts));
            let gone = (0..self.shares.branch_count()).map(|b| self.gone_ms(b, counts));
            self.launches + self.scaled_overhead() * (self.shares.fixed() + moved.sum::<f64>()) - gone.sum::<f64>()
        };
        let all = self.all();
        all.iter()
            .all(known)
            .then(|| all.iter().map(|&l| layer(l)).sum::<f64>() + overhead())
    }

    /// The same latency as tables over the options of a space. From now on plans are predicted by what these add up to: the
    /// time of a layer with many groups is written as a sum.
    pub fn tables(&mut self, space: &SearchSpace) -> Resource {
        let mut factors = Vec::new();
        for layer in self.all() {
            let known: RefCell<HashMap<LayerWidths, f64>> = RefCell::default();
            let time = |counts: &ChannelCounts| {
                let widths = self.widths_at(layer, counts);
                *known
                    .borrow_mut()
                    .entry(widths)
                    .or_insert_with(|| self.scaled_time(layer, counts))
            };
            let work = |counts: &ChannelCounts| self.work(layer, counts);
            let (sum, own) = LayerSum::new(space, &self.groups.groups_of(layer), &time, &work);
            factors.extend(space.gone_with(self.groups.gone_with(layer), own));
            self.sums[layer] = sum;
        }
        let overhead = self.scaled_overhead();
        factors.push(space.factor(&BTreeSet::new(), |_| self.launches + overhead * self.shares.fixed()));
        for group in self.shares.groups() {
            factors.push(space.factor(&BTreeSet::from([group]), |counts| {
                overhead * self.shares.of_group(group, counts)
            }));
        }
        for (branch, groups) in self.shares.branches(space) {
            factors.extend(space.factors(&groups, &|counts| -self.gone_ms(branch, counts)));
        }
        Resource { factors }
    }

    /// What a layer's time is linear in where it has many groups: the product of its widths, or the one width of a depthwise layer.
    fn work(&self, layer: usize, counts: &ChannelCounts) -> f64 {
        let widths = self.widths_at(layer, counts);
        let input = if self.layers[layer].problem.is_depthwise() {
            1
        } else {
            widths.input
        };
        (input * widths.output) as f64
    }

    /// What goes with a branch besides its layers and its groups' shares: the time of its other nodes, and the gaps behind them.
    fn gone_ms(&self, branch: usize, counts: &ChannelCounts) -> f64 {
        let gaps = self.gap * self.shares.nodes_gone(branch, counts) as f64;
        self.scaled_overhead() * self.shares.of_branch(branch, counts) + gaps
    }

    /// What nodes other than layers take for a group's channels under a plan, where that was measured node by node, milliseconds;
    /// like [`Self::of`] not scaled to the whole model.
    pub fn moved_ms(&self, group: usize, counts: &ChannelCounts) -> f64 {
        match self.clock {
            NodeClock::Host => 0.0,
            NodeClock::Device => self.overhead * self.shares.of_group(group, counts),
        }
    }

    /// What nodes other than layers take in the model, milliseconds by their shares of the workload; 0 for those that were not timed.
    pub fn nodes_ms(&self, nodes: &BTreeSet<usize>) -> f64 {
        nodes.iter().map(|&n| self.shares.node_ms(n)).sum::<f64>() * self.scale
    }

    /// Milliseconds of a run in which the device has nothing to do, because the host is slower than it; `None` where kernels were
    /// not timed.
    pub fn idle_ms(&self) -> Option<f64> {
        (self.clock == NodeClock::Device).then_some(self.idle)
    }

    /// How many problems there are when every count from a group's least candidate to its greatest is timed,
    /// with all other groups as in `present`.
    pub fn exhaustive(&self, candidates: &Candidates, present: &ChannelCounts) -> usize {
        let mut keys: HashSet<String> = HashSet::new();
        for (&g, options) in candidates {
            let (Some(&least), Some(&most)) = (options.iter().min(), options.iter().max()) else {
                continue;
            };
            let mut counts = present.clone();
            for n in least..=most {
                counts[g] = n;
                keys.extend(self.touched_by(g).iter().map(|&l| self.problem_at(l, &counts).key()));
            }
        }
        keys.len()
    }

    /// The layers whose time under a plan is not known.
    pub fn unknown_at(&self, counts: &ChannelCounts) -> Vec<usize> {
        let known = |&l: &usize| self.times[l].knows(self.widths_at(l, counts));
        self.all().into_iter().filter(|l| !known(l)).collect()
    }

    /// Leaves out the layers whose time at `present` is not known; how many there are.
    pub fn leave_out_unknown(&mut self, present: &ChannelCounts) -> usize {
        self.unknown = self.unknown_at(present);
        self.unknown.len()
    }

    /// The layers whose widths a group is part of.
    pub fn touched_by(&self, group: usize) -> &[usize] {
        self.groups.touched_by(group)
    }

    /// The groups of a layer's input width, and of its output width.
    pub fn sides_of(&self, layer: usize) -> [Vec<usize>; 2] {
        self.groups.sides_of(layer)
    }

    /// A layer's time in the model under a plan, milliseconds by its share of the workload.
    pub fn scaled_time(&self, layer: usize, counts: &ChannelCounts) -> f64 {
        if self.unknown.contains(&layer) {
            return 0.0;
        }
        let ms = self.times[layer].between(self.widths_at(layer, counts)).ms;
        ms * self.factors[layer] * self.layers[layer].weight * self.scale + self.gap * self.gaps_of(layer, counts)
    }

    /// Gaps between kernels that a layer adds under a plan, by its share of the workload.
    pub(super) fn gaps_of(&self, layer: usize, counts: &ChannelCounts) -> f64 {
        let cost = self.times[layer].between(self.widths_at(layer, counts));
        cost.gaps * self.layers[layer].weight
    }

    /// The overhead at the present widths, milliseconds.
    fn scaled_overhead(&self) -> f64 {
        self.overhead * self.scale
    }

    /// The layers themselves, in the order of their numbers.
    pub fn layers(&self) -> &[Layer] {
        &self.layers
    }

    /// A layer's input and output width under a plan.
    pub fn widths_at(&self, layer: usize, counts: &ChannelCounts) -> LayerWidths {
        self.groups.widths_at(layer, counts)
    }

    /// All layers.
    pub fn all(&self) -> Vec<usize> {
        (0..self.layers.len()).collect()
    }

    /// A layer's problem under a plan.
    pub fn problem_at(&self, layer: usize, counts: &ChannelCounts) -> Problem {
        self.problem(layer, self.widths_at(layer, counts))
    }

    fn problem(&self, layer: usize, widths: LayerWidths) -> Problem {
        self.layers[layer].at(widths.input, widths.output)
    }

    /// Measures what is not known yet of some layers under plans.
    ///
    /// # Errors
    /// When a probe fails.
    pub fn require(&mut self, prober: &mut Prober, wanted: &[LayersAt], progress: ProbeProgress) -> Result<()> {
        let wanted: BTreeSet<(usize, LayerWidths)> = wanted
            .iter()
            .flat_map(|at| at.layers.iter().map(|&l| (l, self.widths_at(l, &at.counts))))
            .filter(|&(l, widths)| !self.times[l].knows(widths))
            .collect();
        let problems: Vec<Problem> = wanted.iter().map(|&(l, widths)| self.problem(l, widths)).collect();
        prober.require(&problems, progress)?;
        for ((layer, widths), problem) in wanted.into_iter().zip(&problems) {
            let record = match prober.nearest(problem) {
                Some(Nearest::Exact(record)) => record,
                Some(Nearest::Wider(record)) if prober.device().timer().is_none() => record,
                Some(Nearest::Wider(_)) | None => continue,
            };
            let gaps = record.facts.kernels.len() as f64 + self.fill_gaps * record.facts.fills as f64;
            let time = record.summary();
            self.times[layer].insert(widths, LayerTime { time, gaps });
        }
        Ok(())
    }

    /// The summed times of some layers, to compare plans by; `None` when one was not measured at just these widths. Not
    /// scaled to the whole model.
    pub fn of(&self, layers: &[usize], counts: &ChannelCounts) -> Option<Estimate> {
        let (mut ms, mut variance) = (0.0, 0.0);
        let there = |l: &&usize| !self.unknown.contains(l) && !self.widths_at(**l, counts).is_gone();
        for &layer in layers.iter().filter(there) {
            let time: &Summary = self.times[layer].get(self.widths_at(layer, counts))?;
            let factor = self.factors[layer] * self.layers[layer].weight;
            ms += time.median * factor + self.gap * self.gaps_of(layer, counts);
            variance += (time.half_width() * factor).powi(2);
        }
        Some(Estimate {
            ms,
            noise: variance.sqrt(),
        })
    }
}
