//! Small graphs, node by node, with random weights.

use snapprune::onnx::proto::{
    AttributeProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, StringStringEntryProto, TensorProto,
    TensorShapeProto, TypeProto, ValueInfoProto,
    attribute_proto::AttributeType,
    tensor_proto::DataLocation,
    tensor_shape_proto::{Dimension, dimension::Value as Dim},
    type_proto,
};
use snapprune::onnx::{Attributes, Dtype, Tensor};

pub struct Net {
    pub graph: GraphProto,
    pub opset: i64,
    pub random: fastrand::Rng,
    names: usize,
}

pub fn tensor_type(dtype: Dtype, dims: &[usize]) -> TypeProto {
    let dim = dims
        .iter()
        .map(|&d| Dimension {
            value: Some(Dim::DimValue(d as i64)),
            ..Default::default()
        })
        .collect();
    TypeProto {
        value: Some(type_proto::Value::TensorType(type_proto::Tensor {
            elem_type: Some(dtype as i32),
            shape: Some(TensorShapeProto { dim }),
        })),
        ..Default::default()
    }
}

/// A float value with its extents.
pub fn value_info(name: &str, dims: &[usize]) -> ValueInfoProto {
    ValueInfoProto {
        name: Some(name.into()),
        r#type: Some(tensor_type(Dtype::Float, dims)),
        ..Default::default()
    }
}

impl Net {
    pub fn new(opset: i64, seed: u64) -> Self {
        Self {
            graph: GraphProto {
                name: Some("net".into()),
                ..Default::default()
            },
            opset,
            random: fastrand::Rng::with_seed(seed),
            names: 0,
        }
    }

    pub fn input(&mut self, name: &str, dims: &[usize]) -> String {
        self.graph.input.push(value_info(name, dims));
        name.into()
    }

    pub fn input_of(&mut self, name: &str, dtype: Dtype, dims: &[usize]) -> String {
        let info = ValueInfoProto {
            r#type: Some(tensor_type(dtype, dims)),
            ..value_info(name, dims)
        };
        self.graph.input.push(info);
        name.into()
    }

    pub fn output(&mut self, name: &str) {
        self.graph.output.push(ValueInfoProto {
            name: Some(name.into()),
            ..Default::default()
        });
    }

    pub fn fresh(&mut self, what: &str) -> String {
        self.names += 1;
        format!("{what}{}", self.names)
    }

    pub fn floats(&mut self, dims: &[usize], low: f32, high: f32) -> String {
        let count: usize = dims.iter().product();
        let values: Vec<f32> = (0..count).map(|_| low + (high - low) * self.random.f32()).collect();
        self.constant(&Tensor::from_f32(dims.to_vec(), &values))
    }

    pub fn weights(&mut self, dims: &[usize]) -> String {
        let fan: usize = dims.iter().skip(1).product();
        let scale = 1.7 / (fan.max(1) as f32).sqrt();
        self.floats(dims, -scale, scale)
    }

    pub fn ints(&mut self, values: &[i64]) -> String {
        self.constant(&Tensor::from_i64(values))
    }

    pub fn constant(&mut self, tensor: &Tensor) -> String {
        let name = self.fresh("c");
        self.graph.initializer.push(tensor.to_proto(&name));
        name
    }

    /// Adds a node with one output and gives the output's name.
    pub fn node(&mut self, op: &str, inputs: &[&str], set: impl FnOnce(&mut NodeProto)) -> String {
        self.node_many(op, inputs, 1, set).remove(0)
    }

    pub fn node_many(
        &mut self,
        op: &str,
        inputs: &[&str],
        outputs: usize,
        set: impl FnOnce(&mut NodeProto),
    ) -> Vec<String> {
        let output: Vec<String> = (0..outputs).map(|_| self.fresh("v")).collect();
        let name = self.fresh(op);
        let mut node = NodeProto {
            op_type: Some(op.into()),
            name: Some(name),
            input: inputs.iter().map(|s| (*s).to_owned()).collect(),
            output: output.clone(),
            ..Default::default()
        };
        set(&mut node);
        self.graph.node.push(node);
        output
    }

    /// A convolution with square kernel `k`, padded to keep the extents.
    pub fn conv(&mut self, x: &str, cin: usize, cout: usize, k: usize, groups: usize) -> String {
        let w = self.weights(&[cout, cin / groups, k, k]);
        let b = self.floats(&[cout], -0.3, 0.3);
        let pad = (k / 2) as i64;
        self.node("Conv", &[x, &w, &b], |n| {
            n.set_int("group", groups as i64);
            n.set_ints("pads", vec![pad; 4]);
        })
    }

