//! A model of what a layer costs: tiles and waves, fitted to measured times.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::nnls::nnls;
use super::problem::Problem;
use super::record::Record;
use crate::{Error, Result};

/// Output places and output channels that a thread block (or a SIMD loop) makes.
type Tile = (usize, usize);

/// Tiles that GPU kernels for convolutions use.
const GPU_TILES: [Tile; 9] = [
    (256, 128),
    (128, 256),
    (128, 128),
    (256, 64),
    (128, 64),
    (64, 64),
    (128, 32),
    (64, 32),
    (32, 32),
];
/// Loops of a CPU's kernels: places in flight, and channels of one, two or four vectors.
const CPU_TILES: [Tile; 4] = [(1, 8), (1, 16), (1, 32), (6, 64)];

/// Non-negative prices of the parts of a layer's time.
///
/// t = launch + Σ_tile p_tile · waves(tile) · tM · tN · ⌈K⌉₈ + p_bytes · values moved, and so on; waves =
/// ⌈⌈places/tM⌉ · ⌈cout/tN⌉ / units⌉, K = input channels of a group times taps (DESIGN.md, waves).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CostModel {
    /// Where the times were measured.
    pub device: String,
    /// Parallel units it was fitted for: multiprocessors, or 1 for one CPU core.
    pub units: usize,
    /// Prices by element type and kind of layer.
    pub prices: BTreeMap<String, Vec<f64>>,
}

fn kind(problem: &Problem) -> String {
    let shape = if problem.is_depthwise() { "depthwise" } else { "dense" };
    format!("{} {shape}", problem.dtype)
}

fn features(problem: &Problem, units: usize) -> Vec<f64> {
    let places = problem.out_places();
    let taps: usize = problem.kernel.iter().product();
    let inputs: usize = problem.batch * problem.space.iter().product::<usize>() * problem.cin;
    let moved = (inputs + places * problem.cout) as f64;
    let odd = |block: usize| !problem.cout.is_multiple_of(block) || !problem.cin.is_multiple_of(block);
    let mut row = vec![1.0, moved];
    for block in [2, 4, 8, 16] {
        row.push(if odd(block) { moved } else { 0.0 });
    }
    if problem.is_depthwise() {
        for block in [1, 8, 16, 32, 64] {
            row.push((places * problem.cout.next_multiple_of(block) * taps) as f64);
        }
        return row;
    }
    let groups = problem.groups.max(1);
    let k = (problem.cin / groups * taps).next_multiple_of(8);
    let macs = (places * problem.cout) as f64 * (problem.cin / groups * taps) as f64;
    for block in [2, 4, 8, 16] {
        row.push(if odd(block) { macs } else { 0.0 });
    }
    let weights = (problem.cout * problem.cin / groups * taps) as f64;
    row.push(weights);
    let tiles: &[Tile] = if units > 1 { &GPU_TILES } else { &CPU_TILES };
    for &(m, n) in tiles {
        let blocks = places.div_ceil(m) * (problem.cout / groups).div_ceil(n) * groups;
        row.push((blocks.div_ceil(units.max(1)) * m * n) as f64 * k as f64);
    }
    row
}

impl CostModel {
    /// Fits prices to records by non-negative least squares of the relative error.
    pub fn fit(device: &str, units: usize, records: &[&Record]) -> Self {
        let mut kinds: BTreeMap<String, Vec<&Record>> = BTreeMap::new();
        for &r in records.iter().filter(|r| !r.samples.is_empty()) {
            kinds.entry(kind(&r.problem)).or_default().push(r);
        }
        let prices = kinds.into_iter().map(|(kind, records)| {
            let rows: Vec<Vec<f64>> = records
                .iter()
                .map(|r| {
                    let ms = r.summary().median.max(1e-9);
                    features(&r.problem, units).into_iter().map(|f| f / ms).collect()
                })
                .collect();
            (kind, nnls(&rows, &vec![1.0; rows.len()]))
        });
        Self {
            device: device.to_owned(),
            units,
            prices: prices.collect(),
        }
    }

