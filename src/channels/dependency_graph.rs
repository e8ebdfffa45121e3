//! Which axis indices stay or go together: a union-find over every index of every axis. Its sets are the channels.

use std::collections::{HashMap, HashSet};

use crate::onnx::proto::NodeProto;
use crate::ops::Granularity;

/// A value of the graph, or one use of a constant (constants are un-shared, use by use).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ValueId(pub usize);

/// One input of one node: where a constant is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Use {
    /// Index of the node in the graph.
    pub node: usize,
    /// Index among the node's inputs.
    pub input: usize,
}

/// What is known of a value.
#[derive(Clone, Debug)]
pub struct Value {
    /// Its name in the file.
    pub name: String,
    /// Set when this is one use of an initializer or of a `Constant` node.
    pub constant_use: Option<Use>,
    /// Extent of each axis; `None` when it is not a tensor or was not seen.
    pub dims: Option<Vec<usize>>,
    /// Axes whose size depends on the inputs' symbolic dimensions.
    pub dynamic: Vec<usize>,
    /// What a new element takes when the constant grows (0 unless the operator needs another); `None` where it
    /// repeats the one of the channel that the new channel replicates.
    pub fill: Option<f32>,
    /// Where a new element takes the zero point of its place instead.
    pub zero_points: Option<ZeroPoints>,
    base: Vec<u32>,
}

/// What stands for zero in a quantized constant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ZeroPoints {
    /// The constant with the zero points.
    pub value: ValueId,
    /// How they lie over the quantized one.
    pub granularity: Granularity,
}

/// Why something cannot change.
#[derive(Clone, Debug)]
pub struct Constraint {
    /// Index of the node that holds it, if one does.
    pub node: Option<usize>,
    /// For people: what the node does with the axis, and what would unlock it where known.
    pub reason: String,
    /// Constraints that are part of every network (space, batch) and are not worth a line.
    pub silent: bool,
}

/// A width of a layer: axis `axis` of weight `value`, an output or an input width of node `node`.
#[derive(Clone, Debug)]
pub struct Role {
    /// Index of the node.
    pub node: usize,
    /// The activation whose axis the width is.
    pub value: ValueId,
    /// The axis of `value`.
    pub axis: usize,
    /// `true` for the width the node makes, `false` for one that it reads.
    pub output: bool,
}

/// An axis whose neighbours a node mixes, so that zeros behind the last channel change nothing of the others.
#[derive(Clone, Debug)]
pub struct EndMark {
    /// Index of the node.
    pub node: usize,
    /// The input whose axis it is.
    pub value: ValueId,
    /// The axis of `value`.
    pub axis: usize,
    /// For people: what the node does with the axis.
    pub reason: String,
    /// Whether new ones may stand elsewhere too, as long as they are zero.
    pub anywhere: bool,
}

const NONE: u32 = u32::MAX;

/// The channel dependency graph: values, the channels of their axis indices, and the constraints on these.
#[derive(Debug, Default)]
pub struct DependencyGraph {
    /// Every value, by [`ValueId`].
    pub values: Vec<Value>,
    /// Every constraint that was placed.
    pub constraints: Vec<Constraint>,
    /// Every layer width.
    pub roles: Vec<Role>,
    /// Every axis that can only grow at its end, with zeros.
    pub end_marks: Vec<EndMark>,
    parent: Vec<u32>,
    constraint_of: Vec<u32>,
    no_grow_of: Vec<u32>,
    no_grow: Vec<Constraint>,
    names: HashMap<String, ValueId>,
    uses: HashMap<Use, ValueId>,
}

/// Networks have some hundred thousand axis indices. Empty tensors may claim any size, and a long constant may have any number of uses.
const MOST: usize = 1 << 24;

impl DependencyGraph {
    /// Adds a value with the indices of its axes, each a channel of its own at first. Beyond 2²⁴ indices in all its shape counts
    /// as not known.
    pub fn add(&mut self, name: &str, constant_use: Option<Use>, dims: Option<Vec<usize>>) -> ValueId {
        let id = ValueId(self.values.len());
        let all = |d: &Vec<usize>| d.iter().fold(self.parent.len(), |sum, &n| sum.saturating_add(n));
        let dims = dims.filter(|d| all(d) <= MOST);
        let mut base = Vec::new();
        for &dim in dims.iter().flatten() {
            base.push(self.parent.len() as u32);
            for _ in 0..dim {
                self.parent.push(self.parent.len() as u32);
                self.constraint_of.push(NONE);
                self.no_grow_of.push(NONE);
            }
        }
        self.values.push(Value {
            name: name.to_owned(),
            constant_use,
            dims,
            dynamic: Vec::new(),
            fill: Some(0.0),
            zero_points: None,
            base,
        });
        match constant_use {
            Some(at) => self.uses.insert(at, id),
            None => self.names.insert(name.to_owned(), id),
        };
        id
    }

