//! Samples to look at, with what both models answer.

use crate::data::{Dataset, Labels, Picture};
use crate::task::TaskKind;
use crate::verify::Shown;

/// Samples to look at.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Pictures {
    /// What the models are for.
    pub kind: TaskKind,
    /// Samples that the models were compared on.
    pub of: usize,
    /// Answers for some of them, those that are furthest apart first.
    pub shown: Vec<Shown>,
    /// The same with what they look like; empty where samples are no images.
    pub drawn: Vec<SamplePicture>,
    /// What the classes are called, where labels tell it.
    pub names: Vec<String>,
}

/// A sample to look at.
#[derive(Clone, Debug, PartialEq)]
pub struct SamplePicture {
    /// What it looks like.
    pub picture: Picture,
    /// What both models answer.
    pub shown: Shown,
    /// Its class, where labels tell it.
    pub label: Option<i64>,
}

impl Pictures {
    /// Puts in what the samples look like, of a task of this kind.
    pub(in crate::optimize) fn draw(&mut self, kind: TaskKind, data: &Dataset) {
        let label = |sample: usize| match data.labels() {
            Some(Labels::Classes(all)) => all.get(sample).copied(),
            _ => None,
        };
        let one = |shown: &Shown| {
            Some(SamplePicture {
                picture: data.picture(shown.sample)?,
                shown: shown.clone(),
                label: label(shown.sample),
            })
        };
        self.kind = kind;
        self.of = data.count();
        self.drawn = self.shown.iter().filter_map(one).collect();
        if let Some(Labels::Boxes(boxes)) = data.labels() {
            self.names.clone_from(&boxes.categories);
        }
    }
}
