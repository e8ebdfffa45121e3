//! The operators computed plainly on the CPU: what the kernels are checked with.

use super::layout::Layout;

/// Where the results of a tile go: its own place in a batch of tiles, or a map to which they are added.
pub(super) enum Sink<'a> {
    /// Tiles in a row.
    Tiles(&'a mut [f32]),
    /// Maps that hold the other addend plus the fill already, and the other addend itself.
    Maps(&'a mut [f32], &'a [f32]),
}

/// Convolves every tile. `weights`: taps × inputs × outputs.
pub(super) fn run(l: &Layout, x: &[f32], weights: &[f32], bias: &[f32], chosen: &[i64], keep: usize, sink: &mut Sink) {
    let [inputs, outputs] = l.channels.map(|c| c as usize);
    let (plane, places) = ((l.source[0] * l.source[1]) as usize, l.places() as usize);
    let mut sums = vec![0.0f32; outputs];
    for (at, &tile) in chosen.iter().enumerate() {
        let own = [tile / l.across, tile % l.across];
        let sample = if l.from_tiles { at } else { at / keep };
        let start = |a: usize| if l.from_tiles { 0 } else { own[a] * l.step[a] } - l.before[a];
        for place in 0..places as i64 {
            let p = [place / l.tile[1], place % l.tile[1]];
            sums.copy_from_slice(bias);
            for kr in 0..l.kernel[0] {
                for kc in 0..l.kernel[1] {
                    let r = start(0) + p[0] * l.strides[0] + kr * l.dilations[0];
                    let c = start(1) + p[1] * l.strides[1] + kc * l.dilations[1];
                    if r < 0 || c < 0 || r >= l.source[0] || c >= l.source[1] {
                        continue;
                    }
                    let tap = (kr * l.kernel[1] + kc) as usize;
                    for i in 0..inputs {
                        let value = x[(sample * inputs + i) * plane + (r * l.source[1] + c) as usize];
                        let row = &weights[(tap * inputs + i) * outputs..][..outputs];
                        sums.iter_mut().zip(row).for_each(|(s, w)| *s += value * w);
                    }
                }
            }
            let place_in_map = [0, 1].map(|a| own[a] * l.map_step[a] - l.map_before[a] + p[a]);
            let inside = (0..2).all(|a| (0..l.map[a]).contains(&place_in_map[a]));
            for (o, &sum) in sums.iter().enumerate() {
                let act = |v: f32| if l.relu { v.max(0.0) } else { v };
                match sink {
                    Sink::Tiles(tiles) => {
                        let kept = if l.masked && !inside { 0.0 } else { act(sum) };
                        tiles[(at * outputs + o) * places + place as usize] = kept;
                    }
                    Sink::Maps(maps, other) if inside => {
                        let row = (at / keep * outputs + o) * (l.map[0] * l.map[1]) as usize;
                        let to = row + (place_in_map[0] * l.map[1] + place_in_map[1]) as usize;
                        maps[to] = act(other[to] + sum);
                    }
                    Sink::Maps(..) => {}
                }
            }
        }
    }
}

/// The other addend plus the fill, everywhere.
pub(super) fn filled(l: &Layout, other: &[f32], fill: &[f32], maps: &mut [f32]) {
    let plane = (l.map[0] * l.map[1]) as usize;
    for (k, (to, from)) in maps.chunks_exact_mut(plane).zip(other.chunks_exact(plane)).enumerate() {
        let add = fill[k % fill.len()];
        for (t, f) in to.iter_mut().zip(from) {
            *t = if l.relu { (f + add).max(0.0) } else { f + add };
        }
    }
}
