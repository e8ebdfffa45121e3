//! Samples in another order every time; images are mirrored, shifted and mixed (Zhang et al., 2018: the teacher says what it makes of a mixture).

use std::ops::Range;

use crate::data::Dataset;
use crate::device::NamedTensor;
use crate::onnx::{Dtype, Tensor};

/// Images are shifted by up to one part in so many of their shorter side.
const SHIFT: usize = 8;
/// The largest share of another image.
const MOST_OF_ANOTHER: f32 = 0.5;

/// Batches of samples of some runs.
pub(super) struct Batches<'d> {
    data: &'d Dataset,
    runs: Range<usize>,
    /// Rows of each input, where samples may be mixed between runs.
    rows: Option<Vec<Rows>>,
    /// Samples, or runs, that this round has not given yet.
    left: Vec<usize>,
    random: fastrand::Rng,
}

/// The values of one input, a row a sample.
struct Rows {
    name: String,
    dtype: Dtype,
    /// Extents of one sample.
    dims: Vec<usize>,
    bytes: Vec<u8>,
}

impl<'d> Batches<'d> {
    /// Of the samples in `runs`.
    pub fn new(data: &'d Dataset, runs: Range<usize>, seed: u64) -> Self {
        Self {
            data,
            rows: rows(data, runs.clone()),
            runs,
            left: Vec::new(),
            random: fastrand::Rng::with_seed(seed),
        }
    }

    /// The next batch, as large as a run.
    pub fn next(&mut self) -> Vec<NamedTensor> {
        let size = self.data.batch().max(1);
        let Some(rows) = &self.rows else {
            if self.left.is_empty() {
                self.left = self.runs.clone().collect();
                self.random.shuffle(&mut self.left);
            }
            let run = self.left.pop().unwrap_or(self.runs.start);
            return self.data.run(run).inputs;
        };
        let all = self.data.samples_of(self.runs.clone());
        if self.left.len() < size {
            self.left = (0..all).collect();
            self.random.shuffle(&mut self.left);
        }
        let taken = self.left.split_off(self.left.len().saturating_sub(size));
        let batch = rows.iter().map(|input| {
            let each = input.bytes.len() / all.max(1);
            let picked = taken.iter().filter_map(|&i| input.bytes.get(i * each..(i + 1) * each));
            let bytes: Vec<u8> = picked.flatten().copied().collect();
            let mut dims = vec![taken.len()];
            dims.extend(&input.dims);
            let tensor = Tensor {
                dims,
                dtype: input.dtype,
                bytes: bytes.into(),
            };
            (input.name.clone(), tensor)
        });
        let mut batch: Vec<NamedTensor> = batch.collect();
        if let [(_, image)] = batch.as_mut_slice()
            && let Some(other) = moved(image, &mut self.random)
        {
            *image = mixed(&other, &mut self.random).unwrap_or(other);
        }
        batch
    }
}

/// The rows of all inputs; `None` where the first axis of one is not that of samples, or runs are not all alike.
fn rows(data: &Dataset, runs: Range<usize>) -> Option<Vec<Rows>> {
    let mut all: Vec<Rows> = Vec::new();
    for run in runs {
        let run = data.run(run);
        if run.repeated > 0 {
            return None;
        }
        for (k, (name, tensor)) in run.inputs.into_iter().enumerate() {
            let (&samples, dims) = tensor.dims.split_first()?;
            if samples != run.samples {
                return None;
            }
            match all.get_mut(k) {
                Some(rows) if rows.dims == dims => rows.bytes.extend_from_slice(&tensor.bytes),
                Some(_) => return None,
                None => all.push(Rows {
                    name,
                    dtype: tensor.dtype,
                    dims: dims.to_vec(),
                    bytes: tensor.bytes.to_vec(),
                }),
            }
        }
    }
    (!all.is_empty()).then_some(all)
}

