//! Samples in another order every time; of images, other views.

use std::ops::Range;

use super::views::Image;
use crate::Result;
use crate::data::Dataset;
use crate::device::DeviceTensor;
use crate::onnx::{Dtype, Tensor};

/// Values by name. Those of images stand in memory that the next batch is written to: a large allocation costs more than what is done with it.
pub(super) type Batch = Vec<(String, DeviceTensor)>;

/// Batches of samples of some runs.
pub(super) struct Batches<'d> {
    data: &'d Dataset,
    runs: Range<usize>,
    /// Rows of each input, where samples may be mixed between runs.
    rows: Option<Vec<Rows>>,
    /// The samples as images, where they have other views.
    images: Option<Images>,
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

/// The images of a model's one input.
struct Images {
    image: Image,
    name: String,
    /// Extents of a batch.
    dims: Vec<usize>,
    values: Vec<f32>,
    /// A batch that is moved and not yet mixed.
    moved: Vec<f32>,
}

impl Images {
    /// Of an input's rows; `None` where these are no images.
    fn of(rows: &Rows, size: usize) -> Option<Self> {
        let image = Image::of(&rows.dims).filter(|_| rows.dtype == Dtype::Float)?;
        Some(Self {
            image,
            name: rows.name.clone(),
            dims: [&[size], rows.dims.as_slice()].concat(),
            values: rows
                .bytes
                .as_chunks()
                .0
                .iter()
                .map(|&b| f32::from_le_bytes(b))
                .collect(),
            moved: vec![0.0; size * image.len()],
        })
    }

    /// Writes views of some samples to a batch.
    fn write(&mut self, taken: &[usize], batch: &mut Batch, random: &mut fastrand::Rng) -> Result<()> {
        let each = self.image.len();
        let picked = taken.iter().filter_map(|&i| self.values.get(i * each..(i + 1) * each));
        self.image.moved(&picked.collect::<Vec<_>>(), &mut self.moved, random);
        if let Some(to) = batch.first_mut().and_then(|(_, value)| value.floats_mut()) {
            self.image.mixed(&self.moved, to, random);
            return Ok(());
        }
        let mut mixed = vec![0.0; self.moved.len()];
        self.image.mixed(&self.moved, &mut mixed, random);
        let value = DeviceTensor::new(&self.name, &Tensor::from_f32(self.dims.clone(), &mixed))?;
        *batch = vec![(self.name.clone(), value)];
        Ok(())
    }
}

impl<'d> Batches<'d> {
    /// Of the samples in `runs`, `size` of them at a time where their number is open: in the file, or as the model is run here.
    pub fn new(data: &'d Dataset, runs: Range<usize>, (size, opened): (usize, bool), seed: u64) -> Self {
        let mut rows = rows(data, runs.clone());
        // A model that mixes the samples of a run has runs of one.
        let size = match (opened || (data.is_open() && data.batch() > 1)) && rows.is_some() {
            true => size.max(1),
            false => data.batch().max(1),
        };
        let images = match rows.as_deref_mut() {
            Some([one]) => Images::of(one, size).inspect(|_| one.bytes = Vec::new()),
            _ => None,
        };
        Self {
            data,
            runs,
            rows,
            images,
            size,
            left: Vec::new(),
            random: fastrand::Rng::with_seed(seed),
        }
    }

    /// Samples of a batch.
    pub fn size(&self) -> usize {
        self.size
    }

    /// The next batch; of images, other views of them. It takes the place of another one, or of an empty one.
    ///
    /// # Errors
    /// When ONNX Runtime has no such type.
    pub fn next(&mut self, batch: &mut Batch) -> Result<()> {
        if self.next_view(batch)? {
            return Ok(());
        }
        let named = match self.rows.is_some() {
            true => self.samples(),
            false => {
                if self.left.is_empty() {
                    self.left = self.runs.clone().collect();
                    self.random.shuffle(&mut self.left);
                }
                let run = self.left.pop().unwrap_or(self.runs.start);
                self.data.run(run).inputs
            }
        };
        let held = named.into_iter().map(|(name, tensor)| {
            let value = DeviceTensor::new(&name, &tensor)?;
            Ok((name, value))
        });
        *batch = held.collect::<Result<_>>()?;
        Ok(())
    }

