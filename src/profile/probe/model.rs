//! The small models that probes run: one chain of nodes a problem, with random weights.

use std::collections::HashMap;

use fastrand::Rng;

use crate::device::NamedTensor;
use crate::onnx::proto::{
    AttributeProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorShapeProto, TypeProto, ValueInfoProto,
    attribute_proto::AttributeType,
    tensor_shape_proto::{Dimension, dimension::Value as Dim},
    type_proto,
};
use crate::onnx::{Attributes, Dtype, Tensor};
use crate::profile::problem::{Problem, ProducerLayout};

/// Channels at the head of a probe, before the layer that brings them to the width wanted.
pub(super) const HEAD: usize = 16;

/// What the layer of a probe reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Probe {
    /// A chain for each problem: head → producer → the layer (→ its activation), so that the producer decides on the memory layout.
    Chained,
    /// The layer reads the model's input directly.
    Alone,
    /// The chain with an end that reads a corner of its outputs, so that bringing them out takes little whatever their layout.
    Pooled,
    /// The same without the layer and its activation.
    Without,
    /// Each layer reads an input of the width that it wants. An input is one image; the rest of the batch repeats it, so that little
    /// has to be brought to the device.
    SideBySide,
}

/// The model that probes `problems`, which share batch, spatial shape and element type, and its inputs.
pub(super) fn build(problems: &[Problem], probe: Probe) -> (ModelProto, Vec<NamedTensor>) {
    let first = &problems[0];
    let dtype = if first.dtype == "f16" {
        Dtype::Float16
    } else {
        Dtype::Float
    };
    let mut builder = ProbeBuilder {
        graph: GraphProto {
            name: Some("probe".to_owned()),
            ..Default::default()
        },
        dtype,
        random: Rng::with_seed(7),
    };
    let chained = matches!(probe, Probe::Chained | Probe::Pooled | Probe::Without);
    let direct = !chained || first.producer_layout == ProducerLayout::Input;
    let mut inputs = Inputs::default();
    for (k, problem) in problems.iter().enumerate() {
        let ones = vec![1; problem.space.len()];
        let width = if direct { problem.cin } else { HEAD };
        let mut from = builder.input(&mut inputs, problem, width, probe);
        if problem.quantized.is_none() && !direct {
            from = builder.conv(&format!("k{k}.feed"), &from, &[problem.cin, HEAD], &ones, 1);
            if problem.producer_layout == ProducerLayout::Depthwise {
                from = builder.conv(&format!("k{k}.feed2"), &from, &[problem.cin, 1], &ones, problem.cin);
            }
        }
        let mut last = match (&problem.quantized, probe) {
            (Some(quantized), _) => builder.quantized(k, &from, problem, quantized, probe),
            (None, Probe::Without) => from,
            (None, _) => builder.layer(k, &from, problem),
        };
        match probe {
            Probe::Pooled => {
                let output = problem.spec().and_then(|s| s.output_shape(&problem.space));
                last = builder.end(k, last, problem.cout, (&problem.space, output));
            }
            Probe::Without => {
                last = builder.end(k, last, problem.cin, (&problem.space, Some(problem.space.clone())));
            }
            _ => {}
        }
        builder.graph.output.push(ValueInfoProto {
            name: Some(last),
            ..Default::default()
        });
    }
    let mut model = probe_model(builder.graph);
    let wide = |p: &Problem| {
        p.quantized
            .as_ref()
            .is_some_and(|q| [&p.dtype, &q.weight].iter().any(|t| !t.ends_with('8')))
    };
    if problems.iter().any(wide) {
        // Other integers than those of 8 bits are quantized since opset 21, 8-bit floats since 19.
        model.ir_version = Some(10);
        model.opset_import.iter_mut().for_each(|o| o.version = Some(21));
    }
    (model, inputs.tensors)
}

/// A model of a graph of standard operators.
pub(in crate::profile) fn probe_model(graph: GraphProto) -> ModelProto {
    ModelProto {
        ir_version: Some(8),
        opset_import: vec![OperatorSetIdProto {
            domain: Some(String::new()),
            version: Some(17),
        }],
        graph: Some(graph),
        ..Default::default()
    }
}

