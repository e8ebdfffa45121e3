//! From flags to a device and shapes.

use std::path::Path;

use super::args::{DeviceArgs, ShapeArgs, StoreArgs, Switch};
use super::interrupt;
use super::source::ModelSource;
use crate::device::{CpuDevice, CudaDevice, CudaOptions, Device, Runtime, ShapeOptions, gpu_present, untested};
use crate::onnx::{Model, Reading};
use crate::optimize::{SORTED, Workload};
use crate::profile::Database;
use crate::{Error, Result};

/// ONNX Runtime, whose jobs Ctrl-C ends.
pub(super) fn runtime(library: Option<&Path>) -> Result<Runtime> {
    Ok(Runtime::load(library)?.stopped_by(interrupt::stop()))
}

/// The device asked for, or GPU 0 if there is one, else the CPU.
pub(super) fn device(runtime: &Runtime, args: &DeviceArgs) -> Result<Box<dyn Device>> {
    let gpu = match args.gpu {
        Some(index) => Some(index),
        None if !args.cpu && gpu_present(runtime) => Some(0),
        None => None,
    };
    Ok(match gpu {
        Some(index) => {
            let options = CudaOptions {
                algo: args.cudnn_algo,
                nhwc: args.nhwc,
                tf32: args.tf32 == Switch::On,
                graph: args.cuda_graph,
            };
            Box::new(CudaDevice::new(runtime.clone(), index, options)?)
        }
        None => Box::new(CpuDevice::new(runtime.clone(), args.threads)),
    })
}

/// Says of a model that is only run that its nodes were not in order.
pub(super) fn note_order(path: &Path, model: &Model) {
    if model.sorted {
        eprintln!("note: {}: {SORTED}", path.display());
    }
}

/// A line that says which device is used.
pub(super) fn describe(device: &dyn Device, asked: &DeviceArgs) -> String {
    let info = device.info();
    let why = match (info.kind.as_str(), asked.cpu, asked.gpu) {
        ("cpu", false, _) => " (no usable GPU found)",
        _ => "",
    };
    // A recorded device's version is not the one that runs here.
    let version = info.stack.split_whitespace().nth(1).filter(|_| device.is_here());
    let remarks = device.remark().into_iter().chain(version.and_then(untested));
    let remarks: String = remarks.map(|r| format!("; {r}")).collect();
    format!("{} · {}{why}{remarks}", info.name, info.stack)
}

/// The flags on shapes, for commands that take one load: the first where several are given.
pub(super) fn shapes(args: &ShapeArgs) -> Result<ShapeOptions> {
    let mut all = loads(args)?;
    Ok(all.swap_remove(0).0)
}

/// The flags on how a file is read.
pub(super) fn reading(args: &ShapeArgs) -> Reading {
    Reading {
        external_data_dir: args.external_data_dir.clone(),
        fix_weights: args.fix_weights,
    }
}

/// The flags on shapes: every combination of the batch sizes and extents given, with the product of their
/// shares; the shares of all sum to 1. Never empty.
fn loads(args: &ShapeArgs) -> Result<Vec<(ShapeOptions, f64)>> {
    let mut options = ShapeOptions {
        reading: reading(args),
        ..ShapeOptions::default()
    };
    for shape in &args.shapes {
        let (name, shape) = shape
            .rsplit_once(':')
            .ok_or_else(|| Error::Usage(format!("--shape {shape}: write NAME:1,3,224,224")))?;
        let shape = shape.split(',').map(|e| number("--shape", e)).collect::<Result<_>>()?;
        options.shapes.insert(name.to_owned(), shape);
    }
    let mut all = vec![(options, 1.0)];
    if let Some(batch) = &args.batch {
        all = combined(&all, &shares("--batch", batch)?, |o, n| o.batch = Some(n));
    }
    for dim in &args.dims {
        let (name, shape) = dim
            .split_once('=')
            .ok_or_else(|| Error::Usage(format!("--dim {dim}: write NAME=N")))?;
        all = combined(&all, &shares("--dim", shape)?, |o, n| {
            o.dims.insert(name.to_owned(), n);
        });
    }
    let whole: f64 = all.iter().map(|(_, w)| w).sum();
    all.iter_mut().for_each(|(_, w)| *w /= whole);
    Ok(all)
}

/// The model, opened at all its loads; never empty.
pub(super) fn opened(source: &ModelSource, runtime: &Runtime, args: &ShapeArgs) -> Result<Vec<Workload>> {
    let one = |(shapes, weight): (ShapeOptions, f64)| {
        let opened = source.open(runtime, &shapes)?;
        Ok(Workload { opened, weight })
    };
    loads(args)?.into_iter().map(one).collect()
}

fn number(flag: &str, text: &str) -> Result<usize> {
    let number = text.trim().parse().ok().filter(|&n| n > 0);
    number.ok_or_else(|| Error::Usage(format!("{flag}: '{text}' is not a number of at least 1")))
}

/// `8`, or `1:0.7,8:0.3`: extents with their shares.
fn shares(flag: &str, text: &str) -> Result<Vec<(usize, f64)>> {
    let one = |part: &str| -> Result<(usize, f64)> {
        let (dim, share) = part.split_once(':').unwrap_or((part, "1"));
        let share = share.trim().parse().ok().filter(|s: &f64| s.is_finite() && *s > 0.0);
        let share = share.ok_or_else(|| Error::Usage(format!("{flag} {text}: write shares as in 1:0.7,8:0.3")))?;
        Ok((number(flag, dim)?, share))
    };
    text.split(',').map(one).collect()
}

fn combined(
    all: &[(ShapeOptions, f64)],
    shape: &[(usize, f64)],
    set: impl Fn(&mut ShapeOptions, usize),
) -> Vec<(ShapeOptions, f64)> {
    let mut out = Vec::new();
    for (options, weight) in all {
        for &(dim, share) in shape {
            let mut options = options.clone();
            set(&mut options, dim);
            out.push((options, weight * share));
        }
    }
    out
}

/// The latency database with what is asked after it.
pub(super) fn store(args: &StoreArgs) -> Result<Option<Database>> {
    let mut database = database(args.db.as_deref())?;
    if let Some(database) = &mut database {
        for shared in &args.shared_db {
            database.add_shared(shared)?;
        }
        if args.allow_mismatch {
            database.allow_mismatch();
        }
        if let Some(when) = args.remeasure {
            database.forget_before(when);
        }
    }
    Ok(database)
}

/// The latency database named, or the user's own; `None` where no cache folder is known.
pub(super) fn database(named: Option<&Path>) -> Result<Option<Database>> {
    let path = named.map(Path::to_path_buf).or_else(Database::default_path);
    path.map(|p| Database::open(&p)).transpose()
}

/// Whether two paths name one file.
pub(super) fn same_file(a: &Path, b: &Path) -> bool {
    match (std::fs::canonicalize(a), std::fs::canonicalize(b)) {
        (Ok(a), Ok(b)) => a == b,
        _ => a == b,
    }
}
