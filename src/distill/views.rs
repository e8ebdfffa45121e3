//! Views of images: mirrored, shifted, and mixed with others. No label has to fit them, as the teacher says what it makes of each (Beyer et
//! al., 2022).

use std::ops::Range;

use rayon::prelude::*;

/// Images are shifted by up to one part in so many of their shorter side.
const SHIFT: usize = 8;

/// Extents of one image: 1 or 3 channels of rows and columns.
#[derive(Clone, Copy, Debug)]
pub(super) struct Image {
    channels: usize,
    height: usize,
    width: usize,
}

impl Image {
    /// Of one sample's extents; `None` where they are not those of an image that can be shifted.
    pub fn of(dims: &[usize]) -> Option<Self> {
        let [channels @ (1 | 3), height, width] = *dims else {
            return None;
        };
        (height.min(width) >= SHIFT).then_some(Self {
            channels,
            height,
            width,
        })
    }

    /// Numbers in an image.
    pub fn len(self) -> usize {
        self.channels * self.height * self.width
    }

    /// Images, one behind the other in `to`: half of them mirrored, each shifted a little; what comes in from outside is the mean of its channel.
    pub fn moved(self, from: &[&[f32]], to: &mut [f32], random: &mut fastrand::Rng) {
        let most = (self.height.min(self.width) / SHIFT) as i64;
        let place = |_| (random.bool(), random.i64(-most..=most), random.i64(-most..=most));
        let places: Vec<(bool, i64, i64)> = from.iter().map(place).collect();
        let plane = self.height * self.width;
        let images = to.par_chunks_exact_mut(self.len()).zip(from).zip(places);
        images.for_each(|((to, from), (mirrored, down, right))| {
            for (to, from) in to.chunks_exact_mut(plane).zip(from.chunks_exact(plane)) {
                to.fill(from.iter().sum::<f32>() / plane as f32);
                for (y, row) in to.chunks_exact_mut(self.width).enumerate() {
                    let above = usize::try_from(y as i64 - down).ok();
                    if let Some(own) = above.and_then(|y| from.chunks_exact(self.width).nth(y)) {
                        shifted(own, row, mirrored, right);
                    }
                }
            }
        });
    }

    /// Each image with another: in half of them both shine through with any share (Zhang et al., 2018), in the others a rectangle is that of the
    /// other image (Yun et al., 2019).
    pub fn mixed(self, from: &[f32], to: &mut [f32], random: &mut fastrand::Rng) {
        let each = self.len();
        let mut others: Vec<usize> = (0..from.len() / each).collect();
        random.shuffle(&mut others);
        let each_with = |other: usize| {
            let (share, blended) = (random.f32(), random.bool());
            let (rows, columns) = match blended {
                true => (0..0, 0..0),
                false => (part(self.height, share, random), part(self.width, share, random)),
            };
            (other, share, blended, rows, columns)
        };
        let mixes: Vec<_> = others.into_iter().map(each_with).collect();
        let images = to
            .par_chunks_exact_mut(each)
            .zip(from.par_chunks_exact(each))
            .zip(mixes);
        images.for_each(|((to, own), (other, share, blended, rows, columns))| {
            let other = from.chunks_exact(each).nth(other).unwrap_or(own);
            if blended {
                let pairs = own.iter().zip(other);
                to.iter_mut()
                    .zip(pairs)
                    .for_each(|(to, (a, b))| *to = a + share * (b - a));
                return;
            }
            to.copy_from_slice(own);
            let lines = to
                .chunks_exact_mut(self.width)
                .zip(other.chunks_exact(self.width))
                .enumerate();
            for (_, (own, other)) in lines.filter(|(y, _)| rows.contains(&(y % self.height))) {
                if let Some((own, other)) = own.get_mut(columns.clone()).zip(other.get(columns.clone())) {
                    own.copy_from_slice(other);
                }
            }
        });
    }
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

/// One side of a rectangle that covers this share of a map, around any place; what lies outside is left out.
fn part(side: usize, share: f32, random: &mut fastrand::Rng) -> Range<usize> {
    let (half, middle) = (side as f32 * share.sqrt() / 2.0, side as f32 * random.f32());
    let end = |at: f32| (at.round().max(0.0) as usize).min(side);
    end(middle - half)..end(middle + half)
}

#[cfg(test)]
mod tests {
    use super::Image;

    #[test]
    fn images_keep_their_pixels_and_get_the_mean_from_outside() -> Result<(), &'static str> {
        let values: Vec<f32> = (0..256).map(|v| v as f32).collect();
        let image = Image::of(&[1, 16, 16]).ok_or("no image")?;
        let mut random = fastrand::Rng::with_seed(3);
        let mut differ = 0;
        for _ in 0..20 {
            let mut other = vec![0.0; 256];
            image.moved(&[&values], &mut other, &mut random);
            assert!(other.iter().all(|v| v.fract() == 0.0 || *v == 127.5));
            let own = other.iter().filter(|v| v.fract() == 0.0).count();
            assert!(own >= 14 * 14, "{own}");
            differ += usize::from(other != values);
        }
        assert!(differ > 15);
        assert!(
            [&[128][..], &[1, 7, 16], &[2, 16, 16]]
                .into_iter()
                .all(|d| Image::of(d).is_none())
        );
        Ok(())
    }

    #[test]
    fn images_shine_through_or_lend_a_rectangle() -> Result<(), &'static str> {
        let image = Image::of(&[3, 8, 8]).ok_or("no image")?;
        // Four images, each pixel a number that tells its image and its place.
        let images: Vec<f32> = (0..768).map(|k| (1000 * (k / 192) + k % 192) as f32).collect();
        let mut random = fastrand::Rng::with_seed(1);
        let (mut blended, mut cut) = (0, 0);
        for _ in 0..50 {
            let mut other = vec![0.0; 768];
            image.mixed(&images, &mut other, &mut random);
            for (k, image) in other.chunks(192).enumerate() {
                // What comes from which image: places stay where they are.
                let from = image.iter().enumerate();
                let from: Vec<f32> = from.map(|(at, v)| (v - at as f32) / 1000.0).collect();
                assert!(from.iter().all(|f| (-1e-3..=3.001).contains(f)), "{from:?}");
                if from.iter().all(|f| (f - from[0]).abs() < 1e-3) {
                    blended += usize::from((from[0] - from[0].round()).abs() > 1e-2);
                    continue;
                }
                cut += 1;
                let lent: Vec<usize> = (0..192).filter(|&at| (from[at] - k as f32).abs() > 1e-3).collect();
                let (rows, columns): (Vec<usize>, Vec<usize>) = lent.iter().map(|at| (at % 64 / 8, at % 8)).unzip();
                let side = |of: &[usize]| {
                    let ends = of.iter().max().zip(of.iter().min());
                    ends.map_or(0, |(most, least)| most - least + 1)
                };
                let area = side(&rows) * side(&columns);
                assert_eq!(lent.len(), 3 * area, "one rectangle in all channels");
                assert!(lent.iter().all(|&at| from[at] == from[lent[0]]), "of one image");
            }
        }
        assert!(blended > 40 && cut > 40, "{blended} {cut}");
        Ok(())
    }
}