/// The inputs of a probe's model: one for each shape.
#[derive(Default)]
struct Inputs {
    /// Values that layers read, by the shape that they have.
    by_shape: HashMap<Vec<usize>, String>,
    tensors: Vec<NamedTensor>,
}

/// Small random values of `Float` or `Float16`: real data, so that nothing runs at the speed of zeros.
pub(in crate::profile) fn small_values(random: &mut Rng, dtype: Dtype, dims: &[usize]) -> Tensor {
    let count: usize = dims.iter().product();
    let block: Vec<f32> = (0..count.min(4093)).map(|_| random.f32() * 0.2 - 0.1).collect();
    let values: Vec<f32> = block.iter().copied().cycle().take(count).collect();
    let full = Tensor::from_f32(dims.to_vec(), &values);
    if dtype == Dtype::Float {
        return full;
    }
    let bytes = values
        .iter()
        .flat_map(|&v| half::f16::from_f32(v).to_le_bytes())
        .collect();
    Tensor {
        dims: dims.to_vec(),
        dtype,
        bytes,
    }
}

pub(super) struct ProbeBuilder {
    pub(super) graph: GraphProto,
    dtype: Dtype,
    pub(super) random: Rng,
}

impl ProbeBuilder {
    fn tensor(&mut self, dims: &[usize]) -> Tensor {
        small_values(&mut self.random, self.dtype, dims)
    }

    /// The value that `problem` reads at `width` channels.
    fn input(&mut self, inputs: &mut Inputs, problem: &Problem, width: usize, probe: Probe) -> String {
        let mut dims = vec![problem.batch, width];
        dims.extend(&problem.space);
        if let Some(known) = inputs.by_shape.get(&dims) {
            return known.clone();
        }
        let name = format!("x{}", inputs.by_shape.len());
        let repeats = probe == Probe::SideBySide && problem.batch > 1;
        let given: Vec<usize> = if repeats {
            [&[1], &dims[1..]].concat()
        } else {
            dims.clone()
        };
        self.graph.input.push(value_info(&name, self.dtype, &given));
        let tensor = self.tensor(&given);
        inputs.tensors.push((name.clone(), tensor));
        let value = if repeats { self.repeated(&name, &dims) } else { name };
        inputs.by_shape.insert(dims, value.clone());
        value
    }

    /// `name` expanded to `dims`.
    fn repeated(&mut self, name: &str, dims: &[usize]) -> String {
        let shape: Vec<i64> = dims.iter().map(|&d| d as i64).collect();
        let (shape_name, all) = (format!("{name}.shape"), format!("{name}.batch"));
        self.graph
            .initializer
            .push(Tensor::from_i64(&shape).to_proto(&shape_name));
        self.graph.node.push(NodeProto {
            name: Some(all.clone()),
            op_type: Some("Expand".to_owned()),
            input: vec![name.to_owned(), shape_name],
            output: vec![all.clone()],
            ..Default::default()
        });
        all
    }

    pub(super) fn weight(&mut self, name: &str, dims: &[usize]) -> String {
        let tensor = self.tensor(dims);
        self.graph.initializer.push(tensor.to_proto(name));
        name.to_owned()
    }

    pub(super) fn conv(
        &mut self,
        name: &str,
        from: &str,
        channels: &[usize],
        kernel: &[usize],
        groups: usize,
    ) -> String {
        let weight = self.weight(&format!("{name}.w"), &[channels, kernel].concat());
        let mut node = node("Conv", name, vec![from.to_owned(), weight]);
        node.set_int("group", groups as i64);
        self.graph.node.push(node);
        name.to_owned()
    }

    /// The end of a chain of `channels`: it takes next to nothing whatever the extents of the last value and its layout, so that chains differ
    /// by their layers alone. It looks at a corner of the map (`space`: the chain's extents, and those of the last value where they are
    /// known). Providers that compute in another type than the graph's keep that from what comes behind the last convolution, with a change of the whole
    /// map where it begins: so the last one stands behind the corner.
    fn end(&mut self, k: usize, last: String, channels: usize, space: (&[usize], Option<Vec<usize>>)) -> String {
        if space.0.is_empty() {
            return last;
        }
        let (corner, end) = (format!("k{k}.corner"), format!("k{k}.end"));
        let mut pool = node("GlobalAveragePool", &corner, vec![last]);
        if let Some(extents) = space.1 {
            let ints = |of: &dyn Fn(usize) -> usize| extents.iter().map(|&n| of(n) as i64).collect();
            pool.op_type = Some("MaxPool".to_owned());
            pool.set_ints("kernel_shape", ints(&|n| n.clamp(1, 2)));
            pool.set_ints("strides", ints(&|n| n.max(1)));
        }
        self.graph.node.push(pool);
        self.conv(&end, &corner, &[HEAD, channels], &vec![1; space.0.len()], 1)
    }

