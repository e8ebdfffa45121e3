//! Which channels a gate takes: the same ones for every input, or some by what attention sees beyond these.

use super::calibrate::{Attention, AttentionOrigin, best, channel_gate, fitting};
use super::made_up::MadeUp;
use super::reader::ReaderView;
use super::regress;
use super::spec::ChannelGate;
use super::statistics::GateStatistics;
use crate::Result;

/// A way to take channels.
#[derive(Clone, Debug)]
pub struct ChannelChoice {
    /// The gate.
    pub gate: ChannelGate,
    /// Where its attention comes from.
    pub origin: AttentionOrigin,
    /// The share of what the reader makes that is kept, on samples that nothing was fitted on; between 0 and 1.
    pub kept: f64,
    /// How the reader makes up for the rest, where that is known.
    pub made_up: Option<MadeUp>,
    /// The same of the convolutions of squeeze-and-excite modules in front of it.
    pub in_modules: Vec<Option<MadeUp>>,
}

/// What reads channels, as samples show it.
#[derive(Clone, Copy)]
pub struct Readers<'v> {
    /// The convolution that reads them.
    pub reader: &'v ReaderView,
    /// How long each channel stays ([`ReaderView::importance`]).
    pub importance: &'v [f32],
    /// Those of squeeze-and-excite modules in front of it, which read their means.
    pub modules: &'v [ReaderView],
}

/// Where fixed channels keep so much, attention has nothing to add.
const ENOUGH: f64 = 0.9995;
/// Of the channels that are taken, the share that attention has no say in.
const ALWAYS: f64 = 0.5;

/// Ways to take `keep` channels of those that a step makes, where the reader's view of samples tells how well it makes up for the others: always the same ones, ranked by
/// their importance, and the best attention where that keeps more.
///
/// # Errors
/// Those of the view.
pub fn channel_choices(
    statistics: &GateStatistics,
    readers: Readers,
    attentions: &[Attention],
    (producer, keep): (usize, usize),
) -> Result<Vec<ChannelChoice>> {
    let (view, importance) = (readers.reader, readers.importance);
    let fixed = Attention::fixed(statistics, importance);
    let mut found: Vec<ChannelChoice> = Vec::new();
    let judged = |attention: &Attention| -> Result<Option<ChannelChoice>> {
        let mut gate = channel_gate(statistics, attention, producer, keep);
        if attention.origin == AttentionOrigin::Fixed {
            // What never changes is for the reader's bias.
            gate.fill.fill(0.0);
        }
        let chosen = attention.chosen(keep);
        let fitted = fitting(statistics.samples);
        let Some((made_up, kept)) = view.made_up(&chosen, &gate.fill, fitted)? else {
            return Ok(None);
        };
        // A module sees zeros in the place of what is left out.
        let nothing = vec![0.0; gate.fill.len()];
        let mut in_modules = Vec::new();
        for module in readers.modules {
            in_modules.push(module.made_up(&chosen, &nothing, fitted)?.map(|(made_up, _)| made_up));
        }
        Ok(Some(ChannelChoice {
            gate,
            origin: attention.origin,
            kept,
            made_up: Some(made_up),
            in_modules,
        }))
    };
    found.extend(judged(&fixed)?);
    let least = found.first().map_or(0.0, |f| f.kept);
    if least >= ENOUGH || keep >= statistics.parts {
        return Ok(found);
    }
    let mut others: Vec<ChannelChoice> = Vec::new();
    if let Some((attention, _)) = best(statistics, attentions, keep) {
        others.extend(judged(attention)?);
    }
    if let Some(attention) = beyond(statistics, (view, importance), keep)? {
        others.extend(judged(&attention)?);
    }
    let most = others.into_iter().max_by(|a, b| a.kept.total_cmp(&b.kept));
    found.extend(most.filter(|o| o.kept > least));
    Ok(found)
}

/// Attention that always takes the most important channels, and of the others those that add most beyond what these tell.
fn beyond(
    statistics: &GateStatistics,
    (view, importance): (&ReaderView, &[f32]),
    keep: usize,
) -> Result<Option<Attention>> {
    let samples = fitting(statistics.samples);
    let mut base: Vec<usize> = (0..statistics.parts).collect();
    base.sort_by(|&a, &b| importance[b].total_cmp(&importance[a]).then(a.cmp(&b)));
    base.truncate((ALWAYS * keep as f64) as usize);
    if base.is_empty() {
        return Ok(None);
    }
    let Some(mut targets) = view.beyond(&base, samples)? else {
        return Ok(None);
    };
    // Roots, so that few samples with great values do not decide alone.
    targets.values.iter_mut().for_each(|e| *e = e.sqrt());
    let greatest = targets.values.iter().copied().fold(0.0, f32::max);
    let Some((mut weights, mut constants)) = regress::fit(&statistics.features.part(0, samples), &targets) else {
        return Ok(None);
    };
    let width = statistics.features.width;
    for &channel in &base {
        weights[channel * width..(channel + 1) * width].fill(0.0);
        constants[channel] = FAR_ABOVE * greatest.max(1e-6);
    }
    Ok(Some(Attention::fitted(statistics, weights, constants)))
}

/// The score of channels that are always taken, over the greatest that any other was seen to deserve.
const FAR_ABOVE: f32 = 1e3;

#[cfg(test)]
mod tests {
    use super::super::spec::ChannelGate;

    #[test]
    fn a_gate_without_attention_takes_the_same_channels_always() {
        let mut gate = ChannelGate {
            producer: 0,
            keep: 2,
            attention: vec![0.0; 8],
            bias: vec![1.0, 5.0, 0.0, 1.0],
            fill: vec![0.0; 4],
        };
        assert_eq!(gate.fixed(), Some(vec![0, 1]));
        gate.attention[3] = 0.5;
        assert_eq!(gate.fixed(), None);
    }
}
