//! Plans from bytes: most fit the model, some do not.

use snapprune::channels::Analysis;
use snapprune::onnx::{Graph, label};
use snapprune::plan::{PlanFile, PlannedGroup};

/// Bytes that are used up one after the other; zeros follow.
pub struct Draws<'b>(pub &'b [u8]);

impl Draws<'_> {
    /// A number below `end` (0 where that is 0).
    pub fn below(&mut self, end: usize) -> usize {
        let Some((&first, rest)) = self.0.split_first() else {
            return 0;
        };
        self.0 = rest;
        usize::from(first) % end.max(1)
    }
}

/// A plan for `analysis`.
pub fn plan(graph: &Graph, analysis: &Analysis, draws: &mut Draws) -> PlanFile {
    let mut groups = Vec::new();
    for (id, group) in analysis.groups.iter().enumerate() {
        // Groups that are held are asked for rarely: that plan is refused.
        if draws.below(8) == 0 || (group.constraint.is_some() && draws.below(32) != 1) {
            continue;
        }
        let count = group.classes.len();
        let kept: Vec<usize> = match draws.below(4) {
            0 => (0..count).collect(),
            1 => (0..1 + draws.below(count)).collect(),
            _ => (0..count).filter(|_| draws.below(3) > 0).collect(),
        };
        let grown = if draws.below(3) == 0 { draws.below(20) } else { 0 };
        let odd = usize::from(draws.below(64) == 1);
        let producers = group.producers.iter();
        groups.push(PlannedGroup {
            group: id,
            layers: producers.map(|&n| label(&graph.proto.node[n], n)).collect(),
            width_before: group.width(),
            width_after: (kept.len() + grown) * group.unit + odd,
            kept,
        });
    }
    let split = (draws.below(4) == 1).then_some(7);
    let gone: Vec<usize> = analysis
        .broadcasts
        .iter()
        .copied()
        .filter(|_| draws.below(2) == 0)
        .collect();
    let branches: Vec<usize> = match draws.below(4) {
        1 => analysis
            .branches
            .keys()
            .copied()
            .filter(|_| draws.below(2) == 1)
            .collect(),
        _ => Vec::new(),
    };
    PlanFile {
        schema_version: if branches.is_empty() { 1 } else { 3 },
        model: String::new(),
        groups,
        split,
        broadcasts: gone.iter().map(|&n| label(&graph.proto.node[n], n)).collect(),
        branches: branches.iter().map(|&n| label(&graph.proto.node[n], n)).collect(),
        reparametrized: Default::default(),
        weights: Default::default(),
    }
}
