//! The report as one self-contained HTML page, without scripts.

mod facts;
mod plot;

pub use plot::staircase_svg;

use askama::Template;

use super::numbers::{big, milliseconds, percent, shape};
use crate::optimize::{GroupRow, Outcome, Staircase, Workload, use_of};
use crate::{Error, Result};
use facts::{Fact, cards, measured, verdict, verified};

/// What the page is about, besides what came out.
#[derive(Clone, Copy, Debug)]
pub struct About<'a> {
    /// The original's file name.
    pub name: &'a str,
    /// The written model's file name.
    pub written: &'a str,
    /// The command that makes it again.
    pub command: &'a str,
}

#[derive(Template)]
#[template(path = "page.html", config = "src/report/page/askama.toml")]
struct Page<'a> {
    version: &'static str,
    name: &'a str,
    verdict: String,
    device: &'a str,
    stack: &'a str,
    cards: Vec<Card>,
    unverified: &'a [String],
    moved: Vec<Group>,
    stayed: Vec<Group>,
    plots: Vec<Plot>,
    has_after: bool,
    curve: String,
    curve_note: String,
    gates: Vec<Gate>,
    gates_note: String,
    barriers: Vec<Barrier>,
    verified: Vec<Fact>,
    measured: Vec<Fact>,
    notes: Vec<String>,
    commands: Vec<String>,
}

struct Card {
    title: &'static str,
    value: String,
    note: String,
    class: &'static str,
}

struct Group {
    name: String,
    reason: String,
    before: usize,
    after: usize,
    before_percent: String,
    after_percent: String,
    times: String,
}

struct Plot {
    title: String,
    svg: String,
    about: String,
    usage: String,
    two_sided: bool,
    rows: Vec<PlotRow>,
}

struct PlotRow {
    cin: String,
    cout: usize,
    ms: String,
    note: String,
}

struct Gate {
    block: String,
    kind: String,
    keep: String,
    even: String,
    dense: String,
    gated: String,
    loss: String,
    why: String,
}

struct Barrier {
    reason: String,
    layers: String,
}

/// The page of the main job's result.
///
/// # Errors
/// When it cannot be put together.
pub fn outcome_html(about: About, workloads: &[Workload], outcome: &Outcome) -> Result<String> {
    let widest = outcome.groups.iter().map(|g| g.before.max(g.after)).max().unwrap_or(1);
    let moved = outcome.groups.iter().filter(|g| g.before != g.after);
    let stayed = outcome
        .groups
        .iter()
        .filter(|g| g.before == g.after && g.action != "barrier");
    let written = outcome.model.is_some();
    let dynamic = outcome.dynamic.as_ref();
    let mut notes: Vec<String> = workloads.iter().take(1).flat_map(|l| l.opened.notes.clone()).collect();
    notes.extend(outcome.notes.clone());
    notes.extend(dynamic.into_iter().flat_map(|d| d.notes.clone()));
    let mut commands = vec![about.command.to_owned()];
    if written {
        commands.push(format!("snapprune bench {} {}", about.name, about.written));
        commands.push(format!("snapprune explain {}", about.written));
    }
    let what = "Loss of the plans that lose least, against their latency";
    let curve = match outcome.curve.is_empty() {
        true => String::new(),
        false => plot::pareto(&outcome.curve, outcome.chosen.as_ref(), what),
    };
    let page = Page {
        version: env!("CARGO_PKG_VERSION"),
        name: about.name,
        verdict: verdict(outcome),
        device: &outcome.device.name,
        stack: &outcome.device.stack,
        cards: cards(outcome),
        unverified: &outcome.unverified,
        moved: moved.map(|g| group(g, widest)).collect(),
        stayed: stayed.map(|g| group(g, widest)).collect(),
        plots: outcome.staircases.iter().map(plotted).collect(),
        has_after: outcome
            .staircases
            .iter()
            .any(|s| s.after != (s.problem.cin, s.problem.cout)),
        curve_note: curve_note(outcome),
        curve,
        gates: dynamic.map_or(Vec::new(), |d| d.gates.iter().map(gate).collect()),
        gates_note: gates_note(outcome),
        barriers: barriers(&outcome.groups),
        verified: verified(outcome),
        measured: measured(workloads, outcome),
        notes,
        commands,
    };
    page.render().map_err(undrawn)
}

#[derive(Template)]
#[template(path = "profile.html", config = "src/report/page/askama.toml")]
struct ProfilePage<'a> {
    version: &'static str,
    name: &'a str,
    device: &'a str,
    plots: Vec<Plot>,
}

/// A page of a model's staircases.
///
/// # Errors
/// When it cannot be put together.
pub fn profile_html(name: &str, device: &str, staircases: &[Staircase]) -> Result<String> {
    let page = ProfilePage {
        version: env!("CARGO_PKG_VERSION"),
        name,
        device,
        plots: staircases.iter().map(plotted).collect(),
    };
    page.render().map_err(undrawn)
}

fn undrawn(error: askama::Error) -> Error {
    Error::Plan(format!("the report cannot be drawn: {error}"))
}

/// The first of some names, and how many more there are.
fn names(all: &[String]) -> String {
    match all {
        [] => "a value".to_owned(),
        [one] => one.clone(),
        [one, rest @ ..] => format!("{one} and {} more", rest.len()),
    }
}

fn group(g: &GroupRow, widest: usize) -> Group {
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

fn plotted(s: &Staircase) -> Plot {
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
    let place = |(cin, cout): (usize, usize), steps: Option<&crate::optimize::LatencyCurve>| {
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
        svg: plot::staircase(s, &format!("Time against width of {title}")),
        title,
        about,
        usage,
        two_sided: s.curves.len() > 1,
        rows: rows.collect(),
    }
}

fn curve_note(outcome: &Outcome) -> String {
    let unit = "Each point is the plan that loses least at its latency, as predicted from the loss of each group alone (nats of \
                divergence for classifiers, squared error over variance for other outputs).";
    match outcome.chosen {
        Some(c) => format!(
            "{unit} The ring is the chosen plan{}.",
            if c.measured.is_some() {
                ", the dot what was measured of it"
            } else {
                ""
            }
        ),
        None => format!("{unit} None of them was chosen."),
    }
}

fn gate(g: &crate::optimize::GateRow) -> Gate {
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

fn gates_note(outcome: &Outcome) -> String {
    let Some(dynamic) = &outcome.dynamic else {
        return String::new();
    };
    match (&dynamic.declined, dynamic.macs) {
        (Some(why), _) => format!("No dynamic variant was written: {why}."),
        (None, Some(macs)) => format!("{} multiply-accumulates are executed for a sample.", big(macs)),
        (None, None) => String::new(),
    }
}

/// Reasons why widths stay, each with the layers it holds.
fn barriers(groups: &[GroupRow]) -> Vec<Barrier> {
    let mut found: Vec<(String, Vec<String>)> = Vec::new();
    for g in groups.iter().filter(|g| g.action == "barrier") {
        let named = format!("{} ({})", g.layers.first().map_or("", String::as_str), g.before);
        match found.iter_mut().find(|(reason, _)| *reason == g.reason) {
            Some((_, layers)) => layers.push(named),
            None => found.push((g.reason.clone(), vec![named])),
        }
    }
    let barrier = |(reason, layers): (String, Vec<String>)| Barrier {
        reason,
        layers: layers.join(", "),
    };
    found.into_iter().map(barrier).collect()
}
