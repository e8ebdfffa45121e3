//! `snapprune inspect MODEL`.

use super::{interrupt, stdout};
use crate::Result;
use crate::flags::InspectArgs;
use crate::jobs::{ModelSource, inspect};
use crate::report::{inspect_dot, inspect_json, inspect_text, visible};

/// Always `true`: there is nothing to find wanting.
pub(super) fn run(args: &InspectArgs) -> Result<bool> {
    let source = ModelSource::of(&args.model)?;
    let opened = inspect(
        &source,
        &args.shapes.only()?,
        args.ort_lib.as_deref(),
        interrupt::stop(),
    )?;
    if args.json {
        stdout::line(&format!("{:#}", inspect_json(&opened)))?;
    } else if args.dot {
        stdout::text(&inspect_dot(&opened))?;
    } else {
        for note in &opened.notes {
            eprintln!("note: {}", visible(note));
        }
        stdout::text(&inspect_text(&opened))?;
    }
    Ok(true)
}
