//! Probes of quantized layers, in the form in which a model has them, so that a provider fuses what it fuses there.

use super::model::{HEAD, Probe, ProbeBuilder, node, set_geometry};
use crate::onnx::proto::ValueInfoProto;
use crate::onnx::{Attributes, Dtype, Tensor, element_size};
use crate::profile::problem::Problem;
use crate::profile::quantized::{Quantized, QuantizedForm, long};

/// Scale of activations and of weights: what they are does not matter to the time.
const STEP: f32 = 0.02;
/// Largest weight, in steps.
const REACH: i64 = 63;

impl ProbeBuilder {
    /// The chain of a quantized problem behind the float value `from`: of so many channels as the problem has where it is `direct`,
    /// else of [`HEAD`], which a layer of the same form brings to them. Gives the last value, in floats where it is to be pooled.
    pub(super) fn quantized(&mut self, k: usize, from: &str, p: &Problem, q: &Quantized, probe: Probe) -> String {
        let direct = !matches!(probe, Probe::Chained | Probe::Pooled | Probe::Without);
        let input = long(&p.dtype);
        let name = |part: &str| format!("k{k}.{part}");
        let mut value = match input {
            Dtype::Float => from.to_owned(),
            _ if q.form == QuantizedForm::Integer && !direct => from.to_owned(),
            dtype => self.quantize(&name("in"), from, dtype, false),
        };
        if !direct {
            let feed = Problem {
                kernel: vec![1; p.space.len()],
                lists: Vec::new(),
                auto_pad: String::new(),
                activation: String::new(),
                groups: 1,
                bias: false,
                ..p.at(HEAD, p.cin)
            };
            value = match (q.form, input) {
                (QuantizedForm::QLinear, _) => {
                    let q = Quantized {
                        output: Some(p.dtype.clone()),
                        ..q.clone()
                    };
                    self.operator(&name("feed"), &value, &feed, &q)
                }
                (QuantizedForm::Qdq, Dtype::Float) | (QuantizedForm::Integer, _) => {
                    self.conv(&name("feed"), &value, &[p.cin, HEAD], &feed.kernel, 1)
                }
                (QuantizedForm::Qdq, dtype) => {
                    let x = self.dequantize(&name("in.back"), &value, dtype, false);
                    let y = self.between(&name("feed"), &name("feeding"), &x, (&feed, q));
                    self.quantize(&name("fed"), &y, dtype, false)
                }
            };
        }
        value = match (q.form, input) {
            (QuantizedForm::Integer, Dtype::Uint8) if !direct => {
                let (fed, scale, zero) = (name("fed"), name("fed.scale"), name("fed.zero"));
                let mut quantize = node("DynamicQuantizeLinear", &fed, vec![value]);
                quantize.output.extend([scale, zero]);
                self.graph.node.push(quantize);
                fed
            }
            (QuantizedForm::Integer, dtype) if !direct => self.quantize(&name("fed"), &value, dtype, false),
            (QuantizedForm::Qdq, dtype) if dtype != Dtype::Float => {
                let back = self.dequantize(&name("fed.back"), &value, dtype, false);
                if q.forks.input {
                    self.read_aside(&name("fed.aside"), &back);
                }
                back
            }
            _ => value,
        };
        let last = match (probe, q.form) {
            (Probe::Without, QuantizedForm::Qdq) => return value,
            (Probe::Without, _) => value,
            (_, QuantizedForm::Qdq) => return self.layer_between(k, &value, p, q),
            _ => self.operator(&name("layer"), &value, p, q),
        };
        if !matches!(probe, Probe::Pooled | Probe::Without) {
            return last;
        }
        let back = name("out");
        let mut cast = node("Cast", &back, vec![last]);
        cast.set_int("to", Dtype::Float as i64);
        self.graph.node.push(cast);
        back
    }

    /// The layer with its activation, its output quantized where the problem's is.
    fn layer_between(&mut self, k: usize, x: &str, p: &Problem, q: &Quantized) -> String {
        let layer = self.between(&format!("k{k}.layer"), &format!("k{k}.weights"), x, (p, q));
        let last = self.activation(k, layer, p);
        let Some(dtype) = q.output.as_deref().map(long) else {
            return last;
        };
        let positive = !p.activation.is_empty();
        let quantized = self.quantize(&format!("k{k}.out"), &last, dtype, positive);
        let back = self.dequantize(&format!("k{k}.out.back"), &quantized, dtype, positive);
        if q.forks.output {
            self.read_aside(&format!("k{k}.out.aside"), &back);
        }
        back
    }

    /// Another reader of a value.
    fn read_aside(&mut self, name: &str, value: &str) {
        self.graph
            .node
            .push(node("GlobalAveragePool", name, vec![value.to_owned()]));
        self.graph.output.push(ValueInfoProto {
            name: Some(name.to_owned()),
            ..Default::default()
        });
    }

    /// A float operator on dequantized weights.
    fn between(&mut self, name: &str, weights: &str, x: &str, (p, q): (&Problem, &Quantized)) -> String {
        let stem = weights;
        let [w, scale, zero] = self.stored(stem, p, q);
        let weights = format!("{stem}.back");
        let mut dequantize = node("DequantizeLinear", &weights, vec![w, scale, zero]);
        dequantize.set_int("axis", if p.op == "ConvTranspose" { 1 } else { 0 });
        self.graph.node.push(dequantize);
        let mut inputs = vec![x.to_owned(), weights];
        if p.bias {
            inputs.push(match q.bias.as_deref().map(long) {
                Some(Dtype::Int32) => {
                    let stored = self.constant(&format!("{stem}.bias"), &ints(Dtype::Int32, &[p.cout], &[57]));
                    let scale = self.scales(&format!("{stem}.bias.scale"), STEP * STEP, p.cout, q);
                    let bias = format!("{stem}.bias.back");
                    let mut dequantize = node("DequantizeLinear", &bias, vec![stored, scale]);
                    dequantize.set_int("axis", 0);
                    self.graph.node.push(dequantize);
                    bias
                }
                _ => self.weight(&format!("{stem}.bias"), &[p.cout]),
            });
        }
        let mut layer = node(&p.op, name, inputs);
        set_geometry(&mut layer, p);
        self.graph.node.push(layer);
        name.to_owned()
    }

