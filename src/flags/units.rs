//! How shares and times are written.

use std::time::Duration;

/// A share from 0 to 1: `0.5%` or `0.005`.
pub(super) fn percent(text: &str) -> Result<f64, String> {
    let (digits, unit) = match text.strip_suffix('%') {
        Some(digits) => (digits, 0.01),
        None => (text, 1.0),
    };
    let share = digits.trim().parse::<f64>().ok().map(|v| v * unit);
    let share = share.filter(|v| (0.0..=1.0).contains(v));
    share.ok_or_else(|| format!("'{text}': write a share such as 0.5%"))
}

/// Seconds, minutes or hours: `90`, `90s`, `5m`, `1h`.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(['s', 'm', 'h']);
    let unit = match &text[digits.len()..] {
        "" | "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        other => return Err(format!("'{other}' is no unit; write 60s, 5m or 1h")),
    };
    let number = digits.parse::<f64>().map_err(|_| "write 60s, 5m or 1h".to_owned())?;
    Duration::try_from_secs_f64(number * unit).map_err(|_| "write 60s, 5m or 1h".to_owned())
}
