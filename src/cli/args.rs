//! The flags.

use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::{ArgAction, ArgMatches, Args as ClapArgs, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

use super::planning_args::{CalibArgs, DataArgs, GoalArgs, PlanningArgs, duration};
use super::save_args::SaveArgs;
use super::turn_args::TurnArgs;
use super::work_args::WorkArgs;
use super::zoo::{WorkerArgs, ZooArgs};
use crate::device::CudnnAlgo;
use crate::{Error, Result};

/// Snaps the channel counts of an ONNX CNN to widths at which this machine wastes nothing.
///
/// Times every convolution at several widths on the device, zero-pads channels where the device runs
/// more of them faster, and writes the rewritten model. The outputs stay the same within float
/// tolerance, and the model is measured to be faster, or nothing is written.
///
/// Exit status: 0 a faster model was written; 1 none was found; 2 error in use or input; 130 interrupted.
#[derive(Debug, Parser)]
#[command(version, args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct Args {
    /// The main job, or another command.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// Flags of the main job.
    #[command(flatten)]
    pub main: MainArgs,
}

/// Flags that come from elsewhere than this program's own command line; the first word is the program's name.
///
/// # Errors
/// When they are not such flags; the message is clap's, without its hints.
pub(crate) fn parsed(words: impl Iterator<Item = String>) -> Result<(Args, ArgMatches)> {
    let found = Args::command().try_get_matches_from(words);
    found.and_then(|m| Ok((Args::from_arg_matches(&m)?, m))).map_err(|e| {
        let said = e.to_string();
        let said = said.split("\n\n").next().unwrap_or_default();
        Error::Usage(said.trim_start_matches("error: ").to_owned())
    })
}

/// Other commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Latencies of models side by side, interleaved.
    Bench(BenchArgs),
    /// What was done to a written model, on which machine, and how to repeat or undo it: from the file alone.
    Explain(ExplainArgs),
    /// Channel groups, barriers and why, MACs and parameters.
    Inspect(InspectArgs),
    /// What a narrower model loses against what it takes: the whole curve, measured at some points.
    Pareto(ParetoArgs),
    /// Finds the plan that the main job would apply, and writes it as JSON.
    Plan(PlanArgs),
    /// Applies a plan to a model, without timing anything.
    Apply(ApplyArgs),
    /// Latency against width of every convolution: the staircases.
    Profile(ProfileArgs),
    /// Many models: one command, one report. Goes on from where it was interrupted.
    Zoo(Box<ZooArgs>),
    /// Does single jobs of a zoo, as they come in.
    #[command(hide = true)]
    ZooWorker(WorkerArgs),
    /// Compares the outputs of two models, element by element; the exit status is 1 if they differ.
    Verify(VerifyArgs),
    /// Predicted tail-free widths for a GPU that is not here.
    Widths(WidthsArgs),
    /// The latency database: list, show, merge, export, import, check, tidy.
    Db(DbArgs),
    /// Checks ONNX Runtime, GPU libraries and permissions, and says what to do about what is missing.
    Doctor(DoctorArgs),
    /// Prints a script that completes commands and flags in a shell.
    Completions {
        /// The shell.
        shell: Shell,
    },
    /// Writes manual pages.
    Man {
        /// The folder to write them to.
        folder: PathBuf,
    },
}

/// Flags of `doctor`.
#[derive(Debug, ClapArgs)]
pub struct DoctorArgs {
    /// ONNX Runtime's shared library.
    #[arg(long, value_name = "FILE")]
    pub ort_lib: Option<PathBuf>,
    /// The latency database.
    #[arg(long, value_name = "FILE")]
    pub db: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// Flags of the main job.
#[derive(Debug, ClapArgs)]
pub struct MainArgs {
    /// The ONNX model to optimize; it is never changed. `-` reads it from standard input, and writes to standard output.
    #[arg(value_name = "MODEL")]
    pub model: Option<PathBuf>,
    /// Where to write the model [default: MODEL.snap.onnx beside MODEL; the reports go beside it]. `-`: standard output, without
    /// reports and dynamic variant.
    #[arg(short, long, value_name = "OUT.onnx")]
    pub output: Option<PathBuf>,
    /// The work.
    #[command(flatten)]
    pub work: WorkArgs,
    /// Write the page with the report here, whatever came out [default: beside the model, when one is written].
    #[arg(long, value_name = "FILE.html")]
    pub report: Option<PathBuf>,
    /// Time further widths for so long, so that the report's staircases show more steps (0s: none).
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "10s")]
    pub staircases: Duration,
    /// Print the report as JSON on standard output, and nothing else there.
    #[arg(long)]
    pub json: bool,
    /// Print nothing but errors.
    #[arg(short, long, conflicts_with = "verbose")]
    pub quiet: bool,
    /// Also list the groups that stay, with the reason.
    #[arg(short, long, action = ArgAction::Count)]
    pub verbose: u8,
}

