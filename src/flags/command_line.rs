//! The command line as a whole: the main job, or another command.

use std::path::PathBuf;

use clap::{ArgMatches, CommandFactory, FromArgMatches, Parser, Subcommand};
use clap_complete::Shell;

use super::bench::BenchArgs;
use super::db::DbArgs;
use super::doctor::DoctorArgs;
use super::inspect::{ExplainArgs, InspectArgs};
use super::main_job::MainArgs;
use super::pareto::ParetoArgs;
use super::plan::{ApplyArgs, PlanArgs};
use super::play::PlayArgs;
use super::profile::ProfileArgs;
use super::verify::VerifyArgs;
use super::widths::WidthsArgs;
use super::zoo::{WorkerArgs, ZooArgs};
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
pub struct CommandLine {
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
pub fn parsed(words: impl Iterator<Item = String>) -> Result<(CommandLine, ArgMatches)> {
    let found = CommandLine::command().try_get_matches_from(words);
    found
        .and_then(|m| Ok((CommandLine::from_arg_matches(&m)?, m)))
        .map_err(|e| {
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
    /// Channel groups, constraints and why, MACs and parameters.
    Inspect(InspectArgs),
    /// What a narrower model loses against what it takes: the whole curve, measured at some points.
    Pareto(ParetoArgs),
    /// Finds the plan that the main job would apply, and writes it as JSON.
    Plan(PlanArgs),
    /// Applies a plan to a model, without timing anything.
    Apply(ApplyArgs),
    /// Plays a sequence of frames with the files that --video wrote, beside the model that they were made of.
    Play(PlayArgs),
    /// Latency against width of every convolution: the staircases.
    Profile(ProfileArgs),
    /// Many models: one command, one report. Goes on from where it was interrupted.
    Zoo(Box<ZooArgs>),
    /// Does single jobs of a zoo, as they come in.
    #[command(hide = true)]
    ZooWorker(WorkerArgs),
    /// Loads and times probes for a job on a GPU, as it is told.
    #[command(hide = true)]
    ProbeWorker(WorkerArgs),
    /// Compares the outputs of two models, element by element; the exit status is 1 if they differ.
    Verify(VerifyArgs),
    /// Predicted tail-free widths for a GPU that is not here.
    Widths(WidthsArgs),
    /// The latency database: ls, show, merge, export, import, gc, verify.
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
