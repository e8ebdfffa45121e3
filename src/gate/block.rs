//! Places where work can be left out: residual blocks, and the layers inside them.

use std::collections::HashSet;

use crate::channels::Analysis;
use crate::onnx::proto::NodeProto;
use crate::onnx::{Attributes, Graph, Tensor, label};
use crate::score::LinearOp;

/// A convolution of two spatial axes with constant weights.
#[derive(Clone, Debug, PartialEq)]
pub struct BranchLayer {
    /// Index of its node.
    pub node: usize,
    /// Output channels.
    pub outputs: usize,
    /// Input channels, over all groups.
    pub inputs: usize,
    /// Groups.
    pub groups: usize,
    /// Kernel rows and columns.
    pub kernel: [usize; 2],
    /// Steps between output places.
    pub strides: [usize; 2],
    /// Steps between taps.
    pub dilations: [usize; 2],
    /// Zeros before the input and behind it, by axis.
    pub pads: [[usize; 2]; 2],
}

/// A part of a branch.
#[derive(Clone, Debug, PartialEq)]
pub enum BranchStep {
    /// A convolution.
    Conv(BranchLayer),
    /// Nodes that change every element alone, from one value to another.
    Pointwise(Vec<usize>),
}

impl BranchStep {
    /// The convolution, if it is one.
    pub fn layer(&self) -> Option<&BranchLayer> {
        match self {
            Self::Conv(layer) => Some(layer),
            Self::Pointwise(_) => None,
        }
    }
}

/// A residual block: `output = act(other + branch(input))`.
#[derive(Clone, Debug, PartialEq)]
pub struct Block {
    /// Name for people: that of the addition.
    pub name: String,
    /// What the branch reads, and its channels, rows and columns.
    pub input: String,
    /// Channels, rows and columns of the input.
    pub input_dims: [usize; 3],
    /// Whether the input is never negative.
    pub positive: bool,
    /// The branch, front to back.
    pub steps: Vec<BranchStep>,
    /// What the branch makes.
    pub branch: String,
    /// The other addend.
    pub other: String,
    /// Index of the addition.
    pub add: usize,
    /// Index of the activation behind the addition, if the addition has no other reader.
    pub activation: Option<usize>,
    /// What the block makes.
    pub output: String,
    /// Channels, rows and columns of the output.
    pub output_dims: [usize; 3],
    /// The batch, where the file fixes it.
    pub batch: Option<usize>,
}

/// Why a place that looks like a block cannot be gated.
pub type Reason = String;

/// Operators that change each element alone, or each channel's elements alike; further inputs are constants.
const POINTWISE: [&str; 17] = [
    "BatchNormalization",
    "PRelu",
    "Relu",
    "LeakyRelu",
    "Clip",
    "Sigmoid",
    "Tanh",
    "Elu",
    "Selu",
    "HardSigmoid",
    "HardSwish",
    "Softplus",
    "Softsign",
    "Mish",
    "Gelu",
    "Identity",
    "Dropout",
];

impl Block {
    /// The convolutions of the branch, front to back.
    pub fn layers(&self) -> Vec<&BranchLayer> {
        self.steps.iter().filter_map(BranchStep::layer).collect()
    }

    /// Index of the next convolution behind a step; the step's own behind the last.
    pub fn consumer(&self, step: usize) -> usize {
        let next = (step + 1..self.steps.len()).find(|&s| self.steps[s].layer().is_some());
        next.unwrap_or(step)
    }

    /// Every node that a gate takes the place of.
    pub fn nodes(&self) -> HashSet<usize> {
        let mut nodes: HashSet<usize> = self.activation.into_iter().chain([self.add]).collect();
        for step in &self.steps {
            match step {
                BranchStep::Conv(l) => nodes.extend([l.node]),
                BranchStep::Pointwise(list) => nodes.extend(list),
            }
        }
        nodes
    }

    /// The last of the nodes.
    pub fn last(&self) -> usize {
        self.activation.unwrap_or(self.add)
    }