/// Flags of `plan`.
#[derive(Debug, ClapArgs)]
pub struct PlanArgs {
    /// The model.
    pub model: PathBuf,
    /// Where to write the plan.
    #[arg(short, long, value_name = "PLAN.json")]
    pub output: PathBuf,
    /// The device and the library.
    #[command(flatten)]
    pub device: DeviceArgs,
    /// Input shapes.
    #[command(flatten)]
    pub shapes: ShapeArgs,
    /// What may be planned, and from what.
    #[command(flatten)]
    pub planning: PlanningArgs,
    /// What a narrower model should reach.
    #[command(flatten)]
    pub goals: GoalArgs,
    /// Real inputs.
    #[command(flatten)]
    pub data: DataArgs,
    /// The latency databases.
    #[command(flatten)]
    pub store: StoreArgs,
    /// The device's turn.
    #[command(flatten)]
    pub turn: TurnArgs,
    /// Seed of the random inputs.
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Print nothing but errors.
    #[arg(short, long)]
    pub quiet: bool,
}

/// Flags of `pareto`.
#[derive(Debug, ClapArgs)]
pub struct ParetoArgs {
    /// The model.
    pub model: PathBuf,
    /// Where to write the plot.
    #[arg(short, long, value_name = "CURVE.svg")]
    pub output: Option<PathBuf>,
    /// Make, time and judge so many of the plans.
    #[arg(long, value_name = "N", default_value_t = 4)]
    pub measure: usize,
    /// The device and the library.
    #[command(flatten)]
    pub device: DeviceArgs,
    /// Input shapes.
    #[command(flatten)]
    pub shapes: ShapeArgs,
    /// What may be planned, and from what.
    #[command(flatten)]
    pub planning: PlanningArgs,
    /// Samples to fit weights on.
    #[command(flatten)]
    pub calib: CalibArgs,
    /// No layer becomes narrower than this.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub min_width: usize,
    /// Real inputs.
    #[command(flatten)]
    pub data: DataArgs,
    /// The latency databases.
    #[command(flatten)]
    pub store: StoreArgs,
    /// The device's turn.
    #[command(flatten)]
    pub turn: TurnArgs,
    /// Seed of the random inputs.
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
    /// Show no progress.
    #[arg(short, long)]
    pub quiet: bool,
}

/// Flags of `apply`.
#[derive(Debug, ClapArgs)]
pub struct ApplyArgs {
    /// The model.
    pub model: PathBuf,
    /// The plan.
    pub plan: PathBuf,
    /// Where to write the model.
    #[arg(short, long, value_name = "OUT.onnx")]
    pub output: PathBuf,
    /// How the model is written.
    #[command(flatten)]
    pub save: SaveArgs,
    /// Apply it to the same network with other weights than the plan was made for.
    #[arg(long)]
    pub other_weights: bool,
    /// Samples to fit weights on; without, what is removed is made up for by nothing.
    #[command(flatten)]
    pub calib: CalibArgs,
    /// How images become inputs, and real inputs to compare the models on.
    #[command(flatten)]
    pub data: DataArgs,
    /// Input shapes.
    #[command(flatten)]
    pub shapes: ShapeArgs,
    /// ONNX Runtime's shared library.
    #[arg(long, value_name = "FILE")]
    pub ort_lib: Option<PathBuf>,
    /// Print nothing but errors.
    #[arg(short, long)]
    pub quiet: bool,
}