    fn layer(&mut self, k: usize, from: &str, p: &Problem) -> String {
        let name = format!("k{k}.layer");
        let channels = match p.op.as_str() {
            "ConvTranspose" => [p.cin, p.cout / p.groups],
            _ => [p.cout, p.cin / p.groups],
        };
        let mut inputs = vec![
            from.to_owned(),
            self.weight(&format!("{name}.w"), &[&channels[..], &p.kernel].concat()),
        ];
        if p.bias {
            inputs.push(self.weight(&format!("{name}.b"), &[p.cout]));
        }
        let mut layer = node(&p.op, &name, inputs);
        set_geometry(&mut layer, p);
        self.graph.node.push(layer);
        self.activation(k, name, p)
    }

    /// The activation behind a layer, where the problem has one.
    pub(super) fn activation(&mut self, k: usize, name: String, p: &Problem) -> String {
        if p.activation.is_empty() {
            return name;
        }
        let act = format!("k{k}.act");
        let (op, parameter) = p.activation.split_once(':').unwrap_or((&p.activation, ""));
        let mut inputs = vec![name];
        if op == "Clip" {
            for (bound, value) in [("lo", 0.0f32), ("hi", 6.0)] {
                let mut tensor = Tensor::from_f32(vec![], &[value]);
                if self.dtype == Dtype::Float16 {
                    tensor.dtype = Dtype::Float16;
                    tensor.bytes = half::f16::from_f32(value).to_le_bytes().to_vec().into();
                }
                let bound = format!("{act}.{bound}");
                self.graph.initializer.push(tensor.to_proto(&bound));
                inputs.push(bound);
            }
        }
        let mut node = node(op, &act, inputs);
        if let Ok(alpha) = parameter.parse::<f32>() {
            node.attribute.push(AttributeProto {
                name: Some("alpha".to_owned()),
                r#type: Some(AttributeType::Float as i32),
                f: Some(alpha),
                ..Default::default()
            });
        }
        self.graph.node.push(node);
        act
    }
}

/// Groups, strides, pads and the like.
pub(super) fn set_geometry(layer: &mut NodeProto, p: &Problem) {
    layer.set_int("group", p.groups as i64);
    for (list, values) in &p.lists {
        layer.set_ints(list, values.clone());
    }
    if !p.auto_pad.is_empty() {
        layer.attribute.push(AttributeProto {
            name: Some("auto_pad".to_owned()),
            r#type: Some(AttributeType::String as i32),
            s: Some(p.auto_pad.clone().into_bytes()),
            ..Default::default()
        });
    }
}

/// A node whose one output has the node's name.
pub(in crate::profile) fn node(op: &str, name: &str, input: Vec<String>) -> NodeProto {
    NodeProto {
        op_type: Some(op.to_owned()),
        name: Some(name.to_owned()),
        input,
        output: vec![name.to_owned()],
        ..Default::default()
    }
}

/// A graph's input with its type and extents.
pub(in crate::profile) fn value_info(name: &str, dtype: Dtype, dims: &[usize]) -> ValueInfoProto {
    let dim = dims
        .iter()
        .map(|&d| Dimension {
            value: Some(Dim::DimValue(d as i64)),
            ..Default::default()
        })
        .collect();
    ValueInfoProto {
        name: Some(name.to_owned()),
        r#type: Some(TypeProto {
            value: Some(type_proto::Value::TensorType(type_proto::Tensor {
                elem_type: Some(dtype as i32),
                shape: Some(TensorShapeProto { dim }),
            })),
            ..Default::default()
        }),
        ..Default::default()
    }
}
