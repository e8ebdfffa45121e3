//! Plans kept in files, to see whether what is planned stays what it was.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Predictions may differ by this share: sums in another order.
const TOLERANCE: f64 = 1e-3;

/// What was planned.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Stored {
    /// Predicted milliseconds of the original and of the plan; none where nothing is faster.
    pub predicted_ms: Option<(f64, f64)>,
    /// Widths that change, by the names of the layers that make them: before and after.
    pub widths: BTreeMap<String, (u64, u64)>,
    /// Predicted loss, where some may be lost.
    #[serde(default)]
    pub loss: Option<f64>,
    /// Points of a curve: shares of latency, multiply-accumulates and parameters, the loss, and how many groups change.
    #[serde(default)]
    pub curve: Vec<Vec<f64>>,
}

/// Plans by the case's name.
pub type Plans = BTreeMap<String, Stored>;

/// The plan of a report. This and [`read_curve`] are what knows its fields.
pub fn read(report: &Value) -> Stored {
    let groups = report["groups"].as_array().unwrap();
    let width = |g: &Value, field: &str| g[field].as_u64().unwrap_or_else(|| panic!("no {field} in {g}"));
    let names = |g: &Value| -> String {
        let layers = g["layers"].as_array().unwrap().iter().map(|l| l.as_str().unwrap());
        layers.collect::<Vec<_>>().join(" ")
    };
    let changed = groups
        .iter()
        .map(|g| (names(g), (width(g, "width_before"), width(g, "width_after"))));
    let predicted = &report["predicted_latency_ms"];
    let ms = |field: &str| rounded(predicted[field].as_f64().unwrap());
    Stored {
        predicted_ms: predicted.is_object().then(|| (ms("original"), ms("static"))),
        widths: changed.filter(|(_, (before, after))| before != after).collect(),
        loss: report["chosen"]["loss"].as_f64().map(rounded),
        curve: Vec::new(),
    }
}

/// The points of a curve.
pub fn read_curve(rows: &Value) -> Stored {
    let fields = ["latency", "macs", "params", "loss", "groups"];
    let row = |row: &Value| fields.iter().map(|&f| rounded(row[f].as_f64().unwrap())).collect();
    Stored {
        curve: rows.as_array().unwrap().iter().map(row).collect(),
        ..Stored::default()
    }
}

/// Four significant digits.
fn rounded(value: f64) -> f64 {
    format!("{value:.3e}").parse().unwrap()
}

impl Stored {
    fn is_as(&self, other: &Self) -> bool {
        let close = |a: f64, b: f64| (a - b).abs() <= TOLERANCE * b.abs();
        let (own, stored) = (self.numbers(), other.numbers());
        let numbers = own.len() == stored.len() && own.iter().zip(&stored).all(|(&a, &b)| close(a, b));
        numbers && self.widths == other.widths
    }

    fn numbers(&self) -> Vec<f64> {
        let predicted = self.predicted_ms.iter().flat_map(|&(a, b)| [a, b]);
        let curve = self.curve.iter().flatten().copied();
        predicted.chain(self.loss).chain(curve).collect()
    }
}

/// Compares plans with those in a file, or writes the file.
pub fn check(name: &str, plans: &Plans) {
    let file = fixtures("plans").join(format!("{name}.json"));
    if std::env::var_os("SNAPPRUNE_UPDATE").is_some() {
        std::fs::create_dir_all(fixtures("plans")).unwrap();
        std::fs::write(&file, text(plans)).unwrap();
    }
    let stored = std::fs::read_to_string(&file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
    let stored: Plans = serde_json::from_str(&stored).unwrap();
    assert!(stored.keys().eq(plans.keys()), "{name}: other cases are stored");
    for (case, plan) in plans {
        assert!(
            plan.is_as(&stored[case]),
            "{name}, {case}: now {plan:#?}, stored is {:#?}. If that is meant, run with SNAPPRUNE_UPDATE=1",
            stored[case]
        );
    }
}

/// Plans as JSON, a line a width.
fn text(plans: &Plans) -> String {
    let cases = plans.iter().map(|(case, plan)| {
        let widths = plan
            .widths
            .iter()
            .map(|(layers, w)| format!("\n      {layers:?}: [{}, {}]", w.0, w.1));
        let widths = widths.collect::<Vec<_>>().join(",");
        let predicted = serde_json::to_string(&plan.predicted_ms).unwrap();
        let loss = plan.loss.map_or(String::new(), |l| format!("    \"loss\": {l:?},\n"));
        let curve = plan
            .curve
            .iter()
            .map(|p| format!("\n      {p:?}"))
            .collect::<Vec<_>>()
            .join(",");
        let curve = match plan.curve.is_empty() {
            true => curve,
            false => format!("    \"curve\": [{curve}],\n"),
        };
        format!("  {case:?}: {{\n    \"predicted_ms\": {predicted},\n{loss}{curve}    \"widths\": {{{widths}}}\n  }}")
    });
    format!("{{\n{}\n}}\n", cases.collect::<Vec<_>>().join(",\n"))
}

pub fn fixtures(what: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(what)
}
