//! What goals would give, where nothing is to be had without any loss.

use std::fmt::Write;

use super::numbers::milliseconds;
use crate::optimize::{GoalAhead, Outcome};

/// What is said of goals that were not asked for.
pub(in crate::report) const GOALS_AHEAD: &str = "latencies are predicted from measured widths; what accuracy a goal costs is not known before \
                                                  it is measured on samples (DATA):";

/// What goals would give, for people.
pub(in crate::report) fn goals_ahead_text(outcome: &Outcome) -> String {
    let mut text = String::new();
    for goal in &outcome.goals_ahead {
        let _ = writeln!(text, "goal      {}: {}", goal.goal, goal_text(goal));
    }
    if let Some(goal) = outcome.goals_ahead.first() {
        let _ = writeln!(text, "          {GOALS_AHEAD}\n            {}", goal.command);
    }
    text
}

/// What a goal would give.
pub(in crate::report) fn goal_text(goal: &GoalAhead) -> String {
    let groups = match goal.groups {
        1 => "1 group".to_owned(),
        n => format!("{n} groups"),
    };
    format!(
        "{} ms predicted ({:.2} of the latency), {:.2} of the MACs, {groups} narrower",
        milliseconds(goal.predicted_ms),
        goal.latency,
        goal.macs,
    )
}

#[cfg(test)]
mod tests {
    use super::goal_text;
    use crate::optimize::GoalAhead;

    #[test]
    fn a_goal_is_told_with_what_it_would_give() {
        let goal = GoalAhead {
            goal: "0.8x".to_owned(),
            predicted_ms: 1.25,
            latency: 0.79,
            macs: 0.7,
            groups: 1,
            command: String::new(),
        };
        let text = goal_text(&goal);
        assert!(
            text.ends_with("(0.79 of the latency), 0.70 of the MACs, 1 group narrower"),
            "{text}"
        );
    }
}
