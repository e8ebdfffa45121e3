//! How many places of each map belong together: all maps of a stage move in step.

use std::collections::HashMap;

use super::local::Local;
use crate::onnx::Graph;

/// Rows and columns of each map that one unit stands for; `None` where maps meet that do not move in step, or maps of separate parts.
pub(super) fn scales(graph: &Graph, nodes: &[Local]) -> Option<HashMap<String, [usize; 2]>> {
    let rows = along(graph, nodes, 0)?;
    let columns = along(graph, nodes, 1)?;
    let both = |(name, rows): (String, usize)| {
        let columns = *columns.get(&name)?;
        Some((name, [rows, columns]))
    };
    rows.into_iter().map(both).collect()
}

/// Scales as fractions that spread from one map to its neighbours, then as whole numbers.
fn along(graph: &Graph, nodes: &[Local], axis: usize) -> Option<HashMap<String, usize>> {
    let mut known: HashMap<&str, (i64, i64)> = HashMap::new();
    known.insert(nodes.first()?.maps.first()?, (1, 1));
    let mut more = true;
    while more {
        more = false;
        for local in nodes {
            let reach = local.reach[axis];
            let made = graph
                .proto
                .node
                .get(local.node)?
                .output
                .iter()
                .filter(|o| !o.is_empty());
            let made: Vec<&str> = made.map(String::as_str).collect();
            let above = local.maps.iter().find_map(|m| known.get(m.as_str()).copied());
            let below = made.iter().find_map(|m| known.get(m).copied());
            let input = match (above, below) {
                (Some(scale), _) => scale,
                (None, Some((n, d))) => reduced(n * reach.down, d * reach.up),
                (None, None) => continue,
            };
            let output = reduced(input.0 * reach.up, input.1 * reach.down);
            let inputs = local.maps.iter().map(|m| (m.as_str(), input));
            for (name, scale) in inputs.chain(made.iter().map(|m| (*m, output))) {
                match known.insert(name, scale) {
                    None => more = true,
                    Some(before) if before != scale => return None,
                    Some(_) => (),
                }
            }
        }
    }
    let touched = nodes
        .iter()
        .flat_map(|n| &n.maps)
        .all(|m| known.contains_key(m.as_str()));
    if !touched {
        return None;
    }
    let common = known
        .values()
        .try_fold(1i64, |a, (_, d)| a.checked_mul(d / gcd(a, *d)))?;
    let whole: Vec<(&str, i64)> = known.iter().map(|(m, (n, d))| (*m, n * (common / d))).collect();
    let shared = whole.iter().fold(0, |a, (_, n)| gcd(a, *n)).max(1);
    let sound = |(name, n): (&str, i64)| {
        Some((
            name.to_owned(),
            usize::try_from(n / shared).ok().filter(|&n| n > 0 && n < 4096)?,
        ))
    };
    whole.into_iter().map(sound).collect()
}

fn reduced(n: i64, d: i64) -> (i64, i64) {
    let by = gcd(n, d).max(1);
    (n / by, d / by)
}

pub(super) fn gcd(a: i64, b: i64) -> i64 {
    if b == 0 { a } else { gcd(b, a % b) }
}
