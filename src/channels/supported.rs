//! The table of operators in `SUPPORTED-OPS.md`, made from the registry.

use std::fmt::Write;

use super::ops::{OpSpec, Policy, all, find, microsoft};

/// Every operator of the ONNX standard (opset 25), by name.
const STANDARD: &str = "Abs Acos Acosh Add AffineGrid And ArgMax ArgMin Asin Asinh Atan Atanh Attention \
AveragePool BatchNormalization Bernoulli BitShift BitwiseAnd BitwiseNot BitwiseOr BitwiseXor BlackmanWindow \
Cast CastLike Ceil Celu CenterCropPad Clip Col2Im Compress Concat ConcatFromSequence Constant \
ConstantOfShape Conv ConvInteger ConvTranspose Cos Cosh CumProd CumSum DFT DeformConv DepthToSpace \
DequantizeLinear Det Div Dropout DynamicQuantizeLinear Einsum Elu Equal Erf Exp Expand EyeLike Flatten \
Floor GRU Gather GatherElements GatherND Gelu Gemm GlobalAveragePool GlobalLpPool GlobalMaxPool Greater \
GreaterOrEqual GridSample GroupNormalization HammingWindow HannWindow HardSigmoid HardSwish Hardmax \
Identity If ImageDecoder InstanceNormalization IsInf IsNaN LRN LSTM LayerNormalization LeakyRelu Less \
LessOrEqual Log LogSoftmax Loop LpNormalization LpPool MatMul MatMulInteger Max MaxPool MaxRoiPool \
MaxUnpool Mean MeanVarianceNormalization MelWeightMatrix Min Mish Mod Mul Multinomial Neg \
NegativeLogLikelihoodLoss NonMaxSuppression NonZero Not OneHot Optional OptionalGetElement \
OptionalHasElement Or PRelu Pad Pow QLinearConv QLinearMatMul QuantizeLinear RMSNormalization RNN \
RandomNormal RandomNormalLike RandomUniform RandomUniformLike Range Reciprocal ReduceL1 ReduceL2 \
ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum ReduceSumSquare \
RegexFullMatch Relu Reshape Resize ReverseSequence RoiAlign RotaryEmbedding Round STFT Scan Scatter \
ScatterElements ScatterND Selu SequenceAt SequenceConstruct SequenceEmpty SequenceErase SequenceInsert \
SequenceLength SequenceMap Shape Shrink Sigmoid Sign Sin Sinh Size Slice Softmax \
SoftmaxCrossEntropyLoss Softplus Softsign SpaceToDepth Split SplitToSequence Sqrt Squeeze \
StringConcat StringNormalizer StringSplit Sub Sum Swish Tan Tanh TensorScatter TfIdfVectorizer \
ThresholdedRelu Tile TopK Transpose Trilu Unique Unsqueeze Upsample Where Xor";

/// The operators that have a rule, by name.
pub fn registered_ops() -> impl Iterator<Item = &'static str> {
    all().map(|spec| spec.name)
}

/// The Markdown of `SUPPORTED-OPS.md`.
pub fn supported_ops_table() -> String {
    let mut text = String::from(
        "# Operators\n\nWhat snapprune does with channels at each operator of the ONNX standard.\n\n\
         - **layer**: has widths of its own; its weights are pruned and grown.\n\
         - **follow**: its channels are pruned and grown with those of its neighbours.\n\
         - **partial**: holds the axes that it mixes; the others follow.\n\
         - **shape**: its numbers are followed through shape arithmetic.\n\
         - **constrained**: the channels that reach it stay as they are; `snapprune inspect` says so.\n\n\
         Operators of other domains but those below, and nodes inside `If`, `Loop`, `Scan` and functions, are constrained.\n\n\
         | operator | channels | note |\n|---|---|---|\n",
    );
    let mut names: Vec<&str> = STANDARD.split_whitespace().collect();
    names.extend(all().map(|s| s.name));
    names.sort_unstable();
    names.dedup();
    for name in names {
        let (what, note) = match find(name) {
            Some(spec) => row(spec),
            None if matches!(name, "Shape") => ("shape", ""),
            None if name == "Constant" => ("follow", "as a weight or a number"),
            None => ("constrained", ""),
        };
        // Writing to a string cannot fail.
        let _ = writeln!(text, "| {name} | {what} | {note} |");
    }
    text.push_str("\nOf ONNX Runtime's domain `com.microsoft`:\n\n| operator | channels | note |\n|---|---|---|\n");
    let mut own: Vec<&OpSpec> = microsoft().collect();
    own.sort_unstable_by_key(|s| s.name);
    for spec in own {
        let (what, note) = row(spec);
        let _ = writeln!(text, "| {} | {what} | {note} |", spec.name);
    }
    text
}

/// What is done with channels at an operator, and what else there is to say.
fn row(spec: &OpSpec) -> (&'static str, &'static str) {
    let what = match spec.policy {
        Policy::Layer => "layer",
        Policy::Follow => "follow",
        Policy::Partial => "partial",
    };
    (what, spec.note)
}
