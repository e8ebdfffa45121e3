//! What becomes of one axis under a plan: which indices stay, and where new ones go.

use std::collections::HashMap;

use super::coupling::{Coupling, ValueId};

/// Where an index of the new axis comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Source {
    /// The old index: itself, or the one whose place a new index shares.
    pub old: usize,
    /// `None` for the old index itself, `Some(k)` for the k-th new one beside it.
    pub copy: Option<u32>,
}

/// The new order of one axis, index by index.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AxisEdit {
    /// One entry for each new index.
    pub sources: Vec<Source>,
}

impl AxisEdit {
    /// The new extent.
    pub fn len(&self) -> usize {
        self.sources.len()
    }

    /// Whether nothing is left.
    pub fn is_empty(&self) -> bool {
        self.sources.is_empty()
    }

    /// How many new indices stem from old ones in `from..to`.
    pub fn count_in(&self, from: usize, to: usize) -> usize {
        self.sources
            .iter()
            .filter(|s| (from..to).contains(&s.old))
            .count()
    }

    /// The new index that has this source.
    pub fn position(&self, source: Source) -> Option<usize> {
        self.sources.iter().position(|&s| s == source)
    }

    /// For cutting tensors: `Some(old)` for what is kept, `None` for what is new.
    pub fn gather(&self) -> Vec<Option<usize>> {
        self.sources
            .iter()
            .map(|s| s.copy.is_none().then_some(s.old))
            .collect()
    }
}

/// A change of the classes: some go, and beside some (the templates) new ones come.
#[derive(Clone, Debug, Default)]
pub struct ClassChange {
    /// Classes to remove.
    pub removed: std::collections::HashSet<u32>,
    /// How many new classes to put beside a template.
    pub added: HashMap<u32, u32>,
}

/// The edits of every axis that changes.
#[derive(Debug, Default)]
pub struct Edits {
    by_axis: HashMap<(ValueId, usize), AxisEdit>,
}

impl Edits {
    /// Works out the new order of every axis.
    ///
    /// A new class appears wherever its template does, after the template's whole run of adjacent
    /// indices. This one rule suits every operator: a concatenation's part grows at its own end, a
    /// flattened channel brings its whole block, a shuffled or split axis grows in each part.
    pub fn new(coupling: &Coupling, change: &ClassChange) -> Self {
        let mut by_axis = HashMap::new();
        for id in (0..coupling.values.len()).map(ValueId) {
            for (axis, &extent) in coupling.dims(id).iter().enumerate() {
                if let Some(edit) = axis_edit(coupling, change, id, axis, extent) {
                    by_axis.insert((id, axis), edit);
                }
            }
        }
        Self { by_axis }
    }

    /// The edit of one axis; `None` when it stays as it is.
    pub fn get(&self, value: ValueId, axis: usize) -> Option<&AxisEdit> {
        self.by_axis.get(&(value, axis))
    }

    /// The new extent of one axis.
    pub fn extent(&self, coupling: &Coupling, value: ValueId, axis: usize) -> usize {
        self.get(value, axis)
            .map_or_else(|| coupling.dims(value)[axis], AxisEdit::len)
    }

    /// Whether any axis of a value changes.
    pub fn touches(&self, coupling: &Coupling, value: ValueId) -> bool {
        (0..coupling.dims(value).len()).any(|axis| self.get(value, axis).is_some())
    }
}

fn axis_edit(
    coupling: &Coupling,
    change: &ClassChange,
    id: ValueId,
    axis: usize,
    extent: usize,
) -> Option<AxisEdit> {
    let classes: Vec<u32> = (0..extent)
        .map(|i| coupling.class(coupling.atom(id, axis, i)))
        .collect();
    let touched = |c: &u32| change.removed.contains(c) || change.added.contains_key(c);
    if !classes.iter().any(touched) {
        return None;
    }
    let mut sources = Vec::with_capacity(extent);
    let mut start = 0;
    while start < extent {
        let class = classes[start];
        let end = (start..extent)
            .find(|&i| classes[i] != class)
            .unwrap_or(extent);
        if !change.removed.contains(&class) {
            sources.extend((start..end).map(|old| Source { old, copy: None }));
            for copy in 0..change.added.get(&class).copied().unwrap_or(0) {
                sources.extend((start..end).map(|old| Source {
                    old,
                    copy: Some(copy),
                }));
            }
        }
        start = end;
    }
    Some(AxisEdit { sources })
}
