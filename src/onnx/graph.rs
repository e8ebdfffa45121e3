//! An index of a graph: who makes a value, who uses it, and which values are constant.

use std::collections::{HashMap, HashSet};

use super::attribute::Attributes;
use super::defaults::replaceable;
use super::proto::{GraphProto, ModelProto, NodeProto, ValueInfoProto};
use super::tensor::Tensor;
use crate::{Error, Result};

/// The names used inside the bodies of a control-flow node that the bodies do not define.
pub fn captured_names(node: &NodeProto) -> HashSet<String> {
    let mut names = HashSet::new();
    for attribute in &node.attribute {
        for body in attribute.g.iter().chain(&attribute.graphs) {
            let mut inner: HashSet<String> = HashSet::new();
            for n in &body.node {
                inner.extend(n.input.iter().cloned());
                inner.extend(captured_names(n));
            }
            inner.extend(body.output.iter().map(|o| o.name().to_owned()));
            for defined in body
                .input
                .iter()
                .map(|v| v.name())
                .chain(body.initializer.iter().map(|t| t.name()))
                .chain(body.node.iter().flat_map(|n| n.output.iter().map(String::as_str)))
            {
                inner.remove(defined);
            }
            names.extend(inner);
        }
    }
    names.remove("");
    names
}

/// Look-ups over one graph. Values are named as in the file.
#[derive(Debug)]
pub struct Graph<'a> {
    /// The graph itself.
    pub proto: &'a GraphProto,
    /// Index into `initializer` by name.
    pub initializers: HashMap<&'a str, usize>,
    /// Index of the node that makes each value.
    pub producer: HashMap<&'a str, usize>,
    /// Nodes that use each value, each once, in order.
    pub consumers: HashMap<&'a str, Vec<usize>>,
    /// Initializers that callers may replace, where the model's version is known (see [`Graph::of`]).
    pub replaceable: HashSet<&'a str>,
}

impl<'a> Graph<'a> {
    /// Indexes the main graph of a model.
    ///
    /// # Errors
    /// When it has none, or as in [`Graph::new`].
    pub fn of(model: &'a ModelProto) -> Result<Self> {
        let graph = model.graph.as_ref();
        let graph = graph.ok_or_else(|| Error::Model("the model has no graph".to_owned()))?;
        Ok(Self {
            replaceable: replaceable(model),
            ..Self::new(graph)?
        })
    }

    /// Indexes `proto`.
    ///
    /// # Errors
    /// When two nodes make the same value, or a node uses a value that is not made before it.
    pub fn new(proto: &'a GraphProto) -> Result<Self> {
        let initializers: HashMap<&str, usize> = proto
            .initializer
            .iter()
            .enumerate()
            .map(|(i, t)| (t.name(), i))
            .collect();
        let mut known: HashSet<&str> = initializers.keys().copied().collect();
        known.extend(proto.input.iter().map(|v| v.name()));
        known.extend(
            proto
                .sparse_initializer
                .iter()
                .filter_map(|s| s.values.as_ref().map(|v| v.name())),
        );
        let mut producer = HashMap::new();
        let mut consumers: HashMap<&str, Vec<usize>> = HashMap::new();
        for (i, node) in proto.node.iter().enumerate() {
            for name in node.input.iter().filter(|n| !n.is_empty()) {
                if !known.contains(name.as_str()) {
                    return Err(Error::Model(unknown(proto, i, name)));
                }
                let users = consumers.entry(name).or_default();
                if users.last() != Some(&i) {
                    users.push(i);
                }
            }
            for name in node.output.iter().filter(|n| !n.is_empty()) {
                if !known.insert(name) {
                    return Err(Error::Model(format!(
                        "node {} makes '{name}', which is already there",
                        label(node, i)
                    )));
                }
                producer.insert(name.as_str(), i);
            }
        }
        Ok(Self {
            proto,
            initializers,
            producer,
            consumers,
            replaceable: HashSet::new(),
        })
    }

