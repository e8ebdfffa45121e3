//! Factors and offsets behind convolutions put into their weights: a gate runs a convolution on weights that are chosen at run
//! time, and a normalization behind it would be chosen and run, too.

use std::collections::HashMap;

use crate::Result;
use crate::onnx::proto::{ModelProto, NodeProto, TensorProto};
use crate::onnx::{Attributes, Dtype, Graph, Tensor};
use crate::ops::{ChannelAffine, LinearKind, LinearSpec};

/// `y = slope · x + offset`, by channel.
struct Factors {
    slope: Vec<f32>,
    offset: Vec<f32>,
}

/// The model with every stored normalization, constant factor and constant offset by channel put into the float32 convolution
/// that alone makes what it reads. Outputs change by rounding only. A model without any comes back as it is.
///
/// # Errors
/// When the graph cannot be read.
pub fn fold_factors(mut model: ModelProto) -> Result<ModelProto> {
    // One behind the other fold from the front.
    while let Some(folded) = folded_once(&model)? {
        model = folded;
    }
    Ok(model)
}

/// One pass: of each convolution the operator right behind it; `None` where there is nothing to fold.
fn folded_once(model: &ModelProto) -> Result<Option<ModelProto>> {
    let graph = Graph::of(model)?;
    let mut changed: HashMap<usize, NodeProto> = HashMap::new();
    let mut gone: Vec<usize> = Vec::new();
    let mut constants: Vec<TensorProto> = Vec::new();
    for (index, node) in graph.proto.node.iter().enumerate() {
        let Some((conv, [weight, bias])) = folded(&graph, index) else {
            continue;
        };
        let Some(output) = node.output.first() else { continue };
        let names = ["weight", "bias"].map(|what| format!("snapprune/folded/{output}/{what}"));
        constants.extend([weight.to_proto(&names[0]), bias.to_proto(&names[1])]);
        let mut own = graph.proto.node[conv].clone();
        let [weight, bias] = names;
        own.input.truncate(1);
        own.input.extend([weight, bias]);
        own.output = vec![output.clone()];
        changed.insert(conv, own);
        gone.push(index);
    }
    if gone.is_empty() {
        return Ok(None);
    }
    let mut out = model.clone();
    if let Some(body) = out.graph.as_mut() {
        let nodes = body.node.drain(..).enumerate();
        body.node = nodes
            .filter(|(index, _)| !gone.contains(index))
            .map(|(index, node)| changed.remove(&index).unwrap_or(node))
            .collect();
        body.initializer.extend(constants);
    }
    Ok(Some(out))
}

/// The convolution in front of a node, and its weight and bias with what the node does.
fn folded(graph: &Graph, index: usize) -> Option<(usize, [Tensor; 2])> {
    let node = &graph.proto.node[index];
    let data = node.input.iter().find(|n| graph.constant(n).is_none())?;
    let conv = *graph.producer.get(data.as_str())?;
    let alone = graph.consumers.get(data.as_str()).is_some_and(|c| c.len() == 1) && !graph.is_seen_outside(data);
    let layer = &graph.proto.node[conv];
    if !alone || LinearSpec::kind_of(layer) != Some(LinearKind::Conv) || !node.is_standard() {
        return None;
    }
    let weight = graph
        .constant(layer.input.get(1)?)
        .filter(|w| w.dtype == Dtype::Float)?;
    let (outputs, rank) = (*weight.dims.first()?, weight.dims.len());
    let Factors { slope, offset } = factors(graph, node, outputs, rank)?;
    let bias = match layer.input.get(2).filter(|n| !n.is_empty()) {
        Some(name) => graph.constant(name)?.to_f32()?,
        None => vec![0.0; outputs],
    };
    let values = weight.to_f32()?;
    let each = values.len() / outputs.max(1);
    let rows = values.chunks_exact(each.max(1)).zip(&slope);
    let scaled: Vec<f32> = rows.flat_map(|(row, s)| row.iter().map(move |w| w * s)).collect();
    let moved: Vec<f32> = bias
        .iter()
        .zip(&slope)
        .zip(&offset)
        .map(|((b, s), o)| b * s + o)
        .collect();
    let finite = scaled.iter().chain(&moved).all(|v| v.is_finite());
    let fits = finite && moved.len() == outputs && scaled.len() == values.len();
    fits.then(|| {
        let weight = Tensor::from_f32(weight.dims.clone(), &scaled);
        (conv, [weight, Tensor::from_f32(vec![outputs], &moved)])
    })
}

