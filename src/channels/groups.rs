//! From channels to groups: channels with the same footprint are one width to choose.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::dependency_graph::{Constraint, DependencyGraph, EndMark, ValueId};
use super::runs::runs;

/// Where new channels may stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NewChannels {
    /// Nowhere: the width is held.
    Nowhere,
    /// At the end of every axis that mixes neighbours, with zeros; none may go.
    AtEnd,
    /// Beside any other.
    Anywhere,
}

/// Channels that appear in the same places: one width.
#[derive(Clone, Debug)]
pub struct Group {
    /// Number, in the order of the first layer concerned.
    pub id: usize,
    /// The channels, in the order of the first layer concerned.
    pub classes: Vec<u32>,
    /// Indices that one channel takes on the axis of the first layer (more than 1 for grouped convs).
    pub unit: usize,
    /// Nodes whose output width this is, or is part of.
    pub producers: Vec<usize>,
    /// Nodes whose input width this is, or is part of.
    pub consumers: Vec<usize>,
    /// Activations that have these channels, with their axis.
    pub places: Vec<(ValueId, usize)>,
    /// Why no channel may go, if so; the width may still grow at its end (see `new_channels`).
    pub constraint: Option<Constraint>,
    /// Where new channels may stand.
    pub new_channels: NewChannels,
    /// Why the width cannot grow, if so.
    pub no_growth: Option<Constraint>,
}

impl Group {
    /// The width, in indices of the first layer's axis.
    pub fn width(&self) -> usize {
        self.classes.len() * self.unit
    }

    /// Whether the width may grow.
    pub fn can_grow(&self) -> bool {
        self.new_channels != NewChannels::Nowhere
            && self.no_growth.is_none()
            && self.classes.len() > 1
            && !self.producers.is_empty()
    }

    /// Whether the width may change in any way.
    pub fn may_change(&self) -> bool {
        self.constraint.is_none() || self.can_grow()
    }
}

/// Where a channel appears: (value, axis) of each of its axis indices.
type Footprint<'a> = &'a [(u32, u32)];

/// Finds the groups behind the widths of all layers.
pub(super) fn collect_groups(dependencies: &DependencyGraph) -> Vec<Group> {
    let mut order: HashMap<u32, usize> = HashMap::new();
    for role in &dependencies.roles {
        for i in 0..dependencies.dims(role.value)[role.axis] {
            let class = dependencies.class(dependencies.atom(role.value, role.axis, i));
            let next = order.len();
            order.entry(class).or_insert(next);
        }
    }
    let mut footprints: HashMap<u32, Vec<(u32, u32)>> = HashMap::new();
    for id in 0..dependencies.values.len() {
        for axis in 0..dependencies.dims(ValueId(id)).len() {
            for i in 0..dependencies.dims(ValueId(id))[axis] {
                let class = dependencies.class(dependencies.atom(ValueId(id), axis, i));
                if order.contains_key(&class) {
                    footprints.entry(class).or_default().push((id as u32, axis as u32));
                }
            }
        }
    }
    let mut classes: Vec<u32> = order.keys().copied().collect();
    classes.sort_by_key(|c| order[c]);
    let mut mark_of: HashMap<u32, &EndMark> = HashMap::new();
    for mark in &dependencies.end_marks {
        for class in dependencies.classes_of(mark.value, mark.axis) {
            mark_of.entry(class).or_insert(mark);
        }
    }
    let mut by_footprint: HashMap<(Footprint, NewChannels), usize> = HashMap::new();
    let mut groups: Vec<Group> = Vec::new();
    for &class in &classes {
        let footprint = footprints[&class].as_slice();
        let (new_channels, constraint) = match (dependencies.lock_at(class), mark_of.get(&class)) {
            (Some(constraint), _) => (NewChannels::Nowhere, Some(constraint.clone())),
            (None, Some(mark)) => (NewChannels::AtEnd, Some(held_by(mark))),
            (None, None) => (NewChannels::Anywhere, None),
        };
        let at = *by_footprint.entry((footprint, new_channels)).or_insert_with(|| {
            groups.push(Group {
                id: groups.len(),
                classes: Vec::new(),
                unit: 1,
                producers: Vec::new(),
                consumers: Vec::new(),
                places: places(dependencies, footprint),
                constraint: constraint.clone(),
                new_channels,
                no_growth: dependencies.growth_forbidden(class).cloned(),
            });
            groups.len() - 1
        });
        groups[at].classes.push(class);
        if groups[at].constraint.as_ref().is_some_and(|l| l.silent) {
            groups[at].constraint = constraint;
        }
        if groups[at].no_growth.is_none() {
            groups[at].no_growth = dependencies.growth_forbidden(class).cloned();
        }
    }
    add_roles(dependencies, &mut groups, &classes);
    forbid_uneven_growth(dependencies, &mut groups);
    groups
}

