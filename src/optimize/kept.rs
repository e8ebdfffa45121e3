//! What stays as it is: layers that the user names, and what a layer which is not worked on holds.

use std::collections::BTreeSet;

use super::opened::Opened;
use super::options::{Growth, Options};
use crate::channels::{Group, NewChannels};
use crate::onnx::{Graph, label};
use crate::plan::Candidates;
use crate::{Error, Result};

/// The nodes that the user wants kept as they are.
pub(super) fn nodes_kept(graph: &Graph, options: &Options) -> Result<Vec<usize>> {
    let node = |name: &String| {
        let at = (0..graph.proto.node.len()).find(|&n| label(&graph.proto.node[n], n) == *name);
        at.ok_or_else(|| {
            Error::Usage(format!(
                "{name} is to be kept, and the model has no such node; `snapprune inspect` lists the layers"
            ))
        })
    };
    options.keep.iter().map(node).collect()
}

/// The groups that stay as they are: those that the user names, and those that a layer which is not worked on holds.
pub(super) fn kept(graph: &Graph, opened: &Opened, options: &Options) -> Result<BTreeSet<usize>> {
    let named = nodes_kept(graph, options)?;
    let makes = |g: &&Group| g.producers.iter().any(|n| named.contains(n));
    let kept = opened.analysis.groups.iter().filter(makes).map(|g| g.id);
    Ok(kept.chain(opened.held.keys().copied()).collect())
}

/// Takes out the candidates that the user does not want.
pub(super) fn restrict(candidates: &mut Candidates, graph: &Graph, opened: &Opened, options: &Options) -> Result<()> {
    let (kept, analysis) = (kept(graph, opened, options)?, &opened.analysis);
    candidates.retain(|g, _| !kept.contains(g));
    // What grows at its end begins with zeros.
    if options.split_seed().is_some() {
        candidates.retain(|&g, _| {
            analysis.groups[g].new_channels == NewChannels::Anywhere && !opened.is_of_quantized(&analysis.groups[g])
        });
    }
    if options.growth == Growth::None {
        for (&g, counts) in candidates.iter_mut() {
            counts.retain(|&n| n <= analysis.groups[g].classes.len());
        }
        candidates.retain(|_, counts| counts.len() > 1);
    }
    Ok(())
}
