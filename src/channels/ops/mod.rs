//! One file an operator family: how the axes of its inputs, weights and outputs correspond, and what
//! else in the node must follow when they change.

mod concat;
mod conv;
mod einsum;
mod elementwise;
mod gather;
mod matmul;
mod norm;
mod pad;
mod pool;
mod quantize;
mod reduce;
mod reshape;
mod resize;
mod slice;
mod space;
mod transpose;

use super::context::{DependencyBuilder, Patch, RuleResult};
use crate::Result;

/// Relates the axes of a node.
pub type DependencyRule = fn(&mut DependencyBuilder) -> RuleResult;
/// Makes a node's attributes and integer inputs follow the new axes.
pub type PatchRule = fn(&mut Patch) -> Result<()>;

/// What is done with the channels at an operator, for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// Has widths of its own: weights are cut and grown.
    Layer,
    /// Follows what its neighbours do, with its index map.
    Follow,
    /// Keeps the axes it mixes; the others follow.
    Partial,
}

/// One operator of the registry.
pub struct OpSpec {
    /// The operator's type.
    pub name: &'static str,
    /// Relates the axes.
    pub dependencies: DependencyRule,
    /// Rewrites attributes, where any depend on widths.
    pub patch: Option<PatchRule>,
    /// For the table of operators.
    pub policy: Policy,
    /// For the table of operators.
    pub note: &'static str,
}

const fn op(
    name: &'static str,
    dependencies: DependencyRule,
    patch: Option<PatchRule>,
    policy: Policy,
    note: &'static str,
) -> OpSpec {
    OpSpec {
        name,
        dependencies,
        patch,
        policy,
        note,
    }
}

/// The handler of an operator of the standard domain.
pub fn find(domain: &str, name: &str) -> Option<&'static OpSpec> {
    if !matches!(domain, "" | "ai.onnx") {
        return None;
    }
    all().find(|spec| spec.name == name)
}

/// Every operator with a handler.
pub fn all() -> impl Iterator<Item = &'static OpSpec> {
    [
        conv::OPS,
        matmul::OPS,
        einsum::OPS,
        norm::OPS,
        elementwise::OPS,
        concat::OPS,
        slice::OPS,
        gather::OPS,
        pad::OPS,
        reshape::OPS,
        transpose::OPS,
        space::OPS,
        pool::OPS,
        reduce::OPS,
        resize::OPS,
        quantize::OPS,
    ]
    .into_iter()
    .flatten()
}