    /// Says that an axis' size depends on the inputs' symbolic dimensions.
    pub fn mark_dynamic(&mut self, value: ValueId, axis: usize) {
        self.values[value.0].dynamic.push(axis);
    }

    /// Whether two axes keep equal sizes whatever changes: they hold the same channels, in any order.
    pub fn same_extent(&self, a: (ValueId, usize), b: (ValueId, usize)) -> bool {
        let classes = |(value, axis): (ValueId, usize)| {
            let dim = self.dims(value).get(axis).copied().unwrap_or(0);
            let mut all: Vec<u32> = (0..dim).map(|i| self.class(self.atom(value, axis, i))).collect();
            all.sort_unstable();
            all
        };
        a == b || classes(a) == classes(b)
    }

    /// The activation called `name`.
    pub fn by_name(&self, name: &str) -> Option<ValueId> {
        self.names.get(name).copied()
    }

    /// The constant used at `at`.
    pub fn by_use(&self, at: Use) -> Option<ValueId> {
        self.uses.get(&at).copied()
    }

    /// The value itself.
    pub fn value(&self, id: ValueId) -> &Value {
        &self.values[id.0]
    }

    /// Extents of a value's axes; empty when unknown.
    pub fn dims(&self, id: ValueId) -> &[usize] {
        self.values[id.0].dims.as_deref().unwrap_or(&[])
    }

    /// The number of axis indices over all values.
    pub fn len(&self) -> usize {
        self.parent.len()
    }

    /// Whether no value has been added.
    pub fn is_empty(&self) -> bool {
        self.parent.is_empty()
    }

    /// The number of the axis index `index` of `axis` of `value`.
    pub fn atom(&self, value: ValueId, axis: usize, index: usize) -> u32 {
        self.values[value.0].base[axis] + index as u32
    }

    /// The channel that an axis index belongs to: the number of its set, stable between unions.
    pub fn class(&self, mut atom: u32) -> u32 {
        while self.parent[atom as usize] != atom {
            atom = self.parent[atom as usize];
        }
        atom
    }

    /// The channel of each index of an axis.
    pub fn classes_of(&self, value: ValueId, axis: usize) -> Vec<u32> {
        let dim = self.dims(value).get(axis).copied().unwrap_or(0);
        (0..dim).map(|i| self.class(self.atom(value, axis, i))).collect()
    }

    fn class_compress(&mut self, atom: u32) -> u32 {
        let root = self.class(atom);
        let mut at = atom;
        while self.parent[at as usize] != root {
            at = std::mem::replace(&mut self.parent[at as usize], root);
        }
        root
    }

    /// Makes two axis indices one channel.
    pub fn unify(&mut self, a: u32, b: u32) {
        let (a, b) = (self.class_compress(a), self.class_compress(b));
        if a == b {
            return;
        }
        let (keep, drop) = (a.min(b), a.max(b));
        self.parent[drop as usize] = keep;
        self.constraint_of[keep as usize] =
            self.stronger(self.constraint_of[keep as usize], self.constraint_of[drop as usize]);
        if self.no_grow_of[keep as usize] == NONE {
            self.no_grow_of[keep as usize] = self.no_grow_of[drop as usize];
        }
    }

    /// The constraint to show of two: one worth a line before a silent one, then the earlier.
    fn stronger(&self, a: u32, b: u32) -> u32 {
        let silent = |l: u32| l == NONE || self.constraints[l as usize].silent;
        match (a, b) {
            (NONE, _) => b,
            (_, NONE) => a,
            _ if silent(a) && !silent(b) => b,
            _ if silent(b) && !silent(a) => a,
            _ => a.min(b),
        }
    }

