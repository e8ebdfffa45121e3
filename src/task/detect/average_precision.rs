//! Mean average precision as COCO defines it.

use std::collections::BTreeMap;

use super::boxes::{Detection, TrueBox};

/// IoU thresholds: 0.5, 0.55, … 0.95.
const THRESHOLDS: usize = 10;
/// Detections of a class that count in one image.
const MOST: usize = 100;
/// Places of recall at which precision is looked at: 0, 0.01, … 1.
const RECALLS: usize = 101;

/// One detection held against what is there.
#[derive(Clone, Copy, Debug)]
struct Judged {
    score: f32,
    image: usize,
    /// At each threshold, whether it is right; `None` where it does not count.
    right: [Option<bool>; THRESHOLDS],
}

/// What is there, and what was found, of one class.
#[derive(Clone, Debug, Default)]
struct OfClass {
    /// In the order of scores.
    found: Vec<Judged>,
    /// What is there in each image that holds something.
    there: Vec<(usize, usize)>,
}

/// The detections of many images, matched to what is there: mean average precision of any choice of images follows.
#[derive(Clone, Debug, Default)]
pub struct Matches {
    classes: BTreeMap<usize, OfClass>,
    images: usize,
}

/// Mean average precision, each 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MeanPrecision {
    /// At an IoU of 0.5.
    pub at_50: f64,
    /// Mean over the IoU thresholds 0.5, 0.55, … 0.95.
    pub at_50_to_95: f64,
}

impl Matches {
    /// Matches what was found to what is there, image by image, as `COCOeval.evaluateImg` does for areas of all sizes and 100
    /// detections at most: in the order of scores, each to the one with the greatest IoU that is still free.
    pub fn new(there: &[Vec<TrueBox>], found: &[Vec<Detection>]) -> Self {
        let mut all = Self {
            images: there.len().min(found.len()),
            ..Self::default()
        };
        for (image, (there, found)) in there.iter().zip(found).enumerate() {
            let mut classes: Vec<usize> = there
                .iter()
                .map(|t| t.class)
                .chain(found.iter().map(|d| d.class))
                .collect();
            classes.sort_unstable();
            classes.dedup();
            for class in classes {
                let own: Vec<&TrueBox> = there.iter().filter(|t| t.class == class).collect();
                let mut of_class: Vec<&Detection> = found.iter().filter(|d| d.class == class).collect();
                of_class.sort_by(|a, b| b.score.total_cmp(&a.score));
                of_class.truncate(MOST);
                let into = all.classes.entry(class).or_default();
                into.found.extend(matched(image, &own, &of_class));
                let count = own.iter().filter(|t| !t.crowd).count();
                if count > 0 {
                    into.there.push((image, count));
                }
            }
        }
        // A stable sort: of equal scores the earlier image comes first.
        let in_order = |c: &mut OfClass| c.found.sort_by(|a, b| b.score.total_cmp(&a.score));
        all.classes.values_mut().for_each(in_order);
        all
    }

    /// Images.
    pub fn images(&self) -> usize {
        self.images
    }

    /// Mean average precision over all images; `None` where nothing is there.
    pub fn precision(&self) -> Option<MeanPrecision> {
        self.precision_of(&vec![1; self.images])
    }

    /// The same with every image counted `times` over.
    pub fn precision_of(&self, times: &[usize]) -> Option<MeanPrecision> {
        let (mut sums, mut classes) = ([0.0; THRESHOLDS], 0_usize);
        for class in self.classes.values() {
            let there: usize = class
                .there
                .iter()
                .map(|(i, n)| n * times.get(*i).copied().unwrap_or(0))
                .sum();
            if there == 0 {
                continue;
            }
            classes += 1;
            for (threshold, sum) in sums.iter_mut().enumerate() {
                *sum += average_precision(&class.found, there, threshold, times);
            }
        }
        let share = |v: f64| v / classes as f64;
        (classes > 0).then(|| MeanPrecision {
            at_50: share(sums[0]),
            at_50_to_95: share(sums.iter().sum::<f64>() / THRESHOLDS as f64),
        })
    }
}

/// The detections of one image and class, each right or wrong at every threshold.
fn matched(image: usize, there: &[&TrueBox], found: &[&Detection]) -> Vec<Judged> {
    // What stands for many comes last, as in COCOeval.
    let mut there = there.to_vec();
    there.sort_by_key(|t| t.crowd);
    let overlap = |d: &Detection, t: &TrueBox| match t.crowd {
        true if d.rect.area() > 0.0 => d.rect.intersection(&t.rect) / d.rect.area(),
        true => 0.0,
        false => d.rect.iou(&t.rect),
    };
    let mut judged: Vec<Judged> = Vec::new();
    let overlaps: Vec<Vec<f64>> = found
        .iter()
        .map(|d| there.iter().map(|t| overlap(d, t)).collect())
        .collect();
    for one in found {
        judged.push(Judged {
            score: one.score,
            image,
            right: [Some(false); THRESHOLDS],
        });
    }
    for threshold in 0..THRESHOLDS {
        let mut taken = vec![false; there.len()];
        for (own, judged) in overlaps.iter().zip(&mut judged) {
            let mut best = 0.5 + 0.05 * threshold as f64;
            best = best.min(1.0 - 1e-10);
            let mut to = None;
            for (k, t) in there.iter().enumerate() {
                if taken[k] && !t.crowd {
                    continue;
                }
                // A match to one of its own is not given up for a crowd.
                if to.is_some_and(|m: usize| !there[m].crowd) && t.crowd {
                    break;
                }
                if own[k] >= best {
                    best = own[k];
                    to = Some(k);
                }
            }
            let Some(k) = to else { continue };
            taken[k] = true;
            judged.right[threshold] = if there[k].crowd { None } else { Some(true) };
        }
    }
    judged
}

/// Mean over the 101 recalls of the greatest precision at that recall or a higher one; `found` in the order of scores.
fn average_precision(found: &[Judged], there: usize, threshold: usize, times: &[usize]) -> f64 {
    let (mut right, mut wrong) = (0_usize, 0_usize);
    let mut curve: Vec<(f64, f64)> = Vec::new();
    for one in found {
        let count = times.get(one.image).copied().unwrap_or(0);
        let Some(is_right) = one.right[threshold] else { continue };
        for _ in 0..count {
            match is_right {
                true => right += 1,
                false => wrong += 1,
            }
            curve.push((right as f64 / there as f64, right as f64 / (right + wrong) as f64));
        }
    }
    let mut greatest = 0.0_f64;
    for (_, precision) in curve.iter_mut().rev() {
        greatest = greatest.max(*precision);
        *precision = greatest;
    }
    let mut at = 0;
    let mut sum = 0.0;
    for k in 0..RECALLS {
        let recall = k as f64 / (RECALLS - 1) as f64;
        // Recalls are ratios of whole numbers: what reaches one within rounding does.
        while curve.get(at).is_some_and(|(r, _)| *r < recall - 1e-12) {
            at += 1;
        }
        sum += curve.get(at).map_or(0.0, |(_, precision)| *precision);
    }
    sum / RECALLS as f64
}
