//! Outputs and labels as files for a metric: an index as JSON, and raw values in little-endian order.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use serde::Serialize;
use serde_json::{Value, json};

use crate::data::{Dataset, Labels};
use crate::device::{Device, NamedTensor};
use crate::onnx::{Dtype, Tensor};
use crate::{Error, Result};

/// An output of all runs.
#[derive(Serialize)]
struct OutputIndex {
    name: String,
    /// NumPy's name of the element type.
    dtype: &'static str,
    /// The file with the values of all runs, one after the other.
    file: String,
    /// The shape in each run.
    shapes: Vec<Vec<usize>>,
}

/// An output that is being written.
struct OutputFile {
    index: OutputIndex,
    file: BufWriter<File>,
}

/// The samples of a run.
#[derive(Serialize)]
struct RunIndex {
    samples: usize,
    /// Those at its start that an earlier run has, too.
    repeated: usize,
}

/// Runs a model on all samples, and writes its outputs into a folder, which is emptied first. `report` is given how many runs of how
/// many are done.
///
/// # Errors
/// When a run fails, or a file cannot be written.
pub(super) fn write_outputs(
    folder: &Path,
    device: &dyn Device,
    model: &[u8],
    data: &Dataset,
    report: &dyn Fn(usize, usize),
) -> Result<()> {
    let failed = |e| Error::file(folder, e);
    if folder.exists() {
        std::fs::remove_dir_all(folder).map_err(failed)?;
    }
    std::fs::create_dir_all(folder).map_err(failed)?;
    let (mut outputs, mut runs): (Vec<OutputFile>, Vec<RunIndex>) = (Vec::new(), Vec::new());
    let mut written: std::io::Result<()> = Ok(());
    let mut inputs = (0..data.runs()).map(|k| data.run(k).inputs);
    device.each_output(model, &mut inputs, &mut |found| {
        let run = data.run(runs.len());
        runs.push(RunIndex {
            samples: run.samples,
            repeated: run.repeated,
        });
        report(runs.len(), data.runs());
        if written.is_ok() {
            written = found.iter().try_for_each(|output| append(folder, &mut outputs, output));
        }
    })?;
    let flushed = outputs.iter_mut().try_for_each(|output| output.file.flush());
    written.and(flushed).map_err(failed)?;
    let outputs: Vec<OutputIndex> = outputs.into_iter().map(|output| output.index).collect();
    put(&folder.join("outputs.json"), &json!({"outputs": outputs, "runs": runs}))
}

/// Adds a run's value of one output.
fn append(folder: &Path, outputs: &mut Vec<OutputFile>, (name, tensor): &NamedTensor) -> std::io::Result<()> {
    let at = match outputs.iter().position(|output| output.index.name == *name) {
        Some(at) => at,
        None => {
            let file = format!("{}.bin", outputs.len());
            outputs.push(OutputFile {
                file: BufWriter::new(File::create(folder.join(&file))?),
                index: OutputIndex {
                    name: name.clone(),
                    dtype: numpy_name(tensor.dtype).unwrap_or("float64"),
                    file,
                    shapes: Vec::new(),
                },
            });
            outputs.len() - 1
        }
    };
    let output = &mut outputs[at];
    output.index.shapes.push(tensor.dims.clone());
    output.file.write_all(&bytes(tensor))
}

/// A tensor's values as NumPy has them.
fn bytes(tensor: &Tensor) -> bytes::Bytes {
    match numpy_name(tensor.dtype) {
        Some(_) => tensor.bytes.clone(),
        None => tensor
            .numbers()
            .unwrap_or_default()
            .iter()
            .flat_map(|v| v.to_le_bytes())
            .collect(),
    }
}

/// What NumPy calls an element type; `None` for those that it does not have, whose values become float64.
fn numpy_name(dtype: Dtype) -> Option<&'static str> {
    Some(match dtype {
        Dtype::Float => "float32",
        Dtype::Double => "float64",
        Dtype::Float16 => "float16",
        Dtype::Int64 => "int64",
        Dtype::Int32 => "int32",
        Dtype::Int16 => "int16",
        Dtype::Int8 => "int8",
        Dtype::Uint64 => "uint64",
        Dtype::Uint32 => "uint32",
        Dtype::Uint16 => "uint16",
        Dtype::Uint8 => "uint8",
        Dtype::Bool => "bool",
        _ => return None,
    })
}

/// Writes what is known of the samples into a folder.
///
/// # Errors
/// When a file cannot be written.
pub(super) fn write_samples(folder: &Path, data: &Dataset) -> Result<()> {
    std::fs::create_dir_all(folder).map_err(|e| Error::file(folder, e))?;
    let labels = match data.labels() {
        None => Value::Null,
        Some(Labels::Classes(classes)) => json!({"classes": classes}),
        Some(Labels::Texts(texts)) => json!({"texts": texts}),
        Some(Labels::Boxes(boxes)) => json!({"boxes": boxes.images, "categories": boxes.categories}),
        Some(Labels::Masks(masks)) => {
            let path = folder.join("masks.bin");
            let values = masks.iter().flat_map(|m| &m.classes).flat_map(|c| c.to_le_bytes());
            std::fs::write(&path, values.collect::<Vec<u8>>()).map_err(|e| Error::file(&path, e))?;
            let shape = masks.first().map_or([0; 3], |m| [masks.len(), m.height, m.width]);
            json!({"masks": shape})
        }
    };
    put(
        &folder.join("samples.json"),
        &json!({"labels": labels, "images": data.places()}),
    )
}

fn put(path: &Path, value: &Value) -> Result<()> {
    std::fs::write(path, value.to_string()).map_err(|e| Error::file(path, e))
}
