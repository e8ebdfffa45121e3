//! Wrong references to data in other files.

use super::{Case, weight};
use crate::common::net::entry;
use snapprune::onnx::proto::ModelProto;
use snapprune::onnx::proto::tensor_proto::DataLocation;

pub(super) const CASES: &[Case] = &[
    (
        "external data without a place",
        |m| {
            let t = weight(m);
            t.raw_data = None;
            t.data_location = Some(DataLocation::External as i32);
        },
        "without location",
    ),
    (
        "external data at an absolute path",
        |m| outside(m, "/etc/passwd"),
        "leaves the model's folder",
    ),
    (
        "external data above the folder",
        |m| outside(m, "../secret.bin"),
        "leaves the model's folder",
    ),
    (
        "external data above the folder, hidden",
        |m| outside(m, "a/../../secret.bin"),
        "leaves the model's folder",
    ),
    (
        "external data with an empty place",
        |m| outside(m, ""),
        "leaves the model's folder",
    ),
    (
        "external data that is not there",
        |m| outside(m, "gone.bin"),
        "gone.bin",
    ),
    (
        "external data that is a folder",
        |m| outside(m, "."),
        "not a plain file",
    ),
    (
        "external data with an unknown key",
        |m| {
            outside(m, "w.bin");
            keyed(m, "__class__", "x");
        },
        "unknown external data key",
    ),
    (
        "external data with a key twice",
        |m| {
            outside(m, "w.bin");
            keyed(m, "location", "v.bin");
        },
        "twice",
    ),
    (
        "external data at a negative offset",
        |m| {
            outside(m, "w.bin");
            keyed(m, "offset", "-1");
        },
        "offset '-1'",
    ),
    (
        "external data of no length",
        |m| {
            outside(m, "w.bin");
            keyed(m, "length", "many");
        },
        "length 'many'",
    ),
    (
        "external data of a length beyond all numbers",
        |m| {
            outside(m, "w.bin");
            keyed(m, "length", "99999999999999999999999");
        },
        "length '9",
    ),
];

fn outside(model: &mut ModelProto, location: &str) {
    weight(model).raw_data = None;
    weight(model).data_location = Some(DataLocation::External as i32);
    keyed(model, "location", location);
}

fn keyed(model: &mut ModelProto, key: &str, value: &str) {
    weight(model).external_data.push(entry(key, value));
}
