//! A model in memory, handed over to ONNX Runtime.

use std::sync::Arc;

use ort::session::Session;
use ort::session::builder::SessionBuilder;
use prost::Message;

use super::foreign::ForeignCall;
use super::stop::Stop;
use crate::onnx::proto::ModelProto;
use crate::onnx::{LARGEST, Outside, THRESHOLD, encode};
use crate::{Error, Result};

/// A session of an encoded model. One that is larger than protobuf's readers take goes in two parts.
///
/// # Errors
/// When ONNX Runtime refuses the model, or it is asked to stop.
pub(super) fn commit(builder: SessionBuilder, model: &[u8], stop: &Stop) -> Result<Session> {
    let _call = stop.enter(ForeignCall::Model)?;
    commit_parts(builder, model, LARGEST)
}

fn commit_parts(mut builder: SessionBuilder, model: &[u8], largest: usize) -> Result<Session> {
    if model.len() <= largest {
        return Ok(builder.commit_from_memory(model)?);
    }
    let mut proto = ModelProto::decode(model).map_err(|e| Error::Model(format!("not an ONNX model ({e})")))?;
    let weights: Arc<[u8]> = Outside::of(&mut proto, THRESHOLD, WEIGHTS)?.into_bytes().into();
    let mut builder = builder.with_external_initializer_file_in_memory(WEIGHTS, weights)?;
    Ok(builder.commit_from_memory(&encode(&proto))?)
}

/// The file that is in memory only.
const WEIGHTS: &str = "weights";

#[cfg(test)]
mod tests {
    use super::{commit_parts, encode};
    use crate::device::runtime::{run_once, tensors};
    use crate::device::{Runtime, ShapeOptions, input_specs, random_inputs};
    use crate::onnx::{Graph, load};

    #[test]
    fn a_model_in_two_parts_computes_the_same() {
        let runtime = Runtime::load(None).unwrap();
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/models/shapes96_misaligned.onnx");
        let model = load(file.as_ref()).unwrap();
        let specs = input_specs(&Graph::of(&model.proto).unwrap(), &ShapeOptions::default()).unwrap();
        let inputs = random_inputs(&specs, 1, 1.0).unwrap();
        let bytes = encode(&model.proto);
        let run = |largest| {
            let builder = runtime.builder(1, &[]).unwrap();
            tensors(run_once(commit_parts(builder, &bytes, largest).unwrap(), &inputs, &runtime.stop).unwrap())
        };
        assert_eq!(run(usize::MAX), run(4096));
    }
}
