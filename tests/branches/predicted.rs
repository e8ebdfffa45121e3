//! What plans without branches are predicted to take: the tables of a search, and what is counted from the rewritten model.

use std::collections::BTreeSet;

use super::{Block, all_gone, basic, global_context, inverted, network, none, plain, relu};
use crate::common::Case;
use crate::common::priced::Priced;
use snapprune::channels::ChannelChange;
use snapprune::device::NodeClock;
use snapprune::onnx::{Attributes, Graph};
use snapprune::plan::{
    ChannelCounts, Grid, LatencyModel, LayersAt, Metric, Objective, Plan, SearchSpace, count, narrower,
};
use snapprune::profile::{InModel, NodeMs, Prober, layers};

/// Branches with layers whose two widths are not those of groups within.
const BLOCKS: [(&str, Block); 4] = [
    ("plain", plain),
    ("depthwise in front", |net, x| {
        let f = net.conv(x, 8, 8, 3, 8);
        let f = inverted(net, &f);
        net.node("Add", &[x, &f], none)
    }),
    ("a layer beside", |net, x| {
        let (f, g) = (basic(net, x), net.conv(x, 8, 8, 3, 1));
        let f = net.node("Mul", &[&f, &g], none);
        net.node("Add", &[&f, x], none)
    }),
    ("joined with what comes in", |net, x| {
        let f = net.conv(x, 8, 12, 3, 1);
        let f = relu(net, &f);
        let f = net.node("Concat", &[&f, x], |n| n.set_int("axis", 1));
        let f = net.conv(&f, 20, 8, 3, 1);
        net.node("Add", &[&f, x], none)
    }),
];

/// All widths of all groups, and none where branches may go.
fn space(case: &Case) -> SearchSpace {
    let base: ChannelCounts = case.analysis.groups.iter().map(|g| g.classes.len()).collect();
    let mut space = SearchSpace {
        groups: Vec::new(),
        options: Vec::new(),
        base,
        together: Vec::new(),
    };
    let inside: BTreeSet<usize> = case.analysis.branches.values().flat_map(|b| b.groups.clone()).collect();
    for group in &case.analysis.groups {
        if group.constraint.is_some() || group.classes.len() < 2 {
            continue;
        }
        let mut counts = narrower(group, 1, Grid::Fine);
        counts.push(group.classes.len());
        if inside.contains(&group.id) {
            counts.insert(0, 0);
        }
        space.groups.push(group.id);
        space.options.push(counts);
    }
    for branch in case.analysis.branches.values() {
        let first = branch.groups[0];
        space.together.extend(branch.groups[1..].iter().map(|&g| [first, g]));
    }
    space
}

/// A plan's change: the first channels of each group stay.
fn change(case: &Case, counts: &ChannelCounts) -> ChannelChange {
    let branches = case.analysis.branches.iter();
    let gone = branches.filter(|(_, b)| counts[b.groups[0]] == 0).map(|(&n, _)| n);
    let mut change = ChannelChange {
        branches: gone.collect(),
        ..ChannelChange::default()
    };
    for group in case.analysis.groups.iter().filter(|g| counts[g.id] > 0) {
        change.removed.extend(&group.classes[counts[group.id]..]);
    }
    change
}

