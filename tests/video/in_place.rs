//! States that a run may write where it reads them: what else reads one does so before.

use std::collections::HashSet;

use super::exact::branched;
use super::play::Files;
use snapprune::onnx::parse;
use snapprune::onnx::proto::{GraphProto, NodeProto};

/// The values that a node's inputs are made of.
fn made_of<'g>(graph: &'g GraphProto, node: &'g NodeProto) -> HashSet<&'g str> {
    let mut seen = HashSet::new();
    let mut open: Vec<&str> = node.input.iter().map(String::as_str).collect();
    while let Some(name) = open.pop() {
        if seen.insert(name) {
            let makers = graph.node.iter().filter(|n| n.output.iter().any(|o| o == name));
            open.extend(makers.flat_map(|n| n.input.iter().map(String::as_str)));
        }
    }
    seen
}

#[test]
fn what_is_written_in_place_is_read_before() {
    for runs in [false, true] {
        let files = Files::cut(&branched(), 1e-6, 0.02, runs);
        let graph = parse(files.tiles.clone()).unwrap().proto.graph.unwrap();
        let (own, others): (Vec<_>, Vec<_>) = files.manifest.states.iter().partition(|s| s.in_place);
        assert!(own.len() > 3 && !others.is_empty(), "{own:?} {others:?}");
        for state in own {
            let readers = graph.node.iter().filter(|n| n.input.contains(&state.input));
            let (writers, readers): (Vec<_>, Vec<_>) = readers.partition(|n| n.output.contains(&state.output));
            let [writer] = writers.as_slice() else {
                panic!("{} is written by {writers:?}", state.input);
            };
            assert_eq!((writer.op_type(), &writer.input[0]), ("ScatterND", &state.input));
            let before = made_of(&graph, writer);
            for reader in readers {
                assert!(
                    before.contains(reader.output[0].as_str()),
                    "{reader:?} may run behind {writer:?}"
                );
            }
        }
    }
}
