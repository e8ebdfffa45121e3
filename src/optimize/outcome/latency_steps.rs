//! Time against width of layers, as data.

use serde::Serialize;

use crate::profile::{
    Multiprocessors, Prober, Problem, Profile, Record, Summary, Waves, latency_steps, tail_free, waves,
};

/// Layers with one problem, before and after.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LatencySteps {
    /// Names of the layers.
    pub layers: Vec<String>,
    /// What they compute, at the widths of the file.
    pub problem: Problem,
    /// Input and output width in the written model; as in the file where none was written.
    pub after: (usize, usize),
    /// Their share of the time of all layers, 0 to 1.
    pub share: f64,
    /// Times at several output widths: with the input width of the file, and with the new one where that differs.
    pub curves: Vec<LatencyCurve>,
}

/// Times against output width.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LatencyCurve {
    /// Input width; `None` for a depthwise layer, whose input is as wide as its output.
    pub cin: Option<usize>,
    /// The widths that were timed, ascending.
    pub steps: Vec<LatencyStep>,
}

/// One width.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LatencyStep {
    /// Output width.
    pub cout: usize,
    /// Median time in milliseconds, and its median absolute deviation.
    pub ms: f64,
    /// The deviation.
    pub mad: f64,
    /// Whether every wider one is slower: the right edge of a plateau.
    pub tail_free: bool,
    /// The kernel's waves on a GPU, where they were traced.
    pub waves: Option<Waves>,
}

/// The width of the plateau that `cout` stands on over its right edge: 1 where nothing is wasted. `None` beyond the
/// widths that were timed.
pub fn use_of(steps: &[LatencyStep], cout: usize) -> Option<f64> {
    let edge = steps.iter().find(|s| s.tail_free && s.cout >= cout)?;
    Some(cout as f64 / edge.cout as f64)
}

impl LatencySteps {
    /// A layer that stays as it is, nothing known of its times.
    pub fn new(name: &str, problem: &Problem) -> Self {
        Self {
            layers: vec![name.to_owned()],
            problem: problem.clone(),
            after: (problem.cin, problem.cout),
            share: 0.0,
            curves: Vec::new(),
        }
    }

    /// Takes the times that the prober knows.
    pub fn look_up(&mut self, prober: &Prober) {
        let device = Multiprocessors::of(prober.device().info());
        self.take(&|p| prober.latency_steps(p), device.as_ref());
    }

    /// Sets what each takes of the time of all: the time of its probe at the widths of the file, for each of its layers.
    pub fn set_shares(all: &mut [Self], prober: &Prober) {
        let time = |steps: &Self| {
            let known = prober.latency_steps(&steps.problem).into_iter();
            let present = known.filter(|r| r.problem == steps.problem).map(|r| r.summary().median);
            present.sum::<f64>() * steps.layers.len() as f64
        };
        let times: Vec<f64> = all.iter().map(time).collect();
        let whole = times.iter().sum::<f64>().max(f64::MIN_POSITIVE);
        for (steps, time) in all.iter_mut().zip(times) {
            steps.share = time / whole;
        }
    }

    /// Takes the times that a profile holds.
    pub fn recorded(&mut self, profile: &Profile) {
        let device = Multiprocessors::of(&profile.device);
        self.take(&|p| latency_steps(p, &profile.records), device.as_ref());
    }

    fn take<'r>(&mut self, known: &dyn Fn(&Problem) -> Vec<&'r Record>, device: Option<&Multiprocessors>) {
        let curves = self.sides().into_iter().map(|p| curve(&p, &known(&p), device));
        self.curves = curves.filter(|c| c.steps.len() > 1).collect();
    }

    /// The problem with the input width of the file, and with the new one.
    pub(crate) fn sides(&self) -> Vec<Problem> {
        let mut sides = vec![self.problem.clone()];
        if !self.problem.is_depthwise() && self.after.0 != self.problem.cin {
            sides.push(self.problem.at(self.after.0, self.problem.cout));
        }
        sides
    }

    /// The curve that the layers stand on in the written model.
    pub fn curve_after(&self) -> Option<&LatencyCurve> {
        let same = |c: &&LatencyCurve| c.cin.is_none_or(|n| n == self.after.0);
        self.curves.iter().find(same)
    }
}

/// What is known of a problem, with the edges of its plateaus.
fn curve(problem: &Problem, records: &[&Record], device: Option<&Multiprocessors>) -> LatencyCurve {
    let times: Vec<Summary> = records.iter().map(|r| r.summary()).collect();
    let medians: Vec<f64> = times.iter().map(|s| s.median).collect();
    let edges = tail_free(&medians, noise(&times));
    let step = |(i, (record, s)): (usize, (&&Record, &Summary))| LatencyStep {
        cout: record.problem.cout,
        ms: s.median,
        mad: s.mad,
        tail_free: edges.contains(&i),
        waves: record.facts.main_kernel().zip(device).map(|(k, d)| waves(k, d)),
    };
    LatencyCurve {
        cin: (!problem.is_depthwise()).then_some(problem.cin),
        steps: records.iter().zip(&times).enumerate().map(step).collect(),
    }
}

/// How far two equal times may lie apart: by the spread of most of these, 1 to 10 %.
fn noise(times: &[Summary]) -> f64 {
    let spreads: Vec<f64> = times.iter().map(|s| s.half_width() / s.median.max(1e-9)).collect();
    crate::profile::median(&spreads).clamp(0.01, 0.1)
}

#[cfg(test)]
mod tests {
    use super::{LatencyStep, use_of};

    fn steps(edges: &[(usize, bool)]) -> Vec<LatencyStep> {
        let step = |&(cout, tail_free): &(usize, bool)| LatencyStep {
            cout,
            ms: 1.0,
            mad: 0.0,
            tail_free,
            waves: None,
        };
        edges.iter().map(step).collect()
    }

    #[test]
    fn a_width_uses_its_plateau_up_to_its_right_edge() {
        let steps = steps(&[(96, true), (112, false), (128, true)]);
        assert_eq!(use_of(&steps, 112), Some(112.0 / 128.0));
        assert_eq!(use_of(&steps, 128), Some(1.0));
        assert_eq!(use_of(&steps, 130), None);
    }
}
