//! What becomes of one axis under a plan: which indices stay, and where new ones go.

use std::collections::{BTreeSet, HashMap};

use super::dependency_graph::{DependencyGraph, ValueId};
use super::groups::Group;
use super::runs::runs;

/// Where an index of the new axis comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct IndexSource {
    /// The old index: itself, or the one whose place a new index shares.
    pub old: usize,
    /// `None` for the old index itself, `Some(k)` for the k-th new one beside it.
    pub copy: Option<u32>,
}

/// The new order of one axis, index by index.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AxisRemap {
    /// One entry for each new index.
    pub sources: Vec<IndexSource>,
}

impl AxisRemap {
    /// The new size of the axis.
    pub fn len(&self) -> usize {
        self.sources.len()
    }

    /// Whether nothing is left.
    pub fn is_empty(&self) -> bool {
        self.sources.is_empty()
    }

    /// How many new indices stem from old ones in `from..to`.
    pub fn count_in(&self, from: usize, to: usize) -> usize {
        self.sources.iter().filter(|s| (from..to).contains(&s.old)).count()
    }

    /// The new indices that stem from old ones in `from..to`, as a stretch; `None` where others lie between them.
    pub fn stretch(&self, from: usize, to: usize) -> Option<(usize, usize)> {
        let inside = |s: &IndexSource| (from..to).contains(&s.old);
        let first = (self.sources.iter().position(inside)).unwrap_or_else(|| self.count_in(0, from));
        let length = self.count_in(from, to);
        let together = self.sources[first..first + length].iter().all(inside);
        together.then_some((first, first + length))
    }

    /// The new index that has this source.
    pub fn position(&self, source: IndexSource) -> Option<usize> {
        self.sources.iter().position(|&s| s == source)
    }

    /// For cutting tensors: `Some(old)` for what is kept, `None` for what is new.
    pub fn gather(&self) -> Vec<Option<usize>> {
        self.sources.iter().map(|s| s.copy.is_none().then_some(s.old)).collect()
    }
}

/// A change of channels: some are removed, and beside some (the replicated ones) new ones are added. Written-out broadcasts and
/// residual branches may go with them.
#[derive(Clone, Debug, Default)]
pub struct ChannelChange {
    /// Channels to remove.
    pub removed: std::collections::HashSet<u32>,
    /// How many new channels to put beside a replicated one.
    pub added: HashMap<u32, u32>,
    /// New channels repeat the replicated one, and whatever reads them shares its weights out among them, in shares drawn with
    /// this seed; without one they are zero.
    pub split: Option<u64>,
    /// Of [`super::Analysis::broadcasts`], those that go.
    pub broadcasts: BTreeSet<usize>,
    /// Of [`super::Analysis::branches`], those that go.
    pub branches: BTreeSet<usize>,
}

/// The new order of every axis that changes.
#[derive(Debug, Default)]
pub struct IndexRemaps {
    by_axis: HashMap<(ValueId, usize), AxisRemap>,
}

impl IndexRemaps {
    /// Whether every axis stays as it is.
    pub fn is_empty(&self) -> bool {
        self.by_axis.is_empty()
    }

    /// Works out the new order of every axis.
    ///
    /// A new channel appears wherever the replicated one does, after the latter's block of adjacent
    /// indices. A block is as long as the shortest run of any channel of the same group on that axis:
    /// 1 on most, all places of a channel behind a flattening. This one rule suits every operator: a
    /// concatenation's part grows at its own end, a flattened channel brings its whole block, a
    /// shuffled or split axis grows in each part.
    pub fn new(dependencies: &DependencyGraph, groups: &[Group], change: &ChannelChange) -> Self {
        let mut group_of: HashMap<u32, usize> = HashMap::new();
        for group in groups
            .iter()
            .filter(|g| g.classes.iter().any(|c| change.added.contains_key(c)))
        {
            group_of.extend(group.classes.iter().map(|&c| (c, group.id)));
        }
        let mut by_axis = HashMap::new();
        for id in (0..dependencies.values.len()).map(ValueId) {
            for axis in 0..dependencies.dims(id).len() {
                let classes = dependencies.classes_of(id, axis);
                if let Some(remap) = axis_remap(&classes, &group_of, change) {
                    by_axis.insert((id, axis), remap);
                }
            }
        }
        Self { by_axis }
    }

