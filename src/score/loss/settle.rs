//! What a model's outputs are compared as, from what its own hold on some runs.

use super::classes::Rows as ClassRows;
use super::columns::{Activation, Axis, Spread};
use super::detections::score_energy;
use super::head::{Compare, Head, JudgedRun, place_weight, units};
use super::spec::LossSpec;
use crate::task::{DetectLayout, How, OutputValues};

/// All heads of a model whose own outputs on some runs are known.
pub(super) fn heads(spec: &LossSpec, runs: &[JudgedRun]) -> Vec<Head> {
    let Some(first) = runs.first() else { return Vec::new() };
    let layout = spec.reading.as_ref().and_then(|r| r.layout());
    let mut heads = layout.map_or_else(Vec::new, |l| of_layout(spec, l, runs));
    for output in &first.outputs {
        if layout.is_some_and(|l| l.outputs.contains(&output.name)) {
            continue;
        }
        heads.push(Head {
            outputs: vec![output.name.clone()],
            weight: spec.weight(&output.name),
            how: of_output(spec, output, runs),
        });
    }
    heads.retain(|h| h.weight > 0.0);
    heads
}

/// Detections as one head, or scores and boxes as two.
fn of_layout(spec: &LossSpec, layout: &DetectLayout, runs: &[JudgedRun]) -> Vec<Head> {
    let mean = |names: &[String]| names.iter().map(|n| spec.weight(n)).sum::<f64>() / names.len().max(1) as f64;
    let head = |names: &[String], how: Compare| Head {
        outputs: names.to_vec(),
        weight: mean(names),
        how,
    };
    if !layout.is_dense() {
        return vec![head(&layout.outputs, Compare::Selected(layout.clone()))];
    }
    let (mut energy, mut samples) = (0.0, 0);
    for rows in runs.iter().flat_map(|r| &r.rows) {
        energy += score_energy(rows);
        samples += 1;
    }
    let energy = (energy / f64::from(samples.max(1))).max(1e-9);
    let (scores, boxes) = layout.score_and_box_outputs();
    vec![
        head(&scores, Compare::Scores(layout.clone(), energy)),
        head(&boxes, Compare::Boxes(layout.clone())),
    ]
}

/// What one output is compared as.
fn of_output(spec: &LossSpec, first: &OutputValues, runs: &[JudgedRun]) -> Compare {
    let samples = runs.first().map_or(1, |r| r.samples);
    let all = || {
        runs.iter()
            .filter_map(|r| Some((r, r.outputs.iter().find(|o| o.name == first.name)?)))
    };
    let tail = |o: &OutputValues, n: usize| o.sample_dims(n).to_vec();
    if let Some(How::Steps {
        output,
        steps_first: true,
        ..
    }) = spec.reading.as_ref().map(|r| &r.how)
        && *output == first.name
    {
        return of_steps(first, all().map(|(_, o)| o));
    }
    let ragged = all().any(|(r, o)| tail(o, r.samples) != tail(first, samples));
    if ragged {
        return ragged_of(first, all().map(|(_, o)| o));
    }
    if !first.float {
        return Compare::Whole;
    }
    let reading = spec.reading.as_ref().map(|r| &r.how);
    if let Some(classes) = spec.is_classes(first, samples) {
        return of_classes(classes, all().map(|(_, o)| o));
    }
    let mut activation = Activation::None;
    match reading {
        Some(How::Steps { output, .. }) if *output == first.name => {
            return of_steps(first, all().map(|(_, o)| o));
        }
        Some(How::Vectors { output }) if *output == first.name => {
            let each = first.values.len() / samples.max(1);
            let units: Vec<f32> = all().flat_map(|(_, o)| units(&o.values, each)).collect();
            let axis = Axis { count: each, inner: 1 };
            let mut spread = Spread::default();
            spread.add(axis, &units, &|_| 1.0);
            let variance: f64 = spread.variances(units.len() / each.max(1)).iter().sum();
            return Compare::Vectors(variance.max(1e-9));
        }
        Some(How::Maps {
            output,
            classes,
            logits: true,
            ..
        }) if *output == first.name => {
            activation = if *classes > 1 {
                Activation::Softmax
            } else {
                Activation::Sigmoid
            };
        }
        _ => {}
    }
    let places = places_of(spec, first, samples, runs);
    let axis = match (places, first.dims.last()) {
        (Some(_), Some(&count)) => Axis {
            count: count.max(1),
            inner: 1,
        },
        _ => Axis::of(&first.dims, samples),
    };
    let mut spread = Spread::default();
    let mut rows = 0;
    for (run, output) in all() {
        let mut values = output.values.clone();
        axis.activate(activation, &mut values);
        let own = values.len() / axis.count;
        rows += own;
        spread.add(axis, &values, &|row| place_weight(run, places, row, own));
    }
    Compare::Columns {
        axis,
        activation,
        variances: spread.variances(rows),
        places,
    }
}

/// Classes of steps, which stand last.
fn of_steps<'o>(first: &OutputValues, all: impl Iterator<Item = &'o OutputValues>) -> Compare {
    of_classes(first.dims.last().copied().unwrap_or(1).max(1), all)
}

/// Rows of classes.
fn of_classes<'o>(classes: usize, all: impl Iterator<Item = &'o OutputValues>) -> Compare {
    let values: Vec<f32> = all.flat_map(|o| o.values.iter().copied()).collect();
    Compare::Classes(ClassRows::of(&values, classes))
}

/// Rows whose number differs.
fn ragged_of<'o>(first: &OutputValues, all: impl Iterator<Item = &'o OutputValues>) -> Compare {
    let all: Vec<&OutputValues> = all.collect();
    let fixed = first.dims.len() > 1 && all.iter().all(|o| o.dims.last() == first.dims.last());
    let columns = if fixed {
        first.dims.last().copied().unwrap_or(1).max(1)
    } else {
        1
    };
    let axis = Axis {
        count: columns,
        inner: 1,
    };
    let mut spread = Spread::default();
    let mut rows = 0;
    for output in all {
        rows += output.values.len() / columns;
        spread.add(axis, &output.values, &|_| 1.0);
    }
    let mut variances = spread.variances(rows);
    variances.resize(columns, 1.0);
    Compare::Ragged(variances)
}

/// Which of a detector's places the rows of another output are: those of as many places in the layout's order.
fn places_of(spec: &LossSpec, output: &OutputValues, samples: usize, runs: &[JudgedRun]) -> Option<usize> {
    let layout = spec.reading.as_ref()?.layout()?;
    let &[n, places, _] = output.dims.as_slice() else {
        return None;
    };
    let all = runs.first()?.rows.first()?.boxes.len();
    let from = layout.first_place(places, all)?;
    (n == samples).then_some(from)
}
