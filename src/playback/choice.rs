//! Which file a frame takes.

use crate::video::Manifest;

/// A file that computes some of the tiles.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// Share of the tiles that it computes.
    pub share: f64,
    /// Tiles that it computes in each stage.
    pub computed: Vec<usize>,
    /// What a run takes over what the model without states takes; 0 where that is not known.
    pub ratio: f64,
}

impl Step {
    /// What a run takes, as a share of what the model takes.
    fn cost(&self) -> f64 {
        if self.ratio > 0.0 { self.ratio } else { RUN + self.share }
    }
}

/// What a frame is computed by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// The model without states: everything changes all the time.
    Plain,
    /// The whole model, with the states that it makes.
    Dense,
    /// The `n`-th step of the ladder.
    Tiles(usize),
}

/// What was done with the frame before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Before {
    Nothing,
    Plain,
    Dense,
    Tiles,
}

/// Chooses frame by frame; what a stage needs for a changed tile of the frame it learns from what was left.
#[derive(Clone, Debug)]
pub struct Chooser {
    steps: Vec<Step>,
    /// Tiles of each stage, the frame's first.
    tiles: Vec<usize>,
    limit: f64,
    /// What the whole model with states takes, as a share of what the model takes.
    whole: f64,
    exact: bool,
    plain: bool,
    before: Before,
    /// Tiles of each stage that changed and were left.
    pending: Vec<usize>,
    /// Tiles that each stage has to compute for a changed tile of the frame.
    spread: Vec<f64>,
}

/// What a run of few tiles takes of the model's time besides them, where it was not timed.
const RUN: f64 = 0.3;
/// What is learnt of a moment in which much was to be done fades by this factor a frame.
const FADE: f64 = 0.9;

impl Chooser {
    /// A ladder from the smallest step to the largest. `plain`: whether there is a model without states.
    pub fn new(dense: &Manifest, mut steps: Vec<Step>, plain: bool) -> Self {
        steps.sort_by(|a, b| a.share.total_cmp(&b.share));
        let tiles: Vec<usize> = dense.stages.iter().map(|s| s.tiles).collect();
        let mut chooser = Self {
            steps,
            tiles,
            limit: dense.limit,
            whole: if dense.ratio > 0.0 { dense.ratio } else { 1.0 },
            exact: dense.threshold == 0.0,
            plain,
            before: Before::Nothing,
            pending: Vec::new(),
            spread: Vec::new(),
        };
        chooser.spread = (0..chooser.tiles.len()).map(Self::least).collect();
        chooser
    }

    /// The ladder, the smallest step first.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// Forgets all frames.
    pub fn reset(&mut self) {
        self.before = Before::Nothing;
        self.pending.clear();
    }

    /// Whether the frame before left states.
    pub fn has_states(&self) -> bool {
        matches!(self.before, Before::Dense | Before::Tiles)
    }

    /// What a frame takes of which `changed` of `of` tiles changed: against the states' reference where there are states, else against the
    /// frame before.
    pub fn choose(&mut self, changed: usize, of: usize) -> Choice {
        let share = changed as f64 / of.max(1) as f64;
        let restless = share > self.limit;
        let choice = match self.before {
            Before::Nothing => Choice::Dense,
            Before::Plain if restless => Choice::Plain,
            Before::Plain => Choice::Dense,
            Before::Dense if restless && self.plain => Choice::Plain,
            Before::Dense | Before::Tiles if restless => Choice::Dense,
            Before::Dense | Before::Tiles => self.step(&self.wanted(changed), changed),
        };
        self.take(choice);
        choice
    }

    /// What the same frame takes again, to compute what the run before left; `done`: what its runs took together ([`Chooser::cost`]).
    pub fn again(&mut self, done: f64) -> Choice {
        // All runs on tiles together take no more than the whole model.
        let choice = match self.step(&self.pending, 0) {
            Choice::Tiles(k) if done + self.cost(Choice::Tiles(k)) < self.whole => Choice::Tiles(k),
            _ => Choice::Dense,
        };
        self.take(choice);
        choice
    }

