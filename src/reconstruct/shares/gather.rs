//! Places that shares are fitted on: all where something is found, and some of the others.

use std::collections::HashMap;
use std::ops::Range;

use super::logistic::Examples;
use super::seats::{Seated, index};
use crate::Result;
use crate::data::Dataset;
use crate::device::{Device, NamedTensor};
use crate::onnx::proto::ModelProto;
use crate::onnx::{Tensor, encode};
use crate::score::{Objective, ObjectiveKind, OutputPosition, input_rows, place_seed, places_of};

/// A place with a share of at least this, counted, is one where something is found.
const FOUND: f64 = 0.02;
/// Places of a sample where something is found, and others, at most.
const OF_FOUND: f64 = 256.0;
const OF_OTHERS: f64 = 64.0;
/// Bytes of what is held for one layer, at most.
const MOST_BYTES: f64 = 256.0 * 1024.0 * 1024.0;

/// Places of a run, with what the original makes there.
#[derive(Debug, Default)]
pub(super) struct Chosen {
    places: Vec<OutputPosition>,
    wanted: Vec<f32>,
    counts: Vec<f32>,
}

/// Samples of a model, those to fit on first.
pub(super) struct Runs<'a> {
    pub data: &'a Dataset,
    pub runs: Range<usize>,
    pub seed: u64,
}

impl Runs<'_> {
    fn inputs(&self) -> impl Iterator<Item = Vec<NamedTensor>> + '_ {
        self.runs.clone().map(|k| self.data.run(k).inputs)
    }

    /// The places of each layer in each run, by what the original makes.
    pub fn chosen(
        &self,
        device: &dyn Device,
        original: &ModelProto,
        (seated, objectives): (&[Seated], &[Objective]),
    ) -> Result<Vec<Vec<Chosen>>> {
        let mut found: Vec<Vec<Chosen>> = Vec::new();
        let mut shapes: Vec<Vec<usize>> = Vec::new();
        let samples: usize = self.runs.clone().map(|k| self.data.run(k).samples).sum();
        let mut k = self.runs.start;
        device.each_output(&encode(original), &mut self.inputs(), &mut |made| {
            let own: Vec<Vec<usize>> = made.iter().map(|(_, t)| t.dims.clone()).collect();
            if shapes.is_empty() {
                shapes.clone_from(&own);
            }
            let of_run = self.data.run(k).samples;
            let counts = match own == shapes {
                true => counts(objectives, &made, of_run),
                false => HashMap::new(),
            };
            let values: Vec<Vec<f32>> = made.iter().map(|(_, t)| t.to_f32().unwrap_or_default()).collect();
            let of = |seated: &Seated| {
                let width = seated.layer.all_columns() + 1 + 2 * seated.layer.outputs;
                let most = MOST_BYTES / (width * size_of::<f32>() * samples.max(1)) as f64;
                let seed = place_seed(self.seed, seated.layer.node, k);
                chosen(seated, (&made, &values), &counts, (of_run, most, seed))
            };
            found.push(seated.iter().map(of).collect());
            k += 1;
        })?;
        Ok(found)
    }

    /// What layers of a model read at these places: for each layer, those of the first runs and those of the others.
    pub fn examples(
        &self,
        device: &dyn Device,
        model: &ModelProto,
        seated: &[Seated],
        (chosen, fitted_on): (Vec<Vec<Chosen>>, usize),
    ) -> Result<Vec<[Examples; 2]>> {
        let mut all: Vec<[Examples; 2]> = seated.iter().map(|_| Default::default()).collect();
        let names: Vec<String> = seated.iter().map(|s| s.layer.input.clone()).collect();
        let model = super::moved::with_outputs(model, names.iter());
        let mut k = 0;
        let mut chosen = chosen.into_iter();
        device.each_output(&encode(&model), &mut self.inputs(), &mut |made| {
            let of_run = chosen.next().unwrap_or_default();
            for ((one, chosen), into) in seated.iter().zip(of_run).zip(&mut all) {
                let Some((_, x)) = made.iter().find(|(n, _)| *n == one.layer.input) else {
                    continue;
                };
                let (Some(values), true) = (x.to_f32(), one.layer.output_dims(&x.dims).as_ref() == Some(&one.dims))
                else {
                    continue;
                };
                let into = if k < fitted_on { &mut into[0] } else { &mut into[1] };
                let mut rows = Vec::new();
                input_rows(&one.layer, &values, &x.dims, &one.dims, &chosen.places, &mut rows);
                for row in rows.chunks_exact(one.layer.all_columns().max(1)) {
                    into.rows.extend(row);
                    into.rows.extend(one.layer.takes_bias.then_some(1.0));
                }
                into.wanted.extend(chosen.wanted);
                into.counts.extend(chosen.counts);
            }
            k += 1;
        })?;
        Ok(all)
    }
}

