//! What layers see, guessed from weights and BatchNormalization alone: mean and variance of every channel.
//!
//! A BatchNormalization's output has the mean and deviation that it was trained to give (its shift and scale). A layer's
//! output is guessed from its inputs as if these were independent; rectifiers by the moments of a rectified normal
//! variable. Inputs count as of mean 0 and variance 1.

use std::collections::HashMap;

use super::mixer::Mixer;
use super::moments::Moments;
use super::statistics::Statistics;
use crate::channels::Analysis;
use crate::onnx::proto::NodeProto;
use crate::onnx::{Attributes, Graph};

/// Mean and variance of one channel.
type Guess = (f64, f64);

impl Statistics {
    /// Guessed moments of the inputs of layers.
    pub fn guessed(graph: &Graph, analysis: &Analysis, wanted: &[Mixer]) -> Self {
        let known = guesses(graph, analysis);
        let mut found = Self::default();
        for mixer in wanted {
            let channels = mixer.groups * mixer.inputs;
            let own = known.get(mixer.input.as_str()).filter(|g| g.len() == channels);
            let default = vec![(0.0, 1.0); channels];
            let own = own.unwrap_or(&default);
            found.single.insert(mixer.node, Moments::independent(own, mixer.taps));
        }
        found
    }
}

/// Guesses for the channels (axis 1, or the last of products) of every value.
fn guesses(graph: &Graph, analysis: &Analysis) -> HashMap<String, Vec<Guess>> {
    let co = &analysis.coupling;
    let mut known: HashMap<String, Vec<Guess>> = HashMap::new();
    for (index, node) in graph.proto.node.iter().enumerate() {
        let Some(output) = node.output.first() else { continue };
        let dims = co.by_name(output).map_or(Vec::new(), |id| co.dims(id).to_vec());
        let width = |name: &str| {
            let dims = co.by_name(name).map_or(&[][..], |id| co.dims(id));
            dims.get(1).copied().unwrap_or(0)
        };
        let input = |i: usize| -> Vec<Guess> {
            let name = node.input.get(i).map_or("", String::as_str);
            let found = known.get(name).cloned();
            found.unwrap_or_else(|| vec![(0.0, 1.0); width(name)])
        };
        let made = match Mixer::of(graph, index) {
            Some(mixer) => mixed(&mixer, graph, &input(0)),
            None => followed(graph, node, &input, &dims),
        };
        if let Some(made) = made {
            known.insert(output.clone(), made);
        }
    }
    known
}

fn mixed(mixer: &Mixer, graph: &Graph, input: &[Guess]) -> Option<Vec<Guess>> {
    let (weights, bias) = (mixer.weights(graph)?, mixer.bias(graph));
    if input.len() != mixer.groups * mixer.inputs {
        return None;
    }
    let one = |o: usize| {
        let from = o / mixer.group_outputs() * mixer.inputs;
        let row = &weights[o * mixer.columns()..(o + 1) * mixer.columns()];
        let (mut mean, mut variance) = (f64::from(bias[o]), 0.0);
        for (taps, guess) in row.chunks_exact(mixer.taps).zip(&input[from..]) {
            mean += taps.iter().map(|&w| f64::from(w)).sum::<f64>() * guess.0;
            variance += taps.iter().map(|&w| f64::from(w).powi(2)).sum::<f64>() * guess.1;
        }
        (mean, variance)
    };
    Some((0..mixer.outputs).map(one).collect())
}

fn followed(
    graph: &Graph,
    node: &NodeProto,
    input: &dyn Fn(usize) -> Vec<Guess>,
    dims: &[usize],
) -> Option<Vec<Guess>> {
    let made: Vec<Guess> = match node.op_type() {
        "BatchNormalization" => {
            let list = |i: usize| graph.constant(node.input.get(i)?)?.to_f32();
            let (scale, shift) = (list(1)?, list(2)?);
            let both = scale.iter().zip(&shift);
            both.map(|(&s, &b)| (f64::from(b), f64::from(s).powi(2))).collect()
        }
        "Relu" | "LeakyRelu" | "PRelu" | "Clip" | "HardSwish" | "Elu" | "Selu" | "Gelu" | "Softplus" | "Swish"
        | "Mish" => input(0).into_iter().map(rectified).collect(),
        "Sigmoid" | "HardSigmoid" => input(0).iter().map(|_| (0.5, 0.05)).collect(),
        "Add" | "Sub" => {
            let sides = [0, 1].map(input);
            let [a, b] = sides;
            if a.len() != b.len() {
                return Some(if a.len() > b.len() { a } else { b });
            }
            a.iter().zip(&b).map(|(x, y)| (x.0 + y.0, x.1 + y.1)).collect()
        }
        "Concat" if node.int("axis", 0) == 1 => (0..node.input.len()).flat_map(input).collect(),
        "Flatten" | "Reshape" | "Squeeze" => {
            let x = input(0);
            let width = dims.get(1).copied()?;
            let each = width.checked_div(x.len()).filter(|e| e * x.len() == width)?;
            x.into_iter().flat_map(|g| std::iter::repeat_n(g, each)).collect()
        }
        _ => input(0),
    };
    (dims.len() > 1 && made.len() == dims[1]).then_some(made)
}

/// Moments of max(x, 0) for a normal x.
fn rectified((mean, variance): Guess) -> Guess {
    let deviation = variance.max(1e-12).sqrt();
    let z = mean / deviation;
    let density = (-0.5 * z * z).exp() / (2.0 * std::f64::consts::PI).sqrt();
    let below = normal(z);
    let first = mean * below + deviation * density;
    let second = (mean * mean + variance) * below + mean * deviation * density;
    (first, (second - first * first).max(0.0))
}

/// The normal distribution function, to 1e-7 (Abramowitz and Stegun, 26.2.17).
fn normal(z: f64) -> f64 {
    let t = 1.0 / (1.0 + 0.231_641_9 * z.abs());
    let series =
        t * (0.319_381_530 + t * (-0.356_563_782 + t * (1.781_477_937 + t * (-1.821_255_978 + t * 1.330_274_429))));
    let tail = (-0.5 * z * z).exp() / (2.0 * std::f64::consts::PI).sqrt() * series;
    if z >= 0.0 { 1.0 - tail } else { tail }
}

#[cfg(test)]
mod tests {
    use super::{normal, rectified};

    #[test]
    fn rectified_moments_are_those_of_samples() {
        let mut random = fastrand::Rng::with_seed(1);
        for (mean, variance) in [(0.0, 1.0), (-1.0, 0.5), (2.0, 4.0)] {
            let deviation: f64 = f64::sqrt(variance);
            let n = 400_000;
            let (mut sum, mut squares) = (0.0, 0.0);
            for _ in 0..n {
                // Twelve uniform numbers make a normal one, near enough.
                let z: f64 = (0..12).map(|_| random.f64()).sum::<f64>() - 6.0;
                let x = (mean + deviation * z).max(0.0);
                (sum, squares) = (sum + x, squares + x * x);
            }
            let (first, second) = (sum / f64::from(n), squares / f64::from(n));
            let guess = rectified((mean, variance));
            assert!((guess.0 - first).abs() < 0.02, "{guess:?} {first}");
            assert!((guess.1 - (second - first * first)).abs() < 0.03);
        }
        assert!((normal(1.959_964) - 0.975).abs() < 1e-6 && (normal(-1.0) - 0.158_655).abs() < 1e-6);
    }
}
