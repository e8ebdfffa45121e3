//! Flags of `db`.

use std::path::PathBuf;

use clap::{Args as ClapArgs, Subcommand};

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
