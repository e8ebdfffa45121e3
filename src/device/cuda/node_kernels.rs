//! Which node launched what ran on a GPU: the one during which the host asked for it.

use crate::device::node_times::{NodeRun, NodeTime, by_node};
use crate::device::trace::{Kernel, Launch};

/// A call may lie so far outside of its node's interval: ONNX Runtime tells that in whole microseconds.
const SLACK_NS: i128 = 2_000;
/// Launches without a node may take so much of the whole time.
const STRAY: f64 = 0.02;

/// The times of nodes on the device, the last `timed` runs of each.
///
/// `runs` are the host's, from a profile that began at `start_ns` of the system's clock, one after the other. A node's time is the
/// sum of what was launched during it; nodes that launch nothing take none. `None` where launches that take more than 2 % of the
/// whole belong to no node.
pub(super) fn node_kernels(
    mut runs: Vec<NodeRun>,
    start_ns: u64,
    launches: Vec<Launch>,
    timed: usize,
) -> Option<Vec<NodeTime>> {
    runs.sort_by(|a, b| a.start_us.total_cmp(&b.start_us));
    let begin = |run: &NodeRun| i128::from(start_ns) + (run.start_us * 1e3) as i128;
    let begins: Vec<i128> = runs.iter().map(begin).collect();
    let mut own: Vec<Vec<Kernel>> = vec![Vec::new(); runs.len()];
    let (mut found, mut stray) = (0, 0);
    for Launch { kernel, called_ns } in launches {
        let called = i128::from(called_ns);
        let at = begins.partition_point(|&b| b <= called + SLACK_NS).checked_sub(1);
        let within = |&at: &usize| called <= begins[at] + (runs[at].us * 1e3) as i128 + SLACK_NS;
        // Of two nodes that the call may belong to, the one that it lies in.
        let at = at.map(|at| {
            if begins[at] > called && at > 0 && within(&(at - 1)) {
                at - 1
            } else {
                at
            }
        });
        match at.filter(within) {
            Some(at) => {
                found += kernel.ns;
                own[at].push(kernel);
            }
            None => stray += kernel.ns,
        }
    }
    if found == 0 || stray as f64 > STRAY * (found + stray) as f64 {
        return None;
    }
    let timed_runs = runs.into_iter().zip(own).map(|(run, kernels)| {
        let ms = kernels.iter().map(|k| k.ns).sum::<u64>() as f64 / 1e6;
        (run, ms, kernels)
    });
    let mut nodes = by_node(timed_runs);
    for node in &mut nodes {
        let before = node.samples.len().saturating_sub(timed);
        node.samples.drain(..before);
    }
    Some(nodes)
}

#[cfg(test)]
mod tests {
    use super::{Kernel, Launch, NodeRun, node_kernels};

    fn run(name: &str, start_us: f64, us: f64) -> NodeRun {
        NodeRun {
            name: name.to_owned(),
            provider: String::new(),
            op: "Conv".to_owned(),
            start_us,
            us,
        }
    }

    fn launch(called_ns: u64, ns: u64) -> Launch {
        let kernel = Kernel {
            name: "k".to_owned(),
            grid: [1; 3],
            block: [1; 3],
            registers: 0,
            shared_bytes: 0,
            ns,
        };
        Launch { kernel, called_ns }
    }

    #[test]
    fn a_launch_belongs_to_the_node_that_it_lies_in() {
        let runs = vec![
            run("a", 10.0, 8.0),
            run("b", 19.0, 10.0),
            run("shape", 30.0, 3.0),
            run("a", 40.0, 8.0),
            run("b", 49.0, 10.0),
        ];
        let start = 1_000_000;
        // The first run of each is a warm-up without records; b launches two kernels, the first right at its begin.
        let launches = vec![
            launch(start + 45_000, 1_000),
            launch(start + 49_100, 2_000),
            launch(start + 58_900, 4_000),
        ];
        let nodes = node_kernels(runs, start, launches, 1).unwrap();
        let times: Vec<_> = nodes.iter().map(|n| (n.name.as_str(), n.samples.as_slice())).collect();
        assert_eq!(times, [("a", &[0.001][..]), ("b", &[0.006]), ("shape", &[0.0])]);
        assert_eq!(nodes[1].kernels.len(), 2);
    }

    #[test]
    fn launches_that_belong_nowhere_are_no_measurement() {
        let runs = vec![run("a", 10.0, 8.0)];
        assert!(node_kernels(runs.clone(), 0, vec![launch(500_000, 10)], 1).is_none());
        assert!(node_kernels(runs, 0, Vec::new(), 1).is_none());
    }
}
