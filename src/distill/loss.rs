//! The loss of one output as nodes, and its gradient.

use crate::onnx::{NodeBuilder, Tensor};

use crate::score::{Objective, ObjectiveKind};

/// The loss of an output (a scalar, its mean over rows or columns times the weight) and its gradient; `taught` names what the teacher makes.
pub(super) fn seed(
    b: &mut NodeBuilder,
    objective: &Objective,
    taught: &dyn Fn(&str) -> String,
    dims: &[usize],
) -> (String, String) {
    let own = objective.output.as_str();
    let made = taught(own);
    let elements: usize = dims.iter().product();
    match &objective.kind {
        ObjectiveKind::Classes {
            classes,
            temperature,
            logits,
        } => {
            let rows = (elements / (*classes).max(1)).max(1);
            divergence(
                b,
                (own, dims),
                &made,
                (*classes, rows),
                (*temperature, *logits, objective.weight),
            )
        }
        ObjectiveKind::Numbers { inner, variances } => {
            // Columns times what lies between one and the next: the tail of an output's elements.
            let count = variances.len().max(1);
            let rows = (elements / (count * inner).max(1)).max(1);
            squares(
                b,
                (own, dims),
                &made,
                (rows, count, *inner),
                variances,
                objective.weight,
            )
        }
        ObjectiveKind::Detections(detections) => {
            let [scores, boxes] = Objective::counted(own).map(|name| taught(&name));
            let pair = (own, made.as_str());
            let (loss, gradient) = shares(b, pair, &scores, detections.logits);
            let (more, other) = counted_squares(b, pair, &boxes);
            let sum = b.op("Add", &[&loss, &more], &[]);
            let gradient = b.op("Add", &[&gradient, &other], &[]);
            (times(b, &sum, objective.weight), times(b, &gradient, objective.weight))
        }
    }
}

fn extents(dims: &[usize]) -> Vec<i64> {
    dims.iter().map(|&d| d as i64).collect()
}

fn scalar(b: &mut NodeBuilder, value: f64) -> String {
    b.constant(&Tensor::from_f32(vec![], &[value as f32]))
}

fn times(b: &mut NodeBuilder, value: &str, factor: f64) -> String {
    let factor = scalar(b, factor);
    b.op("Mul", &[value, &factor], &[])
}

fn total(b: &mut NodeBuilder, value: &str) -> String {
    b.op("ReduceSum", &[value], &[("keepdims", &[0])])
}

/// T² Σ p (ln p − ln q) over rows, with p and q the softmax of both models at the temperature T; its gradient with respect to logits is
/// T (q − p) over rows.
fn divergence(
    b: &mut NodeBuilder,
    (own, dims): (&str, &[usize]),
    taught: &str,
    (classes, rows): (usize, usize),
    (temperature, logits, weight): (f64, bool, f64),
) -> (String, String) {
    let share = weight / rows as f64;
    let flat = [rows as i64, classes as i64];
    let mut sides = Vec::new();
    for value in [own, taught] {
        let values = b.reshape(value, &flat);
        let values = match logits {
            true => values,
            false => {
                let least = scalar(b, PROBABLE);
                let bounded = b.op("Max", &[&values, &least], &[]);
                b.op("Log", &[&bounded], &[])
            }
        };
        let softer = times(b, &values, 1.0 / temperature);
        let log = b.op("LogSoftmax", &[&softer], &[("axis", &[1])]);
        let shares = b.op("Exp", &[&log], &[]);
        sides.push((log, shares));
    }
    let [(log_q, q), (log_p, p)] = <[_; 2]>::try_from(sides).unwrap_or_default();
    let apart = b.op("Sub", &[&log_p, &log_q], &[]);
    let terms = b.op("Mul", &[&p, &apart], &[]);
    let sum = total(b, &terms);
    let loss = times(b, &sum, temperature * temperature * share);
    let more = b.op("Sub", &[&q, &p], &[]);
    let mut gradient = times(b, &more, temperature * share);
    gradient = b.reshape(&gradient, &extents(dims));
    if !logits {
        let least = scalar(b, PROBABLE);
        let bounded = b.op("Max", &[own, &least], &[]);
        gradient = b.op("Div", &[&gradient, &bounded], &[]);
    }
    (loss, gradient)
}

/// Probabilities below count as this one.
const PROBABLE: f64 = 1e-6;

/// The mean over columns of the mean squared error over the variance.
fn squares(
    b: &mut NodeBuilder,
    (own, dims): (&str, &[usize]),
    taught: &str,
    (rows, count, inner): (usize, usize, usize),
    variances: &[f64],
    weight: f64,
) -> (String, String) {
    let share = weight / (rows * inner * count).max(1) as f64;
    let factors: Vec<f32> = variances.iter().map(|v| (share / v) as f32).collect();
    let factors = b.constant(&Tensor::from_f32(vec![count, 1], &factors));
    let apart = b.op("Sub", &[own, taught], &[]);
    let flat = b.reshape(&apart, &[rows as i64, count as i64, inner as i64]);
    let weighted = b.op("Mul", &[&flat, &factors], &[]);
    let terms = b.op("Mul", &[&weighted, &flat], &[]);
    let loss = total(b, &terms);
    let gradient = b.reshape(&weighted, &extents(dims));
    (loss, times(b, &gradient, 2.0))
}

/// Shares are kept so far from 0 and 1.
const NEAREST: f64 = 1e-4;

/// Σ c (t ln(t/p) + (1 − t) ln((1 − t)/(1 − p))): the divergence of each share p from that of the teacher t. Unlike a squared error it still pulls
/// where a share is nearly 0.
fn shares(b: &mut NodeBuilder, (own, taught): (&str, &str), counts: &str, logits: bool) -> (String, String) {
    let (least, most, one) = (scalar(b, NEAREST), scalar(b, 1.0 - NEAREST), scalar(b, 1.0));
    let [p, t] = [own, taught].map(|value| {
        let share = match logits {
            true => b.op("Sigmoid", &[value], &[]),
            false => value.to_owned(),
        };
        b.op("Clip", &[&share, &least, &most], &[])
    });
    let [no_p, no_t] = [&p, &t].map(|share| b.op("Sub", &[&one, share], &[]));
    let [yes, no] = [(&t, &p), (&no_t, &no_p)].map(|(of, from)| {
        let ratio = b.op("Div", &[of, from], &[]);
        let log = b.op("Log", &[&ratio], &[]);
        b.op("Mul", &[of, &log], &[])
    });
    let both = b.op("Add", &[&yes, &no], &[]);
    let counted = b.op("Mul", &[&both, counts], &[]);
    let loss = total(b, &counted);
    let apart = b.op("Sub", &[&p, &t], &[]);
    let mut gradient = b.op("Mul", &[&apart, counts], &[]);
    if !logits {
        let spread = b.op("Mul", &[&p, &no_p], &[]);
        gradient = b.op("Div", &[&gradient, &spread], &[]);
    }
    (loss, gradient)
}

/// Σ c (x − y)².
fn counted_squares(b: &mut NodeBuilder, (own, taught): (&str, &str), counts: &str) -> (String, String) {
    let apart = b.op("Sub", &[own, taught], &[]);
    let weighted = b.op("Mul", &[&apart, counts], &[]);
    let terms = b.op("Mul", &[&weighted, &apart], &[]);
    let loss = total(b, &terms);
    (loss, times(b, &weighted, 2.0))
}
