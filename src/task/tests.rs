//! Numbers of tasks against those of pycocotools, scikit-learn and NumPy (`tests/python/task_numbers.py`).

use super::draws::{Draws, scene, tables};
use super::{Answer, Compared, Detection, MapCounts, Matches, Rect, TrueBox, Truth};
use crate::data::Mask;

fn near(a: f64, b: f64) -> bool {
    (a - b).abs() < 1e-6
}

#[test]
fn mean_average_precision_is_that_of_pycocotools() {
    let wanted = [
        (1, 12, 0.4222222222, 0.2408022945),
        (7, 40, 0.4635862674, 0.2241741331),
        (23, 5, 0.7603960396, 0.3747996228),
    ];
    for (seed, images, at_50, mean) in wanted {
        let (there, found) = scene(seed, images);
        let own = Matches::new(&there, &found).precision().unwrap();
        assert!(near(own.at_50, at_50) && near(own.at_50_to_95, mean), "{seed}: {own:?}");
    }
}

#[test]
fn a_detector_agrees_with_itself_and_finds_nothing_where_nothing_is() {
    let (_, found) = scene(7, 20);
    let there: Vec<Vec<TrueBox>> = found.iter().map(|f| f.iter().map(TrueBox::from).collect()).collect();
    let same = Matches::new(&there, &found).precision().unwrap();
    assert!(near(same.at_50, 1.0) && near(same.at_50_to_95, 1.0), "{same:?}");
    assert_eq!(Matches::new(&[Vec::new()], &found[..1]).precision(), None);
    let gone = Matches::new(&there, &vec![Vec::new(); 20]).precision().unwrap();
    assert_eq!((gone.at_50, gone.at_50_to_95), (0.0, 0.0));
}

#[test]
fn a_draw_of_images_counts_each_as_often_as_it_was_drawn() {
    let (there, found) = scene(7, 3);
    let picked = |k: [usize; 3]| {
        let there: Vec<_> = k.iter().map(|&k| there[k].clone()).collect();
        let found: Vec<_> = k.iter().map(|&k| found[k].clone()).collect();
        Matches::new(&there, &found).precision()
    };
    let all = Matches::new(&there, &found);
    assert_eq!(all.precision_of(&[2, 0, 1]), picked([0, 0, 2]));
}

#[test]
fn intersections_over_unions_of_maps_are_those_of_scikit_learn() {
    let mut draw = Draws(5);
    let a: Vec<u16> = (0..600).map(|_| draw.below(4) as u16).collect();
    let b: Vec<u16> = a
        .iter()
        .map(|&c| {
            // Python draws the die first.
            let other = draw.below(3) == 0;
            if other { draw.below(4) as u16 } else { c }
        })
        .collect();
    let map = |classes: &[u16]| Mask {
        height: 20,
        width: 30,
        classes: classes.to_vec(),
    };
    let counts = MapCounts::new(&map(&a), &map(&b));
    assert!(
        near(counts.mean_iou().unwrap(), 0.6024214479),
        "{:?}",
        counts.mean_iou()
    );
}

#[test]
fn edges_of_maps_may_move_by_two_places() {
    let map = |x: usize| Mask {
        height: 10,
        width: 20,
        classes: (0..200).map(|k| u16::from(k % 20 >= x)).collect(),
    };
    assert_eq!(MapCounts::new(&map(8), &map(10)).boundary_error(), 0.0);
    assert_eq!(MapCounts::new(&map(8), &map(11)).boundary_error(), 1.0);
    // Another size is brought to the first one's.
    let twice = Mask {
        height: 20,
        width: 40,
        classes: (0..800).map(|k| u16::from(k % 40 >= 16)).collect(),
    };
    assert_eq!(MapCounts::new(&map(8), &twice).mean_iou(), Some(1.0));
    let mut void = map(8);
    void.classes[..100].fill(Mask::IGNORED);
    assert_eq!(MapCounts::new(&void, &map(8)).mean_iou(), Some(1.0));
}

#[test]
fn vectors_and_values_are_compared_as_scikit_learn_does() {
    let (x, y) = tables();
    let vectors = |v: &[f32]| v.chunks(5).map(<[f32]>::to_vec).collect::<Vec<_>>();
    let truth: Vec<Truth> = vectors(&x).into_iter().map(Truth::Vector).collect();
    let found: Vec<Answer> = vectors(&y).into_iter().map(Answer::Vector).collect();
    let numbers = Compared::new(&truth, &found).and_then(|c| c.numbers()).unwrap();
    assert!(
        near(numbers[0].value, 0.9065444733) && near(numbers[1].value, 0.5),
        "{numbers:?}"
    );
    let truth: Vec<Truth> = vectors(&x).into_iter().map(|v| Truth::Values(vec![v])).collect();
    let found: Vec<Answer> = vectors(&y).into_iter().map(|v| Answer::Values(vec![v])).collect();
    let compared = Compared::new(&truth, &found).unwrap();
    assert!(near(compared.numbers().unwrap()[0].value, 0.6850485074));
    let (low, high) = compared.interval().unwrap();
    assert!(low < 0.6850485074 && high > 0.6850485074 && high - low < 0.5);
}

#[test]
fn strings_are_equal_or_so_many_edits_apart() {
    let truth = [Truth::Text(vec![1, 2, 3]), Truth::Text(vec![4, 5])];
    let found = [Answer::Text(vec![1, 2, 3]), Answer::Text(vec![4])];
    let numbers = Compared::new(&truth, &found).and_then(|c| c.numbers()).unwrap();
    assert_eq!((numbers[0].value, numbers[1].value), (0.5, 0.2));
    let boxes = [Answer::Boxes(vec![Detection::default()]), Answer::Boxes(Vec::new())];
    assert!(Compared::new(&truth, &boxes).is_none());
}

#[test]
fn edits_are_those_of_the_whole_table() {
    let mut draw = Draws(11);
    let (mut truth, mut found) = (Vec::new(), Vec::new());
    for _ in 0..30 {
        let length = 1 + draw.below(12);
        let own: Vec<u32> = (0..length).map(|_| 1 + draw.below(6) as u32).collect();
        let mut other = Vec::new();
        for &letter in &own {
            let die = draw.below(8);
            match die {
                0 => continue,
                1 => other.push(1 + draw.below(6) as u32),
                _ => other.push(letter),
            }
            if die == 2 {
                other.push(1 + draw.below(6) as u32);
            }
        }
        truth.push(Truth::Text(own));
        found.push(Answer::Text(other));
    }
    let numbers = Compared::new(&truth, &found).and_then(|c| c.numbers()).unwrap();
    assert!(
        near(numbers[0].value, 0.2333333333) && near(numbers[1].value, 0.3456790123),
        "{numbers:?}"
    );
}

#[test]
fn what_the_original_found_with_a_low_score_is_not_taken_as_there() {
    let at = |score| Detection {
        class: 0,
        score,
        rect: Rect::corners(0.0, 0.0, 1.0, 1.0),
    };
    let answer = Answer::Boxes(vec![at(0.9), at(0.2)]);
    let Truth::Boxes(there) = Truth::of(&answer, 0.25) else {
        unreachable!()
    };
    assert_eq!(there.len(), 1);
}
