//! Flags of where times are kept.

use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use clap::Args as ClapArgs;

use crate::jobs::StoreSettings;

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

impl StoreArgs {
    /// The same as settings.
    pub fn settings(&self) -> StoreSettings {
        StoreSettings {
            path: self.db.clone(),
            shared: self.shared_db.clone(),
            allow_mismatch: self.allow_mismatch,
            remeasure_before: self.remeasure,
        }
    }
}
