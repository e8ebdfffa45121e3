//! How steady the machine was, in words.

use crate::profile::Noise;

/// The spread of the times and how the machine's speed changed; `None` where nothing was timed.
pub(super) fn noise_text(noise: &Noise) -> Option<String> {
    let percent = |share: f64| format!("{:.1} %", 100.0 * share);
    let mut parts = Vec::new();
    if noise.widths > 0 {
        parts.push(format!(
            "times of {} widths ± {} (worst ± {})",
            noise.widths,
            percent(noise.typical),
            percent(noise.worst)
        ));
    }
    if let Some(drift) = noise.probing_drift {
        parts.push(format!("first widths again at the end {:+.1} %", 100.0 * drift));
    }
    if let Some(drift) = noise.racing_drift {
        parts.push(format!("the original within the race {}", percent(drift)));
    }
    (!parts.is_empty()).then(|| parts.join(", "))
}

/// What to do where the machine was not steady.
pub(super) fn unsteady_text(noise: &Noise) -> Option<String> {
    noise.unsteady().map(|drift| {
        format!(
            "the machine's speed changed by {:.0} % while times were taken. Ratios hold, as models take turns, but the choice of widths \
             may be worse than it could be: run again when nothing else runs, or with the clocks locked, and a new database",
            100.0 * drift
        )
    })
}

#[cfg(test)]
mod tests {
    use super::{noise_text, unsteady_text};
    use crate::profile::Noise;

    #[test]
    fn what_was_not_timed_is_not_told() {
        assert_eq!(noise_text(&Noise::default()), None);
        let calm = Noise {
            widths: 3,
            typical: 0.004,
            worst: 0.02,
            probing_drift: Some(-0.01),
            racing_drift: Some(0.03),
        };
        let said = noise_text(&calm).unwrap();
        assert_eq!(
            said,
            "times of 3 widths ± 0.4 % (worst ± 2.0 %), first widths again at the end -1.0 %, the original within the race 3.0 %"
        );
        assert_eq!(unsteady_text(&calm), None);
        let slowed = Noise {
            probing_drift: Some(-0.25),
            ..calm
        };
        assert!(unsteady_text(&slowed).unwrap().contains("25 %"));
    }
}
