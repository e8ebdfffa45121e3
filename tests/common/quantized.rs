//! Small quantized graphs: layers in the forms and schemes that quantizers write.

use snapprune::onnx::proto::ModelProto;
use snapprune::onnx::proto::OperatorSetIdProto;
use snapprune::onnx::{Attributes, Dtype, Tensor};

use super::net::Net;

/// What shares a scale.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Shares {
    Tensor,
    Channel,
    /// Two input channels and one output channel, which only `DequantizeLinear` knows.
    Blocks,
}

/// How weights are stored.
#[derive(Clone, Copy, Debug)]
pub struct Scheme {
    pub dtype: Dtype,
    /// Zero point of the weights.
    pub zero: i64,
    pub shares: Shares,
    /// What lies between the weights, dequantized, and the layer.
    pub through: &'static [&'static str],
}

/// Which operators compute.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Form {
    /// Float operators between `DequantizeLinear` and `QuantizeLinear`.
    Qdq,
    /// The same on activations that stay floats.
    WeightsOnly,
    QLinear,
    Integer,
    /// ONNX Runtime's products that give floats: `DynamicQuantizeMatMul` and `MatMulIntegerToFloat`.
    ToFloat(&'static str),
}

pub fn typed(dtype: Dtype, dims: &[usize], values: &[i64]) -> Tensor {
    let size = match dtype {
        Dtype::Int16 | Dtype::Uint16 => 2,
        Dtype::Int32 => 4,
        _ => 1,
    };
    Tensor {
        dims: dims.to_vec(),
        dtype,
        bytes: values
            .iter()
            .flat_map(|v| v.to_le_bytes().into_iter().take(size))
            .collect(),
    }
}

/// Weights with their scales and zero points.
struct Weights {
    values: String,
    /// The numbers of the scales.
    steps: Vec<f32>,
    scales: String,
    zeros: String,
}

/// A layer: a convolution 3×3, or a product where `product`.
#[derive(Clone, Copy)]
pub struct Layer<'l> {
    pub form: Form,
    pub scheme: Scheme,
    pub product: bool,
    pub groups: usize,
    pub cin: usize,
    pub cout: usize,
    /// Inputs that it does not read.
    pub silent: &'l [usize],
}

