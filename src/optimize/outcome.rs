//! The result of the main job, as data.

use super::{Dynamic, Opened, ParetoRow, Staircase, counts};
use crate::channels::{Analysis, Group};
use crate::device::DeviceInfo;
use crate::onnx::proto::ModelProto;
use crate::onnx::{Graph, label};
use crate::plan::{Candidates, Costs, Plan, PlanFile, Removable};
use crate::profile::{Noise, Summary};
use crate::rewrite::{elements_ratio, macs_after, parameters};
use crate::verify::{Agreement, Entry, Task};

/// One group, for the report.
#[derive(Clone, Debug)]
pub struct GroupRow {
    /// The group's number.
    pub id: usize,
    /// Names of the layers that make the width.
    pub layers: Vec<String>,
    /// Names of activations that have the width.
    pub tensors: Vec<String>,
    /// Width before.
    pub before: usize,
    /// Width after.
    pub after: usize,
    /// `grow`, `prune`, `keep` or `barrier`.
    pub action: &'static str,
    /// Why.
    pub reason: String,
    /// Predicted time of the layers concerned, before and after, in milliseconds.
    pub layers_ms: Option<(f64, f64)>,
}

/// How a narrower model was found.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Calibration {
    /// Samples that were taken, of which a fifth judge and the others are fitted on; 0 without any.
    pub samples: usize,
    /// The sum of what its groups were measured to lose one by one: nats of divergence for classifiers, squared error
    /// over variance for other outputs.
    pub predicted_loss: f64,
    /// The loss of the whole model on samples that its weights were not fitted on.
    pub held_out_loss: Option<f64>,
    /// The share of those samples that get the original's class, for classifiers.
    pub held_out_agreement: Option<f64>,
    /// Seconds for timing widths, calibrating, ranking and measuring losses.
    pub search_seconds: f64,
    /// Seconds for fitting weights.
    pub fit_seconds: f64,
}

/// What came out.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The rewritten model's bytes, if one is faster.
    pub model: Option<Vec<u8>>,
    /// Why there is no model, if there is none.
    pub declined: Option<String>,
    /// Whether that is because no width of it may change, whatever is measured.
    pub nothing_to_change: bool,
    /// The device.
    pub device: DeviceInfo,
    /// Every group.
    pub groups: Vec<GroupRow>,
    /// Latency of the original and of the rewritten model, raced.
    pub latency: Option<(Summary, Summary)>,
    /// Median of the interleaved ratios, rewritten over original, and its noise.
    pub ratio: Option<(f64, f64)>,
    /// The latencies that the profile predicts, milliseconds, before and after.
    pub predicted_ms: Option<(f64, f64)>,
    /// Multiply-accumulates before and after, for one sample.
    pub macs: (u64, u64),
    /// Weight elements before and after.
    pub params: (u64, u64),
    /// How the outputs agree.
    pub agreement: Option<Agreement>,
    /// How steady the machine was.
    pub noise: Noise,
    /// How many problems were timed.
    pub probes: Probes,
    /// How both models do on real inputs.
    pub task: Option<Task>,
    /// The plan that made the model.
    pub plan: Option<PlanFile>,
    /// What was not verified, and why.
    pub unverified: Vec<String>,
    /// What the user should know of the result and of how it was measured.
    pub notes: Vec<String>,
    /// How channels were chosen and weights fitted, for a model that lost some.
    pub calibration: Option<Calibration>,
    /// The dynamic variant, where one was looked for.
    pub dynamic: Option<Dynamic>,
    /// Time against width of the layers, those that take most of the model's time first.
    pub staircases: Vec<Staircase>,
    /// What plans lose against what they take, where channels that carry something may go.
    pub curve: Vec<ParetoRow>,
    /// The plan that was chosen from it.
    pub chosen: Option<ChosenPoint>,
}

/// A plan that was chosen: shares of the original's latency, and losses as in [`Calibration`].
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct ChosenPoint {
    /// Latency as predicted.
    pub latency: f64,
    /// Loss as predicted.
    pub loss: f64,
    /// Latency as measured in the last race.
    pub measured: Option<f64>,
    /// Loss as measured on samples that were held out.
    pub held_out_loss: Option<f64>,
}

/// Counts of probes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Probes {
    /// Timed in this run.
    pub made: usize,
    /// Known from the database or a recorded profile.
    pub reused: usize,
    /// Left untimed because the time was up, or the device is not here.
    pub skipped: usize,
    /// Left untimed because no choice rests on them, or like ones were slow.
    pub pruned: usize,
    /// What timing every width from the least candidate to the greatest would take.
    pub exhaustive: usize,
}

impl Outcome {
    pub(super) fn new(opened: &Opened, device: &DeviceInfo, candidates: &Candidates, probes: Probes) -> Self {
        let macs = opened.analysis.total_macs();
        let params = parameters(&opened.proto);
        Self {
            model: None,
            declined: None,
            nothing_to_change: false,
            device: device.clone(),
            groups: opened
                .analysis
                .groups
                .iter()
                .map(|g| row(opened, g, candidates))
                .collect(),
            latency: None,
            ratio: None,
            predicted_ms: None,
            macs: (macs, macs),
            params: (params, params),
            agreement: None,
            noise: Noise::default(),
            probes,
            task: None,
            plan: None,
            unverified: Vec::new(),
            notes: Vec::new(),
            calibration: None,
            dynamic: None,
            staircases: Vec::new(),
            curve: Vec::new(),
            chosen: None,
        }
    }

