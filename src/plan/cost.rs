//! The time of a plan: the sum of its layers' measured times at their input and output widths.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::candidates::Candidates;

use crate::Result;
use crate::channels::{Analysis, ValueId};
use crate::profile::{InModel, Layer, Prober, Problem, Progress, Summary, summarize};

/// Channel counts of all groups, by group number.
pub type WidthPair = Vec<usize>;

/// What one layer's widths are made of.
#[derive(Debug)]
struct Widths {
    /// (group, indices a channel takes) of the input and of the output axis.
    terms: [Vec<(usize, usize)>; 2],
}

/// The layers of a graph with what their widths depend on, and the times known so far.
#[derive(Debug)]
pub struct Costs<'a> {
    layers: &'a [Layer],
    widths: Vec<Widths>,
    /// Layers that a group touches.
    touching: HashMap<usize, Vec<usize>>,
    times: HashMap<(usize, usize, usize), Summary>,
    /// The widths of each layer whose times are known.
    known: Vec<Vec<(usize, usize)>>,
    /// What a layer takes in the model over what its probe takes.
    factors: Vec<f64>,
    /// What all but the layers takes in the model, milliseconds.
    overhead: f64,
    /// Layers that no plan's time counts, because nothing is known of them.
    unknown: Vec<usize>,
    /// What the whole model takes over the sum of its parts.
    scale: f64,
}

impl<'a> Costs<'a> {
    /// Works out each layer's widths in terms of groups.
    pub fn new(analysis: &Analysis, layers: &'a [Layer]) -> Self {
        let group_of: HashMap<u32, usize> = analysis
            .groups
            .iter()
            .flat_map(|g| g.classes.iter().map(|&c| (c, g.id)))
            .collect();
        let terms = |(value, axis): (ValueId, usize)| -> Vec<(usize, usize)> {
            let co = &analysis.dependencies;
            let mut count: BTreeMap<usize, usize> = BTreeMap::new();
            for i in 0..co.dims(value)[axis] {
                if let Some(&g) = group_of.get(&co.class(co.atom(value, axis, i))) {
                    *count.entry(g).or_default() += 1;
                }
            }
            count
                .into_iter()
                .map(|(g, n)| (g, n / analysis.groups[g].classes.len()))
                .collect()
        };
        let widths: Vec<Widths> = layers
            .iter()
            .map(|l| Widths {
                terms: l.widths().map(terms),
            })
            .collect();
        let mut touching: HashMap<usize, Vec<usize>> = HashMap::new();
        for (at, w) in widths.iter().enumerate() {
            for &(g, _) in w.terms.iter().flatten() {
                let list = touching.entry(g).or_default();
                if list.last() != Some(&at) {
                    list.push(at);
                }
            }
        }
        Self {
            layers,
            widths,
            touching,
            times: HashMap::new(),
            known: vec![Vec::new(); layers.len()],
            factors: vec![1.0; layers.len()],
            overhead: 0.0,
            unknown: Vec::new(),
            scale: 1.0,
        }
    }

    /// Corrects the tables by what the layers took in the whole model at their `present` widths, and the sum
    /// by what the model takes when nothing watches it (`whole_ms`): a profiler adds its own time to each node.
    /// A probe that is off by more than three times is left as it is; a layer that was not probed has its time in the model.
    pub fn correct(&mut self, seen: &InModel, present: &WidthPair, whole_ms: f64) {
        for layer in 0..self.layers.len() {
            let Some(&Some(ms)) = seen.layers.get(layer) else {
                continue;
            };
            let key = self.at(layer, present);
            if !self.times.contains_key(&key) {
                self.learn(key, summarize(&[ms]));
            }
            let Some(probed) = self.times.get(&key) else { continue };
            let factor = ms / probed.median;
            if (1.0 / 3.0..=3.0).contains(&factor) {
                self.factors[layer] = factor;
            }
        }
        self.overhead = seen.overhead;
        let sum = self.of(&self.all(), present).map_or(0.0, |(ms, _)| ms) + self.overhead;
        if sum > 0.0 && whole_ms > 0.0 {
            self.scale = whole_ms / sum;
        }
    }

