//! What layers see and make at single places, wherever the values are kept.

use rayon::iter::{IndexedParallelIterator, ParallelIterator};
use rayon::slice::{ParallelSlice, ParallelSliceMut};

use super::patches::{OutputPosition, input_rows, offset, output_rows, places_of};
use super::staged_executor::StagedExecutor;
use crate::Result;
use crate::ops::{Form, LinearOp};

impl StagedExecutor<'_> {
    /// Appends one row of `all_columns` values a place: what a layer multiplies by its weights there. `name`: its input.
    ///
    /// # Errors
    /// When the value is not kept here or not of floats, or a run fails.
    pub fn input_rows(
        &self,
        run: usize,
        name: &str,
        (linear_op, output_dims): (&LinearOp, &[usize]),
        places: &[OutputPosition],
        rows: &mut Vec<f32>,
    ) -> Result<()> {
        let held = self.value(run, name)?;
        let dims = held.dims();
        if let Some(values) = held.floats() {
            input_rows(linear_op, &values, &dims, output_dims, places, rows);
            return Ok(());
        }
        let mut take = |at: &[i64]| self.taker().take(self.device(), (name, held), linear_op, at);
        input_rows_taken(linear_op, &dims, output_dims, places, &mut take, rows)
    }

    /// Appends one row of output channels a place, from a value with the layer's output shape.
    ///
    /// # Errors
    /// As in [`Self::input_rows`].
    pub fn output_rows(
        &self,
        run: usize,
        name: &str,
        linear_op: &LinearOp,
        places: &[OutputPosition],
        rows: &mut Vec<f32>,
    ) -> Result<()> {
        let held = self.value(run, name)?;
        let dims = held.dims();
        match held.floats() {
            Some(values) => output_rows(linear_op, &values, &dims, places, rows),
            // Integers are no aim.
            None if !held.is_float() => {}
            None => {
                let at = output_places(linear_op, &dims, places);
                rows.extend(self.taker().take(self.device(), (name, held), linear_op, &at)?);
            }
        }
        Ok(())
    }
}

/// What a layer multiplies by its weights at places, from values in a device's memory: `take` gives the channels at places of `x`, by their number over its first axis and
/// those of space.
///
/// # Errors
/// Those of `take`.
fn input_rows_taken(
    linear_op: &LinearOp,
    dims: &[usize],
    output_dims: &[usize],
    places: &[OutputPosition],
    take: &mut dyn FnMut(&[i64]) -> Result<Vec<f32>>,
    rows: &mut Vec<f32>,
) -> Result<()> {
    let Form::Conv(spec) = &linear_op.form else {
        rows.extend(take(&output_places(linear_op, output_dims, places))?);
        return Ok(());
    };
    let (width, before, taps) = (linear_op.all_columns(), rows.len(), linear_op.taps);
    let channels = linear_op.input_channels();
    let (space, out_space) = (&dims[2..], &output_dims[2..]);
    let plane: usize = space.iter().product();
    let read = |&(n, q): &OutputPosition| {
        let at = move |t| offset(spec, space, out_space, q, t).map(|o| (n * plane + o) as i64);
        (0..taps).map(at)
    };
    let read: Vec<Option<i64>> = places.iter().flat_map(read).collect();
    let inside: Vec<i64> = read.iter().copied().flatten().collect();
    let taken = take(&inside)?;
    // How many places inside come before each tap.
    let ahead = read.iter().scan(0, |count, at| {
        let before = *count;
        *count += usize::from(at.is_some());
        Some(at.is_some().then_some(before))
    });
    let ahead: Vec<Option<usize>> = ahead.collect();
    rows.resize(before + places.len() * width, 0.0);
    let into = rows[before..]
        .par_chunks_mut(width.max(1))
        .zip(ahead.par_chunks(taps.max(1)));
    into.for_each(|(row, taps_at)| {
        for (t, at) in taps_at.iter().enumerate() {
            let Some(from) = at.and_then(|k| taken.get(k * channels..(k + 1) * channels)) else {
                continue;
            };
            for (c, v) in from.iter().enumerate() {
                row[c * taps + t] = *v;
            }
        }
    });
    Ok(())
}

