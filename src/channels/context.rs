//! What an operator's handlers see: its node, its values, and the relation they add to.

use super::dependency_graph::{Constraint, DependencyGraph, EndMark, Role, ValueId, ZeroPoints, input_value};
use super::symbolic_shapes::{Dim, SymbolicShapes, constrain_dims, settled};
use crate::onnx::Graph;
use crate::onnx::proto::NodeProto;
use crate::ops::{Granularity, Movement};

/// `Err` is the reason for a constraint: every axis the node touches is then fixed.
pub type RuleResult = std::result::Result<(), String>;

/// An axis of a value.
pub type Axis = (ValueId, usize);

/// The view of a node while its axes are being related.
pub struct DependencyBuilder<'a> {
    /// The node.
    pub node: &'a NodeProto,
    /// Its index in the graph.
    pub index: usize,
    /// The version of the standard operators.
    pub opset: i64,
    /// Look-ups over the graph.
    pub graph: &'a Graph<'a>,
    /// The relation.
    pub co: &'a mut DependencyGraph,
    /// Integer vectors.
    pub shape: &'a SymbolicShapes,
}

impl DependencyBuilder<'_> {
    /// Input `i`; `None` when absent.
    pub fn maybe_input(&self, i: usize) -> Option<ValueId> {
        input_value(self.co, self.node, self.index, i)
    }

    /// Input `i`, with known shape.
    pub fn input(&self, i: usize) -> Result<ValueId, String> {
        let id = self.maybe_input(i).ok_or_else(|| format!("input {i} is missing"))?;
        self.shaped(id)
    }

    /// Output `i`, with known shape.
    pub fn output(&self, i: usize) -> Result<ValueId, String> {
        let name = self.node.output.get(i).filter(|n| !n.is_empty());
        let id = name
            .and_then(|n| self.co.by_name(n))
            .ok_or_else(|| format!("output {i} is missing"))?;
        self.shaped(id)
    }

    fn shaped(&self, id: ValueId) -> Result<ValueId, String> {
        match self.co.value(id).dims {
            Some(_) => Ok(id),
            None => Err(format!("the shape of '{}' is not known", self.co.value(id).name)),
        }
    }

    /// Shape of a value.
    pub fn dims(&self, id: ValueId) -> Vec<usize> {
        self.co.dims(id).to_vec()
    }

    /// Number of axes of a value.
    pub fn rank(&self, id: ValueId) -> usize {
        self.co.dims(id).len()
    }

    /// An attribute or input that names an axis, counted from the front.
    pub fn axis(&self, axis: i64, rank: usize) -> Result<usize, String> {
        let wrapped = if axis < 0 { axis + rank as i64 } else { axis };
        usize::try_from(wrapped)
            .ok()
            .filter(|&a| a < rank)
            .ok_or_else(|| format!("axis {axis} of {rank}"))
    }

    /// Two axes change together.
    pub fn same(&mut self, a: ValueId, ax: usize, b: ValueId, bx: usize) -> RuleResult {
        self.co.same(a, ax, b, bx)
    }

    /// Two axis indices (value, axis, index) are one channel.
    ///
    /// # Errors
    /// When there is no such index.
    pub fn unify(&mut self, a: (ValueId, usize, usize), b: (ValueId, usize, usize)) -> RuleResult {
        let there = |(v, axis, i): (ValueId, usize, usize)| self.co.dims(v).get(axis).is_some_and(|&n| i < n);
        if !there(a) || !there(b) {
            return Err("its shapes do not fit".to_owned());
        }
        let (a, b) = (self.co.atom(a.0, a.1, a.2), self.co.atom(b.0, b.1, b.2));
        self.co.unify(a, b);
        Ok(())
    }

    /// Fixes an axis, with a reason worth a line.
    pub fn constraint(&mut self, id: ValueId, axis: usize, reason: &str) {
        self.lock(
            id,
            axis,
            Constraint {
                node: Some(self.index),
                reason: reason.to_owned(),
                silent: false,
            },
        );
    }

    /// Fixes an axis that no network changes (space, broadcast ones).
    pub fn lock_silent(&mut self, id: ValueId, axis: usize) {
        self.lock(
            id,
            axis,
            Constraint {
                node: Some(self.index),
                reason: "not a channel axis".to_owned(),
                silent: true,
            },
        );
    }

    fn lock(&mut self, id: ValueId, axis: usize, constraint: Constraint) {
        let constraint = self.co.lock_id(constraint);
        self.co.lock_axis(id, axis, constraint);
    }

    /// Axis may shrink but not grow.
    pub fn forbid_growth(&mut self, id: ValueId, axis: usize, reason: &str) {
        self.co.forbid_growth(id, axis, self.index, reason);
    }

    /// The node mixes neighbours on this axis, and zeros behind the last change nothing of the others: its channels stay, and new
    /// ones may only stand at the end. `false`, and nothing is noted, where the axis holds no channels that a layer makes.
    pub fn grows_at_end(&mut self, value: ValueId, axis: usize, reason: &str) -> bool {
        let holds = self.co.is_width(value, axis);
        if holds {
            self.co.end_marks.push(EndMark {
                node: self.index,
                value,
                axis,
                reason: reason.to_owned(),
                anywhere: false,
            });
        }
        holds
    }

    /// The node looks at all elements of a value at once, and zeros change nothing of what it sees: channels stay, new ones may stand
    /// anywhere.
    pub fn grows_by_zeros(&mut self, value: ValueId, reason: &str) {
        for axis in 0..self.rank(value) {
            if self.grows_at_end(value, axis, reason)
                && let Some(mark) = self.co.end_marks.last_mut()
            {
                mark.anywhere = true;
            }
        }
    }

    /// What a quantized constant takes where it grows: the zero points at input `i`, along `axis` or one for all.
    ///
    /// # Errors
    /// When they do not fit.
    pub fn zero_points(&mut self, id: ValueId, i: usize, granularity: Granularity) -> RuleResult {
        let Some(value) = self.maybe_input(i) else {
            return Ok(());
        };
        let zeros = self.node.input.get(i).and_then(|n| self.graph.constant(n));
        if zeros.as_ref().is_some_and(|z| z.bytes.iter().all(|&b| b == 0)) {
            return Ok(());
        }
        let first = zeros.and_then(|z| z.to_i64()?.first().copied());
        if let Some(first) = first.filter(|_| self.co.value(id).constant_use.is_some()) {
            // ONNX Runtime wants the zero points of all channels to be one number.
            self.fill(value, first as f32);
            self.co.values[id.0].zero_points = Some(ZeroPoints { value, granularity });
            return Ok(());
        }
        for axis in 0..self.rank(id) {
            self.forbid_growth(id, axis, "a new weight of zero would need its zero point");
        }
        Ok(())
    }

    /// No axis of the first output may grow.
    ///
    /// # Errors
    /// When its shape is not known.
    pub fn forbid_growth_of_output(&mut self, reason: &str) -> RuleResult {
        let y = self.output(0)?;
        (0..self.rank(y)).for_each(|axis| self.forbid_growth(y, axis, reason));
        Ok(())
    }

    /// Marks `axis` of `id` as a width that this layer makes or reads.
    pub fn role(&mut self, value: ValueId, axis: usize, output: bool) {
        let node = self.index;
        self.co.roles.push(Role {
            node,
            value,
            axis,
            output,
        });
    }

    /// What a constant takes where it grows.
    pub fn fill(&mut self, id: ValueId, value: f32) {
        self.co.values[id.0].fill = Some(value);
    }

    /// A constant repeats what it holds of the channels that new ones replicate.
    pub fn repeat(&mut self, id: ValueId) {
        self.co.values[id.0].fill = None;
    }

    /// The integers of input `i` when they are written in the file.
    pub fn constant_ints(&self, i: usize) -> Option<Vec<i64>> {
        self.graph.constant(self.node.input.get(i)?)?.to_i64()
    }

    /// The integers of input `i` that hold whatever the inputs are, and the axes that they stem from.
    pub fn settled_ints(&self, i: usize) -> Option<(Vec<i64>, Vec<Axis>)> {
        let elements = self.shape(i)?;
        let all: Option<Vec<_>> = elements.iter().map(|e| settled(e, self.co)).collect();
        let all = all?;
        let from = all.iter().filter_map(|(_, from)| *from).collect();
        Some((all.into_iter().map(|(v, _)| v).collect(), from))
    }

    /// Fixes the axes of `from` that are not as long as some axis of `x` whatever changes: numbers that
    /// stem from such an axis would not be rewritten when it changes.
    pub fn lock_unless_tied(&mut self, x: ValueId, from: &[(ValueId, usize)]) {
        for &(id, axis) in from {
            let rank = self.rank(x);
            if !(0..rank).any(|own| self.co.same_extent((id, axis), (x, own))) {
                self.constrain_dims(&[Dim::Of(id, axis)]);
            }
        }
    }

    /// Whether input `i` is present.
    pub fn has_input(&self, i: usize) -> bool {
        self.node.input.get(i).is_some_and(|n| !n.is_empty())
    }

    /// The elements of the integer vector at input `i`.
    pub fn shape(&self, i: usize) -> Option<Vec<Dim>> {
        self.shape.get(self.graph, self.node.input.get(i)?)
    }

    /// Fixes axes whose sizes are read in a way that cannot be rewritten.
    pub fn constrain_dims(&mut self, shape: &[Dim]) {
        constrain_dims(self.co, self.index, self.node.op_type(), shape);
    }

    /// Whether a value comes from constants alone, through nodes that keep zero at zero.
    pub fn is_weight(&self, i: usize) -> bool {
        let Some(name) = self.node.input.get(i) else {
            return false;
        };
        is_weight(self.graph, name)
    }
}

fn is_weight(graph: &Graph, name: &str) -> bool {
    if graph.initializers.contains_key(name) {
        return true;
    }
    let Some(node) = graph.producer.get(name).map(|&n| &graph.proto.node[n]) else {
        return false;
    };
    let source = node.input.first().filter(|_| Movement::of(node).is_some());
    node.op_type() == "Constant" || source.is_some_and(|n| is_weight(graph, n))
}
