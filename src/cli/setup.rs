//! From flags to a device and shapes.

use std::path::Path;

use super::args::{DeviceArgs, ShapeArgs, StoreArgs, Switch};
use crate::profile::Database;
use crate::target::{CpuTarget, CudaOptions, CudaTarget, Runtime, ShapeOptions, Target, gpu_present};
use crate::{Error, Result};

/// The device asked for, or GPU 0 if there is one, else the CPU.
pub(super) fn target(runtime: &Runtime, args: &DeviceArgs) -> Result<Box<dyn Target>> {
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
            };
            Box::new(CudaTarget::new(runtime.clone(), index, options)?)
        }
        None => Box::new(CpuTarget::new(runtime.clone(), args.threads)),
    })
}

/// A line that says which device is used.
pub(super) fn describe(target: &dyn Target, asked: &DeviceArgs) -> String {
    let info = target.info();
    let why = match (info.kind.as_str(), asked.cpu, asked.gpu) {
        ("cpu", false, _) => " (no usable GPU found)",
        _ => "",
    };
    format!("{} · {}{why}", info.name, info.stack)
}

/// The flags on shapes.
pub(super) fn shapes(args: &ShapeArgs) -> Result<ShapeOptions> {
    let mut options = ShapeOptions {
        batch: args.batch,
        ..Default::default()
    };
    let number = |flag: &str, text: &str| -> Result<usize> {
        text.trim()
            .parse()
            .ok()
            .filter(|&n| n > 0)
            .ok_or_else(|| Error::Usage(format!("{flag}: '{text}' is not a positive number")))
    };
    for shape in &args.shapes {
        let (name, extents) = shape
            .rsplit_once(':')
            .ok_or_else(|| Error::Usage(format!("--shape {shape}: write NAME:1,3,224,224")))?;
        let extents = extents
            .split(',')
            .map(|e| number("--shape", e))
            .collect::<Result<_>>()?;
        options.shapes.insert(name.to_owned(), extents);
    }
    for dim in &args.dims {
        let (name, extent) = dim
            .rsplit_once('=')
            .ok_or_else(|| Error::Usage(format!("--dim {dim}: write NAME=N")))?;
        options.dims.insert(name.to_owned(), number("--dim", extent)?);
    }
    if args.batch == Some(0) {
        return Err(Error::Usage("--batch must be at least 1".to_owned()));
    }
    Ok(options)
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
    }
    Ok(database)
}

/// The latency database named, or the user's own; `None` where no cache folder is known.
pub(super) fn database(named: Option<&Path>) -> Result<Option<Database>> {
    let path = named.map(Path::to_path_buf).or_else(Database::default_path);
    path.map(|p| Database::open(&p)).transpose()
}
