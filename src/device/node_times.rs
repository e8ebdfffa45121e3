//! ONNX Runtime's profile of a session: the time of each node in each run.

use std::collections::HashMap;
use std::path::Path;

use ort::session::Session;
use serde::{Deserialize, Serialize};

use super::foreign::ForeignCall;
use super::stop::Stop;
use super::trace::Kernel;
use crate::error::{ErrorCode, SessionError};
use crate::{Error, Result};

/// The times of one node.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct NodeTime {
    /// The node's name in the graph that ran (ONNX Runtime may have renamed or fused it).
    pub name: String,
    /// Its operator.
    pub op: String,
    /// Milliseconds, run by run.
    pub samples: Vec<f64>,
    /// The kernels of its last run, on a GPU.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kernels: Vec<Kernel>,
}

/// One run of one node.
#[derive(Clone, Debug)]
pub(super) struct NodeRun {
    /// The node's name.
    pub name: String,
    /// Its operator.
    pub op: String,
    /// The provider that ran it.
    pub provider: String,
    /// When it began, microseconds since the profile's start.
    pub start_us: f64,
    /// How long the host took for it, microseconds.
    pub us: f64,
}

#[derive(Deserialize)]
struct Event {
    cat: String,
    name: String,
    dur: f64,
    #[serde(default)]
    ts: f64,
    #[serde(default)]
    args: HashMap<String, serde_json::Value>,
}

/// Ends a session's profile, and reads it: every run of every node, in the order of the file.
///
/// # Errors
/// When it cannot be written or read, or it is asked to stop.
pub(super) fn end_profile(session: &mut Session, stop: &Stop) -> Result<Vec<NodeRun>> {
    let call = stop.enter(ForeignCall::Model)?;
    let file = session.end_profiling()?;
    drop(call);
    read_runs(Path::new(&file))
}

fn read_runs(path: &Path) -> Result<Vec<NodeRun>> {
    let text = std::fs::read_to_string(path).map_err(|e| Error::file(path, e))?;
    let unreadable = |e| SessionError::new(ErrorCode::GenericFailure, format!("its profile cannot be read ({e})"));
    let events: Vec<serde_json::Value> =
        serde_json::from_str(&text).map_err(|e: serde_json::Error| Error::Session(unreadable(e)))?;
    let node_run = |event: serde_json::Value| {
        let event = serde_json::from_value::<Event>(event).ok()?;
        let name = event
            .name
            .strip_suffix("_kernel_time")
            .filter(|_| event.cat == "Node")?;
        let text = |key: &str| event.args.get(key).and_then(|v| v.as_str()).unwrap_or_default();
        Some(NodeRun {
            name: name.to_owned(),
            op: text("op_name").to_owned(),
            provider: text("provider").to_owned(),
            start_us: event.ts,
            us: event.dur,
        })
    };
    Ok(without_bodies(events.into_iter().filter_map(node_run).collect()))
}

/// Operators whose bodies run node by node, within the time of the node that has them.
const WITH_BODIES: [&str; 3] = ["If", "Loop", "Scan"];

/// Leaves out what ran in a body: its time is a part of that of the node that has it. In the file, where runs stand by their ends, that
/// node comes after its body.
fn without_bodies(runs: Vec<NodeRun>) -> Vec<NodeRun> {
    let mut holder: Option<(f64, f64)> = None;
    let mut kept = Vec::new();
    for run in runs.into_iter().rev() {
        let (start, end) = (run.start_us, run.start_us + run.us);
        if holder.is_some_and(|(from, to)| from <= start && end <= to) {
            continue;
        }
        if WITH_BODIES.contains(&run.op.as_str()) {
            holder = Some((start, end));
        }
        kept.push(run);
    }
    kept.reverse();
    kept
}

/// Brings the runs of each node together, each with its time in milliseconds and its kernels; nodes come in the order of their
/// first run.
pub(super) fn by_node(runs: impl IntoIterator<Item = (NodeRun, f64, Vec<Kernel>)>) -> Vec<NodeTime> {
    let mut order: Vec<NodeTime> = Vec::new();
    let mut index: HashMap<String, usize> = HashMap::new();
    for (run, ms, kernels) in runs {
        let at = *index.entry(run.name).or_insert_with_key(|name| {
            order.push(NodeTime {
                name: name.clone(),
                op: run.op,
                ..NodeTime::default()
            });
            order.len() - 1
        });
        order[at].samples.push(ms);
        order[at].kernels = kernels;
    }
    order
}

#[cfg(test)]
mod tests {
    use super::{NodeRun, without_bodies};

    fn run(name: &str, op: &str, start_us: f64, us: f64) -> NodeRun {
        NodeRun {
            name: name.to_owned(),
            op: op.to_owned(),
            provider: String::new(),
            start_us,
            us,
        }
    }

    #[test]
    fn what_runs_in_a_body_is_a_part_of_its_node() {
        let runs = vec![
            run("before", "Conv", 10.0, 20.0),
            run("inner", "Conv", 31.0, 5.0),
            run("deeper", "Relu", 37.0, 1.0),
            run("nested", "If", 36.0, 3.0),
            run("loop", "Loop", 30.0, 10.0),
            run("behind", "Relu", 40.0, 0.0),
            run("inner", "Conv", 51.0, 5.0),
            run("loop", "Loop", 50.0, 10.0),
        ];
        let kept: Vec<String> = without_bodies(runs).into_iter().map(|r| r.name).collect();
        assert_eq!(kept, ["before", "loop", "behind", "loop"]);
    }
}