/// Images of N×1×H×W or N×3×H×W, half of them mirrored, each shifted a little; what comes in from outside is the mean of its channel.
fn moved(images: &Tensor, random: &mut fastrand::Rng) -> Option<Tensor> {
    let [n, channels @ (1 | 3), height, width] = *images.dims.as_slice() else {
        return None;
    };
    let most = (height.min(width) / SHIFT) as i64;
    if images.dtype != Dtype::Float || most == 0 {
        return None;
    }
    let values = images.to_f32()?;
    let mut out = Vec::with_capacity(values.len());
    for image in values.chunks_exact(channels * height * width).take(n) {
        let mirrored = random.bool();
        let (down, right) = (random.i64(-most..=most), random.i64(-most..=most));
        for map in image.chunks_exact(height * width) {
            let mean = map.iter().sum::<f32>() / map.len() as f32;
            for y in 0..height as i64 {
                for x in 0..width as i64 {
                    let x = if mirrored { width as i64 - 1 - x } else { x };
                    let (y, x) = (y - down, x - right);
                    let inside = (0..height as i64).contains(&y) && (0..width as i64).contains(&x);
                    let at = (y * width as i64 + x) as usize;
                    out.push(map.get(at).copied().filter(|_| inside).unwrap_or(mean));
                }
            }
        }
    }
    Some(Tensor::from_f32(images.dims.clone(), &out))
}

/// Each image with less than half of another, its counterpart from the end of the batch.
fn mixed(images: &Tensor, random: &mut fastrand::Rng) -> Option<Tensor> {
    let values = images.to_f32()?;
    let each = values.len() / images.dims.first().copied().filter(|&n| n > 0)?;
    let mut out = Vec::with_capacity(values.len());
    for (own, other) in values.chunks_exact(each.max(1)).zip(values.rchunks_exact(each.max(1))) {
        let share = random.f32() * MOST_OF_ANOTHER;
        out.extend(own.iter().zip(other).map(|(a, b)| a + share * (b - a)));
    }
    Some(Tensor::from_f32(images.dims.clone(), &out))
}

#[cfg(test)]
mod tests {
    use super::{Batches, mixed, moved};
    use crate::data::Dataset;
    use crate::device::InputSpec;
    use crate::onnx::{Dtype, Tensor};

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

    #[test]
    fn a_mixture_is_mostly_its_own_image() {
        let images = Tensor::from_f32(vec![4, 1, 1, 2], &[0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]);
        let mut random = fastrand::Rng::with_seed(1);
        let other = mixed(&images, &mut random).and_then(|t| t.to_f32()).unwrap_or_default();
        for (k, pair) in other.chunks(2).enumerate() {
            // Between the own image and the one from the other end, nearer to the own.
            let (own, far) = (2.0 * k as f32, 2.0 * (3 - k) as f32);
            let share = (pair[0] - own) / (far - own);
            assert!((0.0..=0.5).contains(&share), "{other:?}");
            assert!((pair[1] - pair[0] - 1.0).abs() < 1e-5, "both elements alike: {other:?}");
        }
        assert!(other[0] > 0.0);
    }

    #[test]
    fn a_round_gives_every_sample_once() -> crate::Result<()> {
        let spec = InputSpec {
            name: "x".to_owned(),
            dims: vec![1, 2],
            dtype: Dtype::Float,
            open: vec![0],
            assumed: vec![],
        };
        let data = Dataset::random(std::slice::from_ref(&spec), 64, 1)?;
        let runs = 0..data.runs();
        let mut batches = Batches::new(&data, runs.clone(), 5);
        let mut round = || -> Vec<Vec<u8>> {
            let all = (0..64 / data.batch()).flat_map(|_| batches.next());
            all.flat_map(|(_, t)| t.bytes.chunks(8).map(<[u8]>::to_vec).collect::<Vec<_>>())
                .collect()
        };
        let (mut first, mut second) = (round(), round());
        assert_ne!(first, second);
        let mut own: Vec<Vec<u8>> = runs
            .flat_map(|k| data.run(k).inputs)
            .flat_map(|(_, t)| t.bytes.chunks(8).map(<[u8]>::to_vec).collect::<Vec<_>>())
            .collect();
        [&mut first, &mut second, &mut own]
            .into_iter()
            .for_each(|list| list.sort());
        assert!(first == own && second == own);
        Ok(())
    }
}