    /// Prices fitted to the recorded profiles of an H200.
    ///
    /// # Errors
    /// None for a build whose tests pass.
    pub fn recorded() -> Result<Self> {
        serde_json::from_str(include_str!("prices/h200.json"))
            .map_err(|e| Error::Usage(format!("the built-in prices are broken ({e})")))
    }

    /// The same prices on a device with another number of units.
    pub fn on(&self, units: usize) -> Self {
        Self { units, ..self.clone() }
    }

    /// Milliseconds for a problem; `None` for a kind that was not fitted.
    pub fn predict(&self, problem: &Problem) -> Option<f64> {
        let prices = self.prices.get(&kind(problem))?;
        let row = features(problem, self.units);
        Some(row.iter().zip(prices).map(|(f, p)| f * p).sum())
    }
}

/// How much slower a model's choices are than the best measured ones.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Regret {
    /// One value a choice: t(chosen) / t(best) − 1.
    pub each: Vec<f64>,
    /// Layers judged.
    pub latency_steps: usize,
    /// Relative error of every predicted time.
    pub errors: Vec<f64>,
}

/// Judges a model on latency steps (records that differ in the output width alone, three or more): from every
/// width, the fastest by the model against the fastest measured among those at least as wide.
pub fn regret(model: &CostModel, records: &[&Record]) -> Regret {
    let mut stairs: BTreeMap<String, Vec<(usize, f64, f64)>> = BTreeMap::new();
    let mut found = Regret::default();
    for r in records {
        let p = &r.problem;
        let ms = r.summary().median;
        let Some(predicted) = model.predict(p).filter(|_| ms > 0.0) else {
            continue;
        };
        found.errors.push((predicted / ms - 1.0).abs());
        let same = if p.is_depthwise() { p.at(2, 2) } else { p.at(p.cin, 1) };
        stairs.entry(same.key()).or_default().push((p.cout, ms, predicted));
    }
    for mut stair in stairs.into_values().filter(|s| s.len() >= 3) {
        stair.sort_by_key(|s| s.0);
        found.latency_steps += 1;
        for from in 0..stair.len() - 1 {
            let rest = &stair[from..];
            let least = |time: fn(&(usize, f64, f64)) -> f64| {
                rest.iter()
                    .min_by(|a, b| time(a).total_cmp(&time(b)))
                    .map_or(0.0, |s| s.1)
            };
            found.each.push(least(|s| s.2) / least(|s| s.1) - 1.0);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::{CostModel, regret};
    use crate::profile::{Problem, ProducerLayout, Record, RecordFacts};

    fn record(cout: usize, ms: f64) -> Record {
        Record {
            problem: Problem {
                op: "Conv".to_owned(),
                batch: 8,
                cin: 64,
                cout,
                groups: 1,
                space: vec![28, 28],
                kernel: vec![3, 3],
                lists: vec![("pads".to_owned(), vec![1; 4])],
                auto_pad: String::new(),
                bias: true,
                activation: String::new(),
                producer_layout: ProducerLayout::Plain,
                dtype: "f32".to_owned(),
                quantized: None,
            },
            samples: vec![ms; 3],
            facts: RecordFacts::default(),
        }
    }

    #[test]
    fn stairs_that_tiles_made_are_learnt() {
        let truth = |c: usize| 0.01 + 0.1 * (49 * c.div_ceil(64)).div_ceil(132) as f64;
        let records: Vec<Record> = (1..40).map(|k| record(8 * k, truth(8 * k))).collect();
        let all: Vec<&Record> = records.iter().collect();
        let model = CostModel::fit("test", 132, &all);
        let judged = regret(&model, &all);
        assert_eq!(judged.latency_steps, 1);
        assert!(judged.each.iter().all(|&r| r < 0.01), "{:?}", judged.each);
        assert!(judged.errors.iter().all(|&e| e < 0.05), "{:?}", judged.errors);
    }

    #[test]
    fn a_kind_that_was_not_fitted_has_no_price() {
        let model = CostModel::fit("test", 132, &[&record(8, 1.0)]);
        let mut half = record(8, 1.0).problem;
        half.dtype = "f16".to_owned();
        assert_eq!(model.predict(&half), None);
    }
}
