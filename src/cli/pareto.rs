//! `snapprune pareto MODEL`.

use super::screen::Screen;
use super::{interrupt, stdout};
use crate::flags::ParetoArgs;
use crate::jobs::{ModelSource, ParetoOutcome, trade_off};
use crate::onnx::save;
use crate::report::{pareto_svg, pareto_text, visible};
use crate::{Error, Result};

/// Whether there is a curve: `false` where no width may change.
pub(super) fn run(args: &ParetoArgs) -> Result<bool> {
    let settings = args.settings()?;
    let runtime = settings.device.runtime(interrupt::stop())?;
    let device = settings.device.open(&runtime)?;
    if !args.json {
        stdout::line(&format!("device    {}", settings.device.describe(device.as_ref())))?;
    }
    let screen = Screen::new(args.quiet);
    let source = ModelSource::of(&args.model)?;
    let rows = match trade_off(&source, &settings, &runtime, device.as_ref(), &screen)? {
        ParetoOutcome::Curve(rows) => rows,
        ParetoOutcome::NothingToChange(why) => {
            eprintln!("no curve: {}", visible(&why.to_string()));
            return Ok(false);
        }
    };
    if let Some(path) = &args.output {
        let name = args.model.file_name().unwrap_or_default().to_string_lossy();
        let title = format!("{name} on {}", device.info().name);
        save(path, pareto_svg(&rows, &title)?.as_bytes())?;
    }
    if args.json {
        let text = serde_json::to_string_pretty(&rows).map_err(|e| Error::Plan(e.to_string()))?;
        return stdout::line(&text).map(|()| true);
    }
    stdout::text(&pareto_text(&rows))?;
    if let Some(path) = &args.output {
        stdout::line(&format!("written   {}", path.display()))?;
    }
    stdout::line("ask for a point with --target-latency, such as --target-latency 0.8x")?;
    Ok(true)
}
