//! Nodes and constants of a video file, with what differs between versions of the operators.

use crate::onnx::{NodeBuilder, Tensor};

/// The change of what is no number.
const MUCH: f32 = 1e20;

/// What the nodes of a video file are made with.
pub(super) struct Nodes {
    /// The nodes and constants so far.
    pub builder: NodeBuilder,
    /// Version of ONNX's operators.
    pub opset: i64,
}

impl Nodes {
    /// A constant of floats.
    pub(super) fn floats(&mut self, dims: &[usize], values: &[f32]) -> String {
        self.builder.constant(&Tensor::from_f32(dims.to_vec(), values))
    }

    /// The largest along an axis: an attribute up to version 17, an input from 18 on.
    pub(super) fn greatest(&mut self, x: &str, axis: i64, keep: i64) -> String {
        if self.opset < 18 {
            return self
                .builder
                .op("ReduceMax", &[x], &[("axes", &[axis]), ("keepdims", &[keep])]);
        }
        let axes = self.builder.ints(&[axis]);
        self.builder.op("ReduceMax", &[x, &axes], &[("keepdims", &[keep])])
    }

    /// The sum along an axis: an attribute up to version 12, an input from 13 on.
    pub(super) fn sum(&mut self, x: &str, axis: i64) -> String {
        if self.opset < 13 {
            return self
                .builder
                .op("ReduceSum", &[x], &[("axes", &[axis]), ("keepdims", &[0])]);
        }
        let axes = self.builder.ints(&[axis]);
        self.builder.op("ReduceSum", &[x, &axes], &[("keepdims", &[0])])
    }

    /// The largest |a − b| along an axis.
    pub(super) fn change(&mut self, a: &str, b: &str, axis: i64, keep: i64) -> String {
        let apart = self.builder.op("Sub", &[a, b], &[]);
        let size = self.builder.op("Abs", &[&apart], &[]);
        let most = self.greatest(&size, axis, keep);
        self.number(&most, &most)
    }

    /// `most`, and where `told` is no number, what is above every threshold.
    pub(super) fn number(&mut self, told: &str, most: &str) -> String {
        let nan = self.builder.op("IsNaN", &[told], &[]);
        let much = self.floats(&[], &[MUCH]);
        self.builder.op("Where", &[&nan, &much, most], &[])
    }

    /// Rows of `x` by index.
    pub(super) fn rows(&mut self, x: &str, at: &str) -> String {
        self.builder.op("Gather", &[x, at], &[("axis", &[0])])
    }

    /// `x` under another name.
    pub(super) fn named(&mut self, x: &str, name: &str) {
        self.builder.named("Identity", &[x], &[], name);
    }

    /// 1×C×H×W as a state: rows of pixels, and one of zeros behind them.
    pub(super) fn as_state(&mut self, x: &str, [channels, height, width]: [usize; 3], name: &str) {
        let turned = self.builder.op("Transpose", &[x], &[("perm", &[0, 2, 3, 1])]);
        // ONNX Runtime takes some pools that round up for larger than they come out: the rows are told.
        let rows = self
            .builder
            .reshape(&turned, &[(height * width) as i64, channels as i64]);
        let zeros = self.floats(&[1, channels], &vec![0.0; channels]);
        self.builder.named("Concat", &[&rows, &zeros], &[("axis", &[0])], name);
    }

    /// The first so many rows.
    pub(super) fn first_rows(&mut self, x: &str, count: usize) -> String {
        let [start, end] = [0, count as i64].map(|n| self.builder.ints(&[n]));
        self.builder.op("Slice", &[x, &start, &end, &start], &[])
    }

    /// 1×C×H×W as rows of pixels: H·W × C.
    pub(super) fn as_rows(&mut self, x: &str, channels: usize) -> String {
        let turned = self.builder.op("Transpose", &[x], &[("perm", &[0, 2, 3, 1])]);
        self.builder.reshape(&turned, &[-1, channels as i64])
    }

    /// A state as 1×C×H×W, called `name`.
    pub(super) fn as_map(&mut self, rows: &str, dims: [usize; 3], name: &str) {
        let rows = self.first_rows(rows, dims[1] * dims[2]);
        let [channels, height, width] = dims.map(|d| d as i64);
        let shaped = self.builder.reshape(&rows, &[1, height, width, channels]);
        self.builder
            .named("Transpose", &[&shaped], &[("perm", &[0, 3, 1, 2])], name);
    }
}
