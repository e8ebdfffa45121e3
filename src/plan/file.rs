//! A plan as data: what to keep of every group and of every weight, for `apply` and for training scripts.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::moves::{Plan, Replicas, replicated};
use super::removable::Removable;
use super::reparametrization::Reparametrization;
use crate::channels::{Analysis, ChannelChange, Group, IndexRemaps, ValueId};
use crate::onnx::{Graph, label};
use crate::{Error, Result};

/// A plan for one model. People may edit `groups`; `weights` follows from them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PlanFile {
    /// The version of this format.
    pub schema_version: u32,
    /// BLAKE3 of the model's file.
    pub model: String,
    /// Groups that change.
    pub groups: Vec<PlannedGroup>,
    /// New channels repeat old ones, whose work they share in shares drawn with this seed; without one they are zero.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub split: Option<u64>,
    /// Names of nodes that write out a broadcast which the nodes behind them do themselves: they go.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub broadcasts: Vec<String>,
    /// Names of additions whose residual branch goes: what it was added to stays. Plans with any are of schema version 3.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub branches: Vec<String>,
    /// What is done to the model before channels go: groups are those of the model that this makes, which equals the original. Plans
    /// with any are of schema version 2.
    #[serde(default, skip_serializing_if = "Reparametrization::is_empty")]
    pub reparametrized: Reparametrization,
    /// For every weight that changes, by name and axis: the old index at each new place, −1 for a new one. None where the model is
    /// reparametrized first: its weights are others.
    #[serde(default)]
    pub weights: BTreeMap<String, BTreeMap<usize, Vec<i64>>>,
}

/// One group's change.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PlannedGroup {
    /// Its number, as `snapprune inspect` shows it.
    pub group: usize,
    /// Names of the layers that make the width; checked when the plan is applied.
    pub layers: Vec<String>,
    /// Width before, in indices of the first layer's axis.
    pub width_before: usize,
    /// Width after; channels beyond those kept are new and zero.
    pub width_after: usize,
    /// What stays, ascending and counted from 0: channels, or where the group moves in blocks (`unit` of `snapprune inspect --json` is
    /// more than 1) blocks of so many channels.
    pub kept: Vec<usize>,
}

impl PlanFile {
    /// Writes a plan down.
    pub fn new(model: &str, graph: &Graph, analysis: &Analysis, plan: &Plan, removable: &Removable) -> Self {
        let (change, _) = plan.change(analysis, removable);
        let mut groups = Vec::new();
        for (&id, &count) in &plan.counts {
            let group = &analysis.groups[id];
            let stays = |i: &usize| !change.removed.contains(&group.classes[*i]);
            groups.push(PlannedGroup {
                group: id,
                layers: layers(graph, analysis, id),
                width_before: group.width(),
                width_after: count * group.unit,
                kept: (0..group.classes.len()).filter(stays).collect(),
            });
        }
        Self {
            schema_version: version(!plan.branches.is_empty(), false),
            model: model.to_owned(),
            groups,
            split: plan.split,
            broadcasts: names(graph, &plan.broadcasts),
            branches: names(graph, &plan.branches),
            reparametrized: Reparametrization::default(),
            weights: weights(analysis, &change),
        }
    }

    /// The same plan for a model that is made equal to the original by these moves.
    #[must_use]
    pub fn behind(mut self, moves: &Reparametrization) -> Self {
        if !moves.is_empty() {
            self.schema_version = version(!self.branches.is_empty(), true);
            self.weights.clear();
            self.reparametrized = moves.clone();
        }
        self
    }

    /// The change that the plan asks for, of the model that it is made for or, where one is reparametrized, of the equal one.
    ///
    /// # Errors
    /// When it is of another version or does not fit the model; the message names the group.
    pub fn change(&self, graph: &Graph, analysis: &Analysis) -> Result<ChannelChange> {
        if !(1..=3).contains(&self.schema_version) {
            let what = format!(
                "the plan has schema version {}; this version reads 1 to 3",
                self.schema_version
            );
            return Err(Error::Usage(what));
        }
        if self.schema_version < version(!self.branches.is_empty(), !self.reparametrized.is_empty()) {
            return Err(Error::Plan(
                "its schema version does not fit its contents: branches that go need version 3, rotated trunks and layers as two at least 2"
                    .to_owned(),
            ));
        }
        let mut change = ChannelChange {
            split: self.split,
            broadcasts: self.broadcasts(graph, analysis)?,
            branches: self.branches(graph, analysis)?,
            ..Default::default()
        };
        let mut seen = Vec::new();
        for p in &self.groups {
            let wrong = |what: &str| Error::Plan(format!("group {}: {what}", p.group));
            let group = analysis
                .groups
                .get(p.group)
                .ok_or_else(|| wrong("the model has no such group"))?;
            if seen.contains(&p.group) {
                return Err(wrong("it is named twice"));
            }
            seen.push(p.group);
            if p.layers != layers(graph, analysis, p.group) || p.width_before != group.width() {
                return Err(wrong(
                    "its layers or width are not those of this model; make the plan anew",
                ));
            }
            match p.kept.last() {
                Some(&last) if last < group.classes.len() && p.kept.is_sorted_by(|a, b| a < b) => {}
                _ => {
                    return Err(wrong(&format!(
                        "`kept` must hold at least one index, ascending: {}",
                        indices(group)
                    )));
                }
            }
            let added = p.width_after.checked_sub(p.kept.len() * group.unit);
            let added = added.filter(|a| a.is_multiple_of(group.unit)).ok_or_else(|| {
                let least = p.kept.len() * group.unit;
                wrong(&format!(
                    "`width_after` must be {least} (what `kept` holds) or more, in steps of {}: {}",
                    group.unit,
                    indices(group)
                ))
            })?;
            if added > 0 {
                if !group.can_grow() {
                    return Err(wrong("it cannot grow; `snapprune inspect` tells why"));
                }
                let new = u32::try_from(added / group.unit)
                    .ok()
                    .filter(|&n| n as usize <= MOST_GROWTH * group.classes.len());
                let new = new.ok_or_else(|| wrong("`width_after` is more than 64 times the present width"))?;
                let left: Vec<u32> = p.kept.iter().map(|&i| group.classes[i]).collect();
                change
                    .added
                    .extend(replicated(&left, new as usize, Replicas::of(self.split)));
            }
            let gone = (0..group.classes.len()).filter(|i| p.kept.binary_search(i).is_err());
            change.removed.extend(gone.map(|i| group.classes[i]));
        }
        Ok(change)
    }