/// How much each value of the outputs counts as a share, 0 to 1, by name; those that are compared as something else are missing.
fn counts(objectives: &[Objective], made: &[NamedTensor], samples: usize) -> HashMap<String, Vec<f32>> {
    let taught: HashMap<String, Tensor> = Objective::counts(objectives, made, samples).into_iter().collect();
    let scores = |o: &Objective| taught.get(&Objective::counted(&o.output)[0]).and_then(Tensor::to_f32);
    let all = objectives.iter().filter_map(scores).flatten();
    let most = all.fold(f32::MIN_POSITIVE, f32::max);
    let mut found = HashMap::new();
    for objective in objectives {
        let values = match &objective.kind {
            ObjectiveKind::Detections(_) => scores(objective).map(|v| v.iter().map(|c| c / most).collect()),
            ObjectiveKind::Numbers { .. } => {
                let of = made.iter().find(|(n, _)| *n == objective.output);
                of.map(|(_, t)| vec![1.0; t.len()])
            }
            ObjectiveKind::Classes { .. } => None,
        };
        found.extend(values.map(|v| (objective.output.clone(), v)));
    }
    found
}

/// The places of one layer in a run.
fn chosen(
    seated: &Seated,
    (made, values): (&[NamedTensor], &[Vec<f32>]),
    counts: &HashMap<String, Vec<f32>>,
    (samples, most, seed): (usize, f64, u64),
) -> Chosen {
    let mut found = Chosen::default();
    let outputs = seated.layer.outputs;
    let (blocks, each) = places_of(&seated.layer, &seated.dims);
    let counts: Vec<Option<&Vec<f32>>> = made.iter().map(|(n, _)| counts.get(n)).collect();
    let seat = |o: usize, place: usize| -> (f32, f32) {
        let seat = seated
            .seats
            .get(index(&seated.layer, &seated.dims, o, place))
            .and_then(Option::as_ref);
        let Some(seat) = seat else { return (0.0, 0.0) };
        let of = |list: Option<&Vec<f32>>| list.and_then(|v| v.get(seat.at)).copied().unwrap_or(0.0);
        (
            of(values.get(seat.output)),
            of(counts.get(seat.output).copied().flatten()),
        )
    };
    let counted: Vec<f64> = (0..blocks * each)
        .map(|p| {
            (0..outputs)
                .map(|o| seat(o, p))
                .map(|(t, c)| f64::from(t * c))
                .fold(0.0, f64::max)
        })
        .collect();
    let here = counted.iter().filter(|&&c| c >= FOUND).count() as f64;
    let there = counted.len() as f64 - here;
    let samples = samples.max(1) as f64;
    let scale = (most / (OF_FOUND + OF_OTHERS)).min(1.0);
    let kept = (samples * scale * OF_FOUND / here.max(1.0)).min(1.0);
    let drawn = (samples * scale * OF_OTHERS / there.max(1.0)).min(1.0);
    let mut random = fastrand::Rng::with_seed(seed);
    for (p, counted) in counted.into_iter().enumerate() {
        let chance = if counted >= FOUND { kept } else { drawn };
        if random.f64() >= chance {
            continue;
        }
        found.places.push((p / each.max(1), p % each.max(1)));
        for o in 0..outputs {
            let (t, c) = seat(o, p);
            found.wanted.push(t);
            found.counts.push((f64::from(c) / chance) as f32);
        }
    }
    found
}
