//! What samples for calibration served for, and what they tell.

use crate::optimize::Calibration;

/// How many samples were fitted on, how many judged, and how many were left out.
pub(in crate::report) fn samples_text(c: &Calibration) -> String {
    let left_out = match c.left_out {
        0 => String::new(),
        n => format!(", {n} left out for memory"),
    };
    match c.judged_on == 0 || c.fitted_on + c.judged_on > c.samples {
        true => format!("{} samples, all fitted on, none held out{left_out}", c.samples),
        // What is too little to be halved does both.
        false if c.fitted_on + c.chosen_on + c.judged_on > c.samples => {
            format!(
                "{} samples fitted on, {} chosen by and judged{left_out}",
                c.fitted_on, c.judged_on
            )
        }
        false => format!(
            "{} samples fitted on, {} chosen by, {} judged{left_out}",
            c.fitted_on, c.chosen_on, c.judged_on
        ),
    }
}

/// The share of held-out samples that get the original's class, with what so few can tell of it.
pub(in crate::report) fn agreement_text(c: &Calibration) -> Option<String> {
    let (share, interval) = (c.held_out_agreement?, c.held_out_interval?);
    Some(format!(
        "{:.2} % (95 % interval {:.1} to {:.1})",
        100.0 * share,
        100.0 * interval.low,
        100.0 * interval.high
    ))
}

#[cfg(test)]
mod tests {
    use super::{agreement_text, samples_text};
    use crate::optimize::Calibration;
    use crate::verify::Interval;

    #[test]
    fn samples_are_told_by_what_they_served_for() {
        let told = Calibration {
            samples: 100,
            fitted_on: 80,
            chosen_on: 20,
            judged_on: 20,
            left_out: 7,
            predicted_loss: 0.01,
            losses: Default::default(),
            activation_scales: None,
            distillation: None,
            held_out_loss: Some(0.02),
            held_out_agreement: Some(0.95),
            held_out_interval: Some(Interval::of_share(19, 20)),
            search_seconds: 1.0,
            fit_seconds: 1.0,
        };
        assert_eq!(
            samples_text(&told),
            "80 samples fitted on, 20 chosen by and judged, 7 left out for memory"
        );
        let halved = Calibration {
            chosen_on: 10,
            judged_on: 10,
            left_out: 0,
            ..told.clone()
        };
        assert_eq!(samples_text(&halved), "80 samples fitted on, 10 chosen by, 10 judged");
        let agreement = agreement_text(&told);
        assert_eq!(agreement.as_deref(), Some("95.00 % (95 % interval 76.4 to 99.1)"));
        let one_run = Calibration {
            samples: 8,
            fitted_on: 8,
            judged_on: 8,
            left_out: 0,
            ..told
        };
        assert_eq!(samples_text(&one_run), "8 samples, all fitted on, none held out");
    }
}
