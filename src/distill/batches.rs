//! Samples in another order every time; of images, other views.

use std::ops::Range;

use super::views::{mixed, moved};
use crate::data::Dataset;
use crate::device::NamedTensor;
use crate::onnx::{Dtype, Tensor};

/// Batches of samples of some runs.
pub(super) struct Batches<'d> {
    data: &'d Dataset,
    runs: Range<usize>,
    /// Rows of each input, where samples may be mixed between runs.
    rows: Option<Vec<Rows>>,
    /// Samples of a batch.
    size: usize,
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
    /// Of the samples in `runs`, `size` of them at a time where their number is open: in the file, or as the model is run here.
    pub fn new(data: &'d Dataset, runs: Range<usize>, (size, opened): (usize, bool), seed: u64) -> Self {
        let rows = rows(data, runs.clone());
        Self {
            data,
            // A model that mixes the samples of a run has runs of one.
            size: match (opened || (data.is_open() && data.batch() > 1)) && rows.is_some() {
                true => size.max(1),
                false => data.batch().max(1),
            },
            rows,
            runs,
            left: Vec::new(),
            random: fastrand::Rng::with_seed(seed),
        }
    }

    /// Samples of a batch.
    pub fn size(&self) -> usize {
        self.size
    }

    /// The next batch; of images, other views of them.
    pub fn next(&mut self) -> Vec<NamedTensor> {
        let mut batch = self.taken();
        if let Some(view) = self.view(&batch) {
            batch = view;
        }
        batch
    }

    /// The next batch as other views; `None` where samples have none.
    pub fn next_view(&mut self) -> Option<Vec<NamedTensor>> {
        let batch = self.taken();
        self.view(&batch)
    }

    fn view(&mut self, batch: &[NamedTensor]) -> Option<Vec<NamedTensor>> {
        let [(name, image)] = batch else { return None };
        self.rows.as_ref()?;
        let other = moved(image, &mut self.random)?;
        let view = mixed(&other, &mut self.random).unwrap_or(other);
        Some(vec![(name.clone(), view)])
    }

    /// The samples of the next batch.
    fn taken(&mut self) -> Vec<NamedTensor> {
        let size = self.size;
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
            self.left.clear();
        }
        // Fewer samples than a batch holds come several times.
        while self.left.len() < size && all > 0 {
            let mut round: Vec<usize> = (0..all).collect();
            self.random.shuffle(&mut round);
            self.left.extend(round);
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
        batch.collect()
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

#[cfg(test)]
mod tests {
    use super::Batches;
    use crate::data::Dataset;
    use crate::device::InputSpec;
    use crate::onnx::Dtype;

    #[test]
    fn batches_are_full_where_samples_are_few() -> crate::Result<()> {
        let spec = InputSpec {
            name: "x".to_owned(),
            dims: vec![1, 3, 16, 16],
            dtype: Dtype::Float,
            open: vec![0],
            assumed: vec![],
        };
        let data = Dataset::random(std::slice::from_ref(&spec), 10, 1)?;
        let mut batches = Batches::new(&data, 0..data.runs(), (64, false), 5);
        for batch in [batches.next(), batches.next_view().unwrap_or_default()] {
            assert_eq!(batch.first().map(|(_, t)| t.dims.clone()), Some(vec![64, 3, 16, 16]));
        }
        Ok(())
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
        let data = Dataset::random(std::slice::from_ref(&spec), 100, 1)?;
        let runs = 0..data.runs();
        let mut batches = Batches::new(&data, runs.clone(), (20, false), 5);
        let mut round = || -> Vec<Vec<u8>> {
            let all = (0..100 / batches.size()).flat_map(|_| batches.next());
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
