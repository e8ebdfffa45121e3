//! Flags of how a model is opened.

use std::path::PathBuf;

use clap::Args as ClapArgs;

use crate::device::ShapeOptions;
use crate::jobs::WorkloadShape;
use crate::onnx::Reading;
use crate::{Error, Result};

/// How a model is opened: extents of open axes, and its weights.
#[derive(Clone, Debug, Default, ClapArgs)]
pub struct ShapeArgs {
    /// An input's shape, such as image:1,3,224,224.
    #[arg(long = "shape", value_name = "NAME:1,3,224,224")]
    pub shapes: Vec<String>,
    /// A symbolic extent, such as height=480; several with their shares of the traffic, such as height=224:0.8,480:0.2.
    #[arg(long = "dim", value_name = "NAME=N")]
    pub dims: Vec<String>,
    /// The extent of a symbolic first axis [default: 1]; several with their shares of the traffic, such as 1:0.7,8:0.3.
    #[arg(long, value_name = "N")]
    pub batch: Option<String>,
    /// Read weights in other files from this folder [default: the model's own]. You vouch for it: links in it are followed, as caches
    /// have them.
    #[arg(long, value_name = "DIR")]
    pub external_data_dir: Option<PathBuf>,
    /// Make weights that are graph inputs too, which callers may replace, constants of the written model.
    #[arg(long)]
    pub fix_weights: bool,
}

impl ShapeArgs {
    /// Every combination of the batch sizes and symbolic dimensions given, with the product of their shares. Never empty.
    ///
    /// # Errors
    /// When a flag is not written as it should be.
    pub fn workloads(&self) -> Result<Vec<WorkloadShape>> {
        let mut shapes = ShapeOptions {
            reading: Reading {
                external_data_dir: self.external_data_dir.clone(),
                fix_weights: self.fix_weights,
            },
            ..ShapeOptions::default()
        };
        for shape in &self.shapes {
            let (name, shape) = shape
                .rsplit_once(':')
                .ok_or_else(|| Error::Usage(format!("--shape {shape}: write NAME:1,3,224,224")))?;
            let shape = shape.split(',').map(|e| number("--shape", e)).collect::<Result<_>>()?;
            shapes.shapes.insert(name.to_owned(), shape);
        }
        let mut all = vec![WorkloadShape { shapes, weight: 1.0 }];
        if let Some(batch) = &self.batch {
            all = combined(&all, &shares("--batch", batch)?, |o, n| o.batch = Some(n));
        }
        for dim in &self.dims {
            let (name, sizes) = dim
                .split_once('=')
                .ok_or_else(|| Error::Usage(format!("--dim {dim}: write NAME=N")))?;
            all = combined(&all, &shares("--dim", sizes)?, |o, n| {
                o.dims.insert(name.to_owned(), n);
            });
        }
        let whole: f64 = all.iter().map(|w| w.weight).sum();
        all.iter_mut().for_each(|w| w.weight /= whole);
        Ok(all)
    }

    /// For commands that take one set of shapes.
    ///
    /// # Errors
    /// When a flag is not written as it should be, or there are several sets.
    pub fn only(&self) -> Result<ShapeOptions> {
        let mut all = self.workloads()?;
        match (all.pop(), all.is_empty()) {
            (Some(one), true) => Ok(one.shapes),
            _ => Err(Error::Usage(
                "this command takes one size for --batch and each --dim: run it once for each of them".to_owned(),
            )),
        }
    }
}

fn number(flag: &str, text: &str) -> Result<usize> {
    let number = text.trim().parse().ok().filter(|&n| n > 0);
    number.ok_or_else(|| Error::Usage(format!("{flag}: '{text}' is not a number of at least 1")))
}

/// A size with its share of the traffic.
struct WorkloadShare {
    size: usize,
    share: f64,
}

/// `8`, or `1:0.7,8:0.3`.
fn shares(flag: &str, text: &str) -> Result<Vec<WorkloadShare>> {
    let one = |part: &str| -> Result<WorkloadShare> {
        let (size, share) = part.split_once(':').unwrap_or((part, "1"));
        let share = share.trim().parse().ok().filter(|s: &f64| s.is_finite() && *s > 0.0);
        let share = share.ok_or_else(|| Error::Usage(format!("{flag} {text}: write shares as in 1:0.7,8:0.3")))?;
        Ok(WorkloadShare {
            size: number(flag, size)?,
            share,
        })
    };
    text.split(',').map(one).collect()
}

fn combined(
    all: &[WorkloadShape],
    shares: &[WorkloadShare],
    set: impl Fn(&mut ShapeOptions, usize),
) -> Vec<WorkloadShape> {
    let mut out = Vec::new();
    for workload in all {
        for WorkloadShare { size, share } in shares {
            let mut shapes = workload.shapes.clone();
            set(&mut shapes, *size);
            out.push(WorkloadShape {
                shapes,
                weight: workload.weight * share,
            });
        }
    }
    out
}