    /// Whether an axis holds channels that a layer makes.
    pub fn is_width(&self, value: ValueId, axis: usize) -> bool {
        let own: HashSet<u32> = self.classes_of(value, axis).into_iter().collect();
        let mut made = self.roles.iter().filter(|r| r.output);
        made.any(|r| self.classes_of(r.value, r.axis).iter().any(|c| own.contains(c)))
    }

    /// Makes axis `ax` of `a` and axis `bx` of `b` change together, index by index.
    ///
    /// # Errors
    /// When the sizes differ.
    pub fn same(&mut self, a: ValueId, ax: usize, b: ValueId, bx: usize) -> Result<(), String> {
        let dim = |v: ValueId, x: usize| self.dims(v).get(x).copied();
        let (ea, eb) = (dim(a, ax), dim(b, bx));
        let (Some(n), true) = (ea, ea == eb) else {
            return Err(format!("its shapes do not fit ({ea:?} and {eb:?})"));
        };
        for i in 0..n {
            self.unify(self.atom(a, ax, i), self.atom(b, bx, i));
        }
        Ok(())
    }

    /// Registers a constraint and gives its number.
    pub fn lock_id(&mut self, constraint: Constraint) -> u32 {
        self.constraints.push(constraint);
        (self.constraints.len() - 1) as u32
    }

    /// Fixes every index of one axis.
    pub fn lock_axis(&mut self, value: ValueId, axis: usize, constraint: u32) {
        let dim = self.dims(value).get(axis).copied().unwrap_or(0);
        for i in 0..dim {
            let root = self.class_compress(self.atom(value, axis, i)) as usize;
            self.constraint_of[root] = self.stronger(self.constraint_of[root], constraint);
        }
    }

    /// Fixes every axis of a value.
    pub fn lock_value(&mut self, value: ValueId, constraint: u32) {
        for axis in 0..self.dims(value).len() {
            self.lock_axis(value, axis, constraint);
        }
    }

    /// The constraint on the channel of an axis index.
    pub fn lock_at(&self, atom: u32) -> Option<&Constraint> {
        self.constraints
            .get(self.constraint_of[self.class(atom) as usize] as usize)
    }

    /// Whether every index of an axis is fixed.
    pub fn axis_locked(&self, value: ValueId, axis: usize) -> bool {
        let dim = self.dims(value).get(axis).copied().unwrap_or(0);
        (0..dim).all(|i| self.lock_at(self.atom(value, axis, i)).is_some())
    }

    /// Allows removing from, but not adding to, an axis.
    pub fn forbid_growth(&mut self, value: ValueId, axis: usize, node: usize, reason: &str) {
        self.no_grow.push(Constraint {
            node: Some(node),
            reason: reason.to_owned(),
            silent: false,
        });
        let number = (self.no_grow.len() - 1) as u32;
        let dim = self.dims(value).get(axis).copied().unwrap_or(0);
        for i in 0..dim {
            let root = self.class_compress(self.atom(value, axis, i)) as usize;
            if self.no_grow_of[root] == NONE {
                self.no_grow_of[root] = number;
            }
        }
    }

    /// Why the channel of an axis index may not be replicated, if it may not.
    pub fn growth_forbidden(&self, atom: u32) -> Option<&Constraint> {
        self.no_grow.get(self.no_grow_of[self.class(atom) as usize] as usize)
    }
}

/// The value at one input of a node: a use of a constant, or an activation.
pub fn input_value(dependencies: &DependencyGraph, node: &NodeProto, index: usize, input: usize) -> Option<ValueId> {
    let name = node.input.get(input).filter(|n| !n.is_empty())?;
    dependencies
        .by_use(Use { node: index, input })
        .or_else(|| dependencies.by_name(name))
}

#[cfg(test)]
mod tests {
    use super::{DependencyGraph, MOST};

    #[test]
    fn what_has_too_many_elements_has_no_known_shape() {
        let mut dependencies = DependencyGraph::default();
        let empty = dependencies.add("empty", None, Some(vec![0, usize::MAX]));
        let long = dependencies.add("long", None, Some(vec![MOST - 10]));
        let more = dependencies.add("more", None, Some(vec![11]));
        let fits = dependencies.add("fits", None, Some(vec![10]));
        let known = [empty, long, more, fits].map(|id| dependencies.value(id).dims.is_some());
        assert_eq!(known, [false, true, false, true]);
    }
}
