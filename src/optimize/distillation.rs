//! What training all weights together gave.

use crate::distill::{Distilled, Judged};

/// What gradient steps gave.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Distillation {
    /// Steps that were made.
    pub steps: usize,
    /// Weight tensors that were trained.
    pub tensors: usize,
    /// Weight tensors that no gradient reaches, as an operator without a rule reads what they make.
    pub out_of_reach: usize,
    /// These operators.
    pub stopped_by: Vec<String>,
    /// The loss before, on the samples that choose; no number, like that after, where no weight can be trained.
    pub loss_before: f64,
    /// That of the weights that did best, on the same samples.
    pub loss_after: f64,
    /// Before and after on other views of the same samples (moved, and mixed with one another), where they are images.
    pub loss_on_views: Option<[f64; 2]>,
    /// What weights on the way lost, the first without a step.
    pub judged: Vec<Judged>,
    /// Whether the model has the weights that did best: the mean of both losses is less than that of those from before.
    pub taken: bool,
    /// Seconds that it took.
    pub seconds: f64,
}

impl Distillation {
    /// Of what steps gave; `constant`: weights of what is not to be trained.
    pub(super) fn of(found: &Distilled, constant: usize, seconds: f64) -> Self {
        let losses = found.losses;
        let loss = |k: usize| losses.map_or(f64::NAN, |l| l[k].loss);
        Self {
            steps: found.steps,
            tensors: found.tensors[0],
            out_of_reach: found.tensors[1].saturating_sub(constant),
            stopped_by: found.stopped_by.clone(),
            loss_before: loss(0),
            loss_after: loss(1),
            loss_on_views: losses.and_then(|[before, after]| before.on_views.zip(after.on_views).map(<[f64; 2]>::from)),
            judged: found.judged.clone(),
            taken: found.model.is_some(),
            seconds,
        }
    }

    /// In words.
    pub fn text(&self) -> String {
        if self.tensors == 0 {
            return match self.out_of_reach {
                0 => "no weight can be trained: none of a layer is stored as float32 numbers of its own".to_owned(),
                _ => format!("no weight can be trained: {}", self.reach()),
            };
        }
        if self.steps == 0 {
            return format!("no step could be made in {:.0} s, and the weights stay", self.seconds);
        }
        let (before, after) = (self.loss_before, self.loss_after);
        let steps = format!("{} steps in {:.0} s", self.steps, self.seconds);
        let what = match self.taken {
            true => {
                let views = self
                    .loss_on_views
                    .map(|[before, after]| format!(", {before:.4} → {after:.4} on other views of them"));
                let views = views.unwrap_or_default();
                format!("{steps}: loss {before:.4} → {after:.4} on the samples that choose{views}")
            }
            false => {
                let last = self.judged.last().filter(|j| j.step > 0);
                let last = last.map(|j| {
                    let views = j.on_views.zip(self.loss_on_views);
                    let views = views.map(|(now, [then, _])| format!(", {then:.4} → {now:.4} on other views of them"));
                    format!(
                        " → {:.4} on the samples that choose{}",
                        j.loss,
                        views.unwrap_or_default()
                    )
                });
                let last = last.unwrap_or_else(|| " on the samples that choose".to_owned());
                format!("{steps} gave nothing, and the weights from before stay: loss {before:.4}{last}")
            }
        };
        match self.out_of_reach {
            0 => what,
            _ => format!("{what}; {}", self.reach()),
        }
    }

    fn reach(&self) -> String {
        match self.stopped_by.is_empty() {
            true => format!("{} weights stay, as no gradient comes to them", self.out_of_reach),
            false => format!(
                "{} weights stay, as gradients do not pass {}",
                self.out_of_reach,
                self.stopped_by.join(", ")
            ),
        }
    }
}
