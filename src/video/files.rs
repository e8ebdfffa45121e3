//! Whole models: the one that computes everything and makes all states, and those that compute tiles.

use super::emit::emitted;
use super::emitter::{COUNTER, map_state, next, pending_state};
use super::manifest::{CHANGE, CHANGED, FrameInput, Manifest, Role, StageTiles, State, VERSION};
use super::nodes::Nodes;
use super::numbers::Numbers;
use super::plan::{VideoPlan, frame_steps};
use crate::gate::drop_unread;
use crate::onnx::proto::{
    GraphProto, ModelProto, TypeProto, ValueInfoProto,
    tensor_shape_proto::{Dimension, dimension::Value as Dim},
    type_proto::{Tensor as TensorType, Value as Kind},
};
use crate::onnx::{Dtype, Graph, NodeBuilder, standard_opset};
use crate::{Error, Result};

/// A model and its plan.
#[derive(Clone, Copy)]
pub struct VideoModel<'a> {
    /// The original, at fixed shapes.
    pub model: &'a ModelProto,
    /// Look-ups over it.
    pub graph: &'a Graph<'a>,
    /// Its stages.
    pub plan: &'a VideoPlan,
    /// What tells the model from all others: a hash of it.
    pub origin: &'a str,
}

/// A state with what it begins with.
struct Kept {
    state: State,
    dtype: Dtype,
}