    /// An operator on integers.
    fn operator(&mut self, name: &str, x: &str, p: &Problem, q: &Quantized) -> String {
        let [w, scale, zero] = self.stored(&format!("{name}.w"), p, q);
        let x_zero = self.zero(&format!("{name}.x"), long(&p.dtype), false);
        let inputs = match q.form {
            QuantizedForm::Integer => vec![x.to_owned(), w, x_zero, zero],
            _ => {
                let output = long(q.output.as_deref().unwrap_or(&p.dtype));
                let (x_scale, y_scale) = (self.scale(&format!("{name}.x")), self.scale(&format!("{name}.y")));
                let y_zero = self.zero(&format!("{name}.y"), output, false);
                let mut inputs = vec![x.to_owned(), x_scale, x_zero, w, scale, zero, y_scale, y_zero];
                if p.bias {
                    let bias = ints(Dtype::Int32, &[p.cout], &[57]);
                    inputs.push(self.constant(&format!("{name}.bias"), &bias));
                }
                inputs
            }
        };
        let mut layer = node(&p.op, name, inputs);
        set_geometry(&mut layer, p);
        self.graph.node.push(layer);
        name.to_owned()
    }

    /// Weights, their scales and their zero points.
    fn stored(&mut self, name: &str, p: &Problem, q: &Quantized) -> [String; 3] {
        let dtype = long(&q.weight);
        let zero = match (q.shifted, dtype) {
            (false, _) => 0,
            (true, Dtype::Uint4) => 8,
            (true, Dtype::Uint8) => 128,
            (true, Dtype::Uint16) => 32768,
            (true, _) => 3,
        };
        let (least, reach) = match dtype {
            Dtype::Int4 => (-7, 7),
            Dtype::Uint4 => (0, 15),
            Dtype::Uint8 | Dtype::Uint16 => ((zero - REACH).max(0), zero + REACH),
            Dtype::Int8 | Dtype::Int16 => (-REACH, REACH),
            _ => (0, REACH),
        };
        let channels = match p.op.as_str() {
            "ConvTranspose" => [p.cin, p.cout / p.groups],
            _ => [p.cout, p.cin / p.groups],
        };
        let values: Vec<i64> = (0..4093).map(|_| self.random.i64(least..=reach)).collect();
        let weights = ints(dtype, &[&channels[..], &p.kernel].concat(), &values);
        let count = if q.per_channel { vec![p.cout] } else { vec![] };
        let zeros = ints(dtype, &count, &[zero]);
        [
            self.constant(name, &weights),
            self.scales(&format!("{name}.scale"), STEP, p.cout, q),
            self.constant(&format!("{name}.zero"), &zeros),
        ]
    }

    fn scales(&mut self, name: &str, step: f32, channels: usize, q: &Quantized) -> String {
        let tensor = match q.per_channel {
            true => Tensor::from_f32(vec![channels], &vec![step; channels]),
            false => Tensor::from_f32(vec![], &[step]),
        };
        self.constant(name, &tensor)
    }

    fn constant(&mut self, name: &str, tensor: &Tensor) -> String {
        self.graph.initializer.push(tensor.to_proto(name));
        name.to_owned()
    }

    fn scale(&mut self, name: &str) -> String {
        self.constant(&format!("{name}.step"), &Tensor::from_f32(vec![], &[STEP]))
    }

    /// The zero point of activations: the least value where they are `positive`, else the middle.
    fn zero(&mut self, name: &str, dtype: Dtype, positive: bool) -> String {
        let zero = match (dtype, positive) {
            (Dtype::Int8, true) => -128,
            (Dtype::Int16, true) => -32768,
            (Dtype::Uint8, false) => 128,
            (Dtype::Uint16, false) => 32768,
            _ => 0,
        };
        self.constant(&format!("{name}.zero_point"), &ints(dtype, &[], &[zero]))
    }

    fn quantize(&mut self, name: &str, from: &str, dtype: Dtype, positive: bool) -> String {
        let (scale, zero) = (self.scale(name), self.zero(name, dtype, positive));
        let quantize = node("QuantizeLinear", name, vec![from.to_owned(), scale, zero]);
        self.graph.node.push(quantize);
        name.to_owned()
    }

    fn dequantize(&mut self, name: &str, from: &str, dtype: Dtype, positive: bool) -> String {
        let (scale, zero) = (self.scale(name), self.zero(name, dtype, positive));
        let dequantize = node("DequantizeLinear", name, vec![from.to_owned(), scale, zero]);
        self.graph.node.push(dequantize);
        name.to_owned()
    }
}

/// A tensor of integers that repeats some values; of 8-bit floats, their bits.
fn ints(dtype: Dtype, dims: &[usize], values: &[i64]) -> Tensor {
    let size = element_size(dtype).unwrap_or(1);
    let all = values.iter().cycle().take(dims.iter().product());
    Tensor {
        dims: dims.to_vec(),
        dtype,
        bytes: all.flat_map(|v| v.to_le_bytes().into_iter().take(size)).collect(),
    }
}
