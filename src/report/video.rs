//! Files for video, in text.

use std::fmt::Write;

use super::table::{shorten, table};
use crate::optimize::VideoOutcome;

/// Stages, files and what they lose.
pub fn video_text(outcome: &VideoOutcome) -> String {
    let mut text = String::new();
    for note in &outcome.notes {
        let _ = writeln!(text, "note      {note}");
    }
    if let Some(why) = &outcome.declined {
        let _ = writeln!(text, "no files  {why}");
        return text;
    }
    let mut stages = table(&["stage", "nodes", "tiles", "of", "windows"], &[1, 2, 4]);
    for s in &outcome.stages {
        let [rows, columns] = s.tile;
        let (nodes, tiles) = (s.nodes.to_string(), s.tiles.to_string());
        stages.add_row([
            shorten(&s.name, 36),
            nodes,
            tiles,
            format!("{rows}×{columns}"),
            format!("{:.2}×", s.windows),
        ]);
    }
    let mut files = table(&["file", "share of tiles", "ms", "of the model"], &[1, 2, 3]);
    for f in &outcome.files {
        files.add_row([
            f.part.clone(),
            format!("{:.3}", f.share),
            format!("{:.3}", f.ms),
            format!("{:.2}", f.ratio),
        ]);
    }
    let _ = writeln!(text, "{stages}\n{files}");
    let _ = writeln!(
        text,
        "model     {:.3} ms; faster itself from {:.2} of the tiles on",
        outcome.original_ms, outcome.limit
    );
    if let Some(apart) = outcome.exact_difference {
        let _ = writeln!(
            text,
            "exact     outputs differ by {apart:.1e} of their range once nothing is left"
        );
    }
    let what = match outcome.threshold {
        t if t > 0.0 => format!("above {t} of a map's range"),
        _ => "all, as no threshold loses little enough, or none may lose".to_owned(),
    };
    let _ = writeln!(text, "change    {what}");
    if let Some(loss) = outcome.loss {
        let _ = writeln!(
            text,
            "loss      {loss:.4} of {} on {} frames, of whose tiles {:.3} changed",
            outcome.measure, outcome.frames[1], outcome.changed
        );
    }
    let _ = writeln!(
        text,
        "expected  {:.2} of the model's latency a frame there{}",
        outcome.predicted_ratio,
        match outcome.predicted_ratio {
            more if more > 1.0 => ": frames like these are faster without the files",
            _ => "",
        }
    );
    text
}