    /// What a run takes, as a share of what the model takes.
    pub fn cost(&self, choice: Choice) -> f64 {
        match choice {
            Choice::Plain => 1.0,
            Choice::Dense => self.whole,
            Choice::Tiles(k) => self.steps.get(k).map_or(self.whole, Step::cost),
        }
    }

    /// What a run of [`Choice::Tiles`] left in each stage, and for how many changed tiles of the frame.
    pub fn left(&mut self, choice: Choice, pending: &[usize], changed: usize) {
        if let Choice::Tiles(k) = choice {
            // Whether a stage above had something left: what it computes now comes up here, and is not of this frame.
            let mut behind = false;
            for stage in 0..self.spread.len() {
                let left = pending.get(stage).copied().unwrap_or(0);
                let computed = self
                    .steps
                    .get(k)
                    .and_then(|s| s.computed.get(stage))
                    .copied()
                    .unwrap_or(0);
                // What earlier frames left says nothing of this one's change.
                let before = self.pending.get(stage).copied().unwrap_or(0);
                let waits = self.waits(stage, computed);
                if let Some(spread) = self.spread.get_mut(stage) {
                    let seen = match left {
                        _ if left <= waits || changed == 0 || behind => 0.0,
                        left => (computed + left).saturating_sub(before) as f64 / changed as f64,
                    };
                    *spread = (*spread * FADE).max(Self::least(stage)).max(seen);
                }
                behind |= before > 0;
            }
        }
        self.pending = pending.to_vec();
    }

    /// Tiles that may wait for the next frame where a run computes so many: none of the frame's own; the exact files run again for each, the others
    /// have those wait that changed least.
    fn waits(&self, stage: usize, computed: usize) -> usize {
        if self.exact || stage == 0 { 0 } else { computed }
    }

    /// Whether something was left.
    pub fn is_behind(&self) -> bool {
        self.pending.iter().any(|n| *n > 0)
    }

    fn take(&mut self, choice: Choice) {
        self.before = match choice {
            Choice::Plain => Before::Plain,
            Choice::Dense => Before::Dense,
            Choice::Tiles(_) => Before::Tiles,
        };
        if !matches!(choice, Choice::Tiles(_)) {
            self.pending.clear();
        }
    }

    /// Tiles of a stage for a tile of the frame, where nothing is known: steps hold in all stages what they hold in the first.
    fn least(stage: usize) -> f64 {
        if stage == 0 { 1.0 } else { 0.0 }
    }

    /// Tiles that each stage should compute.
    fn wanted(&self, changed: usize) -> Vec<usize> {
        let all = self.tiles.iter().zip(&self.spread).enumerate();
        all.map(|(stage, (tiles, spread))| {
            let left = self.pending.get(stage).copied().unwrap_or(0);
            (left + (spread * changed as f64).ceil() as usize).min(*tiles)
        })
        .collect()
    }

    /// The smallest step that holds what each stage wants; where none does, the largest, or the whole model where the frame alone is too
    /// much for it, or so much is left that the whole model is faster.
    fn step(&self, wanted: &[usize], changed: usize) -> Choice {
        let holds = |step: &Step| {
            let mut all = wanted.iter().zip(&step.computed).enumerate();
            all.all(|(stage, (want, k))| room(*k) + self.waits(stage, *k) >= *want)
        };
        if let Some(k) = self.steps.iter().position(holds) {
            return Choice::Tiles(k);
        }
        let held = |last: &Step| {
            let mut left = self.pending.iter().zip(&last.computed);
            left.all(|(left, k)| left <= k) && last.computed.first().is_none_or(|k| room(*k) >= changed)
        };
        match self.steps.last() {
            Some(last) if held(last) => Choice::Tiles(self.steps.len() - 1),
            _ => Choice::Dense,
        }
    }
}

/// Tiles that a run has for change: where it computes several, one of them is refreshed.
fn room(computed: usize) -> usize {
    computed.saturating_sub(1).max(computed.min(1))
}

#[cfg(test)]
#[path = "choice_tests.rs"]
mod tests;