#[test]
fn searches_count_what_the_rewritten_models_have() {
    let mut random = fastrand::Rng::with_seed(11);
    for (name, block) in BLOCKS {
        let case = network(block);
        let graph = Graph::of(&case.proto).unwrap();
        let (space, analysis) = (space(&case), &case.analysis);
        assert_eq!(analysis.branches.len(), 1, "{name}");
        let within = analysis.branches.values().next().unwrap();
        let layers = layers(&graph, analysis);
        let mut latency = LatencyModel::new(&graph, analysis, &layers);
        let device = Priced::new();
        let mut prober = Prober::new(&device, None);
        let timed = LayersAt {
            layers: latency.all(),
            counts: space.base.clone(),
        };
        latency.require(&mut prober, &[timed], &|_, _| {}).unwrap();
        let metrics = [Metric::Latency, Metric::Macs, Metric::Params, Metric::Memory];
        let tables = metrics.map(|m| Objective::new(m, &space, &graph, analysis, &mut latency));
        for round in 0..40 {
            let gone = round % 2 == 0;
            let mut choice: Vec<usize> = space.sizes().iter().map(|&n| random.usize(0..n)).collect();
            for (v, g) in space
                .groups
                .iter()
                .enumerate()
                .filter(|(_, g)| within.groups.contains(g))
            {
                choice[v] = if gone { 0 } else { choice[v].max(1) };
                assert_eq!(space.options[v][0], 0, "{g}");
            }
            let counts = space.counts(&choice);
            let change = change(&case, &counts);
            let model = case.apply(&change).unwrap();
            for (metric, tables) in metrics.iter().zip(&tables) {
                let expected = match metric {
                    Metric::Latency => latency.predict(&counts).unwrap(),
                    other => count(*other, &model, &graph, analysis, &change).unwrap() as f64,
                };
                let found = tables.of(&space.sizes(), &choice);
                assert!(
                    (found - expected).abs() <= 1e-9 * expected,
                    "{name}, {metric:?}, gone: {gone}: {found} {expected}"
                );
            }
            let taken = |l: &usize| within.nodes.contains(&layers[*l].node);
            for layer in latency.all().iter().filter(|l| taken(l)) {
                assert_eq!(latency.scaled_time(*layer, &counts) == 0.0, gone, "{name}");
            }
        }
    }
}

/// However short a kernel can be: one that is not there takes nothing.
#[test]
fn nodes_of_a_branch_give_back_all_that_they_take() {
    let case = network(plain);
    let (graph, analysis) = (Graph::of(&case.proto).unwrap(), &case.analysis);
    let layers = layers(&graph, analysis);
    let mut latency = LatencyModel::new(&graph, analysis, &layers);
    let mut counts: ChannelCounts = analysis.groups.iter().map(|g| g.classes.len()).collect();
    let is_layer = |n: &usize| layers.iter().any(|l| l.node == *n);
    let others: Vec<usize> = (0..graph.proto.node.len()).filter(|n| !is_layer(n)).collect();
    let nodes: Vec<NodeMs> = others
        .iter()
        .enumerate()
        .map(|(k, &node)| NodeMs {
            node,
            ms: 0.001 * (k + 1) as f64,
            fixed: 0.0,
        })
        .collect();
    let branch = analysis.branches.values().next().unwrap();
    let (gone, stay): (Vec<&NodeMs>, Vec<&NodeMs>) = nodes.iter().partition(|n| branch.nodes.contains(&n.node));
    assert!(gone.len() == 3 && stay.len() == 1);
    let overhead: f64 = nodes.iter().map(|n| n.ms).sum();
    let whole = layers.len() as f64 + overhead;
    let seen = InModel {
        layers: vec![Some(1.0); layers.len()],
        overhead,
        fixed: 0.0,
        nodes: nodes.clone(),
        clock: NodeClock::Device,
    };
    latency.correct(&seen, &counts, whole);
    assert!((latency.predict(&counts).unwrap() - whole).abs() < 1e-9);
    branch.groups.iter().for_each(|&g| counts[g] = 0);
    let left = 2.0 + stay[0].ms;
    let found = latency.predict(&counts).unwrap();
    assert!((found - left).abs() < 1e-9, "{found} {left}");
}

/// A broadcast within a branch that goes is counted with the branch.
#[test]
fn no_node_goes_twice() {
    let case = network(global_context);
    let graph = Graph::of(&case.proto).unwrap();
    let broadcasts = case.analysis.broadcasts.clone();
    let plan = |branches| Plan {
        broadcasts: broadcasts.clone(),
        branches,
        ..Plan::default()
    };
    assert_eq!(plan(BTreeSet::new()).unwritten(&graph, &case.analysis).len(), 2);
    let both = plan(all_gone(&case).branches);
    assert!(both.unwritten(&graph, &case.analysis).is_empty());
}
