//! Plans that name branches, alone and with broadcasts.

use super::{all_gone, apart, basic, network, none, plain, with_nothing_added};
use snapprune::channels::ChannelChange;
use snapprune::onnx::Graph;
use snapprune::plan::{Plan, PlanFile, Removable};

/// Readers of the sum would get what was repeated, once.
#[test]
fn nothing_that_is_added_to_a_written_out_broadcast_is_a_branch() {
    let case = network(|net, x| {
        let s = net.node("GlobalAveragePool", &[x], none);
        let size = net.ints(&[1, 8, 8, 8]);
        let s = net.node("Expand", &[&s, &size], none);
        let f = basic(net, x);
        net.node("Add", &[&f, &s], none)
    });
    assert_eq!(case.analysis.broadcasts.len(), 1);
    let both = ChannelChange {
        broadcasts: case.analysis.broadcasts.clone(),
        ..all_gone(&case)
    };
    let without = case.apply(&both).unwrap();
    assert!(apart(&case, &with_nothing_added(&case), &without) < 1e-5);
    assert!(case.analysis.branches.is_empty());
}

/// A plan names additions; the version may be later than it has to be, and a name that two of them have tells nothing.
#[test]
fn plans_name_the_branches_that_go() {
    let case = network(|net, x| {
        let y = plain(net, x);
        plain(net, &y)
    });
    let graph = Graph::of(&case.proto).unwrap();
    let plan = Plan {
        branches: all_gone(&case).branches,
        ..Plan::default()
    };
    let whole = PlanFile::new("m", &graph, &case.analysis, &plan, &Removable::default());
    assert_eq!((whole.schema_version, whole.branches.len()), (3, 2));
    assert_eq!(whole.change(&graph, &case.analysis).unwrap().branches, plan.branches);
    let with = |branches: &[String], schema_version| PlanFile {
        schema_version,
        branches: branches.to_vec(),
        ..whole.clone()
    };
    for left in [0, 1] {
        let change = with(&whole.branches[..left], 3).change(&graph, &case.analysis).unwrap();
        assert_eq!(change.branches.len(), left);
    }
    assert!(with(&whole.branches, 2).change(&graph, &case.analysis).is_err());
    assert!(with(&[], 4).change(&graph, &case.analysis).is_err());
    let mut alike = case.proto.clone();
    for &n in &plan.branches {
        alike.graph.as_mut().unwrap().node[n].name = Some("sum".to_owned());
    }
    let graph = Graph::of(&alike).unwrap();
    let error = with(&["sum".to_owned()], 3).change(&graph, &case.analysis).unwrap_err();
    assert!(error.to_string().contains("2 additions"), "{error}");
}
