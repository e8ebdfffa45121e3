//! Samples worth a look: where two models' answers differ most, and others.

use super::classes::Classes;
use super::task::{Answers, OtherAnswers};
use crate::task::{Answer, TaskKind};

/// What two models answer for one sample.
#[derive(Clone, Debug, PartialEq)]
pub struct Shown {
    /// The sample.
    pub sample: usize,
    /// The original's answer; boxes are those that count as found.
    pub original: Answer,
    /// The rewritten model's.
    pub rewritten: Answer,
    /// How far they are apart, 0 to 1.
    pub apart: f64,
}

/// Both models' answers for a sample.
type BothAnswers<'a> = Box<dyn Fn(usize) -> Option<(Answer, Answer)> + 'a>;

/// Samples that are shown, at most.
pub const MOST_SHOWN: usize = 6;
/// Of these, so many are those where answers are furthest apart.
const FURTHEST: usize = 3;

/// The samples for which two models' answers are furthest apart, and others, spread evenly from there to those where they are nearest; in
/// that order. Empty for tasks whose answers are nothing to look at.
pub fn shown(original: &Answers, rewritten: &Answers) -> Vec<Shown> {
    let (apart, answer): (Vec<f64>, BothAnswers) = match (original, rewritten) {
        (Answers::Classes(a), Answers::Classes(b)) => {
            let count = a.best.len().min(b.best.len());
            let of = |all: &Classes, k: usize| all.best.get(k)?.first().map(|&c| Answer::Class(c));
            let apart = (0..count).map(|k| places_apart(&a.best[k], &b.best[k])).collect();
            (apart, Box::new(move |k| of(a, k).zip(of(b, k))))
        }
        (Answers::Others(a), Answers::Others(b)) if matches!(a.kind, TaskKind::Detect | TaskKind::Segment) => {
            let of = |all: &OtherAnswers, k: usize| all.answers.get(k).map(|one| one.clone().above(a.score));
            let both = move |k: usize| of(a, k).zip(of(b, k));
            let count = a.answers.len().min(b.answers.len());
            let apart = (0..count).map(|k| both(k).map_or(0.0, |(a, b)| a.apart(&b))).collect();
            (apart, Box::new(both))
        }
        _ => return Vec::new(),
    };
    // What shows something comes before what shows nothing.
    let something = |k: &usize| answer(*k).is_some_and(|(a, b)| [a, b].iter().any(is_something));
    let (mut order, empty): (Vec<usize>, Vec<usize>) = (0..apart.len()).partition(something);
    order.sort_by(|&a, &b| apart[b].total_cmp(&apart[a]).then(a.cmp(&b)));
    if order.len() < MOST_SHOWN {
        order.extend(empty.into_iter().take(MOST_SHOWN - order.len()));
    }
    let one = |k: usize| {
        let (original, rewritten) = answer(k)?;
        Some(Shown {
            sample: k,
            original,
            rewritten,
            apart: apart[k],
        })
    };
    picked(order.len()).filter_map(|at| one(*order.get(at)?)).collect()
}

/// Places in an order of `all`: the first ones, and the others spread evenly to the last one.
fn picked(all: usize) -> impl Iterator<Item = usize> {
    let most = MOST_SHOWN.min(all);
    let (first, rest) = (FURTHEST.min(most), most.saturating_sub(FURTHEST));
    let spread = move |k: usize| first + (k + 1) * (all - first) / rest.max(1) - 1;
    (0..first).chain((0..rest).map(spread))
}

/// How far down the best classes of one model stand among those of the other, 0 to 1.
fn places_apart(a: &[usize], b: &[usize]) -> f64 {
    let of = |best: Option<&usize>, among: &[usize]| {
        let place = best.and_then(|best| among.iter().position(|c| c == best));
        place.unwrap_or(among.len()) as f64 / among.len().max(1) as f64
    };
    0.5 * (of(a.first(), b) + of(b.first(), a))
}

fn is_something(answer: &Answer) -> bool {
    match answer {
        Answer::Boxes(all) => !all.is_empty(),
        Answer::Map(map) => map.classes.iter().any(|c| Some(c) != map.classes.first()),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::{MOST_SHOWN, picked, shown};
    use crate::task::Answer;
    use crate::verify::{Answers, Classes};

    #[test]
    fn the_first_ones_are_picked_and_the_last_one_and_none_twice() {
        for all in 0..40 {
            let found: Vec<usize> = picked(all).collect();
            assert_eq!(found.len(), all.min(MOST_SHOWN));
            assert!(found.windows(2).all(|w| w[0] < w[1]), "{found:?}");
            assert!(found.first().is_none_or(|f| *f == 0) && found.last().is_none_or(|l| *l + 1 == all));
        }
    }

    #[test]
    fn where_classes_differ_most_comes_first() {
        let of = |best: Vec<Vec<usize>>| {
            Answers::Classes(Classes {
                best,
                ..Classes::default()
            })
        };
        let mut own = vec![vec![0, 1, 2, 3, 4]; 20];
        let original = of(own.clone());
        own[13] = vec![9, 8, 7, 6, 5];
        own[7] = vec![1, 0, 2, 3, 4];
        let found = shown(&original, &of(own));
        let samples: Vec<usize> = found.iter().map(|s| s.sample).collect();
        assert_eq!((samples.len(), &samples[..2]), (MOST_SHOWN, &[13, 7][..]));
        assert_eq!(
            (&found[0].original, &found[0].rewritten),
            (&Answer::Class(0), &Answer::Class(9))
        );
        assert!(found[0].apart > found[1].apart && found[2].apart == 0.0);
    }
}
