//! The flags.

use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Args as ClapArgs, Parser, Subcommand, ValueEnum};

use crate::data::Scaling;
use crate::optimize::{Amount, Goals, Growth, Options};
use crate::target::CudnnAlgo;

/// Snaps the channel counts of an ONNX CNN to widths at which this machine wastes nothing.
///
/// Times every convolution at several widths on the device, zero-pads channels where the device runs
/// more of them faster, and writes the rewritten model. The outputs stay the same within float
/// tolerance, and the model is measured to be faster, or nothing is written.
///
/// Exit status: 0 a faster model was written; 1 none was found; 2 error in use or input.
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

/// Other commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Latencies of models side by side, interleaved.
    Bench(BenchArgs),
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
    /// Predicted tail-free widths for a GPU that is not here.
    Widths(WidthsArgs),
    /// The latency database: list, show, merge, export, import, check, tidy.
    Db(DbArgs),
}

/// Flags of the main job.
#[derive(Debug, ClapArgs)]
pub struct MainArgs {
    /// The ONNX model to optimize; it is never changed.
    #[arg(value_name = "MODEL")]
    pub model: Option<PathBuf>,
    /// Where to write the model [default: MODEL.snap.onnx beside MODEL; the report goes beside it].
    #[arg(short, long, value_name = "OUT.onnx")]
    pub output: Option<PathBuf>,
    /// The device and the library.
    #[command(flatten)]
    pub device: DeviceArgs,
    /// Input shapes.
    #[command(flatten)]
    pub shapes: ShapeArgs,
    /// Make exact moves only: the outputs stay the same (the default).
    #[arg(long)]
    pub exact: bool,
    /// Do not make the dynamic variant (this version makes none).
    #[arg(long)]
    pub no_dynamic: bool,
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
    /// Seed of the random inputs.
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
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

/// What may be planned, and from what.
#[derive(Clone, Debug, Default, ClapArgs)]
pub struct PlanningArgs {
    /// Times recorded earlier, used before measuring. Without --cpu and --gpu they may be of a device that is not
    /// here: then the plan rests on them alone, and the latency stays unverified.
    #[arg(long, value_name = "FILE")]
    pub profile: Option<PathBuf>,
    /// Begin no more probes after this long, such as 60s or 5m.
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub time_budget: Option<Duration>,
    /// Leave the width of this layer as it is; may be given several times.
    #[arg(long, value_name = "LAYER")]
    pub keep: Vec<String>,
    /// Whether widths may grow.
    #[arg(long, value_enum, default_value_t)]
    pub grow: Growth,
    /// What new channels hold.
    #[arg(long, value_enum, default_value_t)]
    pub grow_init: GrowInit,
}

/// What new channels hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum GrowInit {
    /// Zeros: nothing reads them.
    #[default]
    Zero,
    /// A copy of an old channel, which shares its work with it: exact, and ready to be trained on.
    Split,
}

/// What a narrower model should reach.
#[derive(Clone, Debug, Default, ClapArgs)]
pub struct GoalArgs {
    /// Narrow the model until it takes at most this: 0.7x of its latency, or 3.2ms.
    #[arg(long, value_name = "0.7x|3.2ms")]
    pub target_latency: Option<Amount>,
    /// Narrow the model until it has at most these multiply-accumulates: 0.7x, or 80M.
    #[arg(long, value_name = "0.7x|80M")]
    pub target_macs: Option<Amount>,
    /// Narrow the model until it has at most these parameters: 0.5x, or 2M.
    #[arg(long, value_name = "0.5x|2M")]
    pub max_params: Option<Amount>,
    /// Narrow the model as far as it loses at most this top-1 on the --eval samples (agreement, without labels).
    #[arg(long, value_name = "0.5%", value_parser = percent, requires = "eval")]
    pub max_drop: Option<f64>,
    /// Samples.
    #[command(flatten)]
    pub calib: CalibArgs,
    /// No layer becomes narrower than this.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub min_width: usize,
}

