//! Which activations are alive at once when nodes run in file order.

use std::collections::{HashMap, HashSet};

use crate::onnx::{Graph, captured_names};

/// From which node to which a value is alive, both included.
struct Life {
    from: usize,
    to: usize,
}

/// The sets of activations that are alive while single nodes run; sets within another are left out.
///
/// A value lives from the node that makes it to the last that reads it, bodies included; a graph input from the first node on, a
/// graph output to the last. Constants are no activations. Values inside of bodies are not counted, and no node is taken to
/// work in place.
pub(super) fn peaks<'g>(graph: &Graph<'g>) -> Vec<Vec<&'g str>> {
    let nodes = &graph.proto.node;
    let Some(last) = nodes.len().checked_sub(1) else {
        return Vec::new();
    };
    let constants = nodes.iter().filter(|n| n.op_type() == "Constant");
    let constants: HashSet<&str> = constants.flat_map(|n| &n.output).map(String::as_str).collect();
    let mut order: Vec<&'g str> = Vec::new();
    let mut lives: HashMap<&'g str, Life> = HashMap::new();
    let made = nodes.iter().enumerate().flat_map(|(at, n)| {
        let outputs = n.output.iter().map(String::as_str);
        outputs.map(move |name| (name, at))
    });
    for (name, at) in graph.real_inputs().into_iter().map(|n| (n, 0)).chain(made) {
        if !name.is_empty() && !constants.contains(name) {
            order.push(name);
            lives.insert(name, Life { from: at, to: at });
        }
    }
    let read = |lives: &mut HashMap<&'g str, Life>, name: &str, at: usize| {
        if let Some(life) = lives.get_mut(name) {
            life.to = life.to.max(at);
        }
    };
    for (at, node) in nodes.iter().enumerate() {
        node.input.iter().for_each(|name| read(&mut lives, name, at));
        captured_names(node).iter().for_each(|name| read(&mut lives, name, at));
    }
    graph.proto.output.iter().for_each(|o| read(&mut lives, o.name(), last));
    let ends: HashSet<usize> = lives.values().map(|l| l.to).collect();
    let mut starts = order.into_iter().peekable();
    let (mut alive, mut found): (Vec<&str>, Vec<Vec<&str>>) = (Vec::new(), Vec::new());
    for at in 0..nodes.len() {
        while let Some(name) = starts.next_if(|name| lives.get(name).is_some_and(|l| l.from <= at)) {
            alive.push(name);
        }
        // Where nothing ends here, the next node has all of these too.
        if ends.contains(&at) {
            found.push(alive.clone());
            alive.retain(|name| lives.get(name).is_some_and(|l| l.to > at));
        }
    }
    found
}
