//! From the last node of a graph to the first.

use super::rules;
use super::tape::Tape;
use crate::onnx::captured_names;

/// Follows the gradients that were added through all nodes. A value that an operator without a rule reads has none.
pub(super) fn run(tape: &mut Tape) {
    for node in tape.graph.proto.node.iter().rev() {
        let known: Vec<Option<String>> = node.output.iter().map(|o| tape.gradients.get(o).cloned()).collect();
        let stopped = node.output.iter().any(|o| tape.stopped.contains(o));
        if !stopped && known.iter().all(Option::is_none) {
            continue;
        }
        if !node.output.iter().any(|o| tape.depends.contains(o)) {
            continue;
        }
        let products = if stopped {
            None
        } else {
            rules::products(tape, node, &known)
        };
        match products {
            Some(products) => {
                for (input, gradient) in products {
                    if let Some(name) = node.input.get(input).cloned() {
                        tape.add(&name, gradient);
                    }
                }
            }
            None => {
                if !stopped {
                    tape.without_rule.insert(node.op_type().to_owned());
                }
                tape.stopped.extend(node.input.iter().cloned());
                tape.stopped.extend(captured_names(node));
            }
        }
    }
}
