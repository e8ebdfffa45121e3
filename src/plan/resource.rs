//! What a plan uses: latency, multiply-accumulates or parameters, as tables over the groups of each layer.

use std::collections::{BTreeMap, BTreeSet};

use super::axis_widths::AxisWidths;
use super::factor::Factor;
use super::gone_with::GoneWith;
use super::space::SearchSpace;
use crate::channels::{Analysis, ValueId, node_macs};
use crate::onnx::{Dtype, Graph};

/// A resource as a sum of tables.
#[derive(Clone, Debug)]
pub struct Resource {
    /// The tables.
    pub factors: Vec<Factor>,
}

impl Resource {
    /// What a choice uses.
    pub fn of(&self, sizes: &[usize], choice: &[usize]) -> f64 {
        self.factors.iter().map(|f| f.at(sizes, choice)).sum()
    }

    /// A weighted sum of resources.
    pub fn weighted(parts: &[(f64, &Self)]) -> Self {
        let scaled = |weight: f64, f: &Factor| Factor {
            over: f.over.clone(),
            table: f.table.iter().map(|t| t * weight).collect(),
        };
        let factors = parts
            .iter()
            .flat_map(|(w, r)| r.factors.iter().map(move |f| scaled(*w, f)));
        Self {
            factors: factors.collect(),
        }
    }

    /// The same with one table for each set of variables.
    pub(super) fn merged(self) -> Self {
        let mut found: BTreeMap<Vec<usize>, Factor> = BTreeMap::new();
        for factor in self.factors {
            match found.get_mut(&factor.over) {
                Some(same) => same.table.iter_mut().zip(&factor.table).for_each(|(a, b)| *a += b),
                None => {
                    found.insert(factor.over.clone(), factor);
                }
            }
        }
        Self {
            factors: found.into_values().collect(),
        }
    }

    /// Multiply-accumulates for one sample.
    pub fn macs(space: &SearchSpace, graph: &Graph, analysis: &Analysis) -> Self {
        let (widths, gone_with) = (AxisWidths::new(analysis), GoneWith::new(analysis));
        let mut factors = Vec::new();
        for node in (0..analysis.macs.len()).filter(|&n| analysis.macs[n] > 0) {
            let dependencies = &analysis.dependencies;
            let values = (0..graph.proto.node[node].input.len().min(2))
                .filter_map(|i| crate::channels::input_value(dependencies, &graph.proto.node[node], node, i))
                .chain(
                    graph.proto.node[node]
                        .output
                        .iter()
                        .filter_map(|n| dependencies.by_name(n)),
                );
            let groups = values.flat_map(|id| widths.groups(analysis, id)).collect();
            let own = space.factors(&groups, &|counts| {
                let run = node_macs(graph, dependencies, node, &|id, axis| widths.dim(id, axis, counts));
                run as f64 / analysis.samples as f64
            });
            factors.extend(space.gone_with(gone_with.of(node), own));
        }
        Self { factors }
    }

    /// Weight elements, as [`super::count::parameters`] counts them.
    pub fn parameters(space: &SearchSpace, graph: &Graph, analysis: &Analysis) -> Self {
        let widths = AxisWidths::new(analysis);
        let dependencies = &analysis.dependencies;
        let mut seen = BTreeSet::new();
        let mut factors = Vec::new();
        // What a branch alone reads goes with it, whatever its shape.
        let gone_with = GoneWith::new(analysis);
        for id in (0..dependencies.values.len()).map(ValueId) {
            let value = dependencies.value(id);
            let weight = graph.constant(&value.name).is_some_and(|t| t.dtype != Dtype::Int64);
            if value.constant_use.is_none() || !weight || !seen.insert(value.name.clone()) {
                continue;
            }
            let groups = widths.groups(analysis, id);
            let readers = graph.consumers.get(value.name.as_str()).map_or(&[][..], Vec::as_slice);
            let own = space.factors(&groups, &|counts| widths.elements(analysis, id, counts));
            factors.extend(space.gone_with(gone_with.of_all(readers), own));
        }
        Self { factors }
    }
}