/// Channels that repeat evenly on some axes (blocks) and unevenly on others (a gather that takes some
/// twice) have no place for a new one that suits both.
fn forbid_uneven_growth(dependencies: &DependencyGraph, groups: &mut [Group]) {
    let group_of: HashMap<u32, usize> = groups
        .iter()
        .flat_map(|g| g.classes.iter().map(|&c| (c, g.id)))
        .collect();
    let (mut blocks, mut uneven) = (vec![false; groups.len()], vec![false; groups.len()]);
    for id in (0..dependencies.values.len()).map(ValueId) {
        for (axis, &dim) in dependencies.dims(id).iter().enumerate() {
            let classes: Vec<u32> = (0..dim)
                .map(|i| dependencies.class(dependencies.atom(id, axis, i)))
                .collect();
            let mut lengths: HashMap<usize, (usize, usize)> = HashMap::new();
            for run in runs(&classes) {
                if let Some(&group) = group_of.get(&run.channel) {
                    let (least, most) = lengths.entry(group).or_insert((usize::MAX, 0));
                    (*least, *most) = ((*least).min(run.len()), (*most).max(run.len()));
                }
            }
            for (group, (least, most)) in lengths {
                blocks[group] |= least > 1;
                uneven[group] |= least != most;
            }
        }
    }
    for group in groups
        .iter_mut()
        .filter(|g| blocks[g.id] && uneven[g.id] && g.no_growth.is_none())
    {
        group.no_growth = Some(Constraint {
            node: None,
            reason: "its channels repeat unevenly (a Gather takes some more than once)".to_owned(),
            silent: false,
        });
    }
}

/// What an operator that mixes neighbours does to the channels that are there.
fn held_by(mark: &EndMark) -> Constraint {
    Constraint {
        node: Some(mark.node),
        reason: mark.reason.clone(),
        silent: false,
    }
}

/// The activations of a footprint, with their axes.
fn places(dependencies: &DependencyGraph, footprint: Footprint) -> Vec<(ValueId, usize)> {
    let places: BTreeSet<(ValueId, usize)> = footprint
        .iter()
        .map(|&(v, axis)| (ValueId(v as usize), axis as usize))
        .filter(|(v, _)| dependencies.value(*v).constant_use.is_none())
        .collect();
    places.into_iter().collect()
}

fn add_roles(dependencies: &DependencyGraph, groups: &mut [Group], classes: &[u32]) {
    let mut group_of: BTreeMap<u32, usize> = BTreeMap::new();
    for (at, group) in groups.iter().enumerate() {
        group_of.extend(group.classes.iter().map(|&c| (c, at)));
    }
    debug_assert_eq!(group_of.len(), classes.len());
    let mut unit_known = vec![false; groups.len()];
    for role in &dependencies.roles {
        let mut count: BTreeMap<usize, usize> = BTreeMap::new();
        for i in 0..dependencies.dims(role.value)[role.axis] {
            let class = dependencies.class(dependencies.atom(role.value, role.axis, i));
            *count.entry(group_of[&class]).or_default() += 1;
        }
        for (at, indices) in count {
            let group = &mut groups[at];
            let list = if role.output {
                &mut group.producers
            } else {
                &mut group.consumers
            };
            if list.last() != Some(&role.node) {
                list.push(role.node);
            }
            if !unit_known[at] {
                unit_known[at] = true;
                group.unit = (indices / group.classes.len()).max(1);
            }
        }
    }
}
