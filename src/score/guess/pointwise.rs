//! Operators on single elements as functions of one number.

use crate::onnx::Attributes;
use crate::onnx::proto::NodeProto;

type Function = Box<dyn Fn(f64) -> f64>;

/// The function of an operator with one input; `None` for others. Roots, powers and logarithms of negative numbers count as
/// those of zero or of a tiny number: a variable that is never negative has normal tails here.
pub fn unary(node: &NodeProto) -> Option<Function> {
    let float = |name: &str, default: f32| f64::from(node.float(name, default));
    Some(match node.op_type() {
        "Relu" => Box::new(|x| x.max(0.0)),
        "LeakyRelu" => {
            let alpha = float("alpha", 0.01);
            Box::new(move |x| if x < 0.0 { alpha * x } else { x })
        }
        "ThresholdedRelu" => {
            let alpha = float("alpha", 1.0);
            Box::new(move |x| if x > alpha { x } else { 0.0 })
        }
        "Elu" => {
            let alpha = float("alpha", 1.0);
            Box::new(move |x| if x < 0.0 { alpha * x.exp_m1() } else { x })
        }
        "Celu" => {
            let alpha = float("alpha", 1.0);
            Box::new(move |x| x.max(0.0) + (alpha * (x / alpha).exp_m1()).min(0.0))
        }
        "Selu" => {
            let (alpha, gamma) = (float("alpha", 1.673_263_2), float("gamma", 1.050_701));
            Box::new(move |x| gamma * if x < 0.0 { alpha * x.exp_m1() } else { x })
        }
        "Sigmoid" => Box::new(sigmoid),
        "HardSigmoid" => {
            let (alpha, beta) = (float("alpha", 0.2), float("beta", 0.5));
            Box::new(move |x| (alpha * x + beta).clamp(0.0, 1.0))
        }
        "HardSwish" => Box::new(|x| x * (x / 6.0 + 0.5).clamp(0.0, 1.0)),
        "Swish" => {
            let alpha = float("alpha", 1.0);
            Box::new(move |x| x * sigmoid(alpha * x))
        }
        "Mish" => Box::new(|x| x * softplus(x).tanh()),
        "Gelu" if node.text("approximate", "none") == "tanh" => {
            Box::new(|x| 0.5 * x * (1.0 + (0.797_884_560_8 * (x + 0.044_715 * x.powi(3))).tanh()))
        }
        "Gelu" => Box::new(|x| 0.5 * x * (1.0 + erf(x * std::f64::consts::FRAC_1_SQRT_2))),
        "Tanh" => Box::new(f64::tanh),
        "Softplus" => Box::new(softplus),
        "Softsign" => Box::new(|x| x / (1.0 + x.abs())),
        "Shrink" => {
            let (lambd, bias) = (float("lambd", 0.5), float("bias", 0.0));
            Box::new(move |x| {
                if x < -lambd {
                    x + bias
                } else if x > lambd {
                    x - bias
                } else {
                    0.0
                }
            })
        }
        "Erf" => Box::new(erf),
        "Abs" => Box::new(f64::abs),
        "Neg" => Box::new(|x| -x),
        "Sqrt" => Box::new(|x| x.max(0.0).sqrt()),
        "Exp" => Box::new(f64::exp),
        "Log" => Box::new(|x| x.max(1e-6).ln()),
        "Sin" => Box::new(f64::sin),
        "Cos" => Box::new(f64::cos),
        "Sign" => Box::new(|x| if x == 0.0 { 0.0 } else { x.signum() }),
        "Floor" => Box::new(f64::floor),
        "Ceil" => Box::new(f64::ceil),
        "Round" => Box::new(f64::round),
        _ => return None,
    })
}

/// The function of an operator with two inputs; `None` for others. That of `Mean` is the sum.
pub fn binary(op: &str) -> Option<fn(f64, f64) -> f64> {
    Some(match op {
        "Add" | "Sum" | "Mean" => |a, b| a + b,
        "Sub" => |a, b| a - b,
        "Mul" => |a, b| a * b,
        "Div" => |a, b| a / b,
        "Max" => f64::max,
        "Min" => f64::min,
        "Pow" => |a, b| {
            if b.fract() == 0.0 {
                a.powf(b)
            } else {
                a.max(0.0).powf(b)
            }
        },
        "PRelu" => |a, b| if a < 0.0 { a * b } else { a },
        _ => return None,
    })
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

fn softplus(x: f64) -> f64 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

/// The error function, to 2e-7 (Abramowitz and Stegun, 7.1.26).
fn erf(x: f64) -> f64 {
    let t = 1.0 / (1.0 + 0.327_591_1 * x.abs());
    let series =
        t * (0.254_829_592 + t * (-0.284_496_736 + t * (1.421_413_741 + t * (-1.453_152_027 + t * 1.061_405_429))));
    (1.0 - series * (-x * x).exp()).copysign(x)
}
