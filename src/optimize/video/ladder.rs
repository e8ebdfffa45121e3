//! Files for several shares of changed tiles: what they compute, what they take, and from what difference on change counts.

use super::context::VideoSearch;
use super::counts::Counts;
use super::loss::{Played, played};
use super::outcome::{VideoFile, VideoOutcome};
use super::timing::{Entry, timed};
use super::{FACTORS, FEW};
use crate::Result;
use crate::onnx::encode;
use crate::onnx::proto::ModelProto;
use crate::video::{Manifest, Numbers, VideoModel};

/// Shares of the tiles that files are made for, over that of a frame in the middle.
const STEPS: [f64; 6] = [0.5, 0.75, 1.0, 1.25, 1.7, 2.5];
/// Shares of the frame where no frame shows any change.
const SHARES: [f64; 4] = [0.03, 0.08, 0.2, 0.4];
/// No file is made for more of the tiles.
const MOST: f64 = 0.6;
/// A file pays that takes no more than this of the model's time.
const PAYS: f64 = 0.98;

impl VideoSearch<'_> {
    /// The files with the largest share of the range that loses no more than allowed, on the first frames and on the last; none, and why, where
    /// none pays. `None` where all shares lose too much and the plan is none of exact files.
    pub(super) fn chosen(
        &self,
        video: &VideoModel,
        numbers: &Numbers,
        outcome: &mut VideoOutcome,
    ) -> Result<Option<Vec<Vec<u8>>>> {
        let count = self.data.count();
        let first = (count * 2 / 3).max(1);
        let last = if count >= FEW { first..count } else { 0..count };
        outcome.frames = [first, last.len()];
        let has_runs = (0..outcome.stages.len()).any(|s| video.plan.is_run(s));
        for factor in factors(self.most_drop, has_runs) {
            if !outcome.files.is_empty() && self.limit.is_up() {
                outcome.files.clear();
                outcome.declined =
                    Some("the time was up before a threshold was found that loses little enough".to_owned());
                return Ok(Some(Vec::new()));
            }
            let counts = self.counts(video, numbers, factor)?;
            self.ladder(video, numbers, &counts, outcome)?;
            if outcome.files.len() < 2 {
                outcome.files.clear();
                outcome.declined = Some("no file is faster than the model itself".to_owned());
                return Ok(Some(Vec::new()));
            }
            let models = self.files(video, numbers, outcome, factor)?;
            let loses = |loss: Option<f64>| factor > 0.0 && loss.is_none_or(|loss| loss > self.most_drop);
            if factor > 0.0 && loses(played(self, outcome, &models, 0..first)?.loss) {
                continue;
            }
            let Played {
                loss,
                measure,
                changed,
                ratio,
            } = played(self, outcome, &models, last.clone())?;
            if loses(loss) {
                continue;
            }
            outcome.threshold = factor;
            outcome.loss = loss;
            outcome.measure = measure;
            outcome.changed = changed;
            outcome.predicted_ratio = ratio;
            // A few frames tell what files lose before the runner learns how far change spreads, and no more.
            if ratio > PAYS && outcome.frames[1] > FEW {
                outcome.files.clear();
                outcome.declined = Some(format!(
                    "frames like these take {ratio:.2} of the model's time with files that are each faster: too much of them changes"
                ));
            }
            return Ok(Some(models));
        }
        Ok(None)
    }

    /// Times the files of all shares beside the model, and notes those that pay.
    fn ladder(&self, video: &VideoModel, numbers: &Numbers, counts: &Counts, outcome: &mut VideoOutcome) -> Result<()> {
        let dense = encode(&video.dense(numbers, 1.0)?);
        let mut entries = vec![Entry::whole(self, &encode(self.model))?, Entry::whole(self, &dense)?];
        let mut steps = Vec::new();
        let computed: Vec<Vec<usize>> = match counts.typical(video.plan) {
            Some(typical) => {
                let shares = STEPS.iter().map(|step| step * typical);
                shares
                    .filter(|s| *s < MOST)
                    .filter_map(|s| counts.computed(video.plan, s))
                    .collect()
            }
            None => SHARES.iter().map(|share| video.plan.computed(*share)).collect(),
        };
        for computed in computed {
            let proto = video.tiles(numbers, &computed, 1.0)?;
            let share = Manifest::of(&proto)?.map_or(1.0, |m| m.share);
            entries.push(Entry::tiles(self, video, numbers, &proto)?);
            steps.push((share, computed));
        }
        let times = timed(self, entries)?;
        let [original, whole, tiles @ ..] = times.as_slice() else {
            return Ok(());
        };
        outcome.original_ms = *original;
        let all: Vec<usize> = outcome.stages.iter().map(|s| s.tiles).collect();
        let file = |part: String, share, ms: f64, computed| VideoFile {
            part,
            share,
            ms,
            ratio: ms / original,
            computed,
            model: Vec::new(),
        };
        outcome.files = vec![file("dense".to_owned(), 1.0, *whole, all)];
        for ((share, computed), ms) in steps.into_iter().zip(tiles) {
            let part = format!("{:.0}", (share * 100.0).max(1.0));
            let taken = outcome.files.iter().any(|f| f.part == part);
            if *ms < PAYS * *original && share < 1.0 && !taken {
                outcome.files.push(file(part, share, *ms, computed));
            }
        }
        outcome.limit = outcome.files.iter().skip(1).map(|f| f.share).fold(0.0, f64::max);
        Ok(())
    }

    /// The files with a share of the range that counts as change, in the outcome's order.
    fn files(
        &self,
        video: &VideoModel,
        numbers: &Numbers,
        outcome: &VideoOutcome,
        factor: f64,
    ) -> Result<Vec<Vec<u8>>> {
        let numbers = Numbers {
            factor: factor as f32,
            ..numbers.clone()
        };
        let one = |file: &VideoFile| {
            let mut model = match file.part.as_str() {
                "dense" => video.dense(&numbers, outcome.limit)?,
                _ => video.tiles(&numbers, &file.computed, outcome.limit)?,
            };
            note_ratio(&mut model, file.ratio)?;
            Ok(encode(&model))
        };
        outcome.files.iter().map(one).collect()
    }

    /// The whole file and one of tiles as exact ones, which compute a quarter of the tiles or more, and all of those of several layers: runs are bounded.
    pub(super) fn exact_files(
        &self,
        video: &VideoModel,
        numbers: &Numbers,
        outcome: &VideoOutcome,
    ) -> Result<Vec<Vec<u8>>> {
        let mut some = outcome.clone();
        some.files.dedup_by(|b, a| a.part != "dense" && b.part != "dense");
        for file in &mut some.files {
            for (at, (k, stage)) in file.computed.iter_mut().zip(&outcome.stages).enumerate() {
                let least = if video.plan.is_run(at) { 1 } else { 4 };
                *k = (*k).max(stage.tiles.div_ceil(least));
            }
        }
        self.files(video, numbers, &some, 0.0)
    }
}

/// Shares of the range to try, the largest first. Exact files (0) have no runs of layers, which leave some of a frame for later.
fn factors(most_drop: f64, has_runs: bool) -> impl Iterator<Item = f64> {
    let shares = FACTORS.iter().copied().filter(move |_| most_drop > 0.0);
    shares.chain((!has_runs).then_some(0.0))
}

/// Has a file say what a run takes over what the model takes.
fn note_ratio(model: &mut ModelProto, ratio: f64) -> Result<()> {
    if let Some(mut manifest) = Manifest::of(model)? {
        manifest.ratio = ratio;
        manifest.write(model)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{FACTORS, factors};

    #[test]
    fn exact_files_are_made_of_plans_without_runs_of_layers() {
        assert!(factors(0.0, false).eq([0.0]));
        assert!(factors(0.01, true).eq(FACTORS));
        assert!(factors(0.01, false).eq(FACTORS.into_iter().chain([0.0])));
    }
}
