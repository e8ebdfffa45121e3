//! The time of a plan: the sum of its layers' measured times at their input and output widths.

use std::collections::{BTreeMap, HashMap};

use crate::Result;
use crate::channels::{Analysis, ValueId};
use crate::profile::{InModel, Layer, Prober, Problem, Progress, Summary};

/// Channel counts of all groups, by group number.
pub type Counts = Vec<usize>;

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
    /// What a layer takes in the model over what its probe takes.
    factors: Vec<f64>,
    /// What all but the layers takes in the model, milliseconds.
    others: f64,
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
            let co = &analysis.coupling;
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
            factors: vec![1.0; layers.len()],
            others: 0.0,
        }
    }

    /// Corrects the tables by what the layers took in the whole model at their `present` widths.
    /// A probe that is off by more than three times is left as it is.
    pub fn correct(&mut self, seen: &InModel, present: &Counts) {
        for layer in 0..self.layers.len() {
            let probed = self.times.get(&self.at(layer, present)).map(|s| s.median);
            if let (Some(Some(ms)), Some(probed)) = (seen.layers.get(layer), probed)
                && probed > 0.0
            {
                let factor = ms / probed;
                if (1.0 / 3.0..=3.0).contains(&factor) {
                    self.factors[layer] = factor;
                }
            }
        }
        self.others = seen.others;
    }

    /// The predicted time of all nodes under a plan, milliseconds: corrected layers, and the rest in
    /// proportion to the elements it makes (`rest` is that proportion). `None` when a layer is not known.
    pub fn predict(&self, counts: &Counts, rest: f64) -> Option<f64> {
        Some(self.of(&self.all(), counts)?.0 + self.others * rest)
    }

    /// The layers whose widths a group is part of.
    pub fn touched_by(&self, group: usize) -> &[usize] {
        self.touching.get(&group).map_or(&[], Vec::as_slice)
    }

    /// All layers.
    pub fn all(&self) -> Vec<usize> {
        (0..self.layers.len()).collect()
    }

    fn at(&self, layer: usize, counts: &Counts) -> (usize, usize, usize) {
        let width = |side: usize| -> usize {
            self.widths[layer].terms[side]
                .iter()
                .map(|&(g, unit)| counts[g] * unit)
                .sum()
        };
        (layer, width(0), width(1))
    }

    fn problem(&self, key: (usize, usize, usize)) -> Problem {
        self.layers[key.0].at(key.1, key.2)
    }

    /// Measures what is not known yet of `layers` under each of `plans`.
    ///
    /// # Errors
    /// When a probe fails.
    pub fn require(&mut self, prober: &mut Prober, plans: &[(Vec<usize>, Counts)], progress: Progress) -> Result<()> {
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
            if let Some(record) = prober.get(problem) {
                self.times.insert(key, record.summary());
            }
        }
        Ok(())
    }

    /// The summed median times of some layers in milliseconds, and the half-width of its 95 %
    /// interval; `None` when one is not known.
    pub fn of(&self, layers: &[usize], counts: &Counts) -> Option<(f64, f64)> {
        let (mut sum, mut variance) = (0.0, 0.0);
        for &layer in layers {
            let time = self.times.get(&self.at(layer, counts))?;
            sum += time.median * self.factors[layer];
            variance += (time.half_width() * self.factors[layer]).powi(2);
        }
        Some((sum, variance.sqrt()))
    }
}
