//! Flags of `zoo`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args as ClapArgs;

use super::units::duration;
use super::work::WorkArgs;
use crate::zoo::{Phase, Shard};

/// Flags of `zoo`.
#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Exit status: 0 every model was made faster; 1 some stay as they are; 2 wrong use; 3 bad input; 4 machine trouble, start it again; \
5 out of memory; 6 outputs differ; 7 the time was up; 8 a process crashed; 130 interrupted. Of several kinds of trouble the one \
that another try may cure counts.")]
pub struct ZooArgs {
    /// Folders (with their folders), patterns in quotation marks, .jsonl manifests, or models.
    #[arg(required = true, value_name = "DIR|GLOB|MANIFEST.jsonl")]
    pub models: Vec<PathBuf>,
    /// The folder for everything that is written: models, journals, the report.
    #[arg(short, long, value_name = "DIR")]
    pub out: PathBuf,
    /// Processes for what is not timed [default: one a core].
    #[arg(short, long, value_name = "N")]
    pub jobs: Option<usize>,
    /// Time on these NVIDIA GPUs, one model on each at a time.
    #[arg(long, value_name = "0,1", value_delimiter = ',', conflicts_with_all = ["gpu", "cpu", "ep", "ep_library"])]
    pub gpus: Vec<usize>,
    /// Do share I (from 0) of N; `auto`: the share that Slurm's or Kubernetes' variables give this process.
    #[arg(long, value_name = "I/N|auto", default_value = "0/1", hide_default_value = true)]
    pub shard: Shard,
    /// Give up a model after this long, such as 30m.
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub timeout: Option<Duration>,
    /// Try again what failed, too.
    #[arg(long)]
    pub retry_failed: bool,
    /// A fresh process for every model that is read and every session that is timed, not only for every model that is optimized.
    #[arg(long)]
    pub isolate: bool,
    /// Do only these phases [default: all].
    #[arg(long, value_enum, value_name = "PHASE", value_delimiter = ',')]
    pub phase: Vec<Phase>,
    /// Write plans in place of models; nothing is timed after the profile phase.
    #[arg(long)]
    pub plan_only: bool,
    /// The work.
    #[command(flatten)]
    pub work: WorkArgs,
    /// Print the report as JSON on standard output, and nothing else there.
    #[arg(long)]
    pub json: bool,
    /// Print nothing but errors.
    #[arg(short, long)]
    pub quiet: bool,
}

/// Flags of `zoo-worker` and `probe-worker`.
#[derive(Debug, ClapArgs)]
pub struct WorkerArgs {}
