//! Inputs that are zero wherever anything was looked at: masks leave many, and no weight that reads them can be told.

use crate::ops::LinearOp;
use crate::score::StagedExecutor;

/// Which of a layer's input channels are ever other than zero.
pub(super) struct Heard {
    /// The layer, reading these alone.
    pub layer: LinearOp,
    /// Their columns among all; `None` where all are heard.
    columns: Option<Vec<usize>>,
    all: usize,
}

impl Heard {
    /// All channels.
    pub fn all(layer: &LinearOp) -> Self {
        Self {
            layer: layer.clone(),
            columns: None,
            all: layer.columns(),
        }
    }

    /// Those that the layer hears in any run; all where that cannot be told.
    pub fn of(executor: &StagedExecutor, layer: &LinearOp) -> Self {
        let whole = Self::all(layer);
        if layer.groups() != 1 {
            return whole;
        }
        let mut heard = vec![false; layer.inputs];
        for run in 0..executor.runs().len() {
            let Ok(held) = executor.value(run, &layer.input) else {
                return whole;
            };
            let dims = held.dims();
            let axis = layer.channel_axis(dims.len());
            let (Some(values), true) = (held.floats(), dims.get(axis) == Some(&layer.inputs)) else {
                return whole;
            };
            let plane = dims.iter().skip(axis + 1).product::<usize>().max(1);
            for (at, part) in values.chunks(plane).enumerate() {
                if let Some(heard) = heard.get_mut(at % layer.inputs).filter(|h| !**h) {
                    *heard = part.iter().any(|&v| v != 0.0);
                }
            }
        }
        let left: Vec<usize> = (0..layer.inputs).filter(|&i| heard.get(i) == Some(&true)).collect();
        if left.is_empty() || left.len() == layer.inputs {
            return whole;
        }
        let taps = layer.taps;
        Self {
            layer: LinearOp {
                inputs: left.len(),
                ..layer.clone()
            },
            columns: Some(left.iter().flat_map(|i| i * taps..(i + 1) * taps).collect()),
            all: layer.columns(),
        }
    }

    /// Rows of all columns as rows of those heard.
    pub fn cut(&self, rows: Vec<f32>) -> Vec<f32> {
        let Some(columns) = &self.columns else { return rows };
        let rows = rows.chunks_exact(self.all.max(1));
        rows.flat_map(|row| columns.iter().filter_map(|&c| row.get(c).copied()))
            .collect()
    }

    /// Weights of the columns heard among those that a layer had for all.
    pub fn among(&self, weights: &[f32], mut had: Vec<f32>) -> Vec<f32> {
        let Some(columns) = &self.columns else {
            return weights.to_vec();
        };
        let rows = had
            .chunks_exact_mut(self.all.max(1))
            .zip(weights.chunks_exact(columns.len().max(1)));
        for (into, from) in rows {
            for (&column, &weight) in columns.iter().zip(from) {
                if let Some(into) = into.get_mut(column) {
                    *into = weight;
                }
            }
        }
        had
    }
}

#[cfg(test)]
mod tests {
    use super::Heard;
    use crate::device::{CpuDevice, Runtime};
    use crate::onnx::proto::{GraphProto, NodeProto};
    use crate::onnx::{Graph, Tensor, named_value};
    use crate::ops::LinearOp;
    use crate::score::StagedExecutor;

    #[test]
    fn what_is_always_zero_is_cut_and_keeps_its_weights() -> std::result::Result<(), Box<dyn std::error::Error>> {
        let device = CpuDevice::new(Runtime::load(None)?, 1);
        let weights: Vec<f32> = (0..2 * 3 * 2).map(|v| v as f32).collect();
        let proto = GraphProto {
            node: vec![NodeProto {
                op_type: Some("Conv".to_owned()),
                input: vec!["x".to_owned(), "w".to_owned()],
                output: vec!["y".to_owned()],
                ..Default::default()
            }],
            initializer: vec![Tensor::from_f32(vec![2, 3, 1, 2], &weights).to_proto("w")],
            input: vec![named_value("x")],
            output: vec![named_value("y")],
            ..Default::default()
        };
        let graph = Graph::new(&proto)?;
        let layer = LinearOp::of(&graph, 0).ok_or("no layer")?;
        // The second channel is zero in both samples, the third in one.
        let x = [1.0, 2.0, 0.0, 0.0, 0.0, 3.0, 4.0, 0.0, 0.0, 0.0, 0.0, 0.0];
        let inputs = [("x".to_owned(), Tensor::from_f32(vec![2, 3, 1, 2], &x))];
        let heard = Heard::of(&StagedExecutor::of(&device, &inputs)?, &layer);
        assert_eq!((heard.layer.inputs, heard.layer.columns()), (2, 4));
        assert_eq!(heard.cut(x[..6].to_vec()), [1.0, 2.0, 0.0, 3.0]);
        let cut = heard.cut(weights.clone());
        assert_eq!(cut, [0.0, 1.0, 4.0, 5.0, 6.0, 7.0, 10.0, 11.0]);
        let doubled: Vec<f32> = cut.iter().map(|w| 2.0 * w).collect();
        let all = heard.among(&doubled, weights);
        assert_eq!(all, [0.0, 2.0, 2.0, 3.0, 8.0, 10.0, 12.0, 14.0, 8.0, 9.0, 20.0, 22.0]);
        Ok(())
    }
}
