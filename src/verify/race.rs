//! Latencies of models side by side: interleaved, in fresh sessions, with the spread.

use std::time::Instant;

use serde::{Deserialize, Serialize};

use crate::Result;
use crate::profile::{Summary, median, summarize};
use crate::target::{Named, Target};

/// One model's times.
#[derive(Clone, Debug)]
pub struct Lane {
    /// Every time, in milliseconds.
    pub samples: Vec<f64>,
    /// Time over the first model's time of the same round.
    pub ratios: Vec<f64>,
    /// The median ratio of each block; every block has fresh sessions.
    pub block_ratios: Vec<f64>,
}

/// How a model compares with the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Verdict {
    /// Faster beyond the noise.
    Faster,
    /// The difference is within the noise.
    Same,
    /// Slower beyond the noise.
    Slower,
}

impl Lane {
    /// Summary of the times.
    pub fn summary(&self) -> Summary {
        summarize(&self.samples)
    }

    /// Median of the ratios to the first model.
    pub fn ratio(&self) -> f64 {
        median(&self.ratios)
    }

    /// Half the width of a 95 % interval of the ratio, at least 0.5 %.
    pub fn ratio_noise(&self) -> f64 {
        summarize(&self.ratios).half_width().max(0.005)
    }

    /// Faster only if the interval lies below 1 and so does every block.
    pub fn verdict(&self) -> Verdict {
        let (ratio, noise) = (self.ratio(), self.ratio_noise());
        if ratio + noise < 1.0 && self.block_ratios.iter().all(|&r| r < 1.0) {
            Verdict::Faster
        } else if ratio - noise > 1.0 && self.block_ratios.iter().all(|&r| r > 1.0) {
            Verdict::Slower
        } else {
            Verdict::Same
        }
    }
}

/// Blocks of fresh sessions: two sessions of one model differ by where their memory lies.
const BLOCKS: usize = 3;

/// Times `models` on the same inputs, round after round, for about `seconds` in all (at least 5
/// rounds a block). The order of a round rotates.
///
/// # Errors
/// When a model cannot be loaded or a run fails.
pub fn race(target: &dyn Target, models: &[&[u8]], inputs: &[Named], seconds: f64) -> Result<Vec<Lane>> {
    let mut lanes = vec![
        Lane {
            samples: vec![],
            ratios: vec![],
            block_ratios: vec![]
        };
        models.len()
    ];
    for block in 0..BLOCKS {
        let mut sessions = Vec::new();
        for model in models {
            sessions.push(target.load(model, inputs, false)?);
        }
        for session in &mut sessions {
            for _ in 0..3 {
                session.run()?;
            }
        }
        let from = lanes[0].ratios.len();
        let start = Instant::now();
        let mut round = 0;
        while round < 5 || (start.elapsed().as_secs_f64() < seconds / BLOCKS as f64 && round < 400) {
            let mut times = vec![0.0; models.len()];
            for k in 0..models.len() {
                let at = (k + round + block) % models.len();
                times[at] = sessions[at].run()?;
            }
            for (lane, &time) in lanes.iter_mut().zip(&times) {
                lane.samples.push(time);
                lane.ratios.push(time / times[0]);
            }
            round += 1;
        }
        for lane in &mut lanes {
            lane.block_ratios.push(median(&lane.ratios[from..]));
        }
    }
    Ok(lanes)
}

#[cfg(test)]
mod tests {
    use super::{Lane, Verdict};

    fn lane(ratios: &[f64], blocks: &[f64]) -> Lane {
        Lane {
            samples: vec![],
            ratios: ratios.to_vec(),
            block_ratios: blocks.to_vec(),
        }
    }

    #[test]
    fn a_difference_within_the_noise_is_no_difference() {
        assert_eq!(
            lane(&[0.999, 1.0, 0.998], &[0.999, 1.0, 0.998]).verdict(),
            Verdict::Same
        );
        assert_eq!(lane(&[0.9, 0.91, 0.89], &[0.9, 0.91, 0.89]).verdict(), Verdict::Faster);
        assert_eq!(lane(&[1.1, 1.11, 1.09], &[1.1, 1.11, 1.09]).verdict(), Verdict::Slower);
    }

    #[test]
    fn one_block_against_it_takes_the_claim_away() {
        assert_eq!(lane(&[0.9, 0.9, 0.9, 1.01], &[0.9, 1.01]).verdict(), Verdict::Same);
    }
}
