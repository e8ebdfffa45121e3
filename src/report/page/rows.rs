//! The rows and plots of the page, as its templates show them.

use super::plot::latency_steps;
use crate::optimize::{GateRow, GroupRow, LatencyCurve, LatencySteps, use_of};
use crate::report::numbers::{milliseconds, percent, shape};

/// A group of channels, with the width of its bars in percent.
pub(super) struct Group {
    pub name: String,
    pub reason: String,
    pub before: usize,
    pub after: usize,
    pub before_percent: String,
    pub after_percent: String,
    pub times: String,
}

/// The latency steps of a layer: their plot and their rows.
pub(super) struct Plot {
    pub title: String,
    pub svg: String,
    pub about: String,
    pub usage: String,
    pub two_sided: bool,
    pub rows: Vec<PlotRow>,
}

/// One latency step.
pub(super) struct PlotRow {
    pub cin: String,
    pub cout: usize,
    pub ms: String,
    pub note: String,
}

/// A block that could have a gate.
pub(super) struct Gate {
    pub block: String,
    pub kind: String,
    pub keep: String,
    pub even: String,
    pub dense: String,
    pub gated: String,
    pub loss: String,
    pub why: String,
}

/// A reason why widths stay, and the layers it holds.
pub(super) struct ConstraintRow {
    pub reason: String,
    pub layers: String,
}

/// The first of some names, and how many more there are.
fn names(all: &[String]) -> String {
    match all {
        [] => "a value".to_owned(),
        [one] => one.clone(),
        [one, rest @ ..] => format!("{one} and {} more", rest.len()),
    }
}

pub(super) fn group(g: &GroupRow, widest: usize) -> Group {
    let share = |n: usize| format!("{:.1}", 88.0 * n as f64 / widest.max(1) as f64);
    let times = g
        .layers_ms
        .map(|(a, b)| format!("layers that touch it: {} → {} ms", milliseconds(a), milliseconds(b)));
    Group {
        name: names(&g.layers),
        reason: g.reason.clone(),
        before: g.before,
        after: g.after,
        before_percent: share(g.before),
        after_percent: share(g.after),
        times: times.unwrap_or_default(),
    }
}

pub(super) fn plotted(s: &LatencySteps) -> Plot {
    let p = &s.problem;
    let depthwise = if p.is_depthwise() { "depthwise " } else { "" };
    let about = format!(
        "{depthwise}{} {} from {} channels at {}, batch {}, {}{}",
        p.op,
        shape(&p.kernel),
        p.cin,
        shape(&p.space),
        p.batch,
        p.dtype,
        match s.share > 0.0 {
            true => format!(" · {} of the layers' time", percent(s.share)),
            false => String::new(),
        }
    );
    let place = |(cin, cout): (usize, usize), steps: Option<&LatencyCurve>| {
        let used = steps.and_then(|c| use_of(&c.steps, cout));
        let used = used.map_or(String::new(), |u| format!(" ({} of its plateau used)", percent(u)));
        format!("{cin} → {cout}{used}")
    };
    let before = place((p.cin, p.cout), s.curves.first());
    let usage = if s.after == (p.cin, p.cout) {
        format!("channels {before}")
    } else {
        format!("channels {before}; now {}", place(s.after, s.curve_after()))
    };
    let rows = s.curves.iter().flat_map(|c| {
        c.steps.iter().map(|step| {
            let waves = step.waves.map(|w| {
                format!(
                    "{} wave{}, the last {} used",
                    w.waves,
                    if w.waves == 1 { "" } else { "s" },
                    percent(w.last_use())
                )
            });
            let edge = step.tail_free.then(|| "edge".to_owned());
            PlotRow {
                cin: c.cin.map_or(String::new(), |n| n.to_string()),
                cout: step.cout,
                ms: format!("{} ± {}", milliseconds(step.ms), milliseconds(step.mad)),
                note: edge.into_iter().chain(waves).collect::<Vec<_>>().join("; "),
            }
        })
    });
    let title = names(&s.layers);
    Plot {
        svg: latency_steps(s, &format!("Time against width of {title}")),
        title,
        about,
        usage,
        two_sided: s.curves.len() > 1,
        rows: rows.collect(),
    }
}

pub(super) fn gate(g: &GateRow) -> Gate {
    let share = |v: Option<f64>| v.map_or(String::new(), |v| format!("{v:.2}"));
    let ms = |v: Option<f64>| v.map_or(String::new(), milliseconds);
    let tile = g.tile.map_or(String::new(), |(r, c)| format!(" {r}×{c}"));
    Gate {
        block: g.block.clone(),
        kind: format!("{}{tile}", g.kind),
        keep: share(g.keep),
        even: share(g.break_even),
        dense: ms(g.ms_dense),
        gated: ms(g.ms_gated),
        loss: g.loss.map_or(String::new(), |l| format!("{l:.1e}")),
        why: if g.used {
            format!("used: {}", g.reason)
        } else {
            g.reason.clone()
        },
    }
}

/// Reasons why widths stay, each with the layers it holds.
pub(super) fn constraints(groups: &[GroupRow]) -> Vec<ConstraintRow> {
    let mut found: Vec<(String, Vec<String>)> = Vec::new();
    for g in groups.iter().filter(|g| g.action == "constrained") {
        let named = format!("{} ({})", g.layers.first().map_or("", String::as_str), g.before);
        match found.iter_mut().find(|(reason, _)| *reason == g.reason) {
            Some((_, layers)) => layers.push(named),
            None => found.push((g.reason.clone(), vec![named])),
        }
    }
    let constraint = |(reason, layers): (String, Vec<String>)| ConstraintRow {
        reason,
        layers: layers.join(", "),
    };
    found.into_iter().map(constraint).collect()
}