impl Layer<'_> {
    fn weights(&self, net: &mut Net) -> Weights {
        let (inputs, outputs_first) = (self.cin / self.groups, !self.product || self.is_gemm());
        let dims = match (self.product, outputs_first) {
            (false, _) => vec![self.cout, inputs, 3, 3],
            (true, true) => vec![self.cout, inputs],
            (true, false) => vec![inputs, self.cout],
        };
        let in_axis = usize::from(outputs_first);
        // Seven bits at most, so that sums of two products fit into 16 bits wherever kernels add them so.
        let reach = match self.scheme.dtype {
            Dtype::Int4 | Dtype::Uint4 => 7,
            Dtype::Int16 => 900,
            Dtype::Float8e4m3fn => 60,
            _ => 63,
        };
        let inner: usize = dims[in_axis + 1..].iter().product();
        let count: usize = dims.iter().product();
        let values: Vec<i64> = (0..count)
            .map(|at| match self.silent.contains(&(at / inner % dims[in_axis])) {
                true => self.scheme.zero,
                false => self.scheme.zero + net.random.i64(-reach..=reach),
            })
            .map(|v| {
                if self.scheme.dtype == Dtype::Uint4 {
                    v.clamp(0, 15)
                } else {
                    v
                }
            })
            .map(|v| {
                if self.scheme.dtype == Dtype::Float8e4m3fn {
                    v.rem_euclid(64)
                } else {
                    v
                }
            })
            .collect();
        let values = net.constant(&typed(self.scheme.dtype, &dims, &values));
        let shape = match self.scheme.shares {
            Shares::Tensor => vec![],
            Shares::Channel => vec![self.cout],
            Shares::Blocks => {
                let mut shape = dims.clone();
                shape[in_axis] /= 2;
                shape
            }
        };
        let step = 0.6 / reach as f32;
        let steps: Vec<f32> = (0..shape.iter().product())
            .map(|_| step * (0.5 + 0.5 * net.random.f32()))
            .collect();
        let scales = net.constant(&Tensor::from_f32(shape.clone(), &steps));
        let zeros = vec![self.scheme.zero; shape.iter().product()];
        let zeros = net.constant(&typed(self.scheme.dtype, &shape, &zeros));
        Weights {
            values,
            steps,
            scales,
            zeros,
        }
    }

    fn is_gemm(&self) -> bool {
        self.form == Form::QLinear && self.scheme.shares == Shares::Tensor
    }

    fn set(&self, node: &mut snapprune::onnx::proto::NodeProto) {
        if !self.product {
            node.set_ints("pads", vec![1; 4]);
            node.set_int("group", self.groups as i64);
        }
    }

    /// Adds the layer behind a float value and gives its float output.
    pub fn add(&self, net: &mut Net, x: &str) -> String {
        let w = self.weights(net);
        let (scale, zero) = (
            net.constant(&Tensor::from_f32(vec![], &[0.02])),
            net.constant(&typed(Dtype::Uint8, &[], &[117])),
        );
        let behind = net.constant(&typed(Dtype::Uint8, &[], &[3]));
        let bias: Vec<i64> = (0..self.cout).map(|_| net.random.i64(-200..200)).collect();
        let y = match self.form {
            Form::Qdq | Form::WeightsOnly => {
                let mut from = x.to_owned();
                if self.form == Form::Qdq {
                    let q = net.node("QuantizeLinear", &[x, &scale, &zero], |_| {});
                    from = net.node("DequantizeLinear", &[&q, &scale, &zero], |_| {});
                }
                let axis = if self.product { 1 } else { 0 };
                let blocked = self.scheme.shares == Shares::Blocks;
                let axis = if blocked { 1 - axis } else { axis };
                let mut weights = net.node("DequantizeLinear", &[&w.values, &w.scales, &w.zeros], |n| {
                    n.set_int("axis", axis);
                    if blocked {
                        n.set_int("block_size", 2);
                    }
                });
                for op in self.scheme.through {
                    weights = net.node(op, &[&weights], |n| match *op {
                        "Cast" => n.set_int("to", Dtype::Float as i64),
                        "Transpose" => n.set_ints("perm", vec![1, 0]),
                        _ => {}
                    });
                }
                let op = if self.product { "MatMul" } else { "Conv" };
                let mut inputs = vec![from, weights];
                if self.form == Form::Qdq && !self.product && !blocked {
                    // The scale of a sum of products.
                    let steps: Vec<f32> = w.steps.iter().map(|s| 0.02 * s).collect();
                    let shape = if steps.len() == 1 { vec![] } else { vec![steps.len()] };
                    let steps = net.constant(&Tensor::from_f32(shape, &steps));
                    let bias = net.constant(&typed(Dtype::Int32, &[self.cout], &bias));
                    inputs.push(net.node("DequantizeLinear", &[&bias, &steps], |n| n.set_int("axis", 0)));
                }
                let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
                let y = net.node(op, &inputs, |n| self.set(n));
                if self.form == Form::WeightsOnly {
                    return y;
                }
                let q = net.node("QuantizeLinear", &[&y, &scale, &behind], |_| {});
                net.node("DequantizeLinear", &[&q, &scale, &behind], |_| {})
            }
            Form::QLinear => {
                let q = net.node("QuantizeLinear", &[x, &scale, &zero], |_| {});
                let mut inputs = vec![&q, &scale, &zero, &w.values, &w.scales, &w.zeros];
                let bias = net.constant(&typed(Dtype::Int32, &[self.cout], &bias));
                let op = match (self.product, self.is_gemm()) {
                    (false, _) => "QLinearConv",
                    (true, true) => "QGemm",
                    (true, false) => "QLinearMatMul",
                };
                if op == "QGemm" {
                    inputs.push(&bias);
                }
                inputs.extend([&scale, &behind]);
                if op == "QLinearConv" {
                    inputs.push(&bias);
                }
                let inputs: Vec<&str> = inputs.into_iter().map(String::as_str).collect();
                let y = net.node(op, &inputs, |n| {
                    self.set(n);
                    if op == "QGemm" {
                        n.domain = Some("com.microsoft".into());
                        n.set_int("transB", 1);
                    }
                });
                net.node("DequantizeLinear", &[&y, &scale, &behind], |_| {})
            }
            Form::Integer => {
                let q = net.node_many("DynamicQuantizeLinear", &[x], 3, |_| {});
                let op = if self.product { "MatMulInteger" } else { "ConvInteger" };
                let y = net.node(op, &[&q[0], &w.values, &q[2], &w.zeros], |n| self.set(n));
                let y = net.node("Cast", &[&y], |n| n.set_int("to", Dtype::Float as i64));
                let by = net.node("Mul", &[&q[1], &scale], |_| {});
                let y = net.node("Mul", &[&y, &by], |_| {});
                let shape: Vec<i64> = match self.product {
                    true => vec![1, self.cout as i64],
                    false => vec![1, self.cout as i64, 1, 1],
                };
                let (flat, shape) = (net.floats(&[self.cout], -0.3, 0.3), net.ints(&shape));
                let bias = net.node("Reshape", &[&flat, &shape], |_| {});
                net.node("Add", &[&y, &bias], |_| {})
            }
            Form::ToFloat(op) => {
                let bias = net.floats(&[self.cout], -0.3, 0.3);
                let inputs = match op {
                    "DynamicQuantizeMatMul" => vec![x.to_owned(), w.values, w.scales, w.zeros, bias],
                    _ => {
                        let q = net.node("QuantizeLinear", &[x, &scale, &zero], |_| {});
                        vec![q, w.values, scale, w.scales, zero, w.zeros, bias]
                    }
                };
                let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
                net.node(op, &inputs, |n| n.domain = Some("com.microsoft".into()))
            }
        };
        net.node("Relu", &[&y], |_| {})
    }
}

/// A model with ONNX Runtime's own operators.
pub fn model(net: Net) -> ModelProto {
    let mut model = net.model();
    model.ir_version = Some(10);
    model.opset_import.push(OperatorSetIdProto {
        domain: Some("com.microsoft".into()),
        version: Some(1),
    });
    model
}
