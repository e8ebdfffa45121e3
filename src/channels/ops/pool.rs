//! Pools: channel by channel.

use super::super::constant_channels;
use super::super::context::{DependencyBuilder, RuleResult};
use super::super::moments::spatial;
use super::super::zeros;
use super::spec::{BlockedLayout, OpSpec, Policy, Sign, op};

const fn pool_op(name: &'static str) -> OpSpec {
    op(name, pool, None, Policy::Follow, "any ceil mode").zeros(zeros::as_first)
}

pub(super) const OPS: &[OpSpec] = &[
    pool_op("MaxPool")
        .layout(BlockedLayout::Kept)
        .sign(Sign::AsInput)
        .moments(spatial::max_pool)
        .folding(constant_channels::same),
    pool_op("AveragePool")
        .layout(BlockedLayout::Kept)
        .moments(spatial::mean_pool)
        .folding(constant_channels::zeros),
    pool_op("LpPool"),
    pool_op("GlobalAveragePool")
        .moments(spatial::global_mean)
        .folding(constant_channels::same),
    pool_op("GlobalMaxPool")
        .moments(spatial::global_max)
        .folding(constant_channels::same),
    pool_op("GlobalLpPool"),
];

pub(super) fn pool(c: &mut DependencyBuilder) -> RuleResult {
    if c.node.output.iter().skip(1).any(|o| !o.is_empty()) {
        return Err("it also gives indices, which count channels".to_owned());
    }
    let (x, y) = (c.input(0)?, c.output(0)?);
    c.same(x, 0, y, 0)?;
    c.same(x, 1, y, 1)?;
    for axis in 2..c.rank(x) {
        c.lock_silent(x, axis);
        c.lock_silent(y, axis);
    }
    Ok(())
}
