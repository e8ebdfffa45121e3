//! Cutting and padding constants, un-sharing those whose users want different things.

use std::collections::{BTreeMap, HashSet};

use crate::channels::{AxisEdit, Coupling, Edits, Use, ValueId};
use crate::onnx::proto::{
    GraphProto, TensorProto, tensor_shape_proto::dimension::Value as Dim, type_proto::Value as Kind,
};
use crate::onnx::{Graph, Tensor, captured_names};
use crate::{Error, Result};

/// What one use wants done to a constant: its changed axes, and what new elements hold.
#[derive(Clone, Debug, PartialEq)]
struct Wish {
    axes: Vec<(usize, AxisEdit)>,
    fill: f32,
}

/// Edits every constant of `target` as its uses want.
pub(super) fn edit_weights(
    target: &mut GraphProto,
    graph: &Graph,
    co: &Coupling,
    edits: &Edits,
    added: &mut Vec<TensorProto>,
) -> Result<()> {
    let kept_as_is = unchanged_names(graph);
    let mut uses: BTreeMap<&str, Vec<(Use, Wish)>> = BTreeMap::new();
    for (id, value) in co.values.iter().enumerate() {
        let Some(at) = value.constant_use else {
            continue;
        };
        let replaced = target.node[at.node].input.get(at.input) != Some(&value.name);
        if !replaced {
            let wish = wish(co, edits, ValueId(id));
            uses.entry(&value.name).or_default().push((at, wish));
        }
    }
    for (name, wishes) in uses {
        if wishes.iter().all(|(_, w)| w.axes.is_empty()) {
            continue;
        }
        let original = graph
            .constant(name)
            .ok_or_else(|| Error::tensor(name, "its values cannot be read"))?;
        let same = wishes.iter().all(|(_, w)| *w == wishes[0].1) && !kept_as_is.contains(name);
        if same && store_in_place(target, graph, name, &edited(&original, &wishes[0].1)?) {
            continue;
        }
        let mut made: Vec<(Wish, String)> = Vec::new();
        for (at, wish) in wishes {
            if wish.axes.is_empty() {
                continue;
            }
            let copy = match made.iter().find(|(w, _)| *w == wish) {
                Some((_, copy)) => copy.clone(),
                None => {
                    let copy = fresh_name(graph, added, name);
                    added.push(edited(&original, &wish)?.to_proto(&copy));
                    made.push((wish, copy.clone()));
                    copy
                }
            };
            target.node[at.node].input[at.input] = copy;
        }
    }
    Ok(())
}

/// Names that are also read where no use is recorded: graph outputs and inner bodies.
fn unchanged_names(graph: &Graph) -> HashSet<String> {
    let outputs = graph.proto.output.iter().map(|o| o.name().to_owned());
    outputs
        .chain(graph.proto.node.iter().flat_map(captured_names))
        .collect()
}

fn wish(co: &Coupling, edits: &Edits, id: ValueId) -> Wish {
    let axes = (0..co.dims(id).len())
        .filter_map(|axis| Some((axis, edits.get(id, axis)?.clone())))
        .collect();
    Wish {
        axes,
        fill: co.value(id).fill,
    }
}

fn edited(original: &Tensor, wish: &Wish) -> Result<Tensor> {
    wish.axes.iter().try_fold(original.clone(), |tensor, (axis, edit)| {
        tensor.rebuild_axis(*axis, &edit.gather(), wish.fill)
    })
}

/// Puts the new values where the old ones were; `false` when the place cannot hold them.
fn store_in_place(target: &mut GraphProto, graph: &Graph, name: &str, tensor: &Tensor) -> bool {
    if let Some(&i) = graph.initializers.get(name) {
        tensor.store(&mut target.initializer[i]);
        update_input(target, name, tensor);
        return true;
    }
    let Some(&producer) = graph.producer.get(name) else {
        return false;
    };
    let value = target.node[producer].attribute.iter_mut().find(|a| a.name() == "value");
    match value.and_then(|a| a.t.as_mut()) {
        Some(proto) => {
            tensor.store(proto);
            true
        }
        None => false,
    }
}

/// An initializer that is also a graph input has its extents there too.
fn update_input(target: &mut GraphProto, name: &str, tensor: &Tensor) {
    for input in target.input.iter_mut().filter(|v| v.name() == name) {
        if let Some(Kind::TensorType(kind)) = input.r#type.as_mut().and_then(|t| t.value.as_mut()) {
            for (dim, &extent) in kind.shape.iter_mut().flat_map(|s| s.dim.iter_mut()).zip(&tensor.dims) {
                dim.value = Some(Dim::DimValue(extent as i64));
            }
        }
    }
}

fn fresh_name(graph: &Graph, added: &[TensorProto], name: &str) -> String {
    (1..)
        .map(|k| format!("{name}.snap{k}"))
        .find(|n| {
            !graph.initializers.contains_key(n.as_str())
                && !graph.producer.contains_key(n.as_str())
                && added.iter().all(|t| t.name() != n)
        })
        .unwrap_or_default()
}
