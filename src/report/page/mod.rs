//! The report as one self-contained HTML page, without scripts.

mod data_uri;
mod facts;
mod nodes;
mod pictures;
mod plot;
mod rows;
mod timeline;

pub use plot::latency_steps_svg;
pub use timeline::timeline_html;

use askama::Template;

use super::ahead::GOALS_AHEAD;
use super::numbers::big;
use crate::optimize::{LatencySteps, Outcome, Workload};
use crate::profile::Roofline;
use crate::{Error, Result};
use facts::{Card, Fact, cards, goals_ahead, measured, verdict, verified};
use nodes::Nodes;
use pictures::Gallery;
use rows::{ConstraintRow, Gate, Group, Plot, constraints, gate, group, plotted};

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
    broadcasts: &'a [String],
    branches: &'a [String],
    plots: Vec<Plot>,
    has_after: bool,
    curve: String,
    curve_note: String,
    gates: Vec<Gate>,
    gates_note: String,
    goals: Vec<Fact>,
    goals_note: &'static str,
    goals_command: &'a str,
    gallery: Gallery,
    constraints: Vec<ConstraintRow>,
    verified: Vec<Fact>,
    measured: Vec<Fact>,
    notes: Vec<String>,
    commands: Vec<String>,
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
        .filter(|g| g.before == g.after && g.action != "constrained");
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
        broadcasts: outcome.broadcasts_removed(),
        branches: outcome.branches_removed(),
        plots: outcome.latency_steps.iter().map(plotted).collect(),
        has_after: outcome
            .latency_steps
            .iter()
            .any(|s| s.after != (s.problem.cin, s.problem.cout)),
        curve_note: curve_note(outcome),
        curve,
        gates: dynamic.map_or(Vec::new(), |d| d.gates.iter().map(gate).collect()),
        gates_note: gates_note(outcome),
        goals: goals_ahead(outcome),
        goals_note: GOALS_AHEAD,
        goals_command: outcome.goals_ahead.first().map_or("", |g| g.command.as_str()),
        gallery: Gallery::of(&outcome.pictures),
        constraints: constraints(&outcome.groups),
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
    nodes: Option<Nodes<'a>>,
    plots: Vec<Plot>,
}

/// A page of a model's nodes and latency steps.
///
/// # Errors
/// When it cannot be put together.
pub fn profile_html(
    name: &str,
    device: &str,
    roofline: Option<&Roofline>,
    latency_steps: &[LatencySteps],
) -> Result<String> {
    let page = ProfilePage {
        version: env!("CARGO_PKG_VERSION"),
        name,
        device,
        nodes: roofline.map(Nodes::of),
        plots: latency_steps.iter().map(plotted).collect(),
    };
    page.render().map_err(undrawn)
}

fn undrawn(error: askama::Error) -> Error {
    Error::Plan(format!("the report cannot be drawn: {error}"))
}

fn curve_note(outcome: &Outcome) -> String {
    let unit = "Each point is the plan that loses least at its latency, as predicted from the loss of each group alone (\
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
