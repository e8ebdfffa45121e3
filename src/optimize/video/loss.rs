//! What files lose over frames in their order, played as their runner plays them.

use std::ops::Range;

use super::context::VideoSearch;
use super::outcome::{VideoFile, VideoOutcome};
use crate::onnx::{encode, save};
use crate::playback::{Video, VideoFiles, play};
use crate::{Error, Result};

/// What frames showed.
pub(super) struct Played {
    /// What was lost of the task's number; `None` where nothing could be told.
    pub loss: Option<f64>,
    /// The name of that number.
    pub measure: String,
    /// Mean share of the frame's tiles that changed.
    pub changed: f64,
    /// Mean time over the model's, from the times of the files.
    pub ratio: f64,
}

/// Plays some of the frames.
pub(super) fn played(
    search: &VideoSearch,
    outcome: &VideoOutcome,
    models: &[Vec<u8>],
    frames: Range<usize>,
) -> Result<Played> {
    let folder = tempfile::tempdir().map_err(|e| Error::file(std::env::temp_dir(), e))?;
    let mut paths = Vec::new();
    for (file, model) in outcome.files.iter().zip(models) {
        let path = folder.path().join(format!("model.snap.video-{}.onnx", file.part));
        save(&path, model)?;
        paths.push(path);
    }
    let original = encode(search.model);
    let plain = folder.path().join("model.onnx");
    save(&plain, &original)?;
    let files = VideoFiles::find(folder.path(), Some(&plain))?;
    let mut video = Video::load(search.device, &files)?;
    let mut runner = search.device.deployed(&original)?;
    let data = search.data.of_runs(frames);
    let report = |done, all| search.reporter.progress(done, all);
    let timeline = play(&mut video, &mut runner, &data, search.reading, &report)?;
    let number = timeline.numbers.first();
    // The first frame is computed whole whatever comes.
    let later: Vec<f64> = timeline
        .frames
        .iter()
        .skip(1)
        .map(|f| taken(outcome, f.role, &f.shares))
        .collect();
    let mean = later.iter().sum::<f64>() / later.len().max(1) as f64;
    Ok(Played {
        loss: number.and_then(|n| n.agreement).map(|value| 1.0 - value),
        measure: number.map(|n| n.name.clone()).unwrap_or_default(),
        changed: timeline.mean_changed(),
        ratio: mean / outcome.original_ms.max(1e-12),
    })
}

/// Milliseconds of all runs of a frame that computed such shares of the tiles, from the times of the files; `role` is that of the last.
fn taken(outcome: &VideoOutcome, role: &str, shares: &[f64]) -> f64 {
    let whole = outcome.files.first().map_or(0.0, |f| f.ms);
    let tiles = |share: f64| {
        let apart = |f: &&VideoFile| (f.share - share).abs();
        let files = outcome.files.iter().skip(1);
        files
            .min_by(|a, b| apart(a).total_cmp(&apart(b)))
            .map_or(whole, |f| f.ms)
    };
    let (last, before) = match (role, shares) {
        ("plain", [before @ .., _]) => (outcome.original_ms, before),
        ("dense", [before @ .., _]) => (whole, before),
        (_, all) => (0.0, all),
    };
    last + before.iter().map(|share| tiles(*share)).sum::<f64>()
}

#[cfg(test)]
mod tests {
    use super::{VideoFile, VideoOutcome, taken};

    #[test]
    fn all_runs_of_a_frame_count() {
        let file = |share: f64, ms: f64| VideoFile {
            part: String::new(),
            share,
            ms,
            ratio: ms / 10.0,
            computed: Vec::new(),
            model: Vec::new(),
        };
        let outcome = VideoOutcome {
            files: vec![file(1.0, 11.0), file(0.1, 3.0), file(0.4, 6.0)],
            original_ms: 10.0,
            ..VideoOutcome::default()
        };
        let of = |role, shares: &[f64]| taken(&outcome, role, shares);
        assert_eq!(of("plain", &[1.0]), 10.0);
        assert_eq!(of("dense", &[1.0]), 11.0);
        assert_eq!(of("tiles", &[0.1, 0.4, 0.1]), 12.0);
        assert_eq!(of("dense", &[0.1, 0.4, 1.0]), 20.0);
    }
}
