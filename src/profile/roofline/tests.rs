use std::collections::BTreeMap;

use super::{Bound, FileNode, Limits, NodeWork, Roofline};
use crate::device::{Kernel, NodeClock, NodeTime};
use crate::profile::node_work::ElementType;
use crate::profile::waves::Multiprocessors;

/// Ten blocks at a time.
const DEVICE: Multiprocessors = Multiprocessors {
    count: 10,
    threads: 1024,
    blocks: 1,
    registers: 65536,
    shared: 1 << 17,
};

fn limits() -> Limits {
    Limits {
        flops_per_ms: BTreeMap::from([(ElementType::F32, 1e9)]),
        bytes_per_ms: 1e6,
        least_ms: 0.002,
    }
}

fn ran(ms: f64, grids: &[u32]) -> NodeTime {
    let kernel = |&blocks: &u32| Kernel {
        name: "k".to_owned(),
        grid: [blocks, 1, 1],
        block: [128, 1, 1],
        registers: 32,
        shared_bytes: 0,
        ns: u64::from(blocks),
    };
    NodeTime {
        name: "n".to_owned(),
        op: "Conv".to_owned(),
        samples: vec![ms, 2.0 * ms, ms / 2.0],
        kernels: grids.iter().map(kernel).collect(),
    }
}

fn work(flops: f64, bytes: f64) -> Option<NodeWork> {
    Some(NodeWork {
        flops,
        bytes,
        element: ElementType::F32,
    })
}

fn judged(clock: NodeClock, run_ms: f64, nodes: &[(NodeTime, Option<NodeWork>)]) -> Roofline {
    let ran = nodes.iter().map(|(node, work)| {
        let name = work.map(|_| "layer".to_owned());
        (node, FileNode { name, work: *work })
    });
    Roofline::new(clock, limits(), ran, run_ms, Some(&DEVICE))
}

fn bound_of(ms: f64, grids: &[u32], work: Option<NodeWork>) -> Bound {
    judged(NodeClock::Device, 1.0, &[(ran(ms, grids), work)]).nodes[0].bound
}

#[test]
fn the_slower_of_memory_and_arithmetic_binds() {
    let roofline = judged(
        NodeClock::Host,
        1.0,
        &[(ran(0.5, &[]), work(2e8, 1e5)), (ran(0.4, &[]), work(1e8, 3e5))],
    );
    let seen: Vec<_> = roofline.nodes.iter().map(|n| (n.bound, n.share_of_limit)).collect();
    assert_eq!(seen[0].0, Bound::Compute);
    assert_eq!(seen[1].0, Bound::Memory);
    assert!((seen[0].1.unwrap() - 0.4).abs() < 1e-9 && (seen[1].1.unwrap() - 0.75).abs() < 1e-9);
    let totals = roofline.totals;
    assert!((totals.nodes_ms - 0.9).abs() < 1e-9 && (totals.limits_ms - 0.5).abs() < 1e-9);
    assert!((roofline.nodes[0].share - 5.0 / 9.0).abs() < 1e-9);
}

#[test]
fn what_is_no_longer_than_the_shortest_node_is_bound_by_its_launch() {
    assert_eq!(bound_of(0.004, &[1000], work(1e3, 1e3)), Bound::Launch);
    assert_eq!(bound_of(0.0041, &[1000], work(1e3, 1e4)), Bound::Memory);
    // Three short kernels are no better than one.
    assert_eq!(bound_of(0.012, &[1000, 1, 1], work(1e3, 1e4)), Bound::Launch);
}

#[test]
fn a_tail_counts_in_few_waves_of_arithmetic() {
    let arithmetic = work(1e8, 1e3);
    assert_eq!(bound_of(0.2, &[11], arithmetic), Bound::Tail);
    assert_eq!(bound_of(0.2, &[20], arithmetic), Bound::Compute);
    assert_eq!(bound_of(0.2, &[31], arithmetic), Bound::Compute, "four waves");
    assert_eq!(bound_of(0.2, &[11], work(1e3, 1e5)), Bound::Memory);
    // The longest kernel tells.
    assert_eq!(bound_of(0.2, &[1, 20], arithmetic), Bound::Compute);
}

#[test]
fn what_is_faster_than_the_limit_is_at_the_limit() {
    let node = &judged(NodeClock::Host, 1.0, &[(ran(0.01, &[]), work(0.0, 1e5))]).nodes[0];
    assert_eq!((node.limit_ms, node.share_of_limit), (Some(0.01), Some(1.0)));
}

#[test]
fn what_is_not_known_is_not_guessed() {
    let other = work(1e6, 1e3).map(|w| NodeWork {
        element: ElementType::Other,
        ..w
    });
    for unknown in [None, other] {
        let roofline = judged(NodeClock::Host, 1.0, &[(ran(0.1, &[]), unknown)]);
        let node = &roofline.nodes[0];
        assert_eq!((node.bound, node.share_of_limit), (Bound::Unknown, None));
        assert_eq!(node.label(), if unknown.is_some() { "layer" } else { "n" });
        assert_eq!(node.flops, unknown.map(|w| w.flops));
        assert!((roofline.totals.unknown_ms - 0.1).abs() < 1e-9 && roofline.totals.limits_ms == 0.0);
    }
    // Nor what takes no time.
    let idle = judged(NodeClock::Device, 1.0, &[(ran(0.0, &[]), work(0.0, 0.0))]);
    assert_eq!((idle.nodes[0].bound, idle.nodes[0].share), (Bound::Unknown, 0.0));
}

#[test]
fn a_device_whose_kernels_leave_it_idle_waits_for_its_host() {
    let node = [(ran(0.7, &[100]), work(1e8, 1e3))];
    assert!(judged(NodeClock::Device, 1.0, &node).totals.host_bound);
    assert!(!judged(NodeClock::Device, 0.8, &node).totals.host_bound);
    assert!(!judged(NodeClock::Host, 1.0, &node).totals.host_bound);
}
