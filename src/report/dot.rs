//! A picture of layers and the widths between them, for Graphviz.

use std::collections::BTreeSet;
use std::fmt::Write;

use crate::onnx::label;
use crate::optimize::Opened;

/// Layers as boxes, groups as ellipses: green may change, yellow may grow at its end, grey stays.
pub fn inspect_dot(opened: &Opened) -> String {
    let nodes: Vec<_> = opened.proto.graph.iter().flat_map(|g| &g.node).collect();
    let quote = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"");
    let mut layers = BTreeSet::new();
    let mut text = String::from("digraph channels {\n  rankdir=TB;\n  node [fontname=\"sans-serif\", fontsize=10];\n");
    // Writing to a string cannot fail.
    for group in &opened.analysis.groups {
        let (color, why) = match &group.constraint {
            None => ("palegreen", String::new()),
            Some(constraint) if opened.can_grow(group) => ("khaki", format!("\\n{}", quote(&constraint.reason))),
            Some(constraint) => ("lightgrey", format!("\\n{}", quote(&constraint.reason))),
        };
        let _ = writeln!(
            text,
            "  g{} [shape=ellipse, style=filled, fillcolor={color}, label=\"{}: width {}{why}\"];",
            group.id,
            group.id,
            group.width()
        );
        for &n in &group.producers {
            let _ = writeln!(text, "  n{n} -> g{};", group.id);
        }
        for &n in &group.consumers {
            let _ = writeln!(text, "  g{} -> n{n};", group.id);
        }
        layers.extend(group.producers.iter().chain(&group.consumers).copied());
    }
    for n in layers {
        let name = quote(&label(nodes[n], n));
        let _ = writeln!(text, "  n{n} [shape=box, label=\"{}\\n{name}\"];", nodes[n].op_type());
    }
    text.push_str("}\n");
    text
}
