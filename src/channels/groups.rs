//! From channels to groups: channels with the same footprint are one width to choose.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::dependency_graph::{Constraint, DependencyGraph, ValueId};
use super::runs::runs;

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
    /// Why the width cannot change, if so.
    pub constraint: Option<Constraint>,
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
        self.constraint.is_none() && self.no_growth.is_none() && self.classes.len() > 1 && !self.producers.is_empty()
    }
}

/// Where a channel appears: (value, axis) of each of its axis indices.
type Footprint<'a> = &'a [(u32, u32)];

/// Finds the groups behind the widths of all layers.
pub(super) fn collect_groups(co: &DependencyGraph) -> Vec<Group> {
    let mut order: HashMap<u32, usize> = HashMap::new();
    for role in &co.roles {
        for i in 0..co.dims(role.value)[role.axis] {
            let class = co.class(co.atom(role.value, role.axis, i));
            let next = order.len();
            order.entry(class).or_insert(next);
        }
    }
    let mut footprints: HashMap<u32, Vec<(u32, u32)>> = HashMap::new();
    for id in 0..co.values.len() {
        for axis in 0..co.dims(ValueId(id)).len() {
            for i in 0..co.dims(ValueId(id))[axis] {
                let class = co.class(co.atom(ValueId(id), axis, i));
                if order.contains_key(&class) {
                    footprints.entry(class).or_default().push((id as u32, axis as u32));
                }
            }
        }
    }
    let mut classes: Vec<u32> = order.keys().copied().collect();
    classes.sort_by_key(|c| order[c]);
    let mut by_footprint: HashMap<(Footprint, bool), usize> = HashMap::new();
    let mut groups: Vec<Group> = Vec::new();
    for &class in &classes {
        let footprint = footprints[&class].as_slice();
        let constraint = co.lock_at(class);
        let at = *by_footprint
            .entry((footprint, constraint.is_some()))
            .or_insert_with(|| {
                groups.push(new_group(co, groups.len(), footprint, constraint, class));
                groups.len() - 1
            });
        groups[at].classes.push(class);
        if groups[at].constraint.as_ref().is_some_and(|l| l.silent) {
            groups[at].constraint = constraint.cloned();
        }
        if groups[at].no_growth.is_none() {
            groups[at].no_growth = co.growth_forbidden(class).cloned();
        }
    }
    add_roles(co, &mut groups, &classes);
    forbid_uneven_growth(co, &mut groups);
    groups
}

/// Channels that repeat evenly on some axes (blocks) and unevenly on others (a gather that takes some
/// twice) have no place for a new one that suits both.
fn forbid_uneven_growth(co: &DependencyGraph, groups: &mut [Group]) {
    let group_of: HashMap<u32, usize> = groups
        .iter()
        .flat_map(|g| g.classes.iter().map(|&c| (c, g.id)))
        .collect();
    let (mut blocks, mut uneven) = (vec![false; groups.len()], vec![false; groups.len()]);
    for id in (0..co.values.len()).map(ValueId) {
        for (axis, &dim) in co.dims(id).iter().enumerate() {
            let classes: Vec<u32> = (0..dim).map(|i| co.class(co.atom(id, axis, i))).collect();
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

fn new_group(
    co: &DependencyGraph,
    id: usize,
    footprint: &[(u32, u32)],
    constraint: Option<&Constraint>,
    class: u32,
) -> Group {
    let places: BTreeSet<(ValueId, usize)> = footprint
        .iter()
        .map(|&(v, axis)| (ValueId(v as usize), axis as usize))
        .filter(|(v, _)| co.value(*v).constant_use.is_none())
        .collect();
    Group {
        id,
        classes: Vec::new(),
        unit: 1,
        producers: Vec::new(),
        consumers: Vec::new(),
        places: places.into_iter().collect(),
        constraint: constraint.cloned(),
        no_growth: co.growth_forbidden(class).cloned(),
    }
}

fn add_roles(co: &DependencyGraph, groups: &mut [Group], classes: &[u32]) {
    let mut group_of: BTreeMap<u32, usize> = BTreeMap::new();
    for (at, group) in groups.iter().enumerate() {
        group_of.extend(group.classes.iter().map(|&c| (c, at)));
    }
    debug_assert_eq!(group_of.len(), classes.len());
    let mut unit_known = vec![false; groups.len()];
    for role in &co.roles {
        let mut count: BTreeMap<usize, usize> = BTreeMap::new();
        for i in 0..co.dims(role.value)[role.axis] {
            let class = co.class(co.atom(role.value, role.axis, i));
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