    /// Attention over channels by a convolution of `k` weights (ECA), with the shapes that an exporter computes: before opset 18.
    pub fn eca(&mut self, x: &str, k: usize) -> String {
        let shape = self.node("Shape", &[x], |_| {});
        let (first, one, open) = (self.ints(&[0]), self.ints(&[1]), self.ints(&[-1]));
        let batch = self.node("Gather", &[&shape, &first], |_| {});
        let join = |n: &mut NodeProto| n.set_int("axis", 0);
        let mean = self.node("ReduceMean", &[x], |n| {
            n.set_ints("axes", vec![2, 3]);
            n.set_int("keepdims", 0);
        });
        let row = self.node("Concat", &[&batch, &one, &open], join);
        let row = self.node("Reshape", &[&mean, &row], |_| {});
        let w = self.floats(&[1, 1, k], -1.0, 1.0);
        let pads = vec![(k / 2) as i64, ((k - 1) / 2) as i64];
        let mixed = self.node("Conv", &[&row, &w], |n| n.set_ints("pads", pads));
        let gate = self.node("Sigmoid", &[&mixed], |_| {});
        let back = self.node("Concat", &[&batch, &open, &one, &one], join);
        let gate = self.node("Reshape", &[&gate, &back], |_| {});
        let whole = self.node("Shape", &[x], |_| {});
        let gate = self.node("Expand", &[&gate, &whole], |_| {});
        self.node("Mul", &[x, &gate], |_| {})
    }

    pub fn model(self) -> ModelProto {
        ModelProto {
            ir_version: Some(8),
            opset_import: vec![OperatorSetIdProto {
                domain: Some(String::new()),
                version: Some(self.opset),
            }],
            graph: Some(self.graph),
            ..Default::default()
        }
    }
}

/// A body, of a branch or a loop, with one output.
pub fn body(name: &str, nodes: Vec<NodeProto>, output: &str) -> AttributeProto {
    AttributeProto {
        name: Some(name.into()),
        r#type: Some(AttributeType::Graph as i32),
        g: Some(GraphProto {
            name: Some(name.into()),
            node: nodes,
            output: vec![ValueInfoProto {
                name: Some(output.into()),
                ..Default::default()
            }],
            ..Default::default()
        }),
        ..Default::default()
    }
}

pub fn set_float(node: &mut NodeProto, name: &str, value: f32) {
    node.attribute.push(AttributeProto {
        name: Some(name.into()),
        r#type: Some(AttributeType::Float as i32),
        f: Some(value),
        ..Default::default()
    });
}

pub fn set_text(node: &mut NodeProto, name: &str, value: &str) {
    node.attribute.push(AttributeProto {
        name: Some(name.into()),
        r#type: Some(AttributeType::String as i32),
        s: Some(value.as_bytes().to_vec()),
        ..Default::default()
    });
}

/// A key of external data and its value.
pub fn entry(key: &str, value: &str) -> StringStringEntryProto {
    StringStringEntryProto {
        key: Some(key.into()),
        value: Some(value.into()),
    }
}

/// A model whose first weight (48 bytes) lies outside, by these keys; and that weight's bytes.
pub fn external(keys: &[(&str, &str)]) -> (ModelProto, bytes::Bytes) {
    let mut net = Net::new(13, 1);
    let image = net.input("image", &[1, 3, 4, 4]);
    let y = net.conv(&image, 3, 4, 1, 1);
    net.output(&y);
    let mut model = net.model();
    let weight: &mut TensorProto = &mut model.graph.as_mut().unwrap().initializer[0];
    let bytes = weight.raw_data.take().unwrap();
    weight.data_location = Some(DataLocation::External as i32);
    weight.external_data = keys.iter().map(|(key, value)| entry(key, value)).collect();
    (model, bytes)
}

/// The same network in float16: inputs, outputs and weights.
pub fn halved(mut model: ModelProto) -> ModelProto {
    let graph = model.graph.as_mut().unwrap();
    for tensor in &mut graph.initializer {
        let name = tensor.name().to_owned();
        let own = Tensor::read(tensor).unwrap();
        if own.dtype == Dtype::Float {
            let values = own.to_f32().unwrap();
            let bytes = values
                .iter()
                .flat_map(|&v| half::f16::from_f32(v).to_le_bytes())
                .collect();
            let small = Tensor {
                dtype: Dtype::Float16,
                dims: own.dims,
                bytes,
            };
            *tensor = small.to_proto(&name);
        }
    }
    for value in graph.input.iter_mut().chain(&mut graph.output) {
        if let Some(type_proto::Value::TensorType(tensor)) = value.r#type.as_mut().and_then(|t| t.value.as_mut()) {
            tensor.elem_type = Some(Dtype::Float16 as i32);
        }
    }
    model
}
