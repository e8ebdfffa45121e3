//! Which alternatives need not be timed, because like changes of other models' layers were measured to cost time.

use std::collections::{HashMap, HashSet};

use super::problems::Collected;
use crate::profile::{ChangeClasses, ChangeKind, Problem, kind};

/// An alternative of one model, by the keys of its problems.
#[derive(Clone, Debug)]
struct PrunerChoice {
    model: usize,
    changes: Vec<(usize, usize, f64)>,
    from: Option<usize>,
    state: Fate,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Open,
    /// All its problems are timed, or will be.
    Timed,
    /// It is slower by all that is known.
    Pruned,
}

/// The alternatives of many models, and what is known of their problems' times.
#[derive(Debug, Default)]
pub(super) struct ProbePruner {
    problems: Vec<Problem>,
    at: HashMap<String, usize>,
    must: HashSet<usize>,
    choices: Vec<PrunerChoice>,
    models: usize,
    times: HashMap<usize, f64>,
    learnt: HashSet<(usize, usize)>,
    given_up: HashSet<usize>,
    change_classes: ChangeClasses,
}

/// An alternative is pruned when it would be slower even if its layers did better than like ones by so many standard deviations.
const SURE: f64 = 1.2;
/// The same for the most promising alternatives of each model, so that a model with few of them does not lose all.
const SURER: f64 = 2.0;
const PROMISING: usize = 5;
/// Of each kind of change so many are timed in a round.
const SAMPLE: usize = 2;
/// Changes of more layers than this wait until single ones have taught what they can, for so many rounds.
const MANY: usize = 12;
const FIRST: usize = 3;
/// After so many rounds, all that is still open is timed.
const ROUNDS: usize = 8;

impl ProbePruner {
    /// Adds a model's problems.
    pub(super) fn add(&mut self, collected: Collected) {
        let needs = collected.needs;
        let own: Vec<usize> = needs.problems.into_iter().map(|p| self.index(p)).collect();
        let changed: HashSet<usize> = needs
            .alternatives
            .iter()
            .flat_map(|a| &a.changes)
            .map(|c| c.0)
            .collect();
        let must = (0..needs.must.min(own.len())).filter(|at| needs.all || changed.contains(at));
        self.must.extend(must.map(|at| own[at]));
        let first = self.choices.len();
        for alternative in needs.alternatives {
            let change = |&(a, b, w): &(usize, usize, f64)| Some((*own.get(a)?, *own.get(b)?, w));
            self.choices.push(PrunerChoice {
                model: self.models,
                changes: alternative.changes.iter().filter_map(change).collect(),
                from: alternative.from.map(|f| f + first),
                state: Fate::Open,
            });
        }
        self.models += 1;
    }

    fn index(&mut self, problem: Problem) -> usize {
        *self.at.entry(problem.key()).or_insert_with(|| {
            self.problems.push(problem);
            self.problems.len() - 1
        })
    }

    /// Whether a problem is among them.
    pub(super) fn has(&self, key: &str) -> bool {
        self.at.contains_key(key)
    }

    /// Problems that cannot be timed.
    pub(super) fn give_up(&mut self, problems: &[Problem]) {
        self.given_up
            .extend(problems.iter().filter_map(|p| self.at.get(&p.key())));
    }

    /// Whether nothing more comes after a round in which nothing was wanted.
    pub(super) fn is_settled(&self, round: usize) -> bool {
        round > ROUNDS
    }

    /// The problems that any choice rests on.
    pub(super) fn must(&self) -> Vec<Problem> {
        let mut all: Vec<usize> = self.must.iter().copied().collect();
        all.sort_unstable();
        all.into_iter().map(|i| self.problems[i].clone()).collect()
    }

    /// The problems to time next, given the times of those asked for before (`time` in milliseconds); none when everything is
    /// timed or pruned.
    pub(super) fn next(&mut self, round: usize, time: &dyn Fn(&Problem) -> Option<f64>) -> Vec<Problem> {
        self.observe(time);
        let mut wanted: HashSet<usize> = HashSet::new();
        let mut taken: HashMap<ChangeKind, usize> = HashMap::new();
        let promising = self.promising();
        for k in 0..self.choices.len() {
            let choice = &self.choices[k];
            if choice.state != Fate::Open {
                continue;
            }
            // What starts from a plan that is not looked at, or that was timed and is slower, is not looked at.
            let slower = |f: usize| self.judged(&self.choices[f]).is_some_and(|(change, _)| change > 0.0);
            let from = choice.from.map_or(Fate::Timed, |f| match self.choices[f].state {
                Fate::Timed if slower(f) => Fate::Pruned,
                state => state,
            });
            let sure = if promising.contains(&k) { SURER } else { SURE };
            let known = choice.changes.iter().all(|c| self.times.contains_key(&c.1));
            self.choices[k].state = match (from, known) {
                (Fate::Pruned, _) => Fate::Pruned,
                (Fate::Open, _) => continue,
                (Fate::Timed, true) => Fate::Timed,
                (Fate::Timed, false) if self.is_slower(k, sure) => Fate::Pruned,
                (Fate::Timed, false) => Fate::Open,
            };
            if self.choices[k].state == Fate::Open && self.is_due(&self.choices[k], round, &mut taken) {
                wanted.extend(self.choices[k].changes.iter().flat_map(|c| [c.0, c.1]));
            }
        }
        wanted.retain(|i| !self.times.contains_key(i) && !self.given_up.contains(i));
        let mut wanted: Vec<usize> = wanted.into_iter().collect();
        wanted.sort_unstable();
        wanted.into_iter().map(|i| self.problems[i].clone()).collect()
    }

