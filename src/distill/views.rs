//! Views of images: mirrored, shifted, and mixed with others. No label has to fit them, as the teacher says what it makes of each (Beyer et
//! al., 2022).

use std::ops::Range;

use rayon::prelude::*;

use crate::onnx::{Dtype, Tensor};

/// Images are shifted by up to one part in so many of their shorter side.
const SHIFT: usize = 8;

/// Images of N×1×H×W or N×3×H×W, half of them mirrored, each shifted a little; what comes in from outside is the mean of its channel.
pub(super) fn moved(images: &Tensor, random: &mut fastrand::Rng) -> Option<Tensor> {
    let [n, channels @ (1 | 3), height, width] = *images.dims.as_slice() else {
        return None;
    };
    let most = (height.min(width) / SHIFT) as i64;
    if images.dtype != Dtype::Float || most == 0 {
        return None;
    }
    let values = images.to_f32()?;
    let place = |_| (random.bool(), random.i64(-most..=most), random.i64(-most..=most));
    let places: Vec<(bool, i64, i64)> = (0..n).map(place).collect();
    let mut out = vec![0.0f32; values.len()];
    let pairs = out
        .par_chunks_exact_mut((height * width).max(1))
        .zip(values.par_chunks_exact((height * width).max(1)));
    pairs.enumerate().for_each(|(k, (to, from))| {
        let (mirrored, down, right) = places.get(k / channels).copied().unwrap_or_default();
        to.fill(from.iter().sum::<f32>() / from.len() as f32);
        for (y, row) in to.chunks_exact_mut(width).enumerate() {
            let above = usize::try_from(y as i64 - down).ok();
            let Some(own) = above.and_then(|y| from.chunks_exact(width).nth(y)) else {
                continue;
            };
            shifted(own, row, mirrored, right);
        }
    });
    Some(Tensor::from_f32(images.dims.clone(), &out))
}

/// A row that starts `right` places further right; mirrored, its last place comes first, before it is shifted the other way.
fn shifted(from: &[f32], to: &mut [f32], mirrored: bool, right: i64) {
    let by = right.unsigned_abs() as usize;
    // Mirrored rows are filled from their end, so that both kinds move by as much.
    let (skipped, left) = match right >= 0 {
        true => (0, by),
        false => (by, 0),
    };
    let own = from.iter().skip(skipped);
    match mirrored {
        false => to.iter_mut().skip(left).zip(own).for_each(|(a, b)| *a = *b),
        true => to.iter_mut().rev().skip(left).zip(own).for_each(|(a, b)| *a = *b),
    }
}

/// Each image of N×C×H×W with another: in half of them both shine through with any share (Zhang et al., 2018), in the others a rectangle is
/// that of the other image (Yun et al., 2019).
pub(super) fn mixed(images: &Tensor, random: &mut fastrand::Rng) -> Option<Tensor> {
    let [n, channels, height, width] = *images.dims.as_slice() else {
        return None;
    };
    let each = channels * height * width;
    if images.dtype != Dtype::Float || each == 0 {
        return None;
    }
    let values = images.to_f32()?;
    let mut others: Vec<usize> = (0..n).collect();
    random.shuffle(&mut others);
    let each_with = |other: usize| {
        let (share, blended) = (random.f32(), random.bool());
        let (rows, columns) = match blended {
            true => (0..0, 0..0),
            false => (part(height, share, random), part(width, share, random)),
        };
        (other, share, blended, rows, columns)
    };
    let mixes: Vec<_> = others.into_iter().map(each_with).collect();
    let mut out = values.to_vec();
    let pairs = out.par_chunks_exact_mut(each).zip(&mixes);
    pairs.for_each(|(own, (other, share, blended, rows, columns))| {
        let Some(other) = values.get(other * each..(other + 1) * each) else {
            return;
        };
        if *blended {
            own.iter_mut().zip(other).for_each(|(a, b)| *a += share * (b - *a));
            return;
        }
        let lines = own.chunks_exact_mut(width).zip(other.chunks_exact(width)).enumerate();
        for (_, (own, other)) in lines.filter(|(y, _)| rows.contains(&(y % height))) {
            if let Some((own, other)) = own.get_mut(columns.clone()).zip(other.get(columns.clone())) {
                own.copy_from_slice(other);
            }
        }
    });
    Some(Tensor::from_f32(images.dims.clone(), &out))
}

