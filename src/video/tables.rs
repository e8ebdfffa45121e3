//! Which places of memory the tiles of a stage are: tables that a tile's number is looked up in.

use super::scale::gcd;
use super::stage::{Stage, StageMap};

/// For every tile the pixels of its window in a map: tiles × rows × columns.
pub(super) fn window_pixels(stage: &Stage, map: &StageMap) -> (Vec<usize>, Vec<i64>) {
    let [rows, columns] = map.window;
    let mut table = Vec::with_capacity(stage.tiles() * rows * columns);
    for &top in &stage.axes[0].starts {
        for &left in &stage.axes[1].starts {
            let (top, left) = (top * map.scale[0], left * map.scale[1]);
            for r in top..top + rows {
                table.extend((left..left + columns).map(|c| (r * map.dims[2] + c) as i64));
            }
        }
    }
    (vec![stage.tiles(), rows, columns], table)
}

/// Numbers that lie beside each other in the frame and in all windows of it.
pub(super) fn run_length(map: &StageMap) -> usize {
    let common = gcd(map.dims[2] as i64, gcd(map.window[1] as i64, map.scale[1] as i64));
    usize::try_from(common).unwrap_or(1).max(1)
}

/// For every tile the runs of memory of its window in the frame, whose channels come first: tiles × channels × rows × runs.
pub(super) fn window_runs(stage: &Stage, map: &StageMap) -> (Vec<usize>, Vec<i64>) {
    let run = run_length(map);
    let ([channels, height, width], [rows, columns]) = (map.dims, map.window);
    let mut table = Vec::with_capacity(stage.tiles() * channels * rows * columns / run);
    for &top in &stage.axes[0].starts {
        for &left in &stage.axes[1].starts {
            let (top, left) = (top * map.scale[0], left * map.scale[1]);
            for c in 0..channels {
                for r in top..top + rows {
                    let start = ((c * height + r) * width + left) / run;
                    table.extend((start..start + columns / run).map(|at| at as i64));
                }
            }
        }
    }
    (vec![stage.tiles(), channels, rows, columns / run], table)
}

/// For every tile its own pixels in an output map, and where they lie in the window that the stage makes of it; both
/// tiles × pixels.
pub(super) fn core_pixels(stage: &Stage, map: &StageMap) -> (Vec<usize>, Vec<i64>, Vec<i64>) {
    let (mut global, mut local) = (Vec::new(), Vec::new());
    let [rows, columns] = &stage.axes;
    for (i, start) in rows.starts.iter().enumerate() {
        let (top, height) = stage.core(map, 0, i);
        for (j, begin) in columns.starts.iter().enumerate() {
            let (left, width) = stage.core(map, 1, j);
            let (above, before) = (start * map.scale[0], begin * map.scale[1]);
            for r in top..top + height {
                for c in left..left + width {
                    global.push((r * map.dims[2] + c) as i64);
                    local.push((r as i64 - above as i64) * map.window[1] as i64 + c as i64 - before as i64);
                }
            }
        }
    }
    let each = global.len() / stage.tiles().max(1);
    (vec![stage.tiles(), each], global, local)
}