    /// Rows and columns before each step and behind the last.
    pub fn shape(&self) -> Vec<[usize; 2]> {
        let mut all = vec![[self.input_dims[1], self.input_dims[2]]];
        for step in &self.steps {
            let before = all[all.len() - 1];
            all.push(match step {
                BranchStep::Conv(l) => [0, 1].map(|a| l.dim(a, before[a])),
                BranchStep::Pointwise(_) => before,
            });
        }
        all
    }

    /// Multiply-accumulates of the branch for one sample.
    pub fn macs(&self) -> u64 {
        let shape = self.shape();
        let steps = self.steps.iter().zip(&shape[1..]);
        steps.filter_map(|(step, e)| Some(step.layer()?.macs(*e))).sum()
    }
}

impl BranchLayer {
    /// The layer at a node, if it is one.
    pub fn of(graph: &Graph, index: usize) -> Option<Self> {
        let node = &graph.proto.node[index];
        if node.op_type() != "Conv" || !matches!(node.domain(), "" | "ai.onnx") {
            return None;
        }
        let dims = graph.constant(node.input.get(1)?).filter(Tensor::is_float)?.dims;
        let constant = |n: &String| n.is_empty() || graph.constant(n).is_some();
        if dims.len() != 4 || !node.input.get(2).is_none_or(constant) {
            return None;
        }
        let groups = usize::try_from(node.int("group", 1)).ok().filter(|&g| g > 0)?;
        let pair = |name: &str| -> Option<[usize; 2]> {
            match node.ints(name) {
                None => Some([1, 1]),
                Some(v) if v.len() == 2 => Some([usize::try_from(v[0]).ok()?, usize::try_from(v[1]).ok()?]),
                Some(_) => None,
            }
        };
        let pads: Vec<usize> = match node.text("auto_pad", "NOTSET").as_str() {
            "NOTSET" => {
                let pads = node.ints("pads").unwrap_or_else(|| vec![0; 4]);
                pads.iter().map(|&p| usize::try_from(p).ok()).collect::<Option<_>>()?
            }
            "VALID" => vec![0; 4],
            _ => return None,
        };
        let [top, left, bottom, right] = pads[..] else {
            return None;
        };
        let layer = Self {
            node: index,
            outputs: dims[0],
            inputs: dims[1] * groups,
            groups,
            kernel: [dims[2], dims[3]],
            strides: pair("strides")?,
            dilations: pair("dilations")?,
            pads: [[top, bottom], [left, right]],
        };
        let sound = layer
            .kernel
            .iter()
            .chain(&layer.strides)
            .chain(&layer.dilations)
            .all(|&v| v > 0);
        (sound && layer.outputs > 0 && layer.inputs > 0).then_some(layer)
    }

    /// The weights in the order of the file; `None` where they cannot be read as floats.
    pub fn weights(&self, graph: &Graph) -> Option<Vec<f32>> {
        LinearOp::of(graph, self.node)?.weights(graph)
    }

    /// The bias; zeros where there is none.
    pub fn bias(&self, graph: &Graph) -> Option<Vec<f32>> {
        Some(LinearOp::of(graph, self.node)?.bias(graph))
    }

    /// Input rows (`axis` 0) or columns that one output place covers.
    pub fn reach(&self, axis: usize) -> usize {
        (self.kernel[axis] - 1) * self.dilations[axis] + 1
    }

    /// The output's extent for an input's.
    pub fn dim(&self, axis: usize, input: usize) -> usize {
        let padded = input + self.pads[axis][0] + self.pads[axis][1];
        padded
            .checked_sub(self.reach(axis))
            .map_or(0, |left| left / self.strides[axis] + 1)
    }

    /// Multiply-accumulates for output rows and columns.
    pub fn macs(&self, shape: [usize; 2]) -> u64 {
        let weights = self.outputs * (self.inputs / self.groups) * self.kernel[0] * self.kernel[1];
        (weights * shape[0] * shape[1]) as u64
    }
}

