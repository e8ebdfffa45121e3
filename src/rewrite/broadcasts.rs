//! Broadcasts that are written out go: who read a repeated value reads what was repeated.

use std::collections::{BTreeSet, HashMap, HashSet};

use crate::onnx::proto::GraphProto;

/// Takes `broadcasts` out of a graph whose nodes still stand at their old places, with all the nodes that go with them (`gone`).
pub(super) fn remove(target: &mut GraphProto, broadcasts: &BTreeSet<usize>, gone: &BTreeSet<usize>) {
    if gone.is_empty() {
        return;
    }
    let repeated = broadcasts.iter().filter_map(|&n| {
        let node = target.node.get(n)?;
        Some((node.output.first()?.clone(), node.input.first()?.clone()))
    });
    let repeated: HashMap<String, String> = repeated.collect();
    for name in target.node.iter_mut().flat_map(|n| n.input.iter_mut()) {
        if let Some(source) = repeated.get(name) {
            name.clone_from(source);
        }
    }
    let removed: HashSet<String> = gone.iter().flat_map(|&n| target.node[n].output.clone()).collect();
    let mut index = 0..;
    target.node.retain(|_| index.next().is_none_or(|n| !gone.contains(&n)));
    target.value_info.retain(|v| !removed.contains(v.name()));
}
