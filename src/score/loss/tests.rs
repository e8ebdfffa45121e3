//! Losses against formulas, and against numbers of SciPy and NumPy (`tests/python/task_numbers.py`).

use super::classes::{Form, Rows as ClassRows, VALUES_SHARE};
use super::columns::{Activation, Axis, Spread, column_error, relative_error, set_error};
use super::detections::{box_error, row_weights, score_energy, score_error, set_distance};
use super::head::{Compare, JudgedRun};
use super::settle::heads;
use super::{Judgement, LossSpec};
use crate::task::draws::{Draws, tables};
use crate::task::{Detection, How, OutputValues, Reading, Rect, Rows, TaskKind};

fn near(a: f64, b: f64) -> bool {
    (a - b).abs() < 1e-5
}

fn output(name: &str, dims: &[usize], values: &[f32]) -> OutputValues {
    OutputValues {
        name: name.to_owned(),
        dims: dims.to_vec(),
        values: values.to_vec(),
        float: true,
    }
}

/// One run of `samples` samples with one output.
fn run(samples: usize, outputs: Vec<OutputValues>) -> JudgedRun {
    JudgedRun {
        samples,
        outputs,
        rows: Vec::new(),
        weights: Vec::new(),
    }
}

/// The loss of one output of another model.
fn distance(spec: &LossSpec, runs: &[JudgedRun], after: OutputValues) -> f64 {
    heads(spec, runs)[0].distance(&runs[0], &[after])
}

fn reading(kind: TaskKind, how: How) -> LossSpec {
    LossSpec {
        reading: Some(Reading {
            kind,
            how,
            why: String::new(),
            given: false,
        }),
        ..LossSpec::default()
    }
}

#[test]
fn classifiers_are_told_from_maps_and_logits_from_probabilities() {
    let spec = LossSpec::default();
    let classes = |dims: &[usize], values: &[f32], n| spec.is_classes(&output("y", dims, values), n);
    assert_eq!(classes(&[1, 2, 1, 1], &[0.25, 0.75], 1), Some(2));
    assert_eq!(ClassRows::of(&[0.25, 0.75], 2).form, Form::Probabilities);
    assert_eq!(ClassRows::of(&[-1.0, 2.0], 2).form, Form::Logits);
    assert_eq!(classes(&[1, 2, 3], &[0.0; 6], 1), None);
    // Steps of time before the batch are no samples.
    assert_eq!(classes(&[3, 2], &[0.0; 6], 2), None);
    assert_eq!(classes(&[2, 3], &[0.0; 6], 2), Some(3));
    // A table of vectors holds no classes.
    let vectors = reading(TaskKind::Embed, How::Vectors { output: "y".to_owned() });
    assert_eq!(vectors.is_classes(&output("y", &[2, 3], &[0.0; 6]), 2), None);
}

#[test]
fn what_is_no_number_is_infinitely_far_and_never_nothing() {
    let (nan, inf) = (f32::NAN, f32::INFINITY);
    let spec = LossSpec::default();
    for (dims, n) in [(vec![1, 2], 1), (vec![1, 1, 2], 1), (vec![2], 1)] {
        let runs = [run(n, vec![output("y", &dims, &[1.0, 2.0])])];
        for after in [[1.0, nan], [inf, 2.0]] {
            assert_eq!(
                distance(&spec, &runs, output("y", &dims, &after)),
                f64::INFINITY,
                "{dims:?}"
            );
        }
    }
    let runs = [run(1, vec![output("y", &[3], &[1.0, nan, 3.0])])];
    assert_eq!(distance(&spec, &runs, output("y", &[3], &[1.0, 5.0, 3.0])), 0.0);
    assert_eq!(plain(Form::Logits, 2).distance(&[1.0, -inf], &[1.0, -inf]), 0.0);
    let mut whole = output("y", &[2], &[1.0, 2.0]);
    whole.float = false;
    let runs = [run(1, vec![whole])];
    assert_eq!(distance(&spec, &runs, output("y", &[2], &[1.0, 3.0])), 0.5);
    assert_eq!(Judgement::default().loss(), f64::INFINITY);
}

/// Rows of classes as they are.
fn plain(form: Form, classes: usize) -> ClassRows {
    ClassRows {
        form,
        classes,
        temperature: 1.0,
        floor: 1e-12,
    }
}

