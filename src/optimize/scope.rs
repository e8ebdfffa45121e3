//! What of a model can be worked on: the widths that may change, and why there are none.

use std::collections::BTreeMap;

use super::opened::Opened;
use crate::channels::{Analysis, Constraint, Group};
use crate::onnx::Graph;
use crate::ops::{LinearOp, LinearSpec};
use crate::profile::{Described, LeftOut, Why, counted, is_quantized};

impl Opened {
    /// What holds a group's width: the graph, or a layer that is not worked on.
    pub fn constraint_of<'o>(&'o self, group: &'o Group) -> Option<&'o Constraint> {
        group.constraint.as_ref().or_else(|| self.held.get(&group.id))
    }

    /// Whether a group may lose channels.
    pub fn is_free(&self, group: &Group) -> bool {
        self.constraint_of(group).is_none()
    }

    /// Whether a group may get new channels.
    pub fn can_grow(&self, group: &Group) -> bool {
        group.can_grow() && !self.held.contains_key(&group.id)
    }

    /// The share of multiply-accumulates in layers with a width that is free to change, 0 to 1.
    pub fn free_share(&self) -> f64 {
        self.analysis.share_of(&|group| self.is_free(group))
    }

    /// Whether a layer with this width is timed.
    pub fn is_timed(&self, group: &Group) -> bool {
        let mut nodes = group.producers.iter().chain(&group.consumers);
        nodes.any(|n| self.timed.binary_search(n).is_ok())
    }

    /// Whether a quantized layer has this width.
    pub fn is_of_quantized(&self, group: &Group) -> bool {
        let mut nodes = group.producers.iter().chain(&group.consumers);
        nodes.any(|n| self.quantized.iter().any(|q| q.node == *n))
    }

    /// Why no new channel may share the work of an old one, where all widths that could grow are those of quantized layers.
    pub fn no_shares(&self) -> Option<String> {
        let mut growing = self
            .analysis
            .groups
            .iter()
            .filter(|g| self.can_grow(g) && self.is_timed(g));
        (!self.quantized.is_empty() && growing.all(|g| self.is_of_quantized(g))).then(|| {
            "its widths are those of quantized layers, and shares of a weight are no multiples of its scale: grow it by zeros, or let \
             new channels share the work in the float model, before it is quantized"
                .to_owned()
        })
    }

    /// Whether a matrix product has this width.
    fn is_of_product(&self, group: &Group) -> bool {
        let nodes = self.proto.graph.as_ref().map_or(&[][..], |g| &g.node);
        let mut own = group
            .producers
            .iter()
            .chain(&group.consumers)
            .filter_map(|&n| nodes.get(n));
        own.any(|n| matches!(n.op_type(), "Gemm" | "MatMul" | "Einsum"))
    }

    /// Why no width can be changed in any way; `None` where some may grow or lose channels.
    pub fn nothing_to_do(&self) -> Option<String> {
        self.nothing_to_change(false)?;
        self.nothing_to_change(true)
    }

    /// Why nothing can be changed, with what would help; `None` where some widths may, or written-out broadcasts may go. Without loss only
    /// widths of timed layers count; `narrowing` also takes those of products, and is not about broadcasts.
    pub fn nothing_to_change(&self, narrowing: bool) -> Option<String> {
        if !narrowing && !self.analysis.broadcasts.is_empty() {
            return None;
        }
        let groups = &self.analysis.groups;
        let narrows = |g: &Group| g.classes.len() > 1 && (self.is_timed(g) || self.is_of_product(g));
        let offers = |g: &Group| match narrowing {
            true => self.is_free(g) && narrows(g) && !self.never_lossy.contains_key(&g.id),
            false => (self.is_free(g) || self.can_grow(g)) && self.is_timed(g),
        };
        if groups.iter().any(offers) {
            return None;
        }
        if let Some(why) = self.nothing_timed() {
            return Some(why);
        }
        let mut reasons: BTreeMap<&str, usize> = BTreeMap::new();
        for constraint in groups.iter().filter(|g| self.is_timed(g)).filter_map(|g| {
            self.constraint_of(g)
                .or_else(|| self.never_lossy.get(&g.id).filter(|_| narrowing))
        }) {
            *reasons.entry(&constraint.reason).or_default() += 1;
        }
        let mut reasons: Vec<_> = reasons.into_iter().collect();
        reasons.sort_by_key(|(_, n)| std::cmp::Reverse(*n));
        let told: Vec<String> = reasons
            .iter()
            .map(|(why, n)| format!("{why} ({})", times(*n, "width")))
            .collect();
        let left = self.left_out_text().map_or(String::new(), |what| format!("; {what}"));
        Some(format!(
            "none of the widths of its {} may change: {}{left}; `snapprune inspect` names each",
            times(self.timed.len(), "convolution"),
            told.join(", ")
        ))
    }

