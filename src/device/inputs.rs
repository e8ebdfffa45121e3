//! The shapes of a model's inputs, and random values for them.

use std::collections::HashMap;

use half::f16;

use super::values::NamedTensor;
use crate::error::{AssumedDim, AssumedInput, ShapeError, SymbolicShapes};
use crate::onnx::proto::{tensor_shape_proto::dimension::Value as Dim, type_proto::Value as Kind};
use crate::onnx::{Dtype, Graph, Reading, Tensor};
use crate::ops::{LinearKind, LinearSpec, groups};
use crate::{Error, Result};

/// What the user says about how a model is opened, symbolic extents above all.
#[derive(Clone, Debug, Default)]
pub struct ShapeOptions {
    /// Whole shapes by input name.
    pub shapes: HashMap<String, Vec<usize>>,
    /// Extents by the symbol's name.
    pub dims: HashMap<String, usize>,
    /// The extent of a symbolic first axis.
    pub batch: Option<usize>,
    /// How the file is read.
    pub reading: Reading,
}

/// A model input with its shape settled.
#[derive(Clone, Debug)]
pub struct InputSpec {
    /// Its name.
    pub name: String,
    /// Its extents.
    pub dims: Vec<usize>,
    /// Its element type.
    pub dtype: Dtype,
    /// Axes whose extent the file leaves open.
    pub open: Vec<usize>,
    /// Symbolic dimensions that nobody set.
    pub assumed: Vec<AssumedDim>,
}

/// The height and width assumed for an image input that leaves them open.
const ASSUMED_SIDE: usize = 224;

/// Settles the shapes of all inputs.
///
/// # Errors
/// When an option names no input or does not fit its rank or fixed extents, or an input is not a tensor.
pub fn input_specs(graph: &Graph, options: &ShapeOptions) -> Result<Vec<InputSpec>> {
    let real = graph.real_inputs();
    if let Some(unknown) = options.shapes.keys().find(|n| !real.contains(&n.as_str())) {
        return Err(Error::Shape(ShapeError::UnknownInput {
            name: unknown.clone(),
            inputs: real.iter().map(|&n| n.to_owned()).collect(),
        }));
    }
    let mut symbols: Vec<String> = Vec::new();
    let mut specs = Vec::new();
    for input in graph.proto.input.iter().filter(|v| real.contains(&v.name())) {
        let name = input.name();
        let Some(Kind::TensorType(tensor)) = input.r#type.as_ref().and_then(|t| t.value.as_ref()) else {
            return Err(Error::Model(format!(
                "input '{name}' is not a tensor; only tensor inputs are handled"
            )));
        };
        let dtype = Dtype::try_from(tensor.elem_type())
            .map_err(|_| Error::Model(format!("input '{name}' has an unknown element type")))?;
        let given = options.shapes.get(name);
        let Some(shape) = &tensor.shape else {
            let missing = || ShapeError::Missing { input: name.to_owned() };
            let dims = given.cloned().ok_or_else(missing)?;
            specs.push(InputSpec {
                name: name.to_owned(),
                open: (0..dims.len()).collect(),
                dims,
                dtype,
                assumed: vec![],
            });
            continue;
        };
        if given.is_some_and(|g| g.len() != shape.dim.len()) {
            return Err(Error::Shape(ShapeError::Rank {
                input: name.to_owned(),
                rank: shape.dim.len(),
            }));
        }
        let mut spec = InputSpec {
            name: name.to_owned(),
            dims: vec![],
            open: vec![],
            dtype,
            assumed: vec![],
        };
        for (axis, dim) in shape.dim.iter().enumerate() {
            let wanted = given.map(|g| g[axis]);
            let (fixed, symbol) = match &dim.value {
                Some(Dim::DimValue(v)) if *v > 0 => (Some(*v as usize), String::new()),
                Some(Dim::DimParam(s)) => (None, s.clone()),
                _ => (None, String::new()),
            };
            if let (Some(f), Some(w)) = (fixed, wanted)
                && f != w
            {
                return Err(Error::Shape(ShapeError::FixedAxis {
                    input: name.to_owned(),
                    axis,
                    size: f,
                }));
            }
            let size = fixed
                .or(wanted)
                .or_else(|| options.dims.get(&symbol).copied())
                .or(if axis == 0 { options.batch } else { None });
            let size = size.unwrap_or_else(|| {
                let guess = guess(graph, name, axis, shape.dim.len());
                spec.assumed.push(AssumedDim {
                    axis,
                    symbol: symbol.clone(),
                    size: guess,
                });
                guess
            });
            if fixed.is_none() {
                spec.open.push(axis);
            }
            symbols.push(symbol);
            spec.dims.push(size);
        }
        specs.push(spec);
    }
    specs.iter().try_for_each(affordable)?;
    if let Some(unknown) = options.dims.keys().find(|n| !symbols.contains(n)) {
        symbols.retain(|s| !s.is_empty());
        symbols.sort();
        symbols.dedup();
        return Err(Error::Shape(ShapeError::UnknownSymbol {
            symbol: unknown.clone(),
            symbols,
        }));
    }
    if let Some(batch) = options.batch
        && specs.iter().all(|s| s.dims.first() != Some(&batch))
    {
        return Err(Error::Shape(ShapeError::FixedBatch { batch }));
    }
    Ok(specs)
}

