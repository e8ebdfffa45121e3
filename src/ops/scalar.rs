//! Operators on single elements as functions of one number.

use crate::onnx::proto::NodeProto;
use crate::onnx::{Attributes, Graph};

/// A function of one number.
pub type ScalarFn = Box<dyn Fn(f64) -> f64>;

/// How an operator's function of one number is known.
#[derive(Clone, Copy)]
pub enum Scalar {
    /// The same for every node.
    Fixed(fn(f64) -> f64),
    /// By a node's attributes and constant inputs.
    OfNode(fn(&Graph, &NodeProto) -> Option<ScalarFn>),
}

impl Scalar {
    /// The function of a node; `None` where an input that it depends on is not in the file.
    pub fn function(self, graph: &Graph, node: &NodeProto) -> Option<ScalarFn> {
        match self {
            Self::Fixed(f) => Some(Box::new(f)),
            Self::OfNode(make) => make(graph, node),
        }
    }
}

fn float(node: &NodeProto, name: &str, default: f32) -> f64 {
    f64::from(node.float(name, default))
}

/// `max(x, 0)`.
pub fn relu(x: f64) -> f64 {
    x.max(0.0)
}

/// `x` below zero times `alpha`.
pub fn leaky_relu(_: &Graph, node: &NodeProto) -> Option<ScalarFn> {
    let alpha = float(node, "alpha", 0.01);
    Some(Box::new(move |x| if x < 0.0 { alpha * x } else { x }))
}

/// Zero up to `alpha`.
pub fn thresholded_relu(_: &Graph, node: &NodeProto) -> Option<ScalarFn> {
    let alpha = float(node, "alpha", 1.0);
    Some(Box::new(move |x| if x > alpha { x } else { 0.0 }))
}

/// Exponential below zero.
pub fn elu(_: &Graph, node: &NodeProto) -> Option<ScalarFn> {
    let alpha = float(node, "alpha", 1.0);
    Some(Box::new(move |x| if x < 0.0 { alpha * x.exp_m1() } else { x }))
}

/// Exponential below zero, smooth at zero.
pub fn celu(_: &Graph, node: &NodeProto) -> Option<ScalarFn> {
    let alpha = float(node, "alpha", 1.0);
    Some(Box::new(move |x| x.max(0.0) + (alpha * (x / alpha).exp_m1()).min(0.0)))
}

/// Exponential below zero, scaled so that activations keep mean and variance.
pub fn selu(_: &Graph, node: &NodeProto) -> Option<ScalarFn> {
    let (alpha, gamma) = (float(node, "alpha", 1.673_263_2), float(node, "gamma", 1.050_701));
    Some(Box::new(move |x| gamma * if x < 0.0 { alpha * x.exp_m1() } else { x }))
}

/// The logistic function.
pub fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// A line between 0 and 1.
pub fn hard_sigmoid(_: &Graph, node: &NodeProto) -> Option<ScalarFn> {
    let (alpha, beta) = (float(node, "alpha", 0.2), float(node, "beta", 0.5));
    Some(Box::new(move |x| (alpha * x + beta).clamp(0.0, 1.0)))
}

/// `x` times a line between 0 and 1.
pub fn hard_swish(x: f64) -> f64 {
    x * (x / 6.0 + 0.5).clamp(0.0, 1.0)
}

/// `x · sigmoid(alpha · x)`.
pub fn swish(_: &Graph, node: &NodeProto) -> Option<ScalarFn> {
    let alpha = float(node, "alpha", 1.0);
    Some(Box::new(move |x| x * sigmoid(alpha * x)))
}

/// `x · tanh(softplus(x))`.
pub fn mish(x: f64) -> f64 {
    x * softplus(x).tanh()
}

/// `x` times the normal distribution's share below it, exact or by a hyperbolic tangent.
pub fn gelu(_: &Graph, node: &NodeProto) -> Option<ScalarFn> {
    if node.text("approximate", "none") == "tanh" {
        return Some(Box::new(|x| {
            0.5 * x * (1.0 + (0.797_884_560_8 * (x + 0.044_715 * x.powi(3))).tanh())
        }));
    }
    Some(Box::new(|x| 0.5 * x * (1.0 + erf(x * std::f64::consts::FRAC_1_SQRT_2))))
}

/// `ln(1 + exp(x))`.
pub fn softplus(x: f64) -> f64 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

/// `x / (1 + |x|)`.
pub fn softsign(x: f64) -> f64 {
    x / (1.0 + x.abs())
}

/// Towards zero by `bias`, zero within `lambd`.
pub fn shrink(_: &Graph, node: &NodeProto) -> Option<ScalarFn> {
    let (lambd, bias) = (float(node, "lambd", 0.5), float(node, "bias", 0.0));
    Some(Box::new(move |x| {
        if x < -lambd {
            x + bias
        } else if x > lambd {
            x - bias
        } else {
            0.0
        }
    }))
}

/// Between `min` and `max`: attributes before opset 11, inputs from then on.
pub fn clip(graph: &Graph, node: &NodeProto) -> Option<ScalarFn> {
    let bound = |attribute: &str, input: usize, none: f32| -> Option<f64> {
        if let Some(v) = node.attr(attribute).and_then(|a| a.f) {
            return Some(f64::from(v));
        }
        match node.input.get(input).filter(|n| !n.is_empty()) {
            None => Some(f64::from(none)),
            Some(name) => graph.stored(name)?.to_f32()?.first().map(|&v| f64::from(v)),
        }
    };
    let (low, high) = (bound("min", 1, f32::MIN)?, bound("max", 2, f32::MAX)?);
    Some(Box::new(move |x| x.max(low).min(high)))
}

/// The sign, 0 at zero.
pub fn sign(x: f64) -> f64 {
    if x == 0.0 { 0.0 } else { x.signum() }
}

/// The root; of negative numbers 0: a variable that is never negative has normal tails where moments are guessed.
pub fn sqrt(x: f64) -> f64 {
    x.max(0.0).sqrt()
}

/// The logarithm; of what is not positive that of a tiny number, as for [`sqrt`].
pub fn ln(x: f64) -> f64 {
    x.max(1e-6).ln()
}

/// The opposite.
pub fn neg(x: f64) -> f64 {
    -x
}

/// `x` itself.
pub fn identity(x: f64) -> f64 {
    x
}

/// The error function, to 2e-7 (Abramowitz and Stegun, 7.1.26).
pub fn erf(x: f64) -> f64 {
    let t = 1.0 / (1.0 + 0.327_591_1 * x.abs());
    let series =
        t * (0.254_829_592 + t * (-0.284_496_736 + t * (1.421_413_741 + t * (-1.453_152_027 + t * 1.061_405_429))));
    (1.0 - series * (-x * x).exp()).copysign(x)
}
