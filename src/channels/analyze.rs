//! Walks a graph once and relates its axes.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::branches::{Branch, branches};
use super::broadcasts::written_out;
use super::context::{DependencyBuilder, RuleResult};
use super::dependency_graph::{Constraint, DependencyGraph, Use, input_value};
use super::end_growth::settle_end_growth;
use super::groups::{Group, collect_groups};
use super::index_remap::{ChannelChange, IndexRemaps};
use super::macs::{node_macs, samples};
use super::ops::{self, AtZero, OpSpec};
use super::patch::Patch;
use super::symbolic_shapes::SymbolicShapes;
use crate::Result;
use crate::onnx::{Graph, captured_names};

/// The shapes of all values of the main graph, as seen in a run.
#[derive(Clone, Debug, Default)]
pub struct Shapes {
    /// Extents by value name.
    pub dims: HashMap<String, Vec<usize>>,
    /// Values whose elements are not 32-bit floats.
    pub no_floats: HashSet<String>,
    /// Axes whose size depends on the inputs' symbolic dimensions.
    pub dynamic: HashSet<(String, usize)>,
    /// Bytes of one element by value name, where they are not 4.
    pub element_bytes: HashMap<String, usize>,
}

/// What is known of a graph's channels.
#[derive(Debug)]
pub struct Analysis {
    /// The channel dependency graph.
    pub dependencies: DependencyGraph,
    /// The channel groups, free or not, by the first node that makes or reads them.
    pub groups: Vec<Group>,
    /// Integer vectors of the shape arithmetic.
    pub shape: SymbolicShapes,
    /// Nodes that write out a broadcast which the nodes behind them can do themselves, by node index.
    pub broadcasts: BTreeSet<usize>,
    /// Residual branches, by the node index of their addition.
    pub branches: BTreeMap<usize, Branch>,
    /// Multiply-accumulates of each node for one sample, by node index.
    pub macs: Vec<u64>,
    /// The version of the standard operators.
    pub opset: i64,
    /// How many samples a run at these shapes takes; 1 where that is not known, so that a whole run is counted.
    pub samples: usize,
    /// Bytes of one element by value name, where they are not 4.
    pub element_bytes: HashMap<String, usize>,
}

impl Analysis {
    /// The branches that end in these additions.
    pub fn branches_at<'a>(&'a self, additions: &'a BTreeSet<usize>) -> impl Iterator<Item = &'a Branch> {
        additions.iter().filter_map(|n| self.branches.get(n))
    }

    /// Bytes of one element of a value.
    pub fn bytes_of(&self, name: &str) -> usize {
        self.element_bytes.get(name).copied().unwrap_or(4)
    }

    /// Multiply-accumulates of the whole graph for one sample.
    pub fn total_macs(&self) -> u64 {
        self.macs.iter().sum()
    }

    /// The share of multiply-accumulates in layers with a width that is free to change, 0 to 1.
    pub fn free_share(&self) -> f64 {
        self.share_of(&|group| group.constraint.is_none())
    }

    /// The share of multiply-accumulates in layers with a width of a group that `is_free` takes, 0 to 1.
    pub fn share_of(&self, is_free: &dyn Fn(&Group) -> bool) -> f64 {
        let mut free = vec![false; self.macs.len()];
        for group in self.groups.iter().filter(|g| is_free(g)) {
            for &node in group.producers.iter().chain(&group.consumers) {
                free[node] = true;
            }
        }
        let sum: u64 = self.macs.iter().zip(&free).filter(|(_, f)| **f).map(|(m, _)| m).sum();
        sum as f64 / self.total_macs().max(1) as f64
    }
}

/// Relates the axes of `graph` and finds its channel groups.
///
/// `shapes` holds the shapes of all values; one that is missing constrains what its nodes touch.
///
/// # Errors
/// None at present; what is not understood becomes a constraint.
pub fn analyze(graph: &Graph, opset: i64, shapes: &Shapes) -> Result<Analysis> {
    let mut dependencies = DependencyGraph::default();
    let mut shape = SymbolicShapes::default();
    add_values(graph, shapes, &mut dependencies);
    for (name, axis) in &shapes.dynamic {
        if let Some(id) = dependencies.by_name(name) {
            dependencies.mark_dynamic(id, *axis);
        }
    }
    for name in graph.real_inputs() {
        hold(
            &mut dependencies,
            None,
            [name],
            "it is a graph input, part of the model's interface",
        );
    }
    hold_replaceable(graph, &mut dependencies);
    for (index, node) in graph.proto.node.iter().enumerate() {
        for name in captured_names(node) {
            let reason = format!("it is used inside a body of {}", node.op_type());
            hold(&mut dependencies, Some(index), [name.as_str()], &reason);
        }
        if node.op_type() == "Constant" || shape.follow(graph, node, &mut dependencies, index) {
            continue;
        }
        let failed = match ops::spec_of(node) {
            Some(spec) => relate(
                spec,
                &mut DependencyBuilder {
                    node,
                    index,
                    opset,
                    graph,
                    co: &mut dependencies,
                    shape: &shape,
                },
            )
            .err(),
            None => Some(unknown(node.domain(), node.op_type())),
        };
        if let Some(reason) = failed {
            let names: Vec<&str> = node.input.iter().chain(&node.output).map(String::as_str).collect();
            hold(&mut dependencies, Some(index), names, &reason);
            for input in 0..node.input.len() {
                if let Some(id) = dependencies.by_use(Use { node: index, input }) {
                    let constraint = dependencies.lock_id(constraint(Some(index), &reason));
                    dependencies.lock_value(id, constraint);
                }
            }
        }
    }
    for output in &graph.proto.output {
        hold(
            &mut dependencies,
            None,
            [output.name()],
            "it reaches a graph output, part of the model's interface",
        );
    }
    let mut groups = collect_groups(&dependencies);
    forbid_unaligned_growth(graph, opset, &dependencies, &shape, &mut groups);
    settle_end_growth(graph, &dependencies, &mut groups);
    let samples = samples(graph, &dependencies, &shapes.dynamic);
    let macs = (0..graph.proto.node.len())
        .map(|n| node_macs(graph, &dependencies, n, &|id, axis| dependencies.dims(id)[axis]) / samples as u64)
        .collect::<Vec<u64>>();
    let broadcasts = written_out(graph, &dependencies, &shape);
    Ok(Analysis {
        branches: branches(graph, &dependencies, &groups, &macs, &broadcasts),
        broadcasts,
        dependencies,
        groups,
        shape,
        macs,
        opset,
        samples,
        element_bytes: shapes.element_bytes.clone(),
    })
}

