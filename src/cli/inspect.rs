//! `snapprune inspect MODEL`.

use super::args::InspectArgs;
use super::setup;
use super::source::ModelSource;
use crate::Result;
use crate::report::{inspect_dot, inspect_json, inspect_text};

/// Always `true`: there is nothing to find wanting.
pub(super) fn run(args: &InspectArgs) -> Result<bool> {
    let runtime = setup::runtime(args.ort_lib.as_deref())?;
    let source = ModelSource::of(&args.model)?;
    let opened = source.open(&runtime, &setup::shapes(&args.shapes)?)?;
    if args.json {
        println!("{:#}", inspect_json(&opened));
    } else if args.dot {
        print!("{}", inspect_dot(&opened));
    } else {
        for note in &opened.notes {
            eprintln!("note: {note}");
        }
        print!("{}", inspect_text(&opened));
    }
    Ok(true)
}
