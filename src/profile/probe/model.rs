//! The small models that probes run: one chain of nodes a problem, with random weights.

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
const HEAD: usize = 16;

/// What the layer of a probe reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Probe {
    /// A chain for each problem: head → producer → the layer (→ its activation), so that the producer decides on the memory layout.
    Chained,
    /// The layer reads the model's input directly.
    Alone,
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
    let direct = probe == Probe::Alone || first.producer_layout == ProducerLayout::Input;
    let width = if direct { first.cin } else { HEAD };
    let mut dims = vec![first.batch, width];
    dims.extend(&first.space);
    let input = builder.tensor(&dims);
    builder.graph.input.push(value_info("x", dtype, &dims));
    for (k, problem) in problems.iter().enumerate() {
        let ones = vec![1; problem.space.len()];
        let mut from = "x".to_owned();
        if !direct {
            from = builder.conv(&format!("k{k}.feed"), &from, &[problem.cin, HEAD], &ones, 1);
            if problem.producer_layout == ProducerLayout::Depthwise {
                from = builder.conv(&format!("k{k}.feed2"), &from, &[problem.cin, 1], &ones, problem.cin);
            }
        }
        let last = builder.layer(k, &from, problem);
        builder.graph.output.push(ValueInfoProto {
            name: Some(last),
            ..Default::default()
        });
    }
    let model = ModelProto {
        ir_version: Some(8),
        opset_import: vec![OperatorSetIdProto {
            domain: Some(String::new()),
            version: Some(17),
        }],
        graph: Some(builder.graph),
        ..Default::default()
    };
    (model, vec![("x".to_owned(), input)])
}

struct ProbeBuilder {
    graph: GraphProto,
    dtype: Dtype,
    random: Rng,
}

impl ProbeBuilder {
    /// Small random values: real data, so that nothing runs at the speed of zeros.
    fn tensor(&mut self, dims: &[usize]) -> Tensor {
        let count: usize = dims.iter().product();
        let block: Vec<f32> = (0..count.min(4093)).map(|_| self.random.f32() * 0.2 - 0.1).collect();
        let values: Vec<f32> = block.iter().copied().cycle().take(count).collect();
        let full = Tensor::from_f32(dims.to_vec(), &values);
        if self.dtype == Dtype::Float {
            return full;
        }
        let bytes = values
            .iter()
            .flat_map(|&v| half::f16::from_f32(v).to_le_bytes())
            .collect();
        Tensor {
            dims: dims.to_vec(),
            dtype: self.dtype,
            bytes,
        }
    }

    fn weight(&mut self, name: &str, dims: &[usize]) -> String {
        let tensor = self.tensor(dims);
        self.graph.initializer.push(tensor.to_proto(name));
        name.to_owned()
    }

    fn conv(&mut self, name: &str, from: &str, channels: &[usize], kernel: &[usize], groups: usize) -> String {
        let weight = self.weight(&format!("{name}.w"), &[channels, kernel].concat());
        let mut node = node("Conv", name, vec![from.to_owned(), weight]);
        node.set_int("group", groups as i64);
        self.graph.node.push(node);
        name.to_owned()
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
        self.graph.node.push(layer);
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

/// A node whose one output has the node's name.
fn node(op: &str, name: &str, input: Vec<String>) -> NodeProto {
    NodeProto {
        op_type: Some(op.to_owned()),
        name: Some(name.to_owned()),
        input,
        output: vec![name.to_owned()],
        ..Default::default()
    }
}

fn value_info(name: &str, dtype: Dtype, dims: &[usize]) -> ValueInfoProto {
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
