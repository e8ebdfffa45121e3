//! Numbers for people.

use crate::plan::{Metric, Unit, bytes_text};

/// A count with a unit: `3.41 M`.
pub(super) fn big(count: u64) -> String {
    match count {
        n if n >= 1_000_000_000 => format!("{:.2} G", n as f64 / 1e9),
        n if n >= 1_000_000 => format!("{:.2} M", n as f64 / 1e6),
        n if n >= 1_000 => format!("{:.1} k", n as f64 / 1e3),
        n => n.to_string(),
    }
}

/// An amount of a counted metric.
pub(super) fn amount(metric: Metric, count: u64) -> String {
    match metric.unit() {
        Unit::Bytes => bytes_text(count as f64),
        Unit::Number | Unit::Milliseconds => big(count),
    }
}

/// Milliseconds with three significant digits at least.
pub(crate) fn milliseconds(ms: f64) -> String {
    match ms {
        ms if ms >= 100.0 => format!("{ms:.0}"),
        ms if ms >= 10.0 => format!("{ms:.1}"),
        ms if ms >= 1.0 => format!("{ms:.2}"),
        ms if ms >= 0.1 => format!("{ms:.3}"),
        ms => format!("{ms:.4}"),
    }
}

/// Extents: `3×3`.
pub(super) fn shape(all: &[usize]) -> String {
    let all: Vec<String> = all.iter().map(ToString::to_string).collect();
    all.join("×")
}

/// A share in percent.
pub(super) fn percent(share: f64) -> String {
    let p = 100.0 * share;
    if p >= 9.95 {
        format!("{p:.0} %")
    } else {
        // Rounding leaves a sign with nothing behind it.
        format!("{p:.1} %").replace("-0.0 %", "0.0 %")
    }
}

#[cfg(test)]
mod tests {
    use super::{big, milliseconds, percent};

    #[test]
    fn digits_follow_the_size() {
        assert_eq!(
            [big(999), big(1_500), big(2_340_000), big(7_000_000_000)],
            ["999", "1.5 k", "2.34 M", "7.00 G"]
        );
        assert_eq!(
            [milliseconds(0.01234), milliseconds(2.345), milliseconds(123.4)],
            ["0.0123", "2.35", "123"]
        );
        assert_eq!([percent(0.0123), percent(0.5)], ["1.2 %", "50 %"]);
        assert_eq!([percent(-0.0001), percent(-0.02)], ["0.0 %", "-2.0 %"]);
    }
}