/// Where times are kept.
#[derive(Clone, Debug, Default, ClapArgs)]
pub struct StoreArgs {
    /// The latency database [default: snapprune/latency.db in the user's cache folder].
    #[arg(long, value_name = "FILE")]
    pub db: Option<PathBuf>,
    /// A further database, only read, for what the first does not know; may be given several times.
    #[arg(long, value_name = "FILE")]
    pub shared_db: Vec<PathBuf>,
    /// Take times of other devices and stacks where there are none of this one.
    #[arg(long)]
    pub allow_mismatch: bool,
    /// Time again what is known, and keep the new times; =WHEN (seconds since 1970): only what was timed before then.
    #[arg(long, value_name = "WHEN", num_args = 0..=1, require_equals = true, default_missing_value = "now", value_parser = when)]
    pub remeasure: Option<u64>,
}

/// Seconds since 1970; `now`.
fn when(text: &str) -> Result<u64, String> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
    match text {
        // What was timed in this very second is old, too.
        "now" => Ok(now + 1),
        _ => text
            .parse()
            .map_err(|_| format!("'{text}' is not a number of seconds since 1970")),
    }
}

/// Which device, and which ONNX Runtime.
#[derive(Clone, Debug, ClapArgs)]
pub struct DeviceArgs {
    /// Use this NVIDIA GPU [default: GPU 0 if there is one, else the CPU].
    #[arg(long, value_name = "N", conflicts_with = "cpu")]
    pub gpu: Option<usize>,
    /// Use the CPU.
    #[arg(long)]
    pub cpu: bool,
    /// Threads within a node on the CPU [default: as many as a plain InferenceSession of ONNX Runtime has here].
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    pub threads: usize,
    /// How cuDNN picks a convolution's algorithm (GPU).
    #[arg(long, value_enum, default_value_t)]
    pub cudnn_algo: CudnnAlgo,
    /// Convolutions in channels-last layout (GPU).
    #[arg(long)]
    pub nhwc: bool,
    /// float32 products in TF32 (GPU).
    #[arg(long, value_enum, default_value = "on")]
    pub tf32: Switch,
    /// Capture each model once as a CUDA graph and replay it, as servers do (GPU).
    #[arg(long, conflicts_with = "cpu")]
    pub cuda_graph: bool,
    /// ONNX Runtime's shared library.
    #[arg(long, value_name = "FILE")]
    pub ort_lib: Option<PathBuf>,
}

/// On or off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Switch {
    /// On.
    On,
    /// Off.
    Off,
}

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