    /// The value of an initializer or of a `Constant` node's output, if `name` is one.
    /// An initializer that is also a graph input counts, with the file's value; what is replaceable is not changed.
    pub fn constant(&self, name: &str) -> Option<Tensor> {
        if let Some(&i) = self.initializers.get(name) {
            return Tensor::read(&self.proto.initializer[i]).ok();
        }
        constant_of(&self.proto.node[*self.producer.get(name)?])
    }

    /// The same, also through `Identity` nodes, by which exporters share weights.
    pub fn stored(&self, name: &str) -> Option<Tensor> {
        let mut name = name;
        // Nodes are in order, so that each comes before the one that reads it.
        while let Some(node) = self.producer.get(name).map(|&n| &self.proto.node[n])
            && node.op_type() == "Identity"
        {
            name = node.input.first()?;
        }
        self.constant(name)
    }

    /// Names that are outputs of the graph or are read inside of bodies.
    pub fn seen_outside(&self) -> HashSet<String> {
        let captured = self.proto.node.iter().flat_map(captured_names);
        let outputs = self.proto.output.iter().map(|o| o.name().to_owned());
        captured.chain(outputs).collect()
    }

    /// Whether a value is an output of the graph, or read by a body of one of its nodes.
    pub fn is_seen_outside(&self, name: &str) -> bool {
        let mut captured = self.proto.node.iter().flat_map(captured_names);
        self.proto.output.iter().any(|o| o.name() == name) || captured.any(|n| n == name)
    }

    /// The only user of a node's first output, when it has just one and is no graph output.
    pub fn only_user(&self, node: &NodeProto) -> Option<&'a NodeProto> {
        let name = node.output.first()?;
        if self.proto.output.iter().any(|o| o.name() == name) {
            return None;
        }
        match self.consumers.get(name.as_str())?.as_slice() {
            [one] => Some(&self.proto.node[*one]),
            _ => None,
        }
    }

    /// Names of graph inputs that are not initializers.
    pub fn real_inputs(&self) -> Vec<&'a str> {
        self.proto
            .input
            .iter()
            .map(|v| v.name())
            .filter(|n| !self.initializers.contains_key(n))
            .collect()
    }
}

/// The value of a `Constant` node; `None` for others.
pub fn constant_of(node: &NodeProto) -> Option<Tensor> {
    if node.op_type() != "Constant" {
        return None;
    }
    if let Some(ints) = node.ints("value_ints") {
        return Some(Tensor::from_i64(&ints));
    }
    if let Some(int) = node.attr("value_int").and_then(|a| a.i) {
        let mut tensor = Tensor::from_i64(&[int]);
        tensor.dims.clear();
        return Some(tensor);
    }
    if let Some(f) = node.attr("value_float").and_then(|a| a.f) {
        return Some(Tensor::from_f32(vec![], &[f]));
    }
    if let Some(a) = node.attr("value_floats") {
        return Some(Tensor::from_f32(vec![a.floats.len()], &a.floats));
    }
    Tensor::read(node.tensor("value")?).ok()
}

/// Says why a value that a node uses is not there.
fn unknown(graph: &GraphProto, at: usize, name: &str) -> String {
    let user = label(&graph.node[at], at);
    let makes = |n: &NodeProto| n.output.iter().any(|o| o == name);
    match graph.node.iter().enumerate().find(|(_, n)| makes(n)) {
        None => format!("node {user} uses '{name}', which nothing makes"),
        Some((k, _)) if k == at => format!("node {user} uses '{name}', which it makes itself: the graph has a cycle"),
        Some((k, producer)) => format!(
            "node {user} uses '{name}', which node {} makes after it: the graph is not sorted, or has a cycle",
            label(producer, k)
        ),
    }
}

/// A node's name for people: its own, else its type and first output.
pub fn label(node: &NodeProto, index: usize) -> String {
    if node.name().is_empty() {
        let output = node.output.first().map_or("", String::as_str);
        format!("{}#{index}({output})", node.op_type())
    } else {
        node.name().to_owned()
    }
}
/// A value of which only the name is told.
pub fn named_value(name: &str) -> ValueInfoProto {
    ValueInfoProto {
        name: Some(name.to_owned()),
        ..Default::default()
    }
}