/// Relates the axes of one node, as its operator's entry says.
fn relate(spec: &OpSpec, c: &mut DependencyBuilder) -> RuleResult {
    (spec.dependencies)(c)?;
    if spec.at_zero == AtZero::Infinite {
        c.forbid_growth_of_output("its value at zero is not finite")?;
    }
    Ok(())
}

/// Tries one more channel in each group; where an operator could not follow, the group does not grow.
fn forbid_unaligned_growth(
    graph: &Graph,
    opset: i64,
    dependencies: &DependencyGraph,
    shape: &SymbolicShapes,
    groups: &mut [Group],
) {
    for id in 0..groups.len() {
        let last = groups[id].classes.last().copied();
        let Some(last) = last.filter(|_| groups[id].can_grow()) else {
            continue;
        };
        let mut change = ChannelChange::default();
        change.added.insert(last, 1);
        let remaps = IndexRemaps::new(dependencies, groups, &change);
        for (index, node) in graph.proto.node.iter().enumerate() {
            let touched = node
                .output
                .iter()
                .filter_map(|n| dependencies.by_name(n))
                .any(|v| remaps.touches(dependencies, v))
                || (0..node.input.len())
                    .filter_map(|i| input_value(dependencies, node, index, i))
                    .any(|v| remaps.touches(dependencies, v));
            let patch = ops::spec_of(node).and_then(|s| s.patch);
            let Some(patch) = patch.filter(|_| touched) else {
                continue;
            };
            let tried = patch(&mut Patch {
                node: &mut node.clone(),
                index,
                opset,
                co: dependencies,
                remaps: &remaps,
                graph,
                shape,
                added: &mut Vec::new(),
            });
            if let Err(error) = tried {
                groups[id].no_growth = Some(constraint(Some(index), &error.to_string()));
                break;
            }
        }
    }
}

fn unknown(domain: &str, op: &str) -> String {
    match (domain, op) {
        ("" | "ai.onnx", "If" | "Loop" | "Scan") => {
            format!("{op} is control flow and is not followed")
        }
        ("" | "ai.onnx", _) => format!("{op} has no rule for channels"),
        _ => format!("{domain}.{op} is not a standard operator"),
    }
}

fn constraint(node: Option<usize>, reason: &str) -> Constraint {
    Constraint {
        node,
        reason: reason.to_owned(),
        silent: false,
    }
}

fn hold<'n>(
    dependencies: &mut DependencyGraph,
    node: Option<usize>,
    names: impl IntoIterator<Item = &'n str>,
    reason: &str,
) {
    let constraint = dependencies.lock_id(constraint(node, reason));
    for name in names {
        if let Some(id) = dependencies.by_name(name) {
            dependencies.lock_value(id, constraint);
        }
    }
}

/// Weights that callers may replace have the shapes that callers know.
fn hold_replaceable(graph: &Graph, dependencies: &mut DependencyGraph) {
    if graph.replaceable.is_empty() {
        return;
    }
    let constraint = dependencies.lock_id(constraint(
        None,
        "its weights are graph inputs too, which callers may replace, unless they are fixed as constants",
    ));
    for (node, proto) in graph.proto.node.iter().enumerate() {
        for (input, name) in proto.input.iter().enumerate() {
            if graph.replaceable.contains(name.as_str())
                && let Some(id) = dependencies.by_use(Use { node, input })
            {
                dependencies.lock_value(id, constraint);
            }
        }
    }
}

/// Activations by name; constants use by use, so that sharing one does not couple its users.
fn add_values(graph: &Graph, shapes: &Shapes, dependencies: &mut DependencyGraph) {
    for name in graph.real_inputs() {
        dependencies.add(name, None, shapes.dims.get(name).cloned());
    }
    let mut constants: HashMap<&str, Option<Vec<usize>>> = HashMap::new();
    for (index, node) in graph.proto.node.iter().enumerate() {
        for (input, name) in node.input.iter().enumerate() {
            let made = graph.producer.get(name.as_str());
            let constant = graph.initializers.contains_key(name.as_str())
                || made.is_some_and(|&p| graph.proto.node[p].op_type() == "Constant");
            if constant {
                let dims = constants
                    .entry(name)
                    .or_insert_with(|| graph.constant(name).map(|t| t.dims))
                    .clone();
                dependencies.add(name, Some(Use { node: index, input }), dims);
            }
        }
        if node.op_type() == "Constant" {
            continue;
        }
        for name in node.output.iter().filter(|n| !n.is_empty()) {
            dependencies.add(name, None, shapes.dims.get(name).cloned());
        }
    }
}