    /// The additions whose branches go.
    fn branches(&self, graph: &Graph, analysis: &Analysis) -> Result<BTreeSet<usize>> {
        let all: Vec<usize> = analysis.branches.keys().copied().collect();
        let node = |name: &String| {
            let called = |n: &usize| graph.proto.node.get(*n).is_some_and(|node| label(node, *n) == *name);
            match all.iter().copied().filter(called).collect::<Vec<usize>>().as_slice() {
                [one] => Ok(*one),
                [] => Err(Error::Plan(format!(
                    "{name} is no addition of a residual branch of this model; take it out of `branches`, or make the plan anew"
                ))),
                many => Err(Error::Plan(format!(
                    "{} additions of residual branches are called {name}, so the plan does not tell which one goes; give the model's nodes \
                     names of their own and make the plan anew",
                    many.len()
                ))),
            }
        };
        self.branches.iter().map(node).collect()
    }

    /// The nodes of the broadcasts that go.
    fn broadcasts(&self, graph: &Graph, analysis: &Analysis) -> Result<BTreeSet<usize>> {
        let known = names(graph, &analysis.broadcasts);
        if let Some(name) = self.broadcasts.iter().find(|name| !known.contains(name)) {
            return Err(Error::Plan(format!(
                "{name} is no broadcast of this model that the nodes behind it can do themselves; take it out of `broadcasts`, or make the \
                 plan anew"
            )));
        }
        let named = analysis.broadcasts.iter().zip(&known);
        Ok(named
            .filter(|(_, name)| self.broadcasts.contains(name))
            .map(|(&n, _)| n)
            .collect())
    }
}

/// The least version that knows what a plan holds.
fn version(branches: bool, reparametrized: bool) -> u32 {
    match (branches, reparametrized) {
        (true, _) => 3,
        (false, true) => 2,
        (false, false) => 1,
    }
}

/// What nodes are called.
fn names(graph: &Graph, nodes: &BTreeSet<usize>) -> Vec<String> {
    nodes.iter().map(|&n| label(&graph.proto.node[n], n)).collect()
}

/// What `kept` counts.
fn indices(group: &Group) -> String {
    let (blocks, last) = (group.classes.len(), group.classes.len().saturating_sub(1));
    match group.unit {
        1 => format!("indices of its channels, 0 to {last}"),
        unit => format!(
            "the group moves in blocks of {unit} channels, so these are indices of its {blocks} blocks, 0 to {last}, not of its {} channels",
            group.width()
        ),
    }
}

/// A plan that asks for more than this many times a group's channels is a mistake.
const MOST_GROWTH: usize = 64;

fn layers(graph: &Graph, analysis: &Analysis, group: usize) -> Vec<String> {
    let producers = analysis.groups[group].producers.iter();
    producers.map(|&n| label(&graph.proto.node[n], n)).collect()
}

/// The old index at each new place of every weight axis that changes.
fn weights(analysis: &Analysis, change: &ChannelChange) -> BTreeMap<String, BTreeMap<usize, Vec<i64>>> {
    let dependencies = &analysis.dependencies;
    let remaps = IndexRemaps::new(dependencies, &analysis.groups, change);
    let mut found: BTreeMap<String, BTreeMap<usize, Vec<i64>>> = BTreeMap::new();
    for id in (0..dependencies.values.len()).map(ValueId) {
        let value = dependencies.value(id);
        if value.constant_use.is_none() {
            continue;
        }
        for axis in 0..dependencies.dims(id).len() {
            if let Some(remap) = remaps.get(id, axis) {
                let order = remap.gather().into_iter().map(|i| i.map_or(-1, |i| i as i64)).collect();
                found.entry(value.name.clone()).or_default().insert(axis, order);
            }
        }
    }
    found
}