/// The residual blocks of a graph in its order, and of additions that look like one the reason why they are none.
pub fn blocks(graph: &Graph, analysis: &Analysis) -> (Vec<Block>, Vec<(String, Reason)>) {
    let (mut found, mut refused): (Vec<Block>, Vec<(String, Reason)>) = (Vec::new(), Vec::new());
    let mut taken: HashSet<usize> = HashSet::new();
    for index in 0..graph.proto.node.len() {
        match block(graph, analysis, index) {
            None => {}
            Some(Err(why)) => refused.push((label(&graph.proto.node[index], index), why)),
            Some(Ok(block)) if block.nodes().is_disjoint(&taken) => {
                taken.extend(block.nodes());
                found.push(block);
            }
            Some(Ok(_)) => {}
        }
    }
    (found, refused)
}

fn block(graph: &Graph, analysis: &Analysis, add: usize) -> Option<Result<Block, Reason>> {
    let node = &graph.proto.node[add];
    if node.op_type() != "Add" || !matches!(node.domain(), "" | "ai.onnx") {
        return None;
    }
    let [a, b] = &node.input[..] else { return None };
    if graph.constant(a).is_some() || graph.constant(b).is_some() {
        return None;
    }
    let mut branches: Vec<(Vec<BranchStep>, &str, &str)> = Vec::new();
    for (from, other) in [(a, b), (b, a)] {
        let (steps, input) = walk_back(graph, from);
        if steps.iter().any(|s| s.layer().is_some()) {
            branches.push((steps, input, other));
        }
    }
    let weight = |steps: &[BranchStep]| -> usize {
        let weights = |l: &BranchLayer| l.outputs * l.inputs / l.groups * l.kernel[0] * l.kernel[1];
        steps.iter().filter_map(BranchStep::layer).map(weights).sum()
    };
    let (steps, input, other) = branches.into_iter().max_by_key(|(steps, ..)| weight(steps))?;
    Some(described(graph, analysis, add, (steps, input, other)))
}

fn described(
    graph: &Graph,
    analysis: &Analysis,
    add: usize,
    (steps, input, other): (Vec<BranchStep>, &str, &str),
) -> Result<Block, Reason> {
    let nodes = &graph.proto.node;
    let branch = nodes[add]
        .input
        .iter()
        .find(|n| n.as_str() != other)
        .cloned()
        .unwrap_or_default();
    let sum = nodes[add].output.first().cloned().unwrap_or_default();
    let co = &analysis.dependencies;
    let spatial = |name: &str| -> Result<[usize; 2], Reason> {
        let id = co.by_name(name).ok_or("its shape is not known")?;
        match co.dims(id) {
            [_, _, h, w] if !co.value(id).dynamic.iter().any(|&a| a > 1) => Ok([*h, *w]),
            [_, _, _, _] => Err("its height or width is open; fix it in the file".to_owned()),
            _ => Err("it is no map of rows and columns".to_owned()),
        }
    };
    let (from, to) = (spatial(input)?, spatial(&sum)?);
    if spatial(other)? != to {
        return Err("its addends have different extents".to_owned());
    }
    let layers: Vec<&BranchLayer> = steps.iter().filter_map(BranchStep::layer).collect();
    let (Some(first), Some(last)) = (layers.first(), layers.last()) else {
        return Err("it has no convolution".to_owned());
    };
    let channels = |name: &str| co.by_name(name).and_then(|id| co.dims(id).get(1).copied());
    if channels(other) != channels(&branch) {
        return Err("one addend is spread over the channels of the other".to_owned());
    }
    let batch = co.by_name(input).and_then(|id| {
        let open = co.value(id).dynamic.contains(&0);
        co.dims(id).first().copied().filter(|_| !open)
    });
    let consumers = graph.consumers.get(sum.as_str()).map_or(&[][..], Vec::as_slice);
    let is_output = |name: &str| graph.proto.output.iter().any(|o| o.name() == name);
    let activation = match consumers {
        [one] if !is_output(&sum) && is_unary(&nodes[*one], graph) => Some(*one),
        _ => None,
    };
    let output = activation.and_then(|n| nodes[n].output.first().cloned()).unwrap_or(sum);
    let block = Block {
        name: label(&nodes[add], add),
        input_dims: [first.inputs, from[0], from[1]],
        output_dims: [last.outputs, to[0], to[1]],
        positive: never_negative(graph, input),
        input: input.to_owned(),
        other: other.to_owned(),
        steps,
        branch,
        add,
        activation,
        output,
        batch,
    };
    if block.shape().last() != Some(&to) {
        return Err("its convolutions do not make its extents".to_owned());
    }
    Ok(block)
}

