//! `snapprune verify A.onnx B.onnx`.

use serde_json::json;

use super::screen::Screen;
use super::{interrupt, stdout};
use crate::Result;
use crate::flags::VerifyArgs;
use crate::jobs::verify;
use crate::report::table;
use crate::verify::{Pair, Tolerance};

/// Whether the outputs are the same within the tolerance.
pub(super) fn run(args: &VerifyArgs) -> Result<bool> {
    let settings = args.settings()?;
    let tolerance = settings.tolerance;
    let found = verify(&settings, interrupt::stop(), &Screen::new(false))?;
    let same = found.iter().all(|p| p.different == 0);
    if args.json {
        let text = json!({ "schema_version": 1, "same": same, "tolerance": tolerance, "outputs": found });
        stdout::line(&format!("{text:#}"))?;
    } else {
        stdout::text(&shown(&found, tolerance))?;
    }
    Ok(same)
}

fn shown(found: &[Pair], tolerance: Tolerance) -> String {
    let mut rows = table(
        &["output", "elements", "differ", "largest", "relative", "worst"],
        &[1, 2, 3, 4],
    );
    for p in found {
        rows.add_row([
            p.name.clone(),
            p.elements.to_string(),
            p.different.to_string(),
            format!("{:.1e}", p.max_abs),
            format!("{:.1e}", p.max_rel),
            p.worst
                .map_or(String::new(), |(at, a, b)| format!("element {at}: {a:.6e} and {b:.6e}")),
        ]);
    }
    let different: usize = found.iter().map(|p| p.different).sum();
    let rule = format!("|a − b| ≤ {:e} + {:e}·|a|", tolerance.absolute, tolerance.relative);
    match different {
        0 => format!("{rows}\nsame      all outputs, by {rule}\n"),
        n => format!("{rows}\ndifferent {n} elements, by {rule}\n"),
    }
}