/// The number of every place over the first axis of a layer's output and those of space.
fn output_places(linear_op: &LinearOp, dims: &[usize], places: &[OutputPosition]) -> Vec<i64> {
    let (_, each) = places_of(linear_op, dims);
    places.iter().map(|&(n, q)| (n * each + q) as i64).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::{CpuDevice, Runtime};
    use crate::onnx::proto::{GraphProto, NodeProto};
    use crate::onnx::{Attributes, Graph, Tensor, named_value};
    use crate::score::patches::sampled;

    /// Layers of every form see the same whether places are taken out of values by the device or read from the whole.
    #[test]
    fn what_is_taken_is_what_stands_there() -> std::result::Result<(), Box<dyn std::error::Error>> {
        let device = CpuDevice::new(Runtime::load(None)?, 1);
        type Case = (&'static str, Vec<usize>, Vec<usize>, Vec<(&'static str, Vec<i64>)>);
        let pads = vec![
            ("pads", vec![1, 0, 2, 1]),
            ("strides", vec![2, 1]),
            ("dilations", vec![1, 2]),
        ];
        let cases: Vec<Case> = vec![
            ("Conv", vec![2, 4, 7, 6], vec![6, 4, 3, 2], pads),
            ("Conv", vec![2, 3, 9], vec![5, 3, 4], vec![]),
            ("Conv", vec![2, 4, 5, 5], vec![3, 4, 1, 1], vec![]),
            ("Gemm", vec![3, 4], vec![4, 5], vec![]),
            ("MatMul", vec![2, 3, 4], vec![4, 5], vec![]),
        ];
        for (op, dims, weights, attributes) in cases {
            let mut node = NodeProto {
                op_type: Some(op.to_owned()),
                input: vec!["x".to_owned(), "w".to_owned()],
                output: vec!["y".to_owned()],
                ..Default::default()
            };
            attributes
                .into_iter()
                .for_each(|(name, list)| node.set_ints(name, list));
            let mut random = fastrand::Rng::with_seed(4);
            let mut tensor = |dims: &[usize]| {
                let values: Vec<f32> = (0..dims.iter().product()).map(|_| random.f32() - 0.5).collect();
                Tensor::from_f32(dims.to_vec(), &values)
            };
            let proto = GraphProto {
                node: vec![node],
                initializer: vec![tensor(&weights).to_proto("w")],
                input: vec![named_value("x")],
                output: vec![named_value("y")],
                ..Default::default()
            };
            let graph = Graph::new(&proto)?;
            let layer = LinearOp::of(&graph, 0).ok_or("no layer")?;
            let out = layer.output_dims(&dims).ok_or("no output")?;
            let inputs = [("x".to_owned(), tensor(&dims)), ("y".to_owned(), tensor(&out))];
            let executor = StagedExecutor::of(&device, &inputs)?;
            let (blocks, each) = places_of(&layer, &out);
            let places = sampled(blocks, each, 5, 1);
            let [mut whole, mut taken] = [Vec::new(), Vec::new()];
            executor.input_rows(0, "x", (&layer, &out), &places, &mut whole)?;
            let held = executor.value(0, "x")?;
            let mut take = |at: &[i64]| executor.taker().take(&device, ("x", held), &layer, at);
            input_rows_taken(&layer, &dims, &out, &places, &mut take, &mut taken)?;
            assert!(
                whole.len() == places.len() * layer.all_columns() && whole == taken,
                "{op} {dims:?}"
            );
            let mut whole = Vec::new();
            executor.output_rows(0, "y", &layer, &places, &mut whole)?;
            let at = output_places(&layer, &out, &places);
            let taken = executor
                .taker()
                .take(&device, ("y", executor.value(0, "y")?), &layer, &at)?;
            assert!(
                whole.len() == places.len() * layer.outputs && whole == taken,
                "{op} {out:?}"
            );
        }
        Ok(())
    }
}