    fn learn(&mut self, key: (usize, usize, usize), time: Summary) {
        if self.times.insert(key, time).is_none() {
            self.known[key.0].push((key.1, key.2));
        }
    }

    /// Takes the layers whose time at `present` is not known to be part of what the whole model (`whole_ms`) takes besides
    /// those known. No plan may change them.
    pub fn rest_of(&mut self, whole_ms: f64, present: &WidthPair) {
        self.leave_out_unknown(present);
        let known = self.of(&self.all(), present).map_or(0.0, |(ms, _)| ms);
        self.overhead = (whole_ms - known).max(0.0);
        self.scale = 1.0;
    }

    /// The predicted time of all nodes under a plan, milliseconds: corrected layers, at widths between those timed on the line
    /// between them, and the rest in proportion to the elements it makes (`rest` is that proportion). `None` when nothing is
    /// known of a layer at any width.
    pub fn predict(&self, counts: &WidthPair, rest: f64) -> Option<f64> {
        let known = |l: &usize| self.unknown.contains(l) || !self.known[*l].is_empty();
        let all = self.all();
        let layers = || all.iter().map(|&l| self.scaled_time(l, counts)).sum::<f64>();
        all.iter().all(known).then(|| layers() + self.around() * rest)
    }

    /// How many problems there are when every count from a group's least candidate to its greatest is timed,
    /// with all other groups as in `present`.
    pub fn exhaustive(&self, candidates: &Candidates, present: &WidthPair) -> usize {
        let mut keys: HashSet<String> = HashSet::new();
        for (&g, options) in candidates {
            let (Some(&least), Some(&most)) = (options.iter().min(), options.iter().max()) else {
                continue;
            };
            let mut counts = present.clone();
            for n in least..=most {
                counts[g] = n;
                keys.extend(
                    self.touched_by(g)
                        .iter()
                        .map(|&l| self.problem(self.at(l, &counts)).key()),
                );
            }
        }
        keys.len()
    }

    /// The layers whose time under a plan is not known.
    pub fn unknown_at(&self, counts: &WidthPair) -> Vec<usize> {
        let known = |l: &usize| self.times.contains_key(&self.at(*l, counts));
        (0..self.layers.len()).filter(|l| !known(l)).collect()
    }

    /// Leaves out the layers whose time at `present` is not known; how many there are.
    pub fn leave_out_unknown(&mut self, present: &WidthPair) -> usize {
        self.unknown = self.unknown_at(present);
        self.unknown.len()
    }

    /// The layers whose widths a group is part of.
    pub fn touched_by(&self, group: usize) -> &[usize] {
        self.touching.get(&group).map_or(&[], Vec::as_slice)
    }

    /// The groups that a layer's widths depend on.
    pub fn groups_of(&self, layer: usize) -> BTreeSet<usize> {
        self.widths[layer].terms.iter().flatten().map(|t| t.0).collect()
    }

    /// The groups of a layer's input width, and of its output width.
    pub fn sides_of(&self, layer: usize) -> [Vec<usize>; 2] {
        let groups = |terms: &[(usize, usize)]| terms.iter().map(|t| t.0).collect();
        let [input, output] = &self.widths[layer].terms;
        [groups(input), groups(output)]
    }

    /// A layer's time in the model under a plan, milliseconds by its share of the load; between measured widths it
    /// lies on the line between them.
    pub fn scaled_time(&self, layer: usize, counts: &WidthPair) -> f64 {
        if self.unknown.contains(&layer) {
            return 0.0;
        }
        let (_, cin, cout) = self.at(layer, counts);
        self.between(layer, cin, cout) * self.factors[layer] * self.layers[layer].weight * self.scale
    }

    /// What surrounds the layers takes, milliseconds.
    pub fn around(&self) -> f64 {
        self.overhead * self.scale
    }