impl VideoModel<'_> {
    /// States in the order of inputs and outputs.
    fn states(&self) -> Result<Vec<Kept>> {
        let kept = |name: &str, shape: Vec<usize>, dtype: Dtype, in_place: bool| Kept {
            state: State {
                in_place,
                input: name.to_owned(),
                output: next(name),
                shape,
                dtype: if dtype == Dtype::Int64 { "int64" } else { "float32" }.to_owned(),
            },
            dtype,
        };
        let mut all = vec![kept(COUNTER, vec![1], Dtype::Int64, false)];
        for (k, name) in self.plan.kept.iter().enumerate() {
            let map = self.plan.stages.iter().find_map(|s| s.maps.get(name));
            let [c, h, w] = map.ok_or_else(unfit)?.dims;
            // The last row is zeros: what windows read beyond the edges.
            let made = self.plan.stages.iter().any(|s| s.makes(name));
            all.push(kept(&map_state(k), vec![h * w + 1, c], Dtype::Float, made));
        }
        for (s, stage) in self.plan.stages.iter().enumerate() {
            all.push(kept(&pending_state(s), vec![stage.tiles()], Dtype::Float, false));
        }
        Ok(all)
    }

    /// What a file says of itself.
    fn manifest(&self, numbers: &Numbers, role: Role, computed: &[usize], limit: f64) -> Result<Manifest> {
        let first = self.plan.first().ok_or_else(unfit)?;
        let at = first.inputs.iter().position(|i| *i == self.plan.frame);
        let halo = at.and_then(|at| first.halos.get(at)).ok_or_else(unfit)?;
        let stage = |(s, k): (&super::stage::Stage, &usize)| StageTiles {
            name: s.outputs.first().cloned().unwrap_or_default(),
            tiles: s.tiles(),
            computed: *k,
        };
        let first_share = self.plan.stages.iter().zip(computed);
        let first_share = first_share.filter(|(s, _)| s.inputs.contains(&self.plan.frame));
        let share = first_share
            .map(|(s, k)| *k as f64 / s.tiles() as f64)
            .fold(1.0, f64::min);
        let mut manifest = Manifest {
            version: VERSION,
            role,
            share,
            threshold: f64::from(numbers.factor),
            frame_threshold: f64::from(numbers.frame_threshold()),
            frame: FrameInput {
                input: self.plan.frame.clone(),
                shape: std::iter::once(1).chain(self.plan.frame_dims).collect(),
                tile: frame_steps(first, &self.plan.frame).ok_or_else(unfit)?,
                halo: halo.map(|(before, after)| before.max(after)),
                tiles: [0, 1].map(|a| first.axes[a].starts.len()),
                cell: self.plan.cell,
                change: CHANGE.to_owned(),
            },
            limit,
            states: self.states()?.into_iter().map(|k| k.state).collect(),
            stages: self.plan.stages.iter().zip(computed).map(stage).collect(),
            changed: CHANGED.to_owned(),
            ratio: 0.0,
            set: String::new(),
        };
        let mut hash = blake3::Hasher::new();
        hash.update(self.origin.as_bytes());
        let tiles: Vec<usize> = manifest.stages.iter().map(|s| s.tiles).collect();
        let thresholds = numbers.thresholds(&self.plan.kept);
        let cut = (&manifest.frame, &manifest.states, &tiles, thresholds);
        hash.update(format!("{cut:?}").as_bytes());
        manifest.set = hash.finalize().to_hex().to_string();
        Ok(manifest)
    }

    /// The model that computes the whole frame and makes all states.
    ///
    /// # Errors
    /// When the plan does not fit the model.
    pub fn dense(&self, numbers: &Numbers, limit: f64) -> Result<ModelProto> {
        let mut nodes = self.nodes();
        let states = self.states()?;
        let zero = nodes.builder.ints(&[0]);
        nodes.named(&zero, &next(COUNTER));
        for (k, name) in self.plan.kept.iter().enumerate() {
            let map = self.plan.stages.iter().find_map(|s| s.maps.get(name));
            nodes.as_state(name, map.ok_or_else(unfit)?.dims, &next(&map_state(k)));
        }
        for (s, stage) in self.plan.stages.iter().enumerate() {
            let zeros = nodes.floats(&[stage.tiles()], &vec![0.0; stage.tiles()]);
            nodes.named(&zeros, &next(&pending_state(s)));
        }
        let all: Vec<usize> = self.plan.stages.iter().map(super::stage::Stage::tiles).collect();
        let mut model = self.model.clone();
        let body = body(&mut model)?;
        body.node.extend(nodes.builder.nodes);
        body.initializer.extend(nodes.builder.constants);
        body.output.extend(states.iter().map(|s| described(&s.state.output, s)));
        self.manifest(numbers, Role::Dense, &all, limit)?.write(&mut model)?;
        Ok(model)
    }

    /// The model that computes so many tiles of each stage.
    ///
    /// # Errors
    /// When the plan does not fit the model.
    pub fn tiles(&self, numbers: &Numbers, computed: &[usize], limit: f64) -> Result<ModelProto> {
        let opset = standard_opset(self.model);
        let builder = emitted(self.graph, self.plan, numbers, computed, opset)?;
        let states = self.states()?;
        let mut model = self.model.clone();
        let body = body(&mut model)?;
        body.node = builder.nodes;
        body.initializer.extend(builder.constants);
        body.value_info.clear();
        body.input.push(info(CHANGE, Dtype::Float, &self.change_dims()));
        body.input.extend(states.iter().map(|s| described(&s.state.input, s)));
        body.output.extend(states.iter().map(|s| described(&s.state.output, s)));
        body.output.push(info(CHANGED, Dtype::Int64, &[self.plan.stages.len()]));
        // Shape arithmetic that nothing asks for any more reads values that are windows now.
        drop_unread(body);
        self.manifest(numbers, Role::Tiles, computed, limit)?
            .write(&mut model)?;
        Ok(model)
    }

    /// Extents of the input with the change of each cell.
    fn change_dims(&self) -> [usize; 4] {
        let ([_, height, width], [down, across]) = (self.plan.frame_dims, self.plan.cell);
        [1, 1, height / down.max(1), width / across.max(1)]
    }

    /// The output with a kept map.
    pub fn map_output(&self, index: usize) -> String {
        next(&map_state(index))
    }

    fn nodes(&self) -> Nodes {
        Nodes {
            builder: NodeBuilder::new("snapprune/video"),
            opset: standard_opset(self.model),
        }
    }
}

fn body(model: &mut ModelProto) -> Result<&mut GraphProto> {
    model
        .graph
        .as_mut()
        .ok_or_else(|| Error::Model("the model has no graph".to_owned()))
}

fn unfit() -> Error {
    Error::Model("the stages of a video file do not fit its graph".to_owned())
}

fn described(name: &str, kept: &Kept) -> ValueInfoProto {
    info(name, kept.dtype, &kept.state.shape)
}

/// The description of a tensor.
fn info(name: &str, dtype: Dtype, dims: &[usize]) -> ValueInfoProto {
    let dim = |d: &usize| Dimension {
        value: Some(Dim::DimValue(*d as i64)),
        ..Default::default()
    };
    ValueInfoProto {
        name: Some(name.to_owned()),
        r#type: Some(TypeProto {
            value: Some(Kind::TensorType(TensorType {
                elem_type: Some(dtype as i32),
                shape: Some(crate::onnx::proto::TensorShapeProto {
                    dim: dims.iter().map(dim).collect(),
                }),
            })),
            ..Default::default()
        }),
        ..Default::default()
    }
}