    /// The new order of one axis; `None` when it stays as it is.
    pub fn get(&self, value: ValueId, axis: usize) -> Option<&AxisRemap> {
        self.by_axis.get(&(value, axis))
    }

    /// The new size of one axis.
    pub fn dim(&self, dependencies: &DependencyGraph, value: ValueId, axis: usize) -> usize {
        self.get(value, axis)
            .map_or_else(|| dependencies.dims(value)[axis], AxisRemap::len)
    }

    /// Whether any axis of a value changes.
    pub fn touches(&self, dependencies: &DependencyGraph, value: ValueId) -> bool {
        (0..dependencies.dims(value).len()).any(|axis| self.get(value, axis).is_some())
    }
}

fn axis_remap(classes: &[u32], group_of: &HashMap<u32, usize>, change: &ChannelChange) -> Option<AxisRemap> {
    let touched = |c: &u32| change.removed.contains(c) || change.added.contains_key(c);
    if !classes.iter().any(touched) {
        return None;
    }
    let runs = runs(classes);
    let mut blocks: HashMap<usize, usize> = HashMap::new();
    for run in &runs {
        if let Some(&group) = group_of.get(&run.channel) {
            let block = blocks.entry(group).or_insert(usize::MAX);
            *block = (*block).min(run.len());
        }
    }
    let mut sources = Vec::with_capacity(classes.len());
    for run in runs {
        if change.removed.contains(&run.channel) {
            continue;
        }
        let copies = change.added.get(&run.channel).copied().unwrap_or(0);
        let block = group_of
            .get(&run.channel)
            .and_then(|g| blocks.get(g))
            .copied()
            .unwrap_or(run.len());
        let mut at = run.start;
        while at < run.end {
            let until = (at + block).min(run.end);
            sources.extend((at..until).map(|old| IndexSource { old, copy: None }));
            for copy in 0..copies {
                sources.extend((at..until).map(|old| IndexSource { old, copy: Some(copy) }));
            }
            at = until;
        }
    }
    Some(AxisRemap { sources })
}

#[cfg(test)]
mod tests {
    use super::{ChannelChange, axis_remap};
    use std::collections::HashMap;

    /// The new axis as text: letters for channels 0, 1, 2, and a star behind each new index.
    fn grown(classes: &[u32], template: u32) -> String {
        let change = ChannelChange {
            added: HashMap::from([(template, 1)]),
            ..Default::default()
        };
        let group_of = classes.iter().map(|&c| (c, 0)).collect();
        let remap = axis_remap(classes, &group_of, &change);
        remap
            .iter()
            .flat_map(|e| &e.sources)
            .flat_map(|s| {
                [
                    char::from(b'a' + classes[s.old] as u8),
                    if s.copy.is_some() { '*' } else { ' ' },
                ]
            })
            .filter(|c| *c != ' ')
            .collect()
    }

    #[test]
    fn new_channels_follow_their_template_in_every_part() {
        assert_eq!(grown(&[0, 1, 2], 2), "abcc*");
        assert_eq!(grown(&[0, 1, 0, 1], 1), "abb*abb*");
    }

    #[test]
    fn a_block_is_copied_whole() {
        assert_eq!(grown(&[0, 0, 1, 1], 1), "aabbb*b*");
    }

    #[test]
    fn a_stretch_is_whole_or_none() {
        let change = ChannelChange {
            added: HashMap::from([(1, 1)]),
            ..Default::default()
        };
        let classes = [0, 0, 1, 1, 2, 2];
        let remap = axis_remap(&classes, &classes.iter().map(|&c| (c, 0)).collect(), &change);
        let stretch = |from, to| remap.as_ref().and_then(|e| e.stretch(from, to));
        assert_eq!(stretch(1, 4), Some((1, 6)));
        assert_eq!(stretch(4, 6), Some((6, 8)));
        assert_eq!(stretch(3, 6), None, "a new first place lies between");
        assert_eq!(stretch(2, 2), Some((2, 2)));
    }

    #[test]
    fn parts_that_meet_by_chance_are_two_parts() {
        assert_eq!(grown(&[0, 1, 1, 0], 1), "abb*bb*a");
    }
}
