//! What samples tell of a drop that was allowed.

use crate::verify::Interval;

/// What the user should know where samples are too few to be parted; `what` was searched on them, with its verb.
pub(super) fn searched_on_all(what: &str) -> String {
    format!(
        "the samples are too few to be divided, so {what} searched on the very samples that the drop is of: others may lose more"
    )
}

/// What the user should know where `samples` cannot tell the drop that was `allowed` from twice that.
pub(super) fn cannot_tell(interval: Interval, samples: usize, allowed: f64) -> Option<String> {
    let percent = |v: f64| format!("{:.2} %", 100.0 * v);
    (interval.high > 2.0 * allowed.max(1e-9)).then(|| {
        format!(
            "{samples} samples cannot tell a drop of {} from one of {}; more samples for evaluation can",
            percent(allowed),
            percent(interval.high)
        )
    })
}

#[cfg(test)]
mod tests {
    use super::cannot_tell;
    use crate::verify::Interval;

    #[test]
    fn only_what_is_unsure_is_told() {
        let of = |high| cannot_tell(Interval { low: 0.0, high }, 20, 0.01);
        assert_eq!(of(0.02), None);
        assert!(of(0.08).is_some_and(|told| told.contains("20 samples") && told.contains("8.00 %")));
    }
}
