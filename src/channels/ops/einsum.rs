//! `Einsum` where it is a plain product: each letter is one axis wherever it stands.

use std::collections::HashMap;

use super::super::context::{DependencyBuilder, RuleResult};
use super::super::dependency_graph::ValueId;
use super::spec::{OpSpec, Policy, op};
use crate::onnx::Attributes;

pub(super) const OPS: &[OpSpec] = &[op(
    "Einsum",
    einsum,
    None,
    Policy::Layer,
    "explicit output, no ellipsis, no diagonal",
)];

fn einsum(c: &mut DependencyBuilder) -> RuleResult {
    let equation: String = c.node.text("equation", "").replace(' ', "");
    let (left, right) = equation.split_once("->").ok_or("its output is implicit")?;
    if equation.contains('.') {
        return Err("an ellipsis is not followed".to_owned());
    }
    let terms: Vec<&str> = left.split(',').collect();
    if terms.len() != c.node.input.len() {
        return Err("its equation does not fit its inputs".to_owned());
    }
    let mut first: HashMap<char, (ValueId, usize)> = HashMap::new();
    let mut operands: Vec<(ValueId, &str)> = Vec::new();
    for (i, &term) in terms.iter().enumerate() {
        operands.push((c.input(i)?, term));
    }
    operands.push((c.output(0)?, right));
    for &(id, term) in &operands {
        if term.chars().count() != c.rank(id) {
            return Err("its equation does not fit its shapes".to_owned());
        }
        for (axis, letter) in term.chars().enumerate() {
            if term.matches(letter).count() > 1 {
                return Err("a diagonal is not followed".to_owned());
            }
            match first.get(&letter) {
                Some(&(other, at)) => c.same(id, axis, other, at)?,
                None => {
                    first.insert(letter, (id, axis));
                }
            }
        }
    }
    let weighted = (0..terms.len()).any(|i| c.is_weight(i));
    for (i, term) in terms.iter().enumerate() {
        for (axis, letter) in term.chars().enumerate() {
            let id = operands[i].0;
            if right.contains(letter) {
                continue;
            }
            let shared = terms.iter().filter(|t| t.contains(letter)).count();
            if shared < 2 {
                c.constraint(id, axis, "Einsum sums over this axis");
            } else if !weighted {
                c.forbid_growth(id, axis, "both operands are activations");
            }
            if !c.is_weight(i) {
                c.role(id, axis, false);
            }
        }
    }
    let (y, _) = operands[terms.len()];
    for (axis, letter) in right.chars().enumerate() {
        let made = (0..terms.len()).any(|i| c.is_weight(i) && terms[i].contains(letter));
        if made {
            c.role(y, axis, true);
        }
    }
    Ok(())
}
