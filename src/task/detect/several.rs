//! Layouts of several outputs.

use super::columns::{Columns, Given, NEARLY_ALL, scale_of};
use super::grid::Grid;
use super::layout::{Boxes, DetectLayout, LayoutKind};
use crate::task::output_values::OutputValues;

/// An output and its columns.
type Table<'o> = (&'o OutputValues, Columns<'o>);

/// Scores and boxes of equally many places.
pub(super) fn pair(given: Given) -> Option<DetectLayout> {
    let tables: Vec<Table> = given
        .outputs
        .iter()
        .filter_map(|o| Some((o, Columns::of(o, given.samples)?)))
        .filter(|(_, c)| !c.attributes_first)
        .collect();
    // With four classes either may be either: what adds up to one is no box.
    let boxes = tables.iter().filter(|(_, c)| c.attributes == 4 && !sums_to_one(c));
    boxes.filter_map(|b| of_boxes(given, b, &tables)).next()
}

/// The layout with these boxes, if other tables hold their scores.
fn of_boxes(given: Given, (boxes_of, boxes): &Table, tables: &[Table]) -> Option<DetectLayout> {
    let (scores_of, scores) = tables.iter().find(|(o, c)| {
        o.name != boxes_of.name && c.places == boxes.places && (0..c.attributes).all(|a| c.is_share(a))
    })?;
    let corners = boxes.in_order(0, 2) >= NEARLY_ALL && boxes.in_order(1, 3) >= NEARLY_ALL;
    let scale = scale_of(boxes, 0, given.image);
    // Offsets to priors lie around zero; centres are spread over the image.
    let spread = |a: usize, extent: f32, scale: f32| {
        let range = boxes
            .column(a)
            .fold((f32::INFINITY, f32::NEG_INFINITY), |(l, m), v| (l.min(v), m.max(v)));
        scale * (range.1 - range.0) > 0.5 * extent && scale * range.0 > -0.5 * extent
    };
    let centered = boxes.positive(2) >= NEARLY_ALL
        && boxes.positive(3) >= NEARLY_ALL
        && spread(0, given.image.1 as f32, scale.0)
        && spread(1, given.image.0 as f32, scale.1);
    let written = match (corners, centered) {
        (true, _) => Boxes::Corners,
        (false, true) => Boxes::Centered,
        (false, false) => return None,
    };
    let background = scores.attributes > 1 && sums_to_one(scores);
    Some(DetectLayout {
        kind: LayoutKind::Pair {
            boxes: written,
            background,
        },
        name: "SSD",
        outputs: vec![scores_of.name.clone(), boxes_of.name.clone()],
        classes: scores.attributes - usize::from(background),
        attributes_first: false,
        logits: false,
        score: 0.5,
        scale,
        suppression: Some(0.45),
    })
}

/// Whether the values of each place add up to one, as those of a softmax do.
fn sums_to_one(scores: &Columns) -> bool {
    let mut sums = vec![0.0_f32; scores.column(0).count()];
    for a in 0..scores.attributes {
        sums.iter_mut().zip(scores.column(a)).for_each(|(s, v)| *s += v);
    }
    sums.iter().all(|s| (s - 1.0).abs() < 1e-2)
}

/// For each stride class scores, objectness (one column) and boxes (four), as YuNet writes them.
pub(super) fn strides(given: Given) -> Option<DetectLayout> {
    let of = |columns: usize, share: bool| -> Vec<(usize, &OutputValues)> {
        let fits = |o: &&OutputValues| {
            let &[n, _, attributes] = o.dims.as_slice() else {
                return false;
            };
            let values = || o.values.iter().all(|v| (-1e-4..=1.0001).contains(v));
            n == given.samples && o.float && attributes == columns && (!share || values())
        };
        let stride = |o: &OutputValues| Grid::stride_of(o.dims[1], given.image);
        let all = given.outputs.iter().filter(fits);
        all.filter_map(|o| Some((stride(o)?, o))).collect()
    };
    let boxes = of(4, false);
    let mut found: Vec<usize> = boxes.iter().map(|b| b.0).collect();
    found.sort_unstable();
    let distinct = found.windows(2).all(|w| w[0] < w[1]);
    if found.len() < 2 || !distinct {
        return None;
    }
    let shares = of(1, true);
    let mut outputs = Vec::new();
    for &stride in &found {
        let mut own = shares
            .iter()
            .filter(|s| s.0 == stride)
            .map(|s| &s.1.name)
            .collect::<Vec<_>>();
        // Objectness is called so; the score is symmetric in both.
        own.sort_by_key(|name| name.to_lowercase().contains("obj"));
        let [class, object] = own.as_slice() else { return None };
        let place = boxes.iter().find(|b| b.0 == stride)?;
        outputs.extend([(*class).clone(), (*object).clone(), place.1.name.clone()]);
    }
    Some(DetectLayout {
        kind: LayoutKind::Strides(Grid {
            strides: found,
            input: given.image,
        }),
        name: "YuNet",
        outputs,
        classes: 1,
        attributes_first: false,
        logits: false,
        score: 0.6,
        scale: (1.0, 1.0),
        suppression: Some(0.3),
    })
}

/// Boxes, scores and classes without an axis of samples, which the graph selected.
pub(super) fn ragged(given: Given) -> Option<DetectLayout> {
    let boxes = given.outputs.iter().find(|o| {
        let four = o.dims.last() == Some(&4) && o.float && o.dims.len() <= 3;
        let named = o.name.to_lowercase().contains("box") || o.name.to_lowercase().contains("det");
        four && named && (o.dims.len() == 2 || o.dims.first() == Some(&given.samples))
    })?;
    let count = boxes.values.len() / 4;
    let one = |o: &&OutputValues| o.name != boxes.name && o.values.len() == count && o.dims.len() < 3;
    let named = |words: &[&str]| {
        let is = |o: &&OutputValues| words.iter().any(|w| o.name.to_lowercase().contains(w));
        given.outputs.iter().filter(one).find(is)
    };
    let scores = named(&["score", "conf", "prob"])?;
    let classes = named(&["label", "class", "cls"]).filter(|c| c.name != scores.name);
    let pixels = boxes.values.iter().any(|v| v.abs() > 4.0);
    let mut outputs = vec![boxes.name.clone(), scores.name.clone()];
    outputs.extend(classes.map(|c| c.name.clone()));
    let most = classes.map_or(0.0, |c| c.values.iter().copied().fold(0.0, f32::max));
    Some(DetectLayout {
        kind: LayoutKind::Ragged { boxes: Boxes::Corners },
        name: "boxes selected by the graph",
        outputs,
        classes: (most as usize).saturating_add(1),
        attributes_first: false,
        logits: false,
        score: 0.5,
        scale: if pixels {
            (1.0, 1.0)
        } else {
            (given.image.1 as f32, given.image.0 as f32)
        },
        suppression: None,
    })
}
