//! Operators on integers, of the standard and of ONNX Runtime: what they do with channels is what their float namesakes do, and
//! scales and zero points of the weights go with the channels of the weights.

use super::super::context::{DependencyBuilder, RuleResult};
use super::super::zeros::{self, ZeroInput};
use super::spec::{OpSpec, Policy, op};
use super::{concat, conv, elementwise, matmul, quantize};
use crate::onnx::Attributes;
use crate::ops::LinearSpec;

pub(super) const OPS: &[OpSpec] = &[
    op(
        "QLinearConv",
        conv::conv,
        Some(conv::patch_groups),
        Policy::Layer,
        "as Conv",
    ),
    op(
        "ConvInteger",
        conv::conv,
        Some(conv::patch_groups),
        Policy::Layer,
        "as Conv",
    )
    .zeros(by_weights),
    op("QLinearMatMul", product, None, Policy::Layer, "weights on the right"),
    op("MatMulInteger", product, None, Policy::Layer, "weights on the right").zeros(zeros::matmul),
];

/// Those of ONNX Runtime.
pub(super) const MICROSOFT: &[OpSpec] = &[
    op("QGemm", matmul::gemm, None, Policy::Layer, "as Gemm"),
    op(
        "MatMulIntegerToFloat",
        product,
        None,
        Policy::Layer,
        "weights on the right",
    ),
    op(
        "DynamicQuantizeMatMul",
        dynamic_product,
        None,
        Policy::Layer,
        "weights on the right; its range is that of all channels: they stay, new ones are zero",
    )
    .zeros(by_weights_and_bias),
    op("QLinearAdd", arithmetic, None, Policy::Follow, "as Add"),
    op("QLinearMul", arithmetic, None, Policy::Follow, "as Mul"),
    op("QLinearSigmoid", elementwise::unary, None, Policy::Follow, ""),
    op("QLinearLeakyRelu", elementwise::unary, None, Policy::Follow, ""),
    op(
        "QLinearGlobalAveragePool",
        pool,
        None,
        Policy::Follow,
        "channels on axis 1",
    ),
    op("QLinearAveragePool", pool, None, Policy::Follow, "channels on axis 1"),
    op(
        "QLinearConcat",
        concat::quantized,
        Some(concat::check_quantized),
        Policy::Follow,
        "each part keeps its own widths",
    ),
];

/// On axis 1, which the weights make.
fn by_weights(z: &ZeroInput) -> bool {
    z.axes == [1] && LinearSpec::of(z.node).is_some_and(|s| z.is_zero(s.weight))
}

/// On the last axis, which weights and bias make.
fn by_weights_and_bias(z: &ZeroInput) -> bool {
    let bias = LinearSpec::of(z.node).and_then(LinearSpec::bias);
    zeros::matmul(z) && bias.is_none_or(|i| z.is_absent(i) || z.is_zero(i))
}

fn product(c: &mut DependencyBuilder) -> RuleResult {
    if c.is_weight(0) {
        return Err("weights as the first operand are not followed in integers".to_owned());
    }
    matmul::matmul(c)
}

fn dynamic_product(c: &mut DependencyBuilder) -> RuleResult {
    matmul::matmul(c)?;
    let x = c.input(0)?;
    c.grows_by_zeros(x, quantize::RANGE);
    Ok(())
}

/// Two operands, each with scale and zero point.
fn arithmetic(c: &mut DependencyBuilder) -> RuleResult {
    let y = c.output(0)?;
    for i in [0, 3] {
        let x = c.input(i)?;
        elementwise::align(c, x, y)?;
    }
    Ok(())
}

fn pool(c: &mut DependencyBuilder) -> RuleResult {
    if c.node.int("channels_last", 0) != 0 {
        return Err("channels on the last axis are not followed".to_owned());
    }
    super::pool::pool(c)
}
