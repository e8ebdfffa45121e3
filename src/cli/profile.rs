//! `snapprune profile MODEL`.

use super::screen::Screen;
use super::{interrupt, stdout};
use crate::Result;
use crate::flags::ProfileArgs;
use crate::jobs::{ModelSource, ProfiledModel, profile_model};
use crate::onnx::save;
use crate::optimize::ProgressReporter;
use crate::profile::{Multiprocessors, latency_steps};
use crate::report::{latency_steps_text, profile_json, roofline_text, visible};

/// Times every layer at a range of output widths and the nodes of the whole model; `false` where there is nothing to time.
pub(super) fn run(args: &ProfileArgs) -> Result<bool> {
    let screen = Screen::new(args.quiet);
    let source = ModelSource::of(&args.model)?;
    let done = profile_model(&source, &args.settings()?, interrupt::stop(), &screen)?;
    screen.done();
    if let Some(why) = &done.nothing {
        eprintln!("no layer to time: {}", visible(why));
        if done.roofline.is_none() {
            return Ok(false);
        }
    }
    if args.json {
        let report = profile_json(&done.profile.device, done.roofline.as_ref(), &done.latency_steps);
        stdout::line(&format!("{report:#}"))?;
    } else if !args.quiet {
        stdout::text(&text(&done))?;
    }
    let mut written = Vec::new();
    if let Some(out) = args.out.as_ref().filter(|_| done.nothing.is_none()) {
        done.profile.write(out)?;
        written.push(out);
    }
    if let Some(page) = &args.report {
        save(page, done.html.as_bytes())?;
        written.push(page);
    }
    for file in written.iter().filter(|_| !args.quiet && !args.json) {
        stdout::line(&format!("written   {}", file.display()))?;
    }
    Ok(true)
}

fn text(done: &ProfiledModel) -> String {
    let device = Multiprocessors::of(&done.profile.device);
    let mut text = format!("device    {}\n", done.described);
    for layer in &done.layers {
        let known = latency_steps(&layer.problem, &done.profile.records);
        text += &latency_steps_text(&layer.name, &layer.problem, &known, device.as_ref());
    }
    if let Some(roofline) = &done.roofline {
        text += &format!("\n{}", roofline_text(roofline));
    }
    let widths: usize = done.layers.iter().map(|l| l.widths.len()).sum();
    let (made, reused, count) = (done.made, done.reused, done.latency_steps.len());
    text + &format!("{made} problems timed, {reused} reused; every width of these {count} layers would be {widths}\n")
}
