//! Cutting and padding constants, un-sharing those whose users want different things.

use std::collections::{BTreeMap, HashSet};

use crate::channels::{AxisRemap, DependencyGraph, IndexRemaps, Use, ValueId};
use crate::onnx::proto::{
    GraphProto, TensorProto, tensor_shape_proto::dimension::Value as Dim, type_proto::Value as Kind,
};
use crate::onnx::{Graph, Tensor, captured_names};
use crate::ops::LinearSpec;
use crate::{Error, Result};

/// What one use wants done to a constant: its changed axes, and what new elements hold.
#[derive(Clone, Debug, PartialEq)]
struct ChannelWish {
    axes: Vec<(usize, AxisRemap)>,
    /// `None` where they repeat old ones.
    fill: Option<f32>,
    zeros: Option<Zeros>,
    /// New elements repeat old ones where there is one, else they hold `fill`.
    sharing: Option<Sharing>,
}

/// What stands for zero in a quantized constant.
#[derive(Clone, Debug, PartialEq)]
struct Zeros {
    /// The zero point of each element that is there.
    of_each: Tensor,
    /// The axis that zero points go along, if they do.
    axis: Option<usize>,
    /// The zero point of a new index of that axis.
    fill: f32,
}

/// How repeated elements share what the one held.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Sharing {
    /// Seed of the shares.
    seed: u64,
    /// The axis that is summed over, on which they share; on others they repeat.
    summed: Option<usize>,
}

/// Cuts and pads every constant of `target` as its uses want.
pub(super) fn remap_weights(
    target: &mut GraphProto,
    graph: &Graph,
    dependencies: &DependencyGraph,
    remaps: &IndexRemaps,
    split: Option<u64>,
    added: &mut Vec<TensorProto>,
) -> Result<()> {
    let kept_as_is = unchanged_names(graph);
    let mut uses: BTreeMap<&str, Vec<(Use, ChannelWish)>> = BTreeMap::new();
    for (id, value) in dependencies.values.iter().enumerate() {
        let Some(at) = value.constant_use else {
            continue;
        };
        let replaced = target.node[at.node].input.get(at.input) != Some(&value.name);
        if !replaced {
            let sharing = split.map(|seed| Sharing {
                seed,
                summed: LinearSpec::summed_axis(&graph.proto.node[at.node], at.input, dependencies.dims(ValueId(id))),
            });
            let wish = wish(graph, (dependencies, remaps), ValueId(id), sharing);
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
        if same && store_in_place(target, graph, name, &remapped(&original, &wishes[0].1)?) {
            continue;
        }
        let mut made: Vec<(ChannelWish, String)> = Vec::new();
        for (at, wish) in wishes {
            if wish.axes.is_empty() {
                continue;
            }
            let copy = match made.iter().find(|(w, _)| *w == wish) {
                Some((_, copy)) => copy.clone(),
                None => {
                    let copy = fresh_name(graph, added, name);
                    added.push(remapped(&original, &wish)?.to_proto(&copy));
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

fn wish(
    graph: &Graph,
    (dependencies, remaps): (&DependencyGraph, &IndexRemaps),
    id: ValueId,
    sharing: Option<Sharing>,
) -> ChannelWish {
    let zeros = dependencies.value(id).zero_points.and_then(|zeros| {
        let parameters = dependencies.value(zeros.value);
        let of_each = zeros
            .granularity
            .expand(&graph.constant(&parameters.name)?, dependencies.dims(id));
        Some(Zeros {
            of_each: of_each?,
            axis: zeros.granularity.axis(),
            fill: parameters.fill?,
        })
    });
    let axes: Vec<_> = (0..dependencies.dims(id).len())
        .filter_map(|axis| Some((axis, remaps.get(id, axis)?.clone())))
        .collect();
    ChannelWish {
        zeros: zeros.filter(|_| !axes.is_empty()),
        axes,
        fill: dependencies.value(id).fill,
        sharing,
    }
}

fn remapped(original: &Tensor, wish: &ChannelWish) -> Result<Tensor> {
    if let Some(zeros) = wish.zeros.as_ref().filter(|_| wish.sharing.is_none()) {
        return quantized(original, wish, zeros);
    }
    wish.axes.iter().try_fold(original.clone(), |tensor, (axis, remap)| {
        let fill = wish.fill.filter(|_| wish.sharing.is_none());
        let sources = match fill {
            Some(_) => remap.gather(),
            None => remap.sources.iter().map(|s| Some(s.old)).collect(),
        };
        let rebuilt = tensor.rebuild_axis(*axis, &sources, fill.unwrap_or_default())?;
        match wish.sharing.filter(|s| s.summed == Some(*axis)) {
            Some(sharing) => shared_out(&rebuilt, *axis, remap, sharing.seed),
            None => Ok(rebuilt),
        }
    })
}

/// A quantized constant whose new elements are the zero points of their places.
fn quantized(original: &Tensor, wish: &ChannelWish, zeros: &Zeros) -> Result<Tensor> {
    let (mut tensor, mut of_each) = (original.clone(), zeros.of_each.clone());
    for (axis, remap) in &wish.axes {
        let sources = remap.gather();
        let rebuilt = |t: &Tensor| match zeros.axis == Some(*axis) {
            true => t.rebuild_axis(*axis, &sources, zeros.fill),
            false => t.rebuild_axis_like(*axis, &sources, &of_each),
        };
        (tensor, of_each) = (rebuilt(&tensor)?, rebuilt(&of_each)?);
    }
    Ok(tensor)
}

/// Weights whose repeats along an axis sum to what the one was: every repeat gets a share, another one at each place, so
/// that repeats learn different things when they are trained.
fn shared_out(tensor: &Tensor, axis: usize, remap: &AxisRemap, seed: u64) -> Result<Tensor> {
    let mut values = tensor.to_f32().ok_or_else(|| {
        Error::Plan("weights that are no floats cannot be shared out; let what is grown begin with zeros".to_owned())
    })?;
    let mut repeats: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (new, source) in remap.sources.iter().enumerate() {
        repeats.entry(source.old).or_default().push(new);
    }
    let inner: usize = tensor.dims[axis + 1..].iter().product();
    let outer: usize = tensor.dims[..axis].iter().product();
    let size = tensor.dims[axis];
    let mut random = fastrand::Rng::with_seed(seed);
    for places in repeats.values().filter(|p| p.len() > 1) {
        for at in 0..outer * inner {
            let (o, i) = (at / inner, at % inner);
            let parts: Vec<f32> = places.iter().map(|_| 0.5 + random.f32()).collect();
            let whole: f32 = parts.iter().sum();
            for (&p, part) in places.iter().zip(&parts) {
                values[(o * size + p) * inner + i] *= part / whole;
            }
        }
    }
    Ok(Tensor::from_f32(tensor.dims.clone(), &values).cast(tensor.dtype))
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

/// An initializer that is also a graph input has its shape there too.
fn update_input(target: &mut GraphProto, name: &str, tensor: &Tensor) {
    for input in target.input.iter_mut().filter(|v| v.name() == name) {
        if let Some(Kind::TensorType(kind)) = input.r#type.as_mut().and_then(|t| t.value.as_mut()) {
            for (dim, &size) in kind.shape.iter_mut().flat_map(|s| s.dim.iter_mut()).zip(&tensor.dims) {
                dim.value = Some(Dim::DimValue(size as i64));
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