    /// The next batch as other views; `false` where samples have none.
    ///
    /// # Errors
    /// When ONNX Runtime has no such type.
    pub fn next_view(&mut self, batch: &mut Batch) -> Result<bool> {
        if self.images.is_none() {
            return Ok(false);
        }
        let taken = self.taken();
        if let Some(images) = &mut self.images {
            images.write(&taken, batch, &mut self.random)?;
        }
        Ok(true)
    }

    /// The values of the next samples, input by input.
    fn samples(&mut self) -> Vec<(String, Tensor)> {
        let taken = self.taken();
        let all = self.data.samples_of(self.runs.clone()).max(1);
        let named = self.rows.iter().flatten().map(|input| {
            let each = input.bytes.len() / all;
            let picked = taken.iter().filter_map(|&i| input.bytes.get(i * each..(i + 1) * each));
            let tensor = Tensor {
                dims: [&[taken.len()], input.dims.as_slice()].concat(),
                dtype: input.dtype,
                bytes: picked.collect::<Vec<_>>().concat().into(),
            };
            (input.name.clone(), tensor)
        });
        named.collect()
    }

    /// The samples of the next batch.
    fn taken(&mut self) -> Vec<usize> {
        let all = self.data.samples_of(self.runs.clone());
        if self.left.len() < self.size {
            self.left.clear();
        }
        // Fewer samples than a batch holds come several times.
        while self.left.len() < self.size && all > 0 {
            let mut round: Vec<usize> = (0..all).collect();
            self.random.shuffle(&mut round);
            self.left.extend(round);
        }
        self.left.split_off(self.left.len().saturating_sub(self.size))
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
    use super::{Batch, Batches};
    use crate::data::Dataset;
    use crate::device::{InputSpec, Runtime};
    use crate::onnx::Dtype;

    #[test]
    fn batches_are_full_where_samples_are_few() -> crate::Result<()> {
        Runtime::load(None)?;
        let spec = InputSpec {
            name: "x".to_owned(),
            dims: vec![1, 3, 16, 16],
            dtype: Dtype::Float,
            open: vec![0],
            assumed: vec![],
        };
        let data = Dataset::random(std::slice::from_ref(&spec), 10, 1)?;
        let mut batches = Batches::new(&data, 0..data.runs(), (64, false), 5);
        let mut batch = Batch::new();
        let mut before = Vec::new();
        for _ in 0..3 {
            batches.next(&mut batch)?;
            assert_eq!(batch.first().map(|(_, t)| t.dims()), Some(vec![64, 3, 16, 16]));
            let values = batch
                .first()
                .and_then(|(_, t)| t.floats())
                .unwrap_or_default()
                .into_owned();
            assert!(
                values.len() == 64 * 768 && values != before,
                "every batch is another one"
            );
            before = values;
        }
        assert!(batches.next_view(&mut batch)?);
        Ok(())
    }

    #[test]
    fn a_round_gives_every_sample_once() -> crate::Result<()> {
        Runtime::load(None)?;
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
        let mut round = || {
            let mut all = Vec::new();
            for _ in 0..100 / batches.size() {
                let mut batch = Batch::new();
                batches.next(&mut batch)?;
                let tensors = batch.iter().filter_map(|(_, t)| t.tensor());
                all.extend(tensors.flat_map(|t| t.bytes.chunks(8).map(<[u8]>::to_vec).collect::<Vec<_>>()));
            }
            Ok::<_, crate::Error>(all)
        };
        let (mut first, mut second) = (round()?, round()?);
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
