//! `snapprune play FILES --eval FRAMES`.

use super::screen::Screen;
use super::{interrupt, stdout};
use crate::Result;
use crate::flags::{PlayArgs, typed};
use crate::jobs::play_video;
use crate::onnx::save;
use crate::optimize::ProgressReporter;
use crate::report::{timeline_html, timeline_json, timeline_text};

/// Always `true`: whatever is faster, the sequence was played.
pub(super) fn run(args: &PlayArgs) -> Result<bool> {
    let screen = Screen::new(args.quiet);
    let done = play_video(&args.settings()?, interrupt::stop(), &screen)?;
    screen.done();
    if args.json {
        let report = timeline_json(&done.device, &done.manifest, &done.shares, &done.timeline);
        stdout::line(&format!("{report:#}"))?;
    } else if !args.quiet {
        stdout::line(&format!("device    {}", done.described))?;
        stdout::text(&timeline_text(&done.timeline))?;
    }
    if let Some(page) = &args.report {
        let name = done.files.dense.file_name().unwrap_or_default().to_string_lossy();
        let words = std::env::args_os()
            .skip(1)
            .map(|word| word.to_string_lossy().into_owned());
        let html = timeline_html(&name, &done.described, &typed(words), &done.timeline)?;
        save(page, html.as_bytes())?;
        if !args.quiet && !args.json {
            stdout::line(&format!("written   {}", page.display()))?;
        }
    }
    Ok(true)
}
