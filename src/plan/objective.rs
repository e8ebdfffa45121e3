//! What a plan takes of each metric, as sums of tables that a search adds up.

use std::collections::HashMap;

use super::axis_widths::AxisWidths;
use super::gone_with::GoneWith;
use super::latency::LatencyModel;
use super::liveness;
use super::metric::Metric;
use super::resource::Resource;
use super::space::SearchSpace;
use crate::channels::{Analysis, Branch};
use crate::onnx::Graph;

/// The largest of some sums: one for all metrics but peaks, which have one for each node that may be the worst.
#[derive(Clone, Debug)]
pub struct Objective {
    /// The sums.
    pub parts: Vec<Resource>,
}

/// A sum that is larger than is allowed, or the largest.
#[derive(Clone, Copy, Debug)]
pub struct Worst {
    /// Which of the parts it is.
    pub part: usize,
    /// What the plan takes.
    pub amount: f64,
}

impl Objective {
    /// Those of a metric over the options of a space. For the latency, `latency` predicts by these tables from now on.
    pub fn new(
        metric: Metric,
        space: &SearchSpace,
        graph: &Graph,
        analysis: &Analysis,
        latency: &mut LatencyModel,
    ) -> Self {
        let parts = match metric {
            Metric::Latency => vec![latency.tables(space)],
            Metric::Macs => vec![Resource::macs(space, graph, analysis)],
            Metric::Params => vec![Resource::parameters(space, graph, analysis)],
            Metric::Memory => memory(space, graph, analysis),
        };
        Self { parts }
    }

    /// The largest sum under a choice.
    pub fn worst(&self, sizes: &[usize], choice: &[usize]) -> Worst {
        let amounts = self.parts.iter().map(|p| p.of(sizes, choice)).enumerate();
        let worst = amounts.max_by(|a, b| a.1.total_cmp(&b.1)).unwrap_or((0, 0.0));
        Worst {
            part: worst.0,
            amount: worst.1,
        }
    }

    /// What a choice takes.
    pub fn of(&self, sizes: &[usize], choice: &[usize]) -> f64 {
        self.worst(sizes, choice).amount
    }

    /// All parts as one sum. Where each is least when all widths are, as peaks are, so is this.
    pub fn sum(&self) -> Resource {
        let parts: Vec<(f64, &Resource)> = self.parts.iter().map(|p| (1.0, p)).collect();
        Resource::weighted(&parts)
    }
}

/// Bytes of the activations that are alive at each node which may be the worst.
fn memory(space: &SearchSpace, graph: &Graph, analysis: &Analysis) -> Vec<Resource> {
    let widths = AxisWidths::new(analysis);
    let gone_with = GoneWith::new(analysis);
    // What stays of a branch is its sum, unless the graph gives that out: then it is a copy.
    let sums = analysis.branches.values().map(|b| (b.sum.as_str(), b));
    let sums: HashMap<&str, &Branch> = sums.collect();
    let bytes = |name: &str| {
        let id = analysis.dependencies.by_name(name)?;
        analysis.dependencies.value(id).dims.as_ref()?;
        let each = analysis.bytes_of(name) as f64;
        let groups = widths.groups(analysis, id);
        let factors = space.factors(&groups, &|counts| each * widths.elements(analysis, id, counts));
        let producer = graph.producer.get(name).copied();
        let first = producer
            .and_then(|n| gone_with.of(n))
            .filter(|_| !sums.contains_key(name));
        Some(Resource {
            factors: space.gone_with(first, factors),
        })
    };
    let peaks = liveness::peaks(graph);
    let mut known = HashMap::new();
    for &name in peaks.iter().flatten() {
        known.entry(name).or_insert_with(|| bytes(name));
    }
    let part = |alive: &Vec<&str>| {
        let factors = alive.iter().flat_map(|name| {
            let factors = known.get(name).and_then(Option::as_ref).map(|r| r.factors.clone());
            let twice = sums.get(name).filter(|b| alive.contains(&b.stays.as_str()));
            let first = twice
                .filter(|_| !graph.is_seen_outside(name))
                .and_then(|b| b.groups.first());
            space.gone_with(first.copied(), factors.unwrap_or_default())
        });
        Resource {
            factors: factors.collect(),
        }
        .merged()
    };
    let parts: Vec<Resource> = peaks.iter().map(part).collect();
    if parts.is_empty() {
        return vec![Resource { factors: Vec::new() }];
    }
    parts
}
