//! What a user asks a narrower model to reach.

use std::str::FromStr;

use crate::plan::{Metric, PerMetric, Unit, bytes_text};

/// An amount, by itself or as a share of the original's.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Amount {
    /// So many times the original's.
    Times(f64),
    /// Milliseconds, a number, or bytes.
    Plain(f64),
}

impl Amount {
    /// The amount, with the original's known.
    pub fn of(self, original: f64) -> f64 {
        match self {
            Self::Times(share) => share * original,
            Self::Plain(amount) => amount,
        }
    }
}

/// A limit as people read it.
pub(crate) fn limit_text(metric: Metric, amount: Amount) -> String {
    match (metric.unit(), amount) {
        (Unit::Bytes, Amount::Plain(bytes)) => bytes_text(bytes),
        _ => amount.to_string(),
    }
}

impl std::fmt::Display for Amount {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Times(share) => write!(f, "{share}x"),
            Self::Plain(amount) => write!(f, "{amount}"),
        }
    }
}

impl FromStr for Amount {
    type Err = String;

    /// `0.7x`; `3.2ms`; a number with `k`, `M` or `G`; bytes with `B`, `KiB`, `MiB`, `GiB`, `kB`, `MB` or `GB`.
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("'{text}': write a share such as 0.7x, or an amount such as 3.2ms, 80M or 64MiB");
        let positive = |digits: &str| digits.trim().parse().ok().filter(|v: &f64| v.is_finite() && *v > 0.0);
        if let Some(share) = text.strip_suffix('x') {
            return positive(share).map(Self::Times).ok_or_else(wrong);
        }
        let units = [
            ("KiB", 1024.0),
            ("MiB", 1024.0 * 1024.0),
            ("GiB", 1024.0 * 1024.0 * 1024.0),
            ("kB", 1e3),
            ("MB", 1e6),
            ("GB", 1e9),
            ("B", 1.0),
            ("ms", 1.0),
            ("us", 1e-3),
            ("s", 1e3),
            ("k", 1e3),
            ("M", 1e6),
            ("G", 1e9),
            ("", 1.0),
        ];
        let found = units
            .iter()
            .find_map(|(unit, size)| Some((text.strip_suffix(unit)?, size)));
        let (digits, size) = found.ok_or_else(wrong)?;
        positive(digits).map(|v| Self::Plain(v * size)).ok_or_else(wrong)
    }
}

/// Goals; with none, nothing is lost.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Goals {
    /// What a plan takes of each metric at most: of the original's, or in the metric's unit.
    pub limits: PerMetric<Option<Amount>>,
    /// Top-1 (or agreement, without labels) lost at most, 0 to 1.
    pub max_drop: Option<f64>,
}

impl Goals {
    /// Whether anything may be lost.
    pub fn any(&self) -> bool {
        Metric::ALL.iter().any(|&m| self.limits[m].is_some()) || self.max_drop.is_some()
    }

    /// Whether a plan is searched by what it loses on samples alone.
    pub fn only_drop(&self) -> bool {
        self.max_drop.is_some() && Metric::ALL.iter().all(|&m| self.limits[m].is_none())
    }

    /// Whether a counted metric is limited.
    pub fn any_counted(&self) -> bool {
        Metric::counted().any(|m| self.limits[m].is_some())
    }

    /// The same with a limit on one metric.
    #[must_use]
    pub fn at_most(mut self, metric: Metric, amount: Amount) -> Self {
        self.limits[metric] = Some(amount);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::Amount;

    #[test]
    fn amounts_are_shares_or_numbers_with_units() {
        let read = |t: &str| t.parse::<Amount>();
        assert_eq!(read("0.7x"), Ok(Amount::Times(0.7)));
        assert_eq!(read("3.2ms"), Ok(Amount::Plain(3.2)));
        assert_eq!(read("2s"), Ok(Amount::Plain(2000.0)));
        assert_eq!(read("80M"), Ok(Amount::Plain(80e6)));
        assert_eq!(read("64MiB"), Ok(Amount::Plain(64.0 * 1048576.0)));
        assert_eq!(read("1.5kB"), Ok(Amount::Plain(1500.0)));
        assert!(read("0x").is_err() && read("fast").is_err() && read("-1ms").is_err() && read("").is_err());
        assert_eq!(Amount::Times(0.5).of(4.0), 2.0);
    }
}
