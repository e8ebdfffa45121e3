//! ONNX Runtime's profile of a session: the time of each node in each run.

use std::collections::HashMap;
use std::path::Path;

use crate::error::{ErrorCode, SessionError};
use crate::{Error, Result};

/// The times of one node.
#[derive(Clone, Debug)]
pub struct NodeTime {
    /// The node's name in the graph that ran (ONNX Runtime may have renamed or fused it).
    pub name: String,
    /// Its operator.
    pub op: String,
    /// Milliseconds, run by run.
    pub samples: Vec<f64>,
}

#[derive(serde::Deserialize)]
struct Event {
    cat: String,
    name: String,
    dur: f64,
    #[serde(default)]
    args: HashMap<String, serde_json::Value>,
}

/// Reads a profile file; nodes come in the order of their first run.
pub(super) fn read_profile(path: &Path) -> Result<Vec<NodeTime>> {
    let text = std::fs::read_to_string(path).map_err(|e| Error::file(path, e))?;
    let unreadable = |e| SessionError::new(ErrorCode::GenericFailure, format!("its profile cannot be read ({e})"));
    let events: Vec<serde_json::Value> =
        serde_json::from_str(&text).map_err(|e: serde_json::Error| Error::Session(unreadable(e)))?;
    let mut order: Vec<NodeTime> = Vec::new();
    let mut index: HashMap<String, usize> = HashMap::new();
    for event in events {
        let Ok(event) = serde_json::from_value::<Event>(event) else {
            continue;
        };
        let Some(name) = event.name.strip_suffix("_kernel_time").filter(|_| event.cat == "Node") else {
            continue;
        };
        let at = *index.entry(name.to_owned()).or_insert_with(|| {
            let op = event.args.get("op_name").and_then(|v| v.as_str()).unwrap_or_default();
            order.push(NodeTime {
                name: name.to_owned(),
                op: op.to_owned(),
                samples: Vec::new(),
            });
            order.len() - 1
        });
        order[at].samples.push(event.dur / 1000.0);
    }
    Ok(order)
}