/// A classifier that is sure of all samples: what two changes lose one by one is what they lose together, which plain divergence is far from.
#[test]
fn losses_of_a_sure_classifier_add_up() {
    let mut random = fastrand::Rng::with_seed(1);
    let (rows, classes) = (4000, 10);
    let sure: Vec<f32> = (0..rows * classes)
        .map(|k| {
            random.f32()
                + if k % classes == k / classes % classes {
                    12.0
                } else {
                    0.0
                }
        })
        .collect();
    let mut change = |scale: f32| {
        (0..sure.len())
            .map(|_| scale * (random.f32() - 0.5))
            .collect::<Vec<f32>>()
    };
    let changes: Vec<Vec<f32>> = (0..16).map(|_| change(5.0)).collect();
    let changed = |all: &[Vec<f32>]| -> Vec<f32> {
        let sum = |k: usize| sure[k] + all.iter().map(|c| c[k]).sum::<f32>();
        (0..sure.len()).map(sum).collect()
    };
    let ratio = |how: ClassRows| {
        let own = |c: &Vec<f32>| {
            how.distance(&sure, &changed(std::slice::from_ref(c)))
                - VALUES_SHARE * relative_error(&sure, &changed(std::slice::from_ref(c)))
        };
        let together =
            how.distance(&sure, &changed(&changes)) - VALUES_SHARE * relative_error(&sure, &changed(&changes));
        together / changes.iter().map(own).sum::<f64>()
    };
    let softened = ClassRows::of(&sure, classes);
    assert!(
        softened.temperature > 3.0 && (0.5..2.0).contains(&ratio(softened)),
        "{}",
        ratio(softened)
    );
    assert!(ratio(plain(Form::Logits, classes)) > 10.0);
    // One that is not sure is compared as it is.
    let unsure: Vec<f32> = sure.iter().map(|v| v / 12.0).collect();
    assert_eq!(ClassRows::of(&unsure, classes).temperature, 1.0);
}

#[test]
fn equal_outputs_lose_nothing_and_others_lose_what_the_formula_says() {
    let p: [f32; 2] = [0.8, 0.2];
    let q: [f32; 2] = [0.5, 0.5];
    let exact = 0.8 * (0.8f64 / 0.5).ln() + 0.2 * (0.2f64 / 0.5).ln();
    let logits = |p: [f32; 2]| p.map(|v| v.ln() + 3.0);
    for (rows, p, q) in [
        (plain(Form::Probabilities, 2), p, q),
        (plain(Form::Logits, 2), logits(p), logits(q)),
    ] {
        let values = VALUES_SHARE * relative_error(&p, &q);
        assert!(near(rows.distance(&p, &q), exact + values));
        assert_eq!(rows.distance(&p, &p), 0.0);
    }
    assert_eq!(relative_error(&[1.0, 3.0], &[2.0, 3.0]), 0.5);
}

#[test]
fn divergence_directions_and_columns_are_those_of_scipy_and_numpy() {
    let (x, y) = tables();
    let values = VALUES_SHARE * relative_error(&x, &y);
    assert!(near(plain(Form::Logits, 5).distance(&x, &y) - values, 0.0339464461));
    let vectors = reading(TaskKind::Embed, How::Vectors { output: "y".to_owned() });
    let runs = [run(8, vec![output("y", &[8, 5], &x)])];
    assert!(near(distance(&vectors, &runs, output("y", &[8, 5], &y)), 0.2049801772));
    let numbers = reading(TaskKind::Regress, How::Values);
    assert!(near(distance(&numbers, &runs, output("y", &[8, 5], &y)), 0.3149514926));
}

#[test]
fn the_axis_of_columns_is_that_of_channels_or_attributes() {
    let columns = |dims: &[usize]| {
        let axis = Axis::of(dims, 1);
        (axis.count, axis.inner)
    };
    assert_eq!(columns(&[1, 84, 8400]), (84, 8400));
    assert_eq!(columns(&[1, 3549, 85]), (85, 1));
    assert_eq!(columns(&[1, 24, 13, 13]), (24, 169));
    assert_eq!(columns(&[1, 13, 13, 255]), (255, 1));
    assert_eq!(columns(&[320, 320]), (1, 1));
    assert_eq!(columns(&[1, 172, 172]), (1, 1));
    // Boxes in pixels do not swamp scores: each column counts alike.
    let before = [100.0, 0.0, 300.0, 1.0, 200.0, 0.0, 400.0, 1.0_f32];
    let scores = [100.0, 1.0, 300.0, 0.0, 200.0, 1.0, 400.0, 0.0_f32];
    let axis = Axis { count: 2, inner: 1 };
    let mut spread = Spread::default();
    spread.add(axis, &before, &|_| 1.0);
    let variances = spread.variances(8);
    assert!(column_error(axis, &variances, (&before, &scores), &|_| 1.0) > 1e-3);
    assert!(relative_error(&before, &scores) < 1e-3);
}

