//! What a terminal shows of a zoo.

use super::entry::{JournalEntry, State};
use super::page::{probes, verdict};
use super::summary::{ZooSummary, word};
use crate::report::{milliseconds, table};

/// A model that is finished, in a line.
pub fn line(entry: &JournalEntry) -> String {
    let what = match (entry.state, entry.failure) {
        (State::Failed, Some(failure)) => failure.word(),
        (state, _) => word(state),
    };
    let numbers = entry.numbers.clone().unwrap_or_default();
    let more = match (entry.state, numbers.ratio, numbers.predicted_ratio) {
        (State::Written, Some((r, noise)), _) => format!("{r:.3} ± {noise:.3} of its latency"),
        (State::Written | State::Planned, None, Some(r)) => format!("{r:.3} of its latency, as predicted"),
        _ => entry.reason.clone().unwrap_or_default(),
    };
    format!("{what:<15} {}: {more}", entry.name)
}

/// What came of all of them.
pub fn totals(summary: &ZooSummary, skipped: usize) -> String {
    let mut rows = table(&["model", "", "latency ms", "ratio", "channels"], &[2, 3, 4]);
    for e in summary
        .models
        .iter()
        .filter(|e| matches!(e.state, State::Written | State::Planned))
    {
        let n = e.numbers.clone().unwrap_or_default();
        rows.add_row([
            e.name.clone(),
            word(e.state).to_owned(),
            n.latency_ms.map_or(String::new(), |(b, a)| {
                format!("{} → {}", milliseconds(b), milliseconds(a))
            }),
            match (n.ratio, n.predicted_ratio) {
                (Some((r, noise)), _) => format!("{r:.3} ± {noise:.3}"),
                (None, Some(r)) => format!("{r:.3} predicted"),
                (None, None) => String::new(),
            },
            n.channels_moved().to_string(),
        ]);
    }
    let mut text = String::new();
    if rows.row_count() > 0 {
        text.push_str(&format!("{rows}\n"));
    }
    let before = match skipped {
        0 => String::new(),
        n => format!(" ({n} were finished before)"),
    };
    text.push_str(&format!("zoo       {}{before}\n", verdict(summary)));
    if let Some(ratio) = summary.totals.ratio {
        let (b, a) = summary.totals.latency_ms;
        text.push_str(&format!(
            "latency   {ratio:.3} in the geometric mean of the faster ones; all together {} → {} ms\n",
            milliseconds(b),
            milliseconds(a)
        ));
    }
    text.push_str(&format!("measuring {}\n", probes(summary)));
    text
}