/// From a value back over nodes that nothing else reads, to the value before them.
fn walk_back<'g>(graph: &Graph<'g>, from: &'g str) -> (Vec<BranchStep>, &'g str) {
    let nodes = &graph.proto.node;
    let alone = |name: &str, consumers: usize| {
        let list = graph.consumers.get(name).map_or(0, Vec::len);
        list == consumers && !graph.proto.output.iter().any(|o| o.name() == name)
    };
    let mut steps = Vec::new();
    let (mut at, mut consumers) = (from, 1);
    while let Some(&index) = graph.producer.get(at).filter(|_| alone(at, consumers)) {
        let node = &nodes[index];
        consumers = 1;
        if let Some(layer) = BranchLayer::of(graph, index) {
            steps.push(BranchStep::Conv(layer));
            at = &node.input[0];
        } else if is_unary(node, graph) {
            steps.push(BranchStep::Pointwise(vec![index]));
            at = &node.input[0];
        } else if let Some((before, sigmoid)) = swish(graph, index).filter(|(before, _)| alone(before, 2)) {
            steps.push(BranchStep::Pointwise(vec![sigmoid, index]));
            (at, consumers) = (before, 2);
        } else {
            break;
        }
    }
    // Activations before the first convolution may stay dense: only what the convolutions save counts.
    while let Some(BranchStep::Pointwise(list)) = steps.last() {
        let last = list[list.len() - 1];
        at = nodes[last].output.first().map_or(at, String::as_str);
        steps.pop();
    }
    steps.reverse();
    (steps, at)
}

/// `x · sigmoid(x)` as two nodes: x, and the index of the sigmoid.
fn swish<'g>(graph: &Graph<'g>, mul: usize) -> Option<(&'g str, usize)> {
    let node = &graph.proto.node[mul];
    let [a, b] = &node.input[..] else { return None };
    if node.op_type() != "Mul" {
        return None;
    }
    for (x, gate) in [(a, b), (b, a)] {
        let at = *graph.producer.get(gate.as_str())?;
        let sigmoid = &graph.proto.node[at];
        let only = graph.consumers.get(gate.as_str()).is_some_and(|c| c.len() == 1);
        if matches!(sigmoid.op_type(), "Sigmoid" | "HardSigmoid") && sigmoid.input.first() == Some(x) && only {
            return Some((x, at));
        }
    }
    None
}

/// One input that is no constant, one output, and each element alone.
fn is_unary(node: &NodeProto, graph: &Graph) -> bool {
    let known = POINTWISE.contains(&node.op_type()) && matches!(node.domain(), "" | "ai.onnx");
    let rest = node
        .input
        .iter()
        .skip(1)
        .all(|n| n.is_empty() || graph.constant(n).is_some());
    let outputs = node.output.iter().filter(|n| !n.is_empty()).count();
    known && rest && outputs == 1
}

/// Whether a value comes from an operator that makes nothing negative.
fn never_negative(graph: &Graph, name: &str) -> bool {
    let Some(&index) = graph.producer.get(name) else {
        return false;
    };
    let node = &graph.proto.node[index];
    match node.op_type() {
        "Relu" | "Sigmoid" | "HardSigmoid" | "Softplus" => true,
        "MaxPool" | "Identity" => never_negative(graph, &node.input[0]),
        "Clip" => {
            let least = node
                .input
                .get(1)
                .and_then(|n| graph.constant(n)?.to_f32()?.first().copied());
            least.unwrap_or_else(|| node.float("min", -1.0)) >= 0.0
        }
        _ => false,
    }
}
