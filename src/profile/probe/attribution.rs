//! Which node's time belongs to which problem of a session.

use std::collections::HashSet;

use crate::device::NodeTime;
use crate::profile::record::RecordFacts;

/// The times of one problem, run by run, and what ran.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Measured {
    /// Milliseconds.
    pub(super) samples: Vec<f64>,
    /// What ran.
    pub(super) facts: RecordFacts,
}

/// The memory layout of a layer.
#[derive(Clone, Copy, Debug, Default)]
struct LayoutSeen {
    /// Whether channels are in SIMD blocks.
    blocked: bool,
    /// Changes of the layout between the producer and the layer.
    changes: usize,
}

impl LayoutSeen {
    fn words(self) -> String {
        let kind = if self.blocked { "blocked" } else { "plain" };
        match self.changes {
            0 => kind.to_owned(),
            n => format!("{kind} after {n} layout change{}", if n > 1 { "s" } else { "" }),
        }
    }
}

/// The problem number in a node name made by [`build`], and whether it is part of the problem.
fn parse_name(name: &str) -> Option<(usize, bool)> {
    let (number, rest) = name.strip_prefix('k')?.split_once('.')?;
    Some((
        number.parse().ok()?,
        rest.starts_with("layer") || rest.starts_with("act"),
    ))
}

/// Sums what belongs to each problem: its own nodes, and nameless ones (layout changes, casts)
/// between its producer and itself. What comes behind it is the next layer's to pay.
pub(super) fn attribute(nodes: &[NodeTime], problems: usize, runs: usize) -> Vec<Measured> {
    let mut times = vec![vec![0.0; runs]; problems];
    let mut layouts = vec![LayoutSeen::default(); problems];
    let mut pending: Vec<&NodeTime> = Vec::new();
    let mut before: Option<usize> = None;
    let mut add = |at: usize, node: &NodeTime| {
        for (sum, sample) in times[at].iter_mut().zip(&node.samples) {
            *sum += sample;
        }
    };
    for node in nodes {
        match parse_name(&node.name) {
            None => pending.push(node),
            Some((k, own)) if k < problems => {
                if own {
                    add(k, node);
                    layouts[k].blocked |= node.name.ends_with("_nchwc");
                    if before == Some(k) {
                        pending.iter().for_each(|n| add(k, n));
                        layouts[k].changes += pending.iter().filter(|n| n.op.starts_with("Reorder")).count();
                    }
                }
                pending.clear();
                before = Some(k);
            }
            Some(_) => pending.clear(),
        }
    }
    let facts = layouts.into_iter().map(|l| RecordFacts {
        layout: Some(l.words()),
        ..RecordFacts::default()
    });
    let measured = |(samples, facts)| Measured { samples, facts };
    times.into_iter().zip(facts).map(measured).collect()
}

/// Sums each problem's own kernels on a device: what else runs there, such as the making of inputs, is not the layer's. Nor is an activation
/// that has a kernel of its own: in a model it is a node like others, and takes what it takes whatever kernels the layer has.
pub(super) fn own_kernels(nodes: &[NodeTime], problems: usize, runs: usize) -> Vec<Measured> {
    let nothing = Measured {
        samples: vec![0.0; runs],
        ..Measured::default()
    };
    let mut all = vec![nothing; problems];
    let named = nodes.iter().filter_map(|node| Some((node, parse_name(&node.name)?)));
    let own: Vec<(&NodeTime, usize)> = named
        .filter(|(_, (k, own))| *own && *k < problems)
        .map(|(node, (k, _))| (node, k))
        .collect();
    let apart = |k: usize| format!("k{k}.layer");
    let with_layer: HashSet<usize> = own
        .iter()
        .filter(|(node, k)| node.name.starts_with(&apart(*k)))
        .map(|(_, k)| *k)
        .collect();
    for (node, k) in own {
        if with_layer.contains(&k) && !node.name.starts_with(&apart(k)) {
            continue;
        }
        for (sum, sample) in all[k].samples.iter_mut().zip(&node.samples) {
            *sum += sample;
        }
        let kernels = node.kernels.iter().filter(|k| k.has_grid()).cloned();
        all[k].facts.kernels.extend(kernels);
        all[k].facts.fills += node.kernels.iter().filter(|k| !k.has_grid()).count();
    }
    all
}

#[cfg(test)]
mod tests {
    use super::{NodeTime, attribute, own_kernels};

    fn node(name: &str, ms: f64) -> NodeTime {
        NodeTime {
            name: name.to_owned(),
            op: name.split('_').next().unwrap_or_default().to_owned(),
            samples: vec![ms, ms],
            ..NodeTime::default()
        }
    }

    #[test]
    fn an_activation_with_kernels_of_its_own_is_not_the_layers() {
        let nodes = [
            node("k0.feed", 9.0),
            node("k0.layer", 1.0),
            node("k0.act", 0.25),
            node("k1.act", 2.0),
        ];
        let found = own_kernels(&nodes, 2, 2);
        assert_eq!([&found[0].samples, &found[1].samples], [&[1.0, 1.0], &[2.0, 2.0]]);
    }

    #[test]
    fn a_layout_change_before_a_layer_is_its_own_and_one_behind_is_not() {
        let nodes = [
            node("k0.feed_nchwc", 9.0),
            node("ReorderOutput", 0.5),
            node("k0.layer", 1.0),
            node("ReorderOutput_token_1", 7.0),
            node("k1.feed_nchwc", 9.0),
            node("k1.act_nchwc", 2.0),
        ];
        let found = attribute(&nodes, 2, 2);
        assert_eq!([&found[0].samples, &found[1].samples], [&[1.5, 1.5], &[2.0, 2.0]]);
        let layouts: Vec<_> = found.iter().filter_map(|m| m.facts.layout.as_deref()).collect();
        assert_eq!(layouts, ["plain after 1 layout change", "blocked"]);
    }
}
