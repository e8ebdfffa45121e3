//! The loss of one output as nodes, and its gradient.

use crate::onnx::{NodeBuilder, Tensor};

use crate::score::{Objective, ObjectiveKind};

/// The loss of an output (a scalar, its mean over rows or columns times the weight) and its gradient; `taught` is what the teacher makes.
pub(super) fn seed(b: &mut NodeBuilder, objective: &Objective, taught: &str, dims: &[usize]) -> (String, String) {
    let own = objective.output.as_str();
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
                taught,
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
                taught,
                (rows, count, *inner),
                variances,
                objective.weight,
            )
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