/// Flags of `bench`.
#[derive(Debug, ClapArgs)]
pub struct BenchArgs {
    /// The models; all must take the same inputs.
    #[arg(required = true, value_name = "MODEL")]
    pub models: Vec<PathBuf>,
    /// The device and the library.
    #[command(flatten)]
    pub device: DeviceArgs,
    /// Input shapes.
    #[command(flatten)]
    pub shapes: ShapeArgs,
    /// Real inputs: top-1 and top-5 of every model.
    #[command(flatten)]
    pub data: DataArgs,
    /// The device's turn.
    #[command(flatten)]
    pub turn: TurnArgs,
    /// Seconds to measure, about.
    #[arg(long, default_value_t = 6.0)]
    pub seconds: f64,
    /// Seed of the random inputs.
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// Flags of `verify`.
#[derive(Debug, ClapArgs)]
pub struct VerifyArgs {
    /// The model that is right.
    #[arg(value_name = "A.onnx")]
    pub first: PathBuf,
    /// The model to compare with it; its inputs must be the same.
    #[arg(value_name = "B.onnx")]
    pub second: PathBuf,
    /// The device and the library.
    #[command(flatten)]
    pub device: DeviceArgs,
    /// Input shapes.
    #[command(flatten)]
    pub shapes: ShapeArgs,
    /// Real inputs, in place of random ones.
    #[command(flatten)]
    pub data: DataArgs,
    /// Tolerated difference, as a share of A's value.
    #[arg(long, default_value_t = 1e-3)]
    pub rtol: f64,
    /// Tolerated difference besides, in units of the output.
    #[arg(long, default_value_t = 1e-5)]
    pub atol: f64,
    /// Random inputs to try.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..))]
    pub tries: u64,
    /// Seed of the random inputs.
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// Flags of `inspect`.
#[derive(Debug, ClapArgs)]
pub struct InspectArgs {
    /// The model.
    pub model: PathBuf,
    /// Input shapes.
    #[command(flatten)]
    pub shapes: ShapeArgs,
    /// ONNX Runtime's shared library.
    #[arg(long, value_name = "FILE")]
    pub ort_lib: Option<PathBuf>,
    /// Print JSON.
    #[arg(long, conflicts_with = "dot")]
    pub json: bool,
    /// Print a graph of layers and widths for Graphviz.
    #[arg(long)]
    pub dot: bool,
}

/// Flags of `explain`.
#[derive(Debug, ClapArgs)]
pub struct ExplainArgs {
    /// A model that snapprune wrote.
    pub model: PathBuf,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// Flags of `profile`.
#[derive(Debug, ClapArgs)]
pub struct ProfileArgs {
    /// The model.
    pub model: PathBuf,
    /// Where to write the times, for `--profile`.
    #[arg(short, long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Where to write a page of plots.
    #[arg(long, value_name = "FILE.html")]
    pub report: Option<PathBuf>,
    /// The device and the library.
    #[command(flatten)]
    pub device: DeviceArgs,
    /// Input shapes.
    #[command(flatten)]
    pub shapes: ShapeArgs,
    /// Time every output width that is a multiple of this [default: search for the steps with a tenth of the widths].
    #[arg(long, value_name = "N")]
    pub step: Option<usize>,
    /// Up to this many times the present width, and down to its inverse.
    #[arg(long, default_value_t = 1.34)]
    pub reach: f64,
    /// The latency databases.
    #[command(flatten)]
    pub store: StoreArgs,
    /// The device's turn.
    #[command(flatten)]
    pub turn: TurnArgs,
    /// Print nothing but errors.
    #[arg(short, long)]
    pub quiet: bool,
}

/// Flags of `widths`.
#[derive(Debug, ClapArgs)]
pub struct WidthsArgs {
    /// The model.
    pub model: PathBuf,
    /// The GPU, such as A100 or L4; `list` shows those known.
    #[arg(long, value_name = "NAME")]
    pub device: String,
    /// Fit the cost model to this recorded profile [default: prices fitted to an H200].
    #[arg(long, value_name = "FILE")]
    pub profile: Option<PathBuf>,
    /// Input shapes.
    #[command(flatten)]
    pub shapes: ShapeArgs,
    /// Up to this many times the present width, and down to its inverse.
    #[arg(long, default_value_t = 1.34)]
    pub reach: f64,
    /// ONNX Runtime's shared library.
    #[arg(long, value_name = "FILE")]
    pub ort_lib: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// Flags of `db`.
#[derive(Debug, ClapArgs)]
pub struct DbArgs {
    /// What to do.
    #[command(subcommand)]
    pub action: DbAction,
    /// The latency database [default: snapprune/latency.db in the user's cache folder].
    #[arg(long, value_name = "FILE", global = true)]
    pub db: Option<PathBuf>,
}

/// Actions of `db`.
#[derive(Debug, Subcommand)]
pub enum DbAction {
    /// Devices and stacks with the number of problems timed on each.
    Ls,
    /// Every problem of one device (its fingerprint, or the start of it) with median and spread.
    Show {
        /// The device's fingerprint, or the start of it.
        device: String,
    },
    /// Takes over what other databases hold; of two records of one problem, the one with more samples.
    Merge {
        /// The other databases.
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
    /// Writes everything as JSON lines (`-` for standard output).
    Export {
        /// The file.
        file: PathBuf,
    },
    /// Reads JSON lines that `export` wrote; merges like `merge`.
    Import {
        /// The file.
        file: PathBuf,
    },
    /// Removes records of stacks that were not measured in the last days.
    Gc {
        /// Days to keep.
        #[arg(long, default_value_t = 180)]
        days: u32,
    },
    /// Checks the file and every record.
    Verify,
}
