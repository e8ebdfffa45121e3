//! Which layout a detector's outputs have, from their shapes and from what the original writes there.

use super::columns::{Columns, Given, NEARLY_ALL, scale_of};
use super::grid::Grid;
use super::layout::{Boxes, DetectLayout, LayoutKind};
use super::several::{pair, ragged, strides};
use crate::task::output_values::OutputValues;

/// The layout of a detector's outputs; `None` where it is none that is known here.
pub fn recognize(given: Given) -> Option<DetectLayout> {
    ragged(given)
        .or_else(|| strides(given))
        .or_else(|| pair(given))
        .or_else(|| given.outputs.iter().find_map(|o| single(given, o)))
}

/// A layout of one output.
fn single(given: Given, output: &OutputValues) -> Option<DetectLayout> {
    if output.dims.len() == 4 {
        return map(given, output);
    }
    let columns = Columns::of(output, given.samples)?;
    let base = DetectLayout {
        kind: LayoutKind::Objectness,
        name: "YOLOv5",
        outputs: vec![output.name.clone()],
        classes: 0,
        attributes_first: columns.attributes_first,
        logits: false,
        score: 0.25,
        scale: (1.0, 1.0),
        suppression: Some(0.45),
    };
    // A detector of one class has six columns too.
    let six = columns.attributes == 6 && !columns.attributes_first && columns.places <= 1000;
    if let Some(found) = six.then(|| selected(given, &columns, &base)).flatten() {
        return Some(found);
    }
    if columns.attributes < 5 || columns.places < 2 * columns.attributes {
        return None;
    }
    let shares = |from: usize| (from..columns.attributes).take_while(|&a| columns.is_share(a)).count();
    let cells = Grid::of_places(columns.places, 1, given.image);
    let sized = columns.positive(2) >= NEARLY_ALL
        && columns.positive(3) >= NEARLY_ALL
        && columns.may_be_centers(cells.as_ref(), given.image);
    if columns.attributes_first {
        // What stands behind the scores are points or coefficients of masks.
        let classes = shares(4);
        return (sized && classes > 0).then(|| DetectLayout {
            kind: LayoutKind::ClassScores,
            name: "YOLOv8",
            classes,
            scale: scale_of(&columns, 0, given.image),
            ..base
        });
    }
    if let Some(found) = distances(&columns, cells.as_ref()) {
        return Some(DetectLayout {
            outputs: base.outputs,
            ..found
        });
    }
    let classes = shares(5);
    if classes == 0 || !columns.is_share(4) {
        return None;
    }
    match cells {
        Some(grid) if !columns.are_centers(&grid, given.image) => Some(DetectLayout {
            kind: LayoutKind::Cells(grid),
            name: "YOLOX",
            classes,
            score: 0.3,
            ..base
        }),
        _ if sized => Some(DetectLayout {
            classes,
            scale: scale_of(&columns, 0, given.image),
            ..base
        }),
        _ => None,
    }
}

/// `N×K×6`: boxes that were selected, with score and class, in the order of scores.
fn selected(given: Given, columns: &Columns, base: &DetectLayout) -> Option<DetectLayout> {
    let whole = columns.column(5).all(|v| v >= 0.0 && v.fract() == 0.0);
    let ordered = columns.in_order(0, 2) >= NEARLY_ALL && columns.in_order(1, 3) >= NEARLY_ALL;
    let most = columns.largest(5);
    (whole && columns.is_share(4) && ordered).then(|| DetectLayout {
        kind: LayoutKind::Selected(Boxes::Corners),
        name: "YOLOv10",
        classes: (most as usize).saturating_add(1),
        attributes_first: false,
        scale: scale_of(columns, 0, given.image),
        suppression: None,
        ..base.clone()
    })
}

/// NanoDet: shares for the classes, then four distributions over 8 bins (or 17).
fn distances(columns: &Columns, cells: Option<&Grid>) -> Option<DetectLayout> {
    let grid = cells?;
    let bins = [8, 17].into_iter().find(|bins| {
        columns.attributes > 4 * bins && {
            let classes = columns.attributes - 4 * bins;
            (0..classes).all(|a| columns.is_share(a)) && (classes..columns.attributes).any(|a| !columns.is_share(a))
        }
    })?;
    Some(DetectLayout {
        kind: LayoutKind::Distances(grid.clone(), bins),
        name: "NanoDet",
        outputs: Vec::new(),
        classes: columns.attributes - 4 * bins,
        attributes_first: false,
        logits: false,
        score: 0.35,
        scale: (1.0, 1.0),
        suppression: Some(0.6),
    })
}

/// FastestDet: a map of objectness, four numbers of the box, and class shares that add up to one.
fn map(given: Given, output: &OutputValues) -> Option<DetectLayout> {
    let &[n, attributes, height, width] = output.dims.as_slice() else {
        return None;
    };
    let smaller = height * 8 <= given.image.0 && width * 8 <= given.image.1;
    if n != given.samples || attributes < 6 || !smaller || !output.float {
        return None;
    }
    let flat = OutputValues {
        dims: vec![n, attributes, height * width],
        ..output.clone()
    };
    let columns = Columns {
        output: &flat,
        places: height * width,
        attributes,
        attributes_first: true,
    };
    let shares = columns.is_share(0) && (5..attributes).all(|a| columns.is_share(a));
    let plain = (1..5).any(|a| !columns.is_share(a));
    (shares && plain).then(|| DetectLayout {
        kind: LayoutKind::Map,
        name: "FastestDet",
        outputs: vec![output.name.clone()],
        classes: attributes - 5,
        attributes_first: true,
        logits: false,
        score: 0.65,
        scale: (given.image.1 as f32, given.image.0 as f32),
        suppression: Some(0.45),
    })
}