impl InputSpec {
    /// The dimensions that were assumed; `None` where none was.
    fn assumptions(&self) -> Option<AssumedInput> {
        (!self.assumed.is_empty()).then(|| AssumedInput {
            name: self.name.clone(),
            dims: self.dims.clone(),
            assumed: self.assumed.clone(),
        })
    }
}

/// Why a model that ONNX Runtime did not run may not have run: where dimensions were assumed, they come first.
pub fn unsettled(specs: &[InputSpec], error: Error) -> Error {
    let what = match &error {
        Error::Session(e) if e.kind.concerns_shapes() => {
            format!("ONNX Runtime says: {}", e.message.trim_end_matches('.'))
        }
        Error::Model(what) => what.clone(),
        _ => return error,
    };
    let inputs: Vec<AssumedInput> = specs.iter().filter_map(InputSpec::assumptions).collect();
    if inputs.is_empty() {
        return error;
    }
    Error::SymbolicShapes(SymbolicShapes {
        model: None,
        inputs,
        what,
    })
}

/// Elements of one input beyond which nobody means it: 8 GiB of float32.
const MOST: usize = 1 << 31;

/// Refuses an input that no memory holds.
fn affordable(spec: &InputSpec) -> Result<()> {
    let count = spec.dims.iter().try_fold(1usize, |n, &d| n.checked_mul(d));
    if count.is_some_and(|n| n <= MOST) {
        return Ok(());
    }
    Err(Error::Shape(ShapeError::TooLarge {
        input: spec.name.clone(),
        dims: spec.dims.clone(),
    }))
}

/// Batch 1; the channels that the first convolution wants; a usual side for the rest.
fn guess(graph: &Graph, name: &str, axis: usize, rank: usize) -> usize {
    if axis == 0 {
        return 1;
    }
    if axis == 1 && rank > 2 {
        let conv = graph
            .consumers
            .get(name)
            .into_iter()
            .flatten()
            .map(|&n| &graph.proto.node[n])
            .find(|n| LinearSpec::kind_of(n) == Some(LinearKind::Conv));
        let width = conv.and_then(|n| {
            let weights = graph.constant(n.input.get(1)?)?;
            Some(weights.dims.get(1)? * groups(n).unwrap_or(1))
        });
        return width.unwrap_or(3);
    }
    if rank >= 3 { ASSUMED_SIDE } else { 1 }
}

/// Random inputs: floats uniform in −1 to 1 (scaled by `scale`), integers 0 or 1.
///
/// # Errors
/// When an input's type cannot be made.
pub fn random_inputs(specs: &[InputSpec], seed: u64, scale: f32) -> Result<Vec<NamedTensor>> {
    let mut random = fastrand::Rng::with_seed(seed);
    specs
        .iter()
        .map(|spec| {
            let count: usize = spec.dims.iter().product();
            let mut value = || (random.f32() * 2.0 - 1.0) * scale;
            let bytes: Vec<u8> = match spec.dtype {
                Dtype::Float => (0..count).flat_map(|_| value().to_le_bytes()).collect(),
                Dtype::Float16 => (0..count).flat_map(|_| f16::from_f32(value()).to_le_bytes()).collect(),
                Dtype::Double => (0..count).flat_map(|_| f64::from(value()).to_le_bytes()).collect(),
                Dtype::Bfloat16 => (0..count)
                    .flat_map(|_| half::bf16::from_f32(value()).to_le_bytes())
                    .collect(),
                Dtype::Uint8 => (0..count).map(|_| (value().abs() * 255.0) as u8).collect(),
                Dtype::Int8 => (0..count).map(|_| (value() * 127.0) as i8 as u8).collect(),
                Dtype::Bool => (0..count).map(|_| u8::from(value() > 0.0)).collect(),
                Dtype::Int64 => (0..count)
                    .flat_map(|_| i64::from(value() > 0.0).to_le_bytes())
                    .collect(),
                Dtype::Int32 => (0..count)
                    .flat_map(|_| i32::from(value() > 0.0).to_le_bytes())
                    .collect(),
                other => {
                    let what = format!("inputs of type {} are not handled", other.as_str_name());
                    return Err(Error::tensor(&spec.name, what));
                }
            };
            let tensor = Tensor {
                dims: spec.dims.clone(),
                dtype: spec.dtype,
                bytes: bytes.into(),
            };
            Ok((spec.name.clone(), tensor))
        })
        .collect()
}
