//! Writes a plan and what was measured of it into the outcome.

use super::opened::MoveOf;
use super::outcome::{MoveRow, Outcome};
use super::proof::Evidence;
use super::session::Session;
use crate::Result;
use crate::onnx::label;
use crate::onnx::proto::ModelProto;
use crate::plan::{Metric, Plan, PlanFile, Reparametrization, count};

impl Outcome {
    /// Takes over what was measured of a model, whether it is written or not.
    pub(super) fn measured(&mut self, evidence: Evidence) {
        if let [original, model] = evidence.entries.as_slice() {
            self.latency = Some((original.summary(), model.summary()));
            self.ratio = Some((model.ratio(), model.ratio_noise()));
            self.noise.racing_drift = original.drift();
            if let Some(chosen) = self.chosen.as_mut() {
                chosen.measured = Some(model.ratio());
            }
        }
        self.unverified.extend(evidence.agreement.not_compared());
        self.agreement = Some(evidence.agreement);
        self.task = evidence.task;
        self.pictures.shown = evidence.shown;
        self.metric = evidence.metric;
    }

    /// Puts the plan into the rows and totals.
    ///
    /// # Errors
    /// When the plan's graph cannot be counted.
    pub(super) fn fill(&mut self, session: &Session, plan: &Plan, proto: &ModelProto) -> Result<()> {
        let (analysis, costs) = (session.analysis(), &session.costs);
        let (base, with) = (session.present(), session.counts(plan));
        for m in plan.moves(analysis) {
            let layers = costs.touched_by(m.group);
            let mut without = with.clone();
            without[m.group] = base[m.group];
            let times = costs.of(layers, &without).zip(costs.of(layers, &with));
            let row = &mut self.groups[m.group];
            row.after = m.after;
            row.layers_ms = times.map(|(a, b)| (a.ms, b.ms));
            let why_grown = match times {
                Some((a, b)) if b.ms >= a.ms => "costs nothing here",
                _ => "measured faster here",
            };
            if m.after == 0 {
                (row.action, row.reason) = ("prune", "it goes with the residual branch that it is in".to_owned());
                continue;
            }
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
        let file = PlanFile::new(
            &session.opened.model.hash,
            &session.graph,
            analysis,
            plan,
            &session.removable,
        );
        self.plan = Some(match &session.opened.equal_to {
            Some(equal) => file.behind(&Reparametrization {
                samples: session.samples.as_ref().map(|s| s.data.digest()),
                ..equal.moves.clone()
            }),
            None => file,
        });
        let change = plan.change(analysis, &session.removable).0;
        for metric in Metric::counted() {
            self.counted[metric].after = count(metric, proto, &session.graph, analysis, &change)?;
        }
        Ok(())
    }

    /// Puts in the latencies that are predicted for the original and a plan, whether it is written or not.
    pub(super) fn predict(&mut self, session: &Session, plan: &Plan) {
        let both = session.predict_original().zip(session.predict(plan));
        self.predicted_ms = both.filter(|(before, _)| *before > 0.0);
        let ratio = self.predicted_ratio();
        if let (Some(chosen), Some(ratio)) = (self.chosen.as_mut(), ratio) {
            chosen.latency = ratio;
        }
    }

    /// Says of every branch that went what that was measured to lose, the layers around it fitted.
    fn branches_gone(&mut self, session: &Session, plan: &Plan, loss: &dyn Fn(usize, usize) -> Option<f64>) {
        let analysis = session.analysis();
        for branch in analysis.branches_at(&plan.branches) {
            let parts: Option<Vec<f64>> = branch.groups.iter().map(|&g| loss(g, 0)).collect();
            let all = parts.map(|p| p.iter().sum::<f64>());
            let lost = all.map_or(String::new(), |l| format!(", which loses {l:.1e}"));
            let name = |n: usize| label(&session.graph.proto.node[n], n);
            let add = name(branch.add);
            for &g in &branch.groups {
                self.groups[g].reason = format!("all channels go with the residual branch that ends in {add}{lost}");
            }
            let layers = branch.nodes.iter().copied().filter(|&n| analysis.macs[n] > 0);
            self.moves.push(MoveRow {
                kind: "zero",
                layers: layers.map(name).collect(),
                before: branch.groups.iter().map(|&g| analysis.groups[g].width()).sum(),
                after: 0,
                loss: all,
            });
        }
    }

    /// Says of every group that lost channels which carried something, what that was measured to lose.
    pub(super) fn narrowed(&mut self, session: &Session, plan: &Plan, loss: &dyn Fn(usize, usize) -> Option<f64>) {
        self.branches_gone(session, plan, loss);
        for (&g, &count) in &plan.counts {
            let gone = session.analysis().groups[g].classes.len().saturating_sub(count);
            let spare = session.removable.classes.get(&g).map_or(0, Vec::len);
            if gone > spare {
                let lost = loss(g, count).map_or(String::new(), |l| format!(", loses {l:.1e}"));
                let group = &session.analysis().groups[g];
                let moved = session.opened.move_of(group);
                self.groups[g].reason = match moved {
                    None => format!("{gone} channels go that the layers behind can best do without{lost}"),
                    Some(MoveOf::Rotation) => {
                        format!(
                            "rotated: {gone} principal directions go that the layers behind can best do without{lost}"
                        )
                    }
                    Some(MoveOf::Rank(_)) => format!("two layers in place of one, {count} values between them{lost}"),
                };
                self.moves.extend(moved.map(|kind| MoveRow {
                    kind: match kind {
                        MoveOf::Rotation => "rotation",
                        MoveOf::Rank(_) => "rank",
                    },
                    layers: self.groups[g].layers.clone(),
                    before: group.width(),
                    after: count * group.unit,
                    loss: loss(g, count),
                }));
            }
        }
    }
}