    /// Why no layer is timed, with what would help; `None` where some are.
    pub fn nothing_timed(&self) -> Option<String> {
        if !self.timed.is_empty() {
            return None;
        }
        let convolutions: Vec<&LeftOut> = self.left_out.iter().filter(|l| l.convolution).collect();
        if convolutions.is_empty() {
            return Some("it has no convolutions, and only those are timed".to_owned());
        }
        let kinds = counted(convolutions.iter().copied());
        let told = match kinds.as_slice() {
            [(why, _, first)] => format!("they {}{}", why.text(), example(why, first)),
            all => {
                let each = all
                    .iter()
                    .map(|(why, n, first)| format!("{n} {}{}", why.text(), example(why, first)));
                each.collect::<Vec<_>>().join(", ")
            }
        };
        let help: Vec<&str> = kinds.iter().filter_map(|(why, _, _)| why.unlock()).collect();
        let help = if help.is_empty() {
            String::new()
        } else {
            format!("; {}", help.join("; "))
        };
        Some(match convolutions.len() {
            1 => format!("its only convolution is none that is timed: {}{help}", singular(&told)),
            n => format!("none of its {n} convolutions is one that is timed: {told}{help}"),
        })
    }

    /// Which convolutions are not worked on, where others are; `None` where all are.
    pub fn left_out_text(&self) -> Option<String> {
        let convolutions: Vec<&LeftOut> = self.left_out.iter().filter(|l| l.convolution).collect();
        if self.timed.is_empty() || convolutions.is_empty() {
            return None;
        }
        let kinds = counted(convolutions.iter().copied());
        let each = kinds
            .iter()
            .map(|(why, n, first)| format!("{n} {}{}", why.text(), example(why, first)));
        Some(format!(
            "{} of {} are left out (neither timed nor changed): {}",
            convolutions.len(),
            times(convolutions.len() + self.timed.len(), "convolution"),
            each.collect::<Vec<_>>().join(", ")
        ))
    }
}

/// Which convolutions with quantized weights are computed in floats, and why; `None` where none is.
pub(super) fn in_floats_text(quantized: &[Described]) -> Option<String> {
    let mut kinds: Vec<(&str, Vec<&str>)> = Vec::new();
    for layer in quantized {
        let Some(why) = layer.in_floats else { continue };
        match kinds.iter_mut().find(|(known, _)| *known == why) {
            Some((_, names)) => names.push(&layer.name),
            None => kinds.push((why, vec![&layer.name])),
        }
    }
    let count: usize = kinds.iter().map(|(_, names)| names.len()).sum();
    let each = kinds.iter().map(|(why, names)| match names.as_slice() {
        all if all.len() <= 3 => format!("{why} ({})", all.join(", ")),
        all => format!("{why} ({} and {} more)", all[..2].join(", "), all.len() - 2),
    });
    (count > 0).then(|| {
        format!(
            "{} with quantized weights {} computed in floats by ONNX Runtime: {}",
            times(count, "convolution"),
            if count == 1 { "is" } else { "are" },
            each.collect::<Vec<_>>().join("; ")
        )
    })
}

/// The groups that the graph lets change and that a quantized layer has a width of.
pub(super) fn held(analysis: &Analysis, left_out: &[LeftOut]) -> BTreeMap<usize, Constraint> {
    let quantized: Vec<usize> = left_out
        .iter()
        .filter(|l| l.why == Why::Quantized)
        .filter_map(|l| l.node)
        .collect();
    let constraint = |g: &Group| {
        let mut nodes = g.producers.iter().chain(&g.consumers);
        let node = nodes.find(|n| quantized.contains(n))?;
        let constraint = Constraint {
            node: Some(*node),
            reason: "a quantized layer without a rule has this width".to_owned(),
            silent: false,
        };
        Some((g.id, constraint))
    };
    analysis
        .groups
        .iter()
        .filter(|g| g.may_change())
        .filter_map(constraint)
        .collect()
}

/// The free groups that a quantized operator has a width of whose weights are not read as floats.
pub(super) fn never_lossy(graph: &Graph, analysis: &Analysis) -> BTreeMap<usize, Constraint> {
    let unread = |n: usize| {
        let quantized = LinearSpec::of(&graph.proto.node[n]).is_some_and(|s| s.quantized.is_some());
        (quantized || is_quantized(graph, n)) && LinearOp::of(graph, n).is_none()
    };
    let constraint = |g: &Group| {
        let node = g.producers.iter().chain(&g.consumers).copied().find(|&n| unread(n))?;
        let reason = "quantized layers lose channels only between DequantizeLinear and with a bias; narrow the float model before it is quantized";
        let constraint = Constraint {
            node: Some(node),
            reason: reason.to_owned(),
            silent: false,
        };
        Some((g.id, constraint))
    };
    let free = analysis.groups.iter().filter(|g| g.constraint.is_none());
    free.filter_map(constraint).collect()
}

/// What one of them is, where the kind alone does not say enough.
fn example(why: &Why, layer: &LeftOut) -> String {
    match why {
        Why::Quantized => format!(" ({}, {})", layer.op, layer.what),
        Why::Operator => format!(" ({})", layer.op),
        Why::Type | Why::Computed => format!(" ({}: {})", layer.name, layer.what),
        Why::Body(_) | Why::Function | Why::Shape => String::new(),
    }
}

/// "they are" of one thing.
fn singular(text: &str) -> String {
    let text = text.replacen("they are", "it is", 1);
    text.replacen("they have weights that are", "it has weights that are", 1)
        .replacen("they have", "it has", 1)
}

fn times(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}
