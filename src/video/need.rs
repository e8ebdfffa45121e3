//! How many tiles of a stage a share of a frame touches.

use super::stage::Stage;

/// Objects that the changed part of a frame is taken for.
const OBJECTS: f64 = 2.0;

/// Tiles of a stage that hold square objects which cover this share of its places.
pub(super) fn holding(stage: &Stage, share: f64) -> usize {
    let count = stage.tiles();
    if stage.is_of_places() && stage.inner.is_empty() {
        return ((share * count as f64).ceil() as usize + stage.spare()).min(count);
    }
    let Some(output) = stage.outputs.first().and_then(|o| stage.maps.get(o)) else {
        return count;
    };
    let side = (share * (output.dims[1] * output.dims[2]) as f64 / OBJECTS).sqrt();
    let along = |a: usize| {
        let tile = (stage.axes[a].step * output.scale[a]) as f64;
        (side / tile + 1.0).min(stage.axes[a].starts.len() as f64)
    };
    ((OBJECTS * along(0) * along(1)).ceil() as usize + 1).clamp(1, count)
}

/// Places of a stage of several layers, whose inputs are touched in shares of their places: objects grow by what the layers read around.
pub(super) fn around(stage: &Stage, seen: &dyn Fn(&str) -> Option<f64>) -> Option<usize> {
    let shares: Vec<f64> = stage.inputs.iter().filter_map(|i| seen(i)).collect();
    let share = shares
        .iter()
        .copied()
        .reduce(f64::max)
        .filter(|_| shares.len() == stage.inputs.len())?;
    let area = (stage.axes[0].starts.len() * stage.axes[1].starts.len()) as f64;
    let side = (share * area / OBJECTS).sqrt();
    let along = |a: usize| {
        let far = stage
            .depends
            .iter()
            .map(|d| d.spread[a].0 + d.spread[a].1 + (d.taps.span(a) - 1) / d.taps.strides[a]);
        (side + far.max().unwrap_or(0) as f64).min(stage.axes[a].starts.len() as f64)
    };
    Some(((OBJECTS * along(0) * along(1)).ceil() as usize + stage.spare()).min(stage.tiles()))
}

/// Tiles of a stage that square objects touch which cover this share of the frame of so many rows and columns: more than the share, as
/// objects do not end with tiles and reach as far as windows do. Some more are for those that were left longest.
pub(super) fn needed(stage: &Stage, frame: [usize; 2], share: f64) -> usize {
    let count = stage.tiles();
    let Some(output) = stage.outputs.first().and_then(|o| stage.maps.get(o)) else {
        return count;
    };
    let area = (frame[0] * frame[1]) as f64;
    let side = (share * area / OBJECTS).sqrt();
    let along = |a: usize| {
        let ratio = frame[a] as f64 / output.dims[a + 1] as f64;
        let tile = (stage.axes[a].step * output.scale[a]) as f64 * ratio;
        let halo = stage.inputs.iter().zip(&stage.halos).filter_map(|(name, halo)| {
            let map = stage.maps.get(name)?;
            Some((halo[a].0 + halo[a].1) as f64 * frame[a] as f64 / map.dims[a + 1] as f64)
        });
        ((side + halo.fold(0.0, f64::max)) / tile + 1.0).min(stage.axes[a].starts.len() as f64)
    };
    let tiles = (OBJECTS * along(0) * along(1)).ceil() as usize + stage.spare();
    tiles.clamp(1, count)
}