    /// The problems that were pruned: not timed, and not to be.
    pub(super) fn pruned(&self) -> Vec<&Problem> {
        (0..self.problems.len())
            .filter(|i| !self.times.contains_key(i) && !self.must.contains(i))
            .map(|i| &self.problems[i])
            .collect()
    }

    fn observe(&mut self, time: &dyn Fn(&Problem) -> Option<f64>) {
        for i in 0..self.problems.len() {
            if !self.times.contains_key(&i)
                && let Some(ms) = time(&self.problems[i])
            {
                self.times.insert(i, ms);
            }
        }
        for choice in &self.choices {
            for &(a, b, _) in &choice.changes {
                if let (Some(&before), Some(&after)) = (self.times.get(&a), self.times.get(&b))
                    && self.learnt.insert((a, b))
                {
                    self.change_classes
                        .observe(&self.problems[a], &self.problems[b], (before, after));
                }
            }
        }
    }

    /// Whether an alternative is slower even if its layers did better than like ones by `sure` standard deviations.
    fn is_slower(&self, choice: usize, sure: f64) -> bool {
        self.judged(&self.choices[choice])
            .is_some_and(|(change, spread)| change - sure * spread > 0.0)
    }

    /// The alternatives of each model that may gain most.
    fn promising(&self) -> HashSet<usize> {
        let mut open: Vec<(usize, f64, usize)> = Vec::new();
        for (k, choice) in self.choices.iter().enumerate().filter(|(_, c)| c.state == Fate::Open) {
            if let Some((change, spread)) = self.judged(choice) {
                open.push((choice.model, change - SURER * spread, k));
            }
        }
        open.sort_by(|a, b| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)));
        let of_each = open.chunk_by(|a, b| a.0 == b.0);
        of_each
            .flat_map(|own| own.iter().take(PROMISING).map(|o| o.2))
            .collect()
    }

    /// What an alternative adds to its model's time, milliseconds, and the standard deviation of that; `None` where too little
    /// is known.
    fn judged(&self, choice: &PrunerChoice) -> Option<(f64, f64)> {
        let (mut change, mut variance) = (0.0, 0.0);
        for &(a, b, weight) in &choice.changes {
            let &before = self.times.get(&a)?;
            if let Some(&after) = self.times.get(&b) {
                change += weight * (after - before);
                continue;
            }
            let (mean, spread) = self.change_classes.judge(&self.problems[a], &self.problems[b])?;
            change += weight * before * (mean.exp() - 1.0);
            variance += (weight * before * mean.exp() * spread).powi(2);
        }
        Some((change, variance.sqrt()))
    }

    /// Whether to time an alternative now: it may be faster, or has a change of a kind of which too little is known.
    fn is_due(&self, choice: &PrunerChoice, round: usize, taken: &mut HashMap<ChangeKind, usize>) -> bool {
        let unjudged: Vec<ChangeKind> = choice
            .changes
            .iter()
            .filter(|c| !self.times.contains_key(&c.1))
            .map(|c| (&self.problems[c.0], &self.problems[c.1]))
            .filter(|(a, b)| self.change_classes.judge(a, b).is_none())
            .map(|(a, b)| kind(a, b))
            .collect();
        if unjudged.is_empty() || round >= ROUNDS {
            return true;
        }
        if choice.changes.len() > MANY && round < FIRST {
            return false;
        }
        let new = unjudged.iter().any(|k| taken.get(k).is_none_or(|&n| n < SAMPLE));
        if new {
            unjudged.into_iter().for_each(|k| *taken.entry(k).or_insert(0) += 1);
        }
        new
    }
}

#[cfg(test)]
mod tests {
    use super::{Collected, ProbePruner};
    use crate::optimize::{Alternative, Needs};
    use crate::profile::Problem;

    /// A machine that computes sixteen output channels at a time.
    fn time(p: &Problem) -> f64 {
        (p.cin * p.cout.next_multiple_of(16) * p.space[0]) as f64
    }

    fn model(cout: usize, to: usize, space: usize) -> Collected {
        Collected {
            macs: 1,
            needs: Needs {
                layers: 1,
                problems: vec![
                    Problem::plain(64, cout, space),
                    Problem::plain(64, 8, space),
                    Problem::plain(64, to, space),
                ],
                must: 2,
                all: false,
                alternatives: vec![Alternative {
                    changes: vec![(0, 2, 1.0)],
                    from: None,
                }],
            },
        }
    }

    fn timed(models: Vec<Collected>) -> (ProbePruner, usize) {
        let mut all = ProbePruner::default();
        models.into_iter().for_each(|m| all.add(m));
        let mut known: Vec<Problem> = all.must();
        for round in 0.. {
            let wanted = all.next(round, &|p| known.contains(p).then(|| time(p)));
            if wanted.is_empty() && all.is_settled(round) {
                break;
            }
            known.extend(wanted);
        }
        (all, known.len())
    }

    #[test]
    fn what_cost_time_elsewhere_is_spared_and_what_gained_is_timed() {
        // 64 to 96 adds work; 60 to 64 is free.
        let growing: Vec<Collected> = (10..30).map(|s| model(64, 96, s)).collect();
        let (all, known) = timed(growing);
        assert!(known < 30 && all.pruned().len() > 30, "{known} {}", all.pruned().len());
        let snapping: Vec<Collected> = (10..30).map(|s| model(60, 64, s)).collect();
        let (all, known) = timed(snapping);
        // The layers that nothing changes need not be timed.
        assert_eq!((known, all.pruned().len()), (40, 20));
    }

    #[test]
    fn problems_of_two_models_are_timed_once() {
        let (all, known) = timed(vec![model(64, 80, 9), model(64, 80, 9)]);
        assert_eq!((all.problems.len(), known), (3, 2));
    }
}