    /// A layer's time at widths that may not have been measured: bilinear in the measured ones around them.
    fn between(&self, layer: usize, cin: usize, cout: usize) -> f64 {
        let time = |cin: usize, cout: usize| self.times.get(&(layer, cin, cout)).map(|s| s.median);
        if let Some(ms) = time(cin, cout) {
            return ms;
        }
        let list = self.known.get(layer).map_or(&[][..], Vec::as_slice);
        let known = || list.iter();
        let around = |at: usize, side: &dyn Fn(&(usize, usize)) -> usize| {
            let below = known().map(side).filter(|&n| n <= at).max();
            let above = known().map(side).filter(|&n| n >= at).min();
            (below.or(above).unwrap_or(at), above.or(below).unwrap_or(at))
        };
        let (a, b) = around(cin, &|k| k.0);
        let (c, d) = around(cout, &|k| k.1);
        let share = |at: usize, low: usize, high: usize| {
            if high > low {
                (at - low) as f64 / (high - low) as f64
            } else {
                0.0
            }
        };
        let (x, y) = (share(cin, a, b), share(cout, c, d));
        if let (Some(p), Some(q), Some(r), Some(s)) = (time(a, c), time(a, d), time(b, c), time(b, d)) {
            return (1.0 - x) * ((1.0 - y) * p + y * q) + x * ((1.0 - y) * r + y * s);
        }
        // Off the grid: the least layer known that is at least as wide, else the widest.
        let wider = known()
            .filter(|k| k.0 >= cin && k.1 >= cout)
            .min_by_key(|k| (k.0 * k.1, **k));
        let any = wider.or_else(|| known().max_by_key(|k| (k.0 * k.1, **k)));
        any.and_then(|k| time(k.0, k.1)).unwrap_or(0.0)
    }

    /// The layers themselves, in the order of their numbers.
    pub fn layers(&self) -> &'a [Layer] {
        self.layers
    }

    /// A layer's input and output width under a plan.
    pub fn widths_at(&self, layer: usize, counts: &WidthPair) -> (usize, usize) {
        let (_, cin, cout) = self.at(layer, counts);
        (cin, cout)
    }

    /// All layers.
    pub fn all(&self) -> Vec<usize> {
        (0..self.layers.len()).collect()
    }

    fn at(&self, layer: usize, counts: &WidthPair) -> (usize, usize, usize) {
        let width = |side: usize| -> usize {
            self.widths[layer].terms[side]
                .iter()
                .map(|&(g, unit)| counts[g] * unit)
                .sum()
        };
        (layer, width(0), width(1))
    }

    /// A layer's problem under a plan.
    pub fn problem_at(&self, layer: usize, counts: &WidthPair) -> Problem {
        self.problem(self.at(layer, counts))
    }

    fn problem(&self, key: (usize, usize, usize)) -> Problem {
        self.layers[key.0].at(key.1, key.2)
    }

    /// Measures what is not known yet of `layers` under each of `plans`.
    ///
    /// # Errors
    /// When a probe fails.
    pub fn require(
        &mut self,
        prober: &mut Prober,
        plans: &[(Vec<usize>, WidthPair)],
        progress: Progress,
    ) -> Result<()> {
        let mut keys: Vec<(usize, usize, usize)> = plans
            .iter()
            .flat_map(|(layers, counts)| layers.iter().map(move |&l| (l, counts)))
            .map(|(l, counts)| self.at(l, counts))
            .filter(|k| !self.times.contains_key(k))
            .collect();
        keys.sort_unstable();
        keys.dedup();
        let problems: Vec<Problem> = keys.iter().map(|&k| self.problem(k)).collect();
        prober.require(&problems, progress)?;
        for (key, problem) in keys.into_iter().zip(&problems) {
            if let Some((record, exact)) = prober.nearest(problem)
                && (exact || !prober.device().is_here())
            {
                self.learn(key, record.summary());
            }
        }
        Ok(())
    }

    /// The summed median times of some layers in milliseconds, and the half-width of its 95 %
    /// interval; `None` when one is not known.
    pub fn of(&self, layers: &[usize], counts: &WidthPair) -> Option<(f64, f64)> {
        let (mut sum, mut variance) = (0.0, 0.0);
        for &layer in layers {
            if self.unknown.contains(&layer) {
                continue;
            }
            let time = self.times.get(&self.at(layer, counts))?;
            let factor = self.factors[layer] * self.layers[layer].weight;
            sum += time.median * factor;
            variance += (time.half_width() * factor).powi(2);
        }
        Some((sum, variance.sqrt()))
    }
}
