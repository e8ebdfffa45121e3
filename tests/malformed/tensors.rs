//! Wrong weights.

use super::{Case, graph, weight};
use crate::common::with_bytes;

pub(super) const CASES: &[Case] = &[
    ("a negative extent", |m| weight(m).dims[0] = -8, "negative extent -8"),
    (
        "extents that overflow",
        |m| weight(m).dims = vec![1 << 62, 1 << 62, 3, 3],
        "extents overflow",
    ),
    (
        "extents that overflow in bytes",
        |m| weight(m).dims = vec![1 << 61, 3, 1, 1],
        "extents overflow",
    ),
    (
        "fewer bytes than extents",
        |m| weight(m).dims[0] = 9,
        "bytes for [9, 3, 3, 3]",
    ),
    (
        "far fewer bytes than extents",
        |m| weight(m).dims[0] = 1 << 40,
        "expected",
    ),
    (
        "more bytes than extents",
        |m| with_bytes(weight(m), |raw| raw.extend([0; 4])),
        "expected",
    ),
    (
        "half an element",
        |m| with_bytes(weight(m), |raw| raw.truncate(raw.len() - 1)),
        "expected",
    ),
    ("no data", |m| weight(m).raw_data = None, "0 values"),
    (
        "an unknown type",
        |m| weight(m).data_type = Some(99),
        "unknown data type 99",
    ),
    ("no type", |m| weight(m).data_type = None, "0 texts"),
    ("another type", |m| weight(m).data_type = Some(11), "expected"),
    (
        "floats in the wrong field",
        |m| {
            let t = weight(m);
            t.raw_data = None;
            t.int64_data = vec![1; 216];
        },
        "0 values",
    ),
    ("texts as weights", |m| weight(m).data_type = Some(8), "0 texts"),
    (
        "NaN as a weight",
        |m| with_bytes(weight(m), |raw| raw[..4].copy_from_slice(&f32::NAN.to_le_bytes())),
        "element 0 of this weight",
    ),
    (
        "an infinite weight",
        |m| {
            with_bytes(weight(m), |raw| {
                raw[8..12].copy_from_slice(&f32::INFINITY.to_le_bytes())
            })
        },
        "element 2 of this weight",
    ),
    (
        "NaN in float_data",
        |m| {
            let t = weight(m);
            t.raw_data = None;
            t.float_data = vec![f32::NAN; 216];
        },
        "no number",
    ),
    (
        "no output channels",
        |m| {
            let t = weight(m);
            t.dims[0] = 0;
            t.raw_data = Some(Default::default());
        },
        "node node0: its weight has no elements",
    ),
    (
        "no input channels",
        |m| {
            let t = weight(m);
            t.dims[1] = 0;
            t.raw_data = Some(Default::default());
        },
        "node node0: its weight has no elements",
    ),
    (
        "a kernel of nothing",
        |m| {
            let t = weight(m);
            t.dims[2] = 0;
            t.raw_data = Some(Default::default());
        },
        "no elements",
    ),
    (
        "a weight of two axes",
        |m| weight(m).dims = vec![8, 27],
        "node node0: its weight has 2 axes",
    ),
    (
        "two initializers of one name",
        |m| {
            let t = weight(m).clone();
            graph(m).initializer.push(t);
        },
        "two initializers",
    ),
    ("an initializer without a name", |m| weight(m).name = None, "no name"),
];