    /// Says of every group that lost channels which carried something, what that was measured to lose.
    pub(super) fn narrowed(
        &mut self,
        plan: &Plan,
        analysis: &Analysis,
        removable: &Removable,
        loss: &dyn Fn(usize, usize) -> Option<f64>,
    ) {
        for (&g, &count) in &plan.counts {
            let gone = analysis.groups[g].classes.len().saturating_sub(count);
            let spare = removable.classes.get(&g).map_or(0, Vec::len);
            if gone > spare {
                let lost = loss(g, count).map_or(String::new(), |l| format!(", loses {l:.1e}"));
                self.groups[g].reason = format!("{gone} channels go that the layers behind can best do without{lost}");
            }
        }
    }

    /// Says that the time was up before all was tried.
    pub(super) fn cut_short(&mut self, skipped: usize) {
        let untimed = match skipped {
            0 => String::new(),
            1 => ", one layer's width was not timed".to_owned(),
            n => format!(", {n} widths of layers were not timed"),
        };
        self.unverified.push(format!(
            "search: the time of --time-budget was up before all was tried{untimed}, and races were kept short; what was \
             timed is kept, so running again goes on from there"
        ));
    }

    pub(super) fn nothing(&mut self, why: &str) {
        self.declined = Some(why.to_owned());
    }

    pub(super) fn measured(&mut self, entries: &[Entry], agreement: Agreement) {
        self.latency = Some((entries[0].summary(), entries[1].summary()));
        self.ratio = Some((entries[1].ratio(), entries[1].ratio_noise()));
        self.noise.racing_drift = entries[0].drift();
        self.unverified.extend(agreement.not_compared());
        self.agreement = Some(agreement);
    }

    /// Puts the chosen plan into the rows and totals.
    pub(super) fn fill(
        &mut self,
        opened: &Opened,
        graph: &Graph,
        plan: &Plan,
        proto: &ModelProto,
        removable: &Removable,
        costs: &Costs,
    ) {
        let analysis = &opened.analysis;
        let (base, with) = (counts(analysis, &Plan::default()), counts(analysis, plan));
        for m in plan.moves(analysis) {
            let layers = costs.touched_by(m.group);
            let mut without = with.clone();
            without[m.group] = base[m.group];
            let times = costs.of(layers, &without).zip(costs.of(layers, &with));
            let row = &mut self.groups[m.group];
            row.after = m.after;
            row.layers_ms = times.map(|((a, _), (b, _))| (a, b));
            let why_grown = match times {
                Some(((a, _), (b, _))) if b >= a => "costs nothing here",
                _ => "measured faster here",
            };
            (row.action, row.reason) = if m.after > m.before {
                let how = if plan.split.is_some() { "split" } else { "zero-padded" };
                ("grow", format!("{how} to {}: {why_grown}", m.after))
            } else {
                (
                    "prune",
                    format!("{} channels that are zero, constant or unread go", m.before - m.after),
                )
            };
        }
        self.plan = Some(PlanFile::new(&opened.model.hash, graph, analysis, plan, removable));
        let change = plan.change(analysis, removable).0;
        self.macs.1 = macs_after(graph, analysis, &change);
        self.params.1 = parameters(proto);
        self.predict(opened, graph, plan, removable, costs);
    }

    /// Puts in the latencies that the layers' times predict for the original and a plan, whether it is written or not. Where
    /// the original has been raced, what it takes besides its nodes counts for both.
    pub(super) fn predict(
        &mut self,
        opened: &Opened,
        graph: &Graph,
        plan: &Plan,
        removable: &Removable,
        costs: &Costs,
    ) {
        let analysis = &opened.analysis;
        let (base, with) = (counts(analysis, &Plan::default()), counts(analysis, plan));
        let rest = elements_ratio(graph, analysis, &plan.change(analysis, removable).0);
        if let (Some(a), Some(b)) = (costs.predict(&base, 1.0), costs.predict(&with, rest)) {
            // Launches and the like, outside of all nodes, stay.
            let outside = self.latency.map_or(0.0, |(original, _)| (original.median - a).max(0.0));
            self.predicted_ms = Some((a + outside, b + outside)).filter(|(a, _)| *a > 0.0);
        }
        let ratio = self.predicted_ratio();
        if let (Some(chosen), Some(ratio)) = (self.chosen.as_mut(), ratio) {
            chosen.latency = ratio;
        }
    }

    /// The ratio that the profile predicts.
    pub fn predicted_ratio(&self) -> Option<f64> {
        let ratio = self.predicted_ms.map(|(before, after)| after / before);
        ratio.filter(|r| r.is_finite())
    }
}

fn row(opened: &Opened, group: &Group, candidates: &Candidates) -> GroupRow {
    let co = &opened.analysis.dependencies;
    let nodes = opened.proto.graph.iter().flat_map(|g| &g.node).collect::<Vec<_>>();
    let name = |&n: &usize| label(nodes[n], n);
    let held_by = |node: Option<usize>| node.map_or(String::new(), |n| format!("{}: ", label(nodes[n], n)));
    let (action, reason) = match opened.constraint_of(group) {
        Some(constraint) => ("barrier", format!("{}{}", held_by(constraint.node), constraint.reason)),
        None => match (&group.no_growth, candidates.contains_key(&group.id)) {
            (_, true) => ("keep", "no other width was faster".to_owned()),
            (Some(constraint), _) => ("keep", format!("{}{}", held_by(constraint.node), constraint.reason)),
            _ if !opened.is_timed(group) => ("keep", "no timed layer has this width".to_owned()),
            _ => ("keep", "stands on a multiple of every block".to_owned()),
        },
    };
    let layers = if group.producers.is_empty() {
        &group.consumers
    } else {
        &group.producers
    };
    let width = group.width();
    GroupRow {
        id: group.id,
        layers: layers.iter().map(name).collect(),
        tensors: group.places.iter().map(|(v, _)| co.value(*v).name.clone()).collect(),
        before: width,
        after: width,
        action,
        reason,
        layers_ms: None,
    }
}
