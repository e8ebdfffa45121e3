//! Raising a model to the operators that gates need.

use crate::onnx::proto::{GraphProto, ModelProto};
use crate::onnx::{Attributes, Tensor};

/// The version with everything that gates are made of.
const NEEDED: i64 = 11;
/// Operators that mean the same from version 7 on, as written for that version.
const SAME_SINCE_7: [&str; 41] = [
    "Conv",
    "ConvTranspose",
    "Relu",
    "LeakyRelu",
    "PRelu",
    "Sigmoid",
    "Tanh",
    "Elu",
    "Selu",
    "Softplus",
    "Softsign",
    "HardSigmoid",
    "MaxPool",
    "AveragePool",
    "GlobalAveragePool",
    "GlobalMaxPool",
    "Add",
    "Sub",
    "Mul",
    "Div",
    "Concat",
    "Gemm",
    "MatMul",
    "Flatten",
    "Reshape",
    "Transpose",
    "Softmax",
    "Identity",
    "Constant",
    "LRN",
    "Shape",
    "Gather",
    "Unsqueeze",
    "Squeeze",
    "Exp",
    "Log",
    "Sqrt",
    "Abs",
    "Neg",
    "Pow",
    "ReduceMean",
];

/// Makes the model's version at least 11, where every operator of it means the same there; a note if that changed it.
///
/// # Errors
/// The reason why the version cannot be raised.
pub fn raise_opset(model: &mut ModelProto) -> Result<Option<String>, String> {
    let entry = model.opset_import.iter_mut().find(|o| o.domain().is_empty());
    let Some(entry) = entry else {
        return Err("the model names no version of ONNX's operators".to_owned());
    };
    let version = entry.version();
    if version >= NEEDED {
        return Ok(None);
    }
    let nodes = model.graph.iter().flat_map(|g| &g.node);
    let other = nodes
        .filter(|n| n.domain().is_empty())
        .find(|n| version < 7 || !SAME_SINCE_7.contains(&n.op_type()) && !same_here(n, version));
    if let Some(node) = other {
        return Err(format!(
            "gates and files for video need opset {NEEDED}; the model has {version}, where {} may mean something else: convert it first",
            node.op_type()
        ));
    }
    entry.version = Some(NEEDED);
    if let Some(graph) = model.graph.as_mut().filter(|_| version < 10) {
        slices_with_inputs(graph);
    }
    Ok(Some(format!(
        "the dynamic file's opset is {NEEDED}, the model's was {version}"
    )))
}

/// Operators that mean the same under a condition.
fn same_here(node: &crate::onnx::proto::NodeProto, version: i64) -> bool {
    match node.op_type() {
        "BatchNormalization" => version >= 9 || !node.attribute.iter().any(|a| a.name() == "spatial"),
        "Dropout" => node.output.len() < 2,
        "Slice" => version < 10 && node.ints("starts").is_some() && node.ints("ends").is_some(),
        _ => false,
    }
}

/// Bounds of slices are attributes up to version 9, and inputs from 10 on.
fn slices_with_inputs(graph: &mut GraphProto) {
    let mut constants = Vec::new();
    for (index, node) in graph
        .node
        .iter_mut()
        .enumerate()
        .filter(|(_, n)| n.op_type() == "Slice")
    {
        for list in ["starts", "ends", "axes"] {
            if let Some(values) = node.ints(list) {
                let name = format!("snapprune/slice{index}/{list}");
                constants.push(Tensor::from_i64(&values).to_proto(&name));
                node.input.push(name);
            }
        }
        node.attribute.clear();
    }
    graph.initializer.extend(constants);
}

#[cfg(test)]
mod tests {
    use super::raise_opset;
    use crate::onnx::proto::{GraphProto, ModelProto, NodeProto, OperatorSetIdProto};

    fn model(version: i64, op: &str) -> ModelProto {
        ModelProto {
            opset_import: vec![OperatorSetIdProto {
                version: Some(version),
                ..Default::default()
            }],
            graph: Some(GraphProto {
                node: vec![NodeProto {
                    op_type: Some(op.to_owned()),
                    ..Default::default()
                }],
                ..Default::default()
            }),
            ..Default::default()
        }
    }

    #[test]
    fn only_what_means_the_same_is_raised() {
        let mut old = model(8, "Conv");
        assert!(raise_opset(&mut old).is_ok_and(|note| note.is_some()));
        assert_eq!(old.opset_import[0].version(), 11);
        assert!(raise_opset(&mut model(9, "Clip")).is_err());
        assert_eq!(raise_opset(&mut model(13, "Clip")), Ok(None));
    }
}
