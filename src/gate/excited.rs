//! Squeeze-and-excite modules as nodes. Where channels are left out, a module reads zeros in the place of their means.

use super::attend::channel_mask;
use super::convolve::{CutChannels, conv_weights, convolved};
use super::emitter::GateEmitter;
use super::excite::Excite;
use super::spec::{ChannelGate, GateForm};

/// The module on a map of all channels, or within a gate on those that are chosen; the value that it makes.
pub(super) fn excited(
    module: &Excite,
    emitter: &mut GateEmitter,
    x: &str,
    within: Option<(&ChannelGate, &str)>,
    form: GateForm,
) -> String {
    let numbers = match form {
        GateForm::Masked => {
            let seen = match within {
                Some((gate, indices)) => {
                    let mask = channel_mask(emitter, gate, indices);
                    emitter.builder.op("Mul", &[x, &mask], &[])
                }
                None => x.to_owned(),
            };
            // Layers keep their names, so that they can be fitted and trained in this form.
            let parts: [&[usize]; 5] = [
                &[module.pool],
                &[module.squeeze.node],
                &module.between,
                &[module.expand.node],
                &module.behind,
            ];
            parts.into_iter().fold(seen, |at, nodes| emitter.same(nodes, &at))
        }
        _ => {
            let kept = within.map(|(_, indices)| indices);
            let cut = |inputs, outputs| CutChannels {
                inputs,
                outputs,
                groups: None,
            };
            let at = emitter.cloned(&[module.pool], x, None);
            let weights = conv_weights(emitter, &module.squeeze);
            let at = convolved(emitter, &module.squeeze, &weights, None, cut(kept, None), &at);
            let at = emitter.cloned(&module.between, &at, None);
            let weights = conv_weights(emitter, &module.expand);
            let at = convolved(emitter, &module.expand, &weights, None, cut(None, kept), &at);
            emitter.cloned(&module.behind, &at, None)
        }
    };
    emitter.builder.op("Mul", &[x, &numbers], &[])
}