/// Samples for calibration.
#[derive(Clone, Debug, Default, ClapArgs)]
pub struct CalibArgs {
    /// Samples to fit weights on when channels go: .npz or folder, like --eval; labels are not used.
    #[arg(long, value_name = "DATA")]
    pub calib: Option<PathBuf>,
    /// Take at most so many of them (0: all).
    #[arg(long, value_name = "N", default_value_t = 1024)]
    pub calib_samples: usize,
}

/// A share from 0 to 1: `0.5%` or `0.005`.
fn percent(text: &str) -> Result<f64, String> {
    let (digits, unit) = match text.strip_suffix('%') {
        Some(digits) => (digits, 0.01),
        None => (text, 1.0),
    };
    let share = digits.trim().parse::<f64>().ok().map(|v| v * unit);
    let share = share.filter(|v| (0.0..=1.0).contains(v));
    share.ok_or_else(|| format!("'{text}': write a share such as 0.5%"))
}

/// Real inputs.
#[derive(Clone, Debug, Default, ClapArgs)]
pub struct DataArgs {
    /// Compare the models on these samples: an .npz with `images` (uint8, N×H×W×C) or float32 arrays named after the
    /// inputs, and `labels` for top-1 and top-5; or a folder of PNG and JPEG images, folders in it being classes.
    #[arg(long, value_name = "DATA")]
    pub eval: Option<PathBuf>,
    /// Means of the image channels, for values from 0 to 1 [default: 0].
    #[arg(long, value_name = "R,G,B", value_delimiter = ',', allow_hyphen_values = true)]
    pub mean: Vec<f32>,
    /// Standard deviations of the image channels [default: 1].
    #[arg(long, value_name = "R,G,B", value_delimiter = ',')]
    pub std: Vec<f32>,
}

impl DataArgs {
    /// How images become inputs.
    pub(super) fn scaling(&self) -> Scaling {
        let given = |list: &[f32], default: f32| if list.is_empty() { vec![default] } else { list.to_vec() };
        Scaling {
            mean: given(&self.mean, 0.0),
            std: given(&self.std, 1.0),
        }
    }
}

impl PlanningArgs {
    /// As options of the main job.
    pub(super) fn options(&self, seed: u64, store: &StoreArgs, goals: &GoalArgs, data: &DataArgs) -> Options {
        let calib = goals.calib.calib.clone();
        Options {
            seed,
            eval: data.eval.clone().map(|path| (path, data.scaling())),
            calib: calib.map(|path| (path, data.scaling(), goals.calib.calib_samples)),
            goals: goals.goals(),
            min_width: goals.min_width,
            time_budget: self.time_budget,
            keep: self.keep.clone(),
            growth: self.grow,
            split: self.grow_init == GrowInit::Split,
            allow_mismatch: store.allow_mismatch,
        }
    }
}

impl GoalArgs {
    /// As goals of the main job.
    pub(super) fn goals(&self) -> Goals {
        Goals {
            latency: self.target_latency,
            macs: self.target_macs,
            params: self.max_params,
            max_drop: self.max_drop,
        }
    }
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
}

/// Seconds, minutes or hours: `90`, `90s`, `5m`, `1h`.
fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(['s', 'm', 'h']);
    let unit = match &text[digits.len()..] {
        "" | "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        other => return Err(format!("'{other}' is no unit; write 60s, 5m or 1h")),
    };
    let number = digits.parse::<f64>().map_err(|_| "write 60s, 5m or 1h".to_owned())?;
    Duration::try_from_secs_f64(number * unit).map_err(|_| "write 60s, 5m or 1h".to_owned())
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
    /// Threads within a node on the CPU [default: ONNX Runtime's choice].
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

/// Extents of open axes.
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

/// Flags of `profile`.
#[derive(Debug, ClapArgs)]
pub struct ProfileArgs {
    /// The model.
    pub model: PathBuf,
    /// Where to write the times, for `--profile`.
    #[arg(short, long, value_name = "FILE")]
    pub out: Option<PathBuf>,
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
