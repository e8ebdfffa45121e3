//! The shapes of a model's inputs, and random values for them.

use std::collections::HashMap;

use half::f16;

use super::Named;
use crate::onnx::proto::{tensor_shape_proto::dimension::Value as Dim, type_proto::Value as Kind};
use crate::onnx::{Attributes, Dtype, Graph, Reading, Tensor};
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
    /// Extents that were symbolic and that nobody set: (axis, symbol, the value assumed).
    pub assumed: Vec<(usize, String, usize)>,
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
        return Err(Error::Usage(format!(
            "--shape names '{unknown}'; the inputs are {}",
            real.join(", ")
        )));
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
            let dims = given.cloned().ok_or_else(|| {
                Error::Usage(format!(
                    "input '{name}' has no shape in the file; give it with --shape {name}:1,3,224,224"
                ))
            })?;
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
            return Err(Error::Usage(format!(
                "--shape for '{name}' must have {} extents",
                shape.dim.len()
            )));
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
                return Err(Error::Usage(format!(
                    "--shape for '{name}': axis {axis} is fixed at {f} in the model"
                )));
            }
            let size = fixed
                .or(wanted)
                .or_else(|| options.dims.get(&symbol).copied())
                .or(if axis == 0 { options.batch } else { None });
            let size = size.unwrap_or_else(|| {
                let guess = guess(graph, name, axis, shape.dim.len());
                spec.assumed.push((axis, symbol.clone(), guess));
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
        let known = if symbols.is_empty() {
            "none".to_owned()
        } else {
            symbols.join(", ")
        };
        return Err(Error::Usage(format!(
            "--dim names '{unknown}'; the symbolic extents are: {known}"
        )));
    }
    if let Some(batch) = options.batch
        && specs.iter().all(|s| s.dims.first() != Some(&batch))
    {
        return Err(Error::Usage(format!(
            "--batch {batch}: the model's batch is fixed; export it with a symbolic batch"
        )));
    }
    Ok(specs)
}

impl InputSpec {
    /// The extents that were assumed, as in `input 'x': height is open, 224 was assumed`; `None` where none was.
    fn assumptions(&self) -> Option<String> {
        let shown = |(axis, symbol, size): &(usize, String, usize)| match symbol.as_str() {
            "" => format!("axis {axis} is open, {size} was assumed"),
            symbol => format!("'{symbol}' is open, {size} was assumed"),
        };
        let all: Vec<String> = self.assumed.iter().map(shown).collect();
        (!all.is_empty()).then(|| format!("input '{}': {}", self.name, all.join(", ")))
    }

    /// The flags that settle it, as in `--shape x:1,3,H,W or --dim height=H`.
    fn flags(&self) -> String {
        let letter = |axis: usize| match (axis, self.dims.len()) {
            (0, _) => "N".to_owned(),
            (1, 3..) => "C".to_owned(),
            (2, 4) => "H".to_owned(),
            (3, 4) => "W".to_owned(),
            (axis, _) => format!("D{axis}"),
        };
        let open = |axis: &usize| self.assumed.iter().any(|a| a.0 == *axis);
        let size = |(axis, n): (usize, &usize)| if open(&axis) { letter(axis) } else { n.to_string() };
        let shape: Vec<String> = self.dims.iter().enumerate().map(size).collect();
        let symbols = self.assumed.iter().filter(|a| !a.1.is_empty());
        let dims: Vec<String> = symbols
            .map(|(axis, s, _)| format!("--dim {s}={}", letter(*axis)))
            .collect();
        let shape = format!("--shape {}:{}", self.name, shape.join(","));
        if dims.is_empty() {
            shape
        } else {
            format!("{shape} (or {})", dims.join(" "))
        }
    }
}

/// Why a model that ONNX Runtime did not run may not have run: where extents were assumed, they come first.
pub fn unsettled(specs: &[InputSpec], error: Error) -> Error {
    let told: Vec<String> = specs.iter().filter_map(InputSpec::assumptions).collect();
    let what = match &error {
        Error::Session(what) if !speaks_of_extents(what) => return error,
        Error::Session(what) => format!("ONNX Runtime says: {}", what.trim_end_matches('.')),
        Error::Model(what) => what.clone(),
        _ => return error,
    };
    if told.is_empty() {
        return error;
    }
    let flags = specs.iter().filter(|s| !s.assumed.is_empty()).map(InputSpec::flags);
    let flags: Vec<String> = flags.collect();
    Error::SymbolicShapes(format!(
        "{}; the model does not run so ({what}). Give the real extents with {}",
        told.join("; "),
        flags.join(" ")
    ))
}

/// Whether a message of ONNX Runtime may come from extents: other faults of a model are not helped by other ones.
fn speaks_of_extents(what: &str) -> bool {
    const WORDS: [&str; 12] = [
        "shape",
        "dimension",
        "dim ",
        "dims",
        "rank",
        "size",
        "extent",
        "broadcast",
        "axis",
        "bounds",
        "reshape",
        "incompatible",
    ];
    let what = what.to_lowercase();
    WORDS.iter().any(|w| what.contains(w))
}

/// Elements of one input beyond which nobody means it: 8 GiB of float32.
const MOST: usize = 1 << 31;

/// Refuses an input that no memory holds.
fn affordable(spec: &InputSpec) -> Result<()> {
    let count = spec.dims.iter().try_fold(1usize, |n, &d| n.checked_mul(d));
    if count.is_some_and(|n| n <= MOST) {
        return Ok(());
    }
    Err(Error::Usage(format!(
        "input '{}' of {:?} has more elements than fit into memory; give smaller extents with --shape or --dim where the model \
         leaves them open",
        spec.name, spec.dims
    )))
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
            .find(|n| n.op_type() == "Conv");
        let width = conv.and_then(|n| {
            let weights = graph.constant(n.input.get(1)?)?;
            Some(weights.dims.get(1)? * n.int("group", 1).max(1) as usize)
        });
        return width.unwrap_or(3);
    }
    if rank >= 3 { ASSUMED_SIDE } else { 1 }
}

/// Random inputs: floats uniform in −1 to 1 (scaled by `scale`), integers 0 or 1.
///
/// # Errors
/// When an input's type cannot be made.
pub fn random_inputs(specs: &[InputSpec], seed: u64, scale: f32) -> Result<Vec<Named>> {
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
