//! Putting new weights into a layer of a model.

use crate::onnx::proto::{ModelProto, NodeProto};
use crate::onnx::{Dtype, Graph, Tensor, captured_names, label};
use crate::score::Mixer;
use crate::{Error, Result};

/// Stores weights (outputs × columns) and a bias in the layer that makes `mixer.output`. A constant that something
/// else reads too stays as it is there.
///
/// # Errors
/// When the model has no such layer, or the sizes do not fit.
pub fn store(model: &mut ModelProto, mixer: &Mixer, weights: &[f32], bias: Option<&[f32]>) -> Result<()> {
    let graph = model.graph.as_ref();
    let graph = graph.ok_or_else(|| Error::Model("the model has no graph".to_owned()))?;
    let missing = || {
        Error::Plan(format!(
            "the rewritten model has no layer that makes '{}'",
            mixer.output
        ))
    };
    let index = Graph::new(graph)?;
    let at = *index.producer.get(mixer.output.as_str()).ok_or_else(missing)?;
    let node = &graph.node[at];
    let old = node.input.get(1).and_then(|n| index.constant(n)).ok_or_else(missing)?;
    let mut changes = vec![(1, with_values(&old.dims, old.dtype, &mixer.stored_order(weights)))];
    if let Some(bias) = bias.filter(|_| mixer.takes_bias) {
        changes.push((2, with_values(&[bias.len()], old.dtype, bias)));
    }
    let mut placed = Vec::new();
    for (input, tensor) in changes {
        let tensor =
            tensor.ok_or_else(|| Error::Plan(format!("the weights of {} have another size", label(node, at))))?;
        let name = node.input.get(input).cloned().unwrap_or_default();
        let own = index.initializers.contains_key(name.as_str()) && !name.is_empty() && uses(&graph.node, &name) == 1;
        let fresh =
            |n: &String| !index.initializers.contains_key(n.as_str()) && !index.producer.contains_key(n.as_str());
        let stored = if own {
            name.clone()
        } else {
            let stem = if name.is_empty() {
                format!("{}.bias", mixer.output)
            } else {
                name.clone()
            };
            let new = (1..).map(|k| format!("{stem}.refit{k}")).find(fresh);
            new.unwrap_or_default()
        };
        placed.push((input, name, stored, tensor));
    }
    let Some(graph) = model.graph.as_mut() else {
        return Err(missing());
    };
    for (input, name, stored, tensor) in placed {
        match graph.initializer.iter_mut().find(|t| t.name() == stored) {
            Some(proto) => tensor.store(proto),
            None => graph.initializer.push(tensor.to_proto(&stored)),
        }
        let inputs = &mut graph.node[at].input;
        inputs.resize(inputs.len().max(input + 1), String::new());
        inputs[input].clone_from(&stored);
        if stored != name && !name.is_empty() && uses(&graph.node, &name) == 0 {
            graph.initializer.retain(|t| t.name() != name);
            graph
                .node
                .retain(|n| n.op_type() != "Constant" || n.output.first() != Some(&name));
            graph.input.retain(|v| v.name() != name);
        }
    }
    Ok(())
}

/// How often a value is read, bodies included.
fn uses(nodes: &[NodeProto], name: &str) -> usize {
    let direct = nodes.iter().flat_map(|n| &n.input).filter(|n| *n == name).count();
    direct + nodes.iter().filter(|n| captured_names(n).contains(name)).count()
}

/// Values in a float type; `None` when their number does not fit.
fn with_values(dims: &[usize], dtype: Dtype, values: &[f32]) -> Option<Tensor> {
    (dims.iter().product::<usize>() == values.len()).then(|| Tensor::from_f32(dims.to_vec(), values).cast(dtype))
}
