//! A latency that is missed in the last benchmark is reached for again.

use super::measure::Latency;
use crate::optimize::options::{Amount, Goals};
use crate::optimize::outcome::Declined;
use crate::plan::Metric;

/// So often.
pub(super) const AGAIN: usize = 2;
/// Missed by at most this factor.
const LITTLE: f64 = 1.2;

/// The goals with as much less latency as the model took too much, where it missed its latency by little.
pub(super) fn nearer(why: Option<&Declined>, goals: Goals) -> Option<Goals> {
    let Some(&Declined::LatencyMissed { goal, ratio, ms }) = why else {
        return None;
    };
    let over = ratio / (Latency { ms, ratio }).share_of(goal);
    let less = match goals.limits[Metric::Latency]? {
        Amount::Times(share) => Amount::Times(share / over),
        Amount::Plain(ms) => Amount::Plain(ms / over),
    };
    (over <= LITTLE).then(|| goals.at_most(Metric::Latency, less))
}

#[cfg(test)]
mod tests {
    use super::nearer;
    use crate::optimize::options::{Amount, Goals};
    use crate::optimize::outcome::Declined;
    use crate::plan::Metric;

    #[test]
    fn a_latency_missed_by_little_asks_for_as_much_less() {
        let missed = |goal: Amount, ratio: f64, ms: f64| {
            let goals = Goals::default().at_most(Metric::Latency, goal);
            let why = Declined::LatencyMissed { goal, ratio, ms };
            nearer(Some(&why), goals)?.limits[Metric::Latency]
        };
        let share = |goal: Option<Amount>| goal.map(|g| (g.of(1.0) * 1e6).round() / 1e6);
        assert_eq!(share(missed(Amount::Times(0.8), 0.88, 1.76)), Some(0.727273));
        // 1.76 ms where 1.6 ms were asked for.
        assert_eq!(share(missed(Amount::Plain(1.6), 0.88, 1.76)), Some(1.454545));
        assert_eq!(missed(Amount::Times(0.8), 0.97, 1.94), None);
        let goals = Goals::default().at_most(Metric::Latency, Amount::Times(0.8));
        assert_eq!(nearer(Some(&Declined::NoNumbers), goals), None);
        assert_eq!(nearer(None, goals), None);
    }
}