#[test]
fn activations_are_applied_along_the_columns() {
    let axis = Axis { count: 2, inner: 3 };
    let mut values = [0.0, 1.0, 2.0, 0.0, 0.0, 0.0_f32];
    axis.activate(Activation::Softmax, &mut values);
    for place in 0..3 {
        assert!((values[place] + values[3 + place] - 1.0).abs() < 1e-6);
    }
    assert!((values[1] - 1.0 / (1.0 + (-1.0f32).exp())).abs() < 1e-6);
}

#[test]
fn boxes_count_where_something_is() {
    let rows = |dx: f32, at: usize| Rows {
        classes: 1,
        scores: vec![0.9, 0.001],
        boxes: (0..2)
            .map(|k| {
                let x = if k == at { dx } else { 0.0 };
                Rect::corners(x, 0.0, x + 10.0, 10.0)
            })
            .collect(),
    };
    let own = rows(0.0, 0);
    let weights = row_weights(&own);
    let there = box_error(&own, &rows(3.0, 0), &weights);
    let background = box_error(&own, &rows(3.0, 1), &weights);
    // Two of four corners by 0.3 of the size.
    assert!((there - 0.18).abs() < 1e-3, "{there}");
    assert!(background < 1e-4, "{background}");
    assert!(box_error(&own, &rows(f32::NAN, 0), &weights) > 0.99);
}

#[test]
fn errors_of_scores_and_boxes_are_those_of_numpy() {
    let mut draw = Draws(17);
    let empty = || Rows {
        classes: 3,
        scores: Vec::new(),
        boxes: Vec::new(),
    };
    let (mut own, mut other) = (empty(), empty());
    for _ in 0..40 {
        for rows in [&mut own, &mut other] {
            rows.scores.extend((0..3).map(|_| draw.below(1000) as f32 / 1000.0));
        }
    }
    for _ in 0..40 {
        let mut number = |n: u64| draw.below(n) as f32;
        let (x, y) = (number(300), number(300));
        let (w, h) = (10.0 + number(90), 10.0 + number(90));
        let [a, b, c, d] = std::array::from_fn(|_| number(33) - 16.0);
        own.boxes.push(Rect::corners(x, y, x + w, y + h));
        other.boxes.push(Rect::corners(x + a, y + b, x + w + c, y + h + d));
    }
    assert!(near(score_error(&own, &other) / score_energy(&own), 0.4926956833));
    assert!(near(box_error(&own, &other, &row_weights(&own)), 0.3265873868));
}

#[test]
fn sets_of_any_size_are_compared() {
    let at = |x: f32, score| Detection {
        class: 0,
        score,
        rect: Rect::corners(x, 0.0, x + 10.0, 10.0),
    };
    let own = [at(0.0, 0.8), at(50.0, 0.4)];
    assert_eq!(set_distance(&own, &own), 0.0);
    assert!(near(set_distance(&own, &own[..1]), 0.4 / 1.2));
    assert_eq!(set_distance(&own, &[]), 1.0);
    assert_eq!(
        (set_distance(&[], &[]), set_distance(&[], &own[1..])),
        (0.0, f64::from(0.4f32))
    );
    assert_eq!(set_error(1, &[1.0], &[1.0, 2.0], &[2.0, 1.0]), 0.0);
    assert_eq!(set_error(1, &[1.0], &[1.0, 2.0], &[]), 1.0);
    assert!(set_error(1, &[1.0], &[1.0, 2.0], &[1.0, 2.0, 9.0]) > 1.0 / 3.0);
    assert_eq!(set_error(1, &[1.0], &[], &[]), 0.0);
}

#[test]
fn outputs_whose_length_depends_on_the_sample_are_sets_and_weights_leave_out() {
    let many = |n: usize| output("y", &[n, 2], &vec![1.0; 2 * n]);
    let runs = [
        run(1, vec![many(3), output("z", &[1], &[1.0])]),
        run(1, vec![many(5), output("z", &[1], &[2.0])]),
    ];
    let all = heads(&LossSpec::default(), &runs);
    assert!(matches!(all[0].how, Compare::Ragged(_)));
    assert!(all[0].distance(&runs[0], &[many(4)]).is_finite());
    let weights = [("y".to_owned(), 0.0)];
    let names = ["y".to_owned(), "z".to_owned()];
    let values = || reading(TaskKind::Regress, How::Values).reading.unwrap();
    let spec = LossSpec::new(values(), &weights, &names).unwrap();
    assert_eq!(heads(&spec, &runs).len(), 1);
    let wrong = LossSpec::new(values(), &[("x".to_owned(), 1.0)], &names).unwrap_err();
    assert!(wrong.to_string().contains("'y', 'z'"), "{wrong}");
    let none = [("y".to_owned(), 0.0), ("z".to_owned(), 0.0)];
    assert!(LossSpec::new(values(), &none, &names).is_err());
}