/// One side of a rectangle that covers this share of a map, around any place; what lies outside is left out.
fn part(side: usize, share: f32, random: &mut fastrand::Rng) -> Range<usize> {
    let (half, middle) = (side as f32 * share.sqrt() / 2.0, side as f32 * random.f32());
    let end = |at: f32| (at.round().max(0.0) as usize).min(side);
    end(middle - half)..end(middle + half)
}

#[cfg(test)]
mod tests {
    use super::{mixed, moved};
    use crate::onnx::Tensor;

    #[test]
    fn images_keep_their_pixels_and_get_the_mean_from_outside() {
        let values: Vec<f32> = (0..256).map(|v| v as f32).collect();
        let image = Tensor::from_f32(vec![1, 1, 16, 16], &values);
        let mut random = fastrand::Rng::with_seed(3);
        let mut differ = 0;
        for _ in 0..20 {
            let other = moved(&image, &mut random).and_then(|t| t.to_f32()).unwrap_or_default();
            assert_eq!(other.len(), 256);
            assert!(other.iter().all(|v| v.fract() == 0.0 || *v == 127.5));
            let own = other.iter().filter(|v| v.fract() == 0.0).count();
            assert!(own >= 14 * 14, "{own}");
            differ += usize::from(other != values);
        }
        assert!(differ > 15);
        assert!(moved(&Tensor::from_f32(vec![2, 128], &values), &mut random).is_none());
    }

    /// Four images of two channels, each pixel a number that tells its image and its place.
    fn images() -> Tensor {
        let pixel = |k: usize| (1000 * (k / 128) + k % 128) as f32;
        Tensor::from_f32(vec![4, 2, 8, 8], &(0..512).map(pixel).collect::<Vec<f32>>())
    }

    #[test]
    fn images_shine_through_or_lend_a_rectangle() {
        let mut random = fastrand::Rng::with_seed(1);
        let (mut blended, mut cut) = (0, 0);
        for _ in 0..50 {
            let other = mixed(&images(), &mut random)
                .and_then(|t| t.to_f32())
                .unwrap_or_default();
            assert_eq!(other.len(), 512);
            for (k, image) in other.chunks(128).enumerate() {
                // What comes from which image: places stay where they are.
                let from: Vec<f32> = image
                    .iter()
                    .enumerate()
                    .map(|(at, v)| (v - at as f32) / 1000.0)
                    .collect();
                assert!(from.iter().all(|f| (-1e-3..=3.001).contains(f)), "{from:?}");
                if from.iter().all(|f| (f - from[0]).abs() < 1e-3) {
                    blended += usize::from((from[0] - from[0].round()).abs() > 1e-2);
                    continue;
                }
                cut += 1;
                let lent: Vec<usize> = (0..128).filter(|&at| (from[at] - k as f32).abs() > 1e-3).collect();
                let (rows, columns): (Vec<usize>, Vec<usize>) = lent.iter().map(|at| (at % 64 / 8, at % 8)).unzip();
                let side = |of: &[usize]| {
                    of.iter()
                        .max()
                        .zip(of.iter().min())
                        .map_or(0, |(most, least)| most - least + 1)
                };
                assert_eq!(
                    lent.len(),
                    2 * side(&rows) * side(&columns),
                    "one rectangle in both channels"
                );
                assert!(lent.iter().all(|&at| from[at] == from[lent[0]]), "of one image");
            }
        }
        assert!(blended > 40 && cut > 40, "{blended} {cut}");
        assert!(mixed(&Tensor::from_f32(vec![2, 128], &[0.0; 256]), &mut random).is_none());
    }
}