/// What a node does to each channel of a map of `rank` axes.
fn factors(graph: &Graph, node: &NodeProto, channels: usize, rank: usize) -> Option<Factors> {
    if let Some(affine) = ChannelAffine::of(graph, node) {
        let offset = affine.offsets();
        let fits = affine.slope.len() == channels && node.input.first().is_some_and(|x| graph.constant(x).is_none());
        return fits.then_some(Factors {
            slope: affine.slope,
            offset,
        });
    }
    let [a, b] = &node.input[..] else { return None };
    let (name, first) = match (graph.constant(a).is_some(), graph.constant(b).is_some()) {
        (true, false) => (a, true),
        (false, true) => (b, false),
        _ => return None,
    };
    let constant = graph.constant(name)?;
    let values = constant.to_f32()?;
    // One number, or one a channel: the axis of channels and only ones behind it.
    let by_channel = constant.dims.len() + 1 >= rank
        && constant.dims.len() <= rank
        && constant.dims.iter().product::<usize>() == channels
        && constant.dims.get(constant.dims.len() + 1 - rank) == Some(&channels);
    let values = match values[..] {
        [one] if constant.dims.len() <= rank => vec![one; channels],
        _ if by_channel => values,
        _ => return None,
    };
    let (ones, zeros) = (vec![1.0; channels], vec![0.0; channels]);
    let negative = || values.iter().map(|v| -v).collect();
    let (slope, offset) = match (node.op_type(), first) {
        ("Mul", _) => (values, zeros),
        ("Div", false) => (values.iter().map(|v| 1.0 / v).collect(), zeros),
        ("Add", _) => (ones, values),
        ("Sub", false) => (ones, negative()),
        ("Sub", true) => (vec![-1.0; channels], values),
        _ => return None,
    };
    Some(Factors { slope, offset })
}

#[cfg(test)]
mod tests {
    use super::fold_factors;
    use crate::onnx::proto::{AttributeProto, GraphProto, ModelProto};
    use crate::onnx::{NodeBuilder, Tensor};

    /// A convolution of two channels with operators behind it.
    fn model(behind: &[(&str, Tensor, bool)]) -> ModelProto {
        let mut builder = NodeBuilder::new("t");
        let weight = builder.constant(&Tensor::from_f32(vec![2, 1, 1, 1], &[1.0, 2.0]));
        let mut x = builder.op("Conv", &["x", &weight], &[]);
        for (kind, constant, first) in behind {
            let constant = builder.constant(constant);
            let inputs = if *first { [&constant, &x] } else { [&x, &constant] };
            x = builder.op(kind, &inputs.map(String::as_str), &[]);
        }
        builder.named("Relu", &[&x], &[], "y");
        let value = |name: &str| crate::onnx::proto::ValueInfoProto {
            name: Some(name.to_owned()),
            ..Default::default()
        };
        ModelProto {
            graph: Some(GraphProto {
                node: builder.nodes,
                initializer: builder.constants,
                input: vec![value("x")],
                output: vec![value("y")],
                ..Default::default()
            }),
            ..Default::default()
        }
    }

    #[test]
    fn factors_and_offsets_go_into_the_weights() -> crate::Result<()> {
        let each = Tensor::from_f32(vec![2, 1, 1], &[3.0, 5.0]);
        let one = Tensor::from_f32(vec![], &[0.5]);
        let folded = fold_factors(model(&[("Mul", each.clone(), true), ("Sub", one.clone(), true)]))?;
        let graph = folded.graph.unwrap_or_default();
        let kinds: Vec<&str> = graph.node.iter().map(|n| n.op_type()).collect();
        assert_eq!(kinds, ["Conv", "Relu"]);
        let stored = |name: &String| {
            let found = graph.initializer.iter().find(|t| t.name() == name);
            found.and_then(|t| Tensor::read(t).ok()?.to_f32())
        };
        assert_eq!(stored(&graph.node[0].input[1]), Some(vec![-3.0, -10.0]));
        assert_eq!(stored(&graph.node[0].input[2]), Some(vec![0.5, 0.5]));
        // A number over the map, and a row of columns, stay.
        let columns = Tensor::from_f32(vec![2], &[1.0, 2.0]);
        for stays in [("Div", one, true), ("Mul", columns, false)] {
            let same = model(&[stays]);
            assert_eq!(fold_factors(same.clone())?, same);
        }
        Ok(())
    }
    #[test]
    fn what_others_read_stays_as_it_is() -> crate::Result<()> {
        let each = Tensor::from_f32(vec![2, 1, 1], &[3.0, 5.0]);
        let plain = model(&[("Mul", each, false)]);
        let made = plain
            .graph
            .as_ref()
            .map(|g| g.node[0].output[0].clone())
            .unwrap_or_default();
        let changed = |change: &dyn Fn(&mut GraphProto)| {
            let mut model = plain.clone();
            model.graph.iter_mut().for_each(change);
            model
        };
        let reader = |inputs: &[&str], output: &str| {
            let mut builder = NodeBuilder::new("r");
            builder.named("Neg", inputs, &[], output);
            builder.nodes.remove(0)
        };
        let given_out = changed(&|g| {
            g.output.push(crate::onnx::named_value(&made));
        });
        let read_again = changed(&|g| g.node.push(reader(&[&made], "z")));
        let captured = changed(&|g| {
            let mut node = reader(&["x"], "z");
            node.op_type = Some("If".to_owned());
            node.attribute.push(AttributeProto {
                name: Some("then_branch".to_owned()),
                g: Some(GraphProto {
                    node: vec![reader(&[&made], "inner")],
                    ..Default::default()
                }),
                ..Default::default()
            });
            g.node.push(node);
        });
        assert_ne!(fold_factors(plain.clone())?, plain);
        for same in [given_out, read_again, captured] {
            assert_eq!(fold_factors(same.clone())?, same);
        }
        Ok(())
    }
}
