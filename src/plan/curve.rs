//! What narrowing one group loses, for any width: measured at a few widths, in between after the shape of the error
//! of the layers that read it.

/// The loss of one group by the number of channels that are left.
#[derive(Clone, Debug, Default)]
pub struct LossCurve {
    /// Channels now.
    channels: usize,
    /// Layer errors after each number of removals, from none on; rising.
    errors: Vec<f64>,
    /// (removed, loss), rising in both; the first is (0, 0).
    knots: Vec<(usize, f64)>,
    /// What it loses that the group goes as a whole, with the branch that it is in; `None` where that is not known.
    gone: Option<f64>,
}

impl LossCurve {
    /// A curve through measured losses: `measured` holds (channels left, loss). Losses are made to rise with what
    /// is removed; from the first one on that is no finite number, nothing is known. `errors` are those of a ranking.
    pub fn new(channels: usize, errors: &[f64], measured: &[(usize, f64)]) -> Self {
        let lost = measured
            .iter()
            .filter(|(left, loss)| *left < channels && !loss.is_finite());
        let broken = lost.map(|(left, _)| channels - left).min().unwrap_or(usize::MAX);
        let mut points: Vec<(usize, f64)> = measured
            .iter()
            .filter(|(left, _)| *left < channels && channels - left < broken)
            .map(|&(left, loss)| (channels - left, loss.max(0.0)))
            .collect();
        points.sort_by_key(|p| p.0);
        let mut knots = vec![(0, 0.0)];
        for (removed, loss) in points {
            let before = knots.last().map_or(0.0, |k: &(usize, f64)| k.1);
            knots.push((removed, loss.max(before)));
        }
        Self {
            channels,
            errors: errors[..errors.len().min(broken)].to_vec(),
            knots,
            gone: None,
        }
    }

    /// The same, with what it loses that the group goes as a whole. A loss that is no number leaves it unknown.
    #[must_use]
    pub fn or_gone(self, loss: f64) -> Self {
        Self {
            gone: Some(loss).filter(|l| l.is_finite()),
            ..self
        }
    }

    /// The same, without what it loses that the group goes as a whole.
    #[must_use]
    pub fn never_gone(self) -> Self {
        Self { gone: None, ..self }
    }

    /// The least number of channels that the curve knows of.
    pub fn least(&self) -> usize {
        self.channels.saturating_sub(self.errors.len().saturating_sub(1))
    }

    /// The loss with `left` channels; `None` below what is known. More channels than now lose nothing.
    pub fn at(&self, left: usize) -> Option<f64> {
        if left == 0 && self.channels > 0 {
            return self.gone;
        }
        let removed = self.channels.saturating_sub(left);
        if removed == 0 {
            return Some(0.0);
        }
        let error = *self.errors.get(removed)?;
        let after = self.knots.iter().find(|k| k.0 >= removed);
        let before = self
            .knots
            .iter()
            .rev()
            .find(|k| k.0 < removed)
            .copied()
            .unwrap_or((0, 0.0));
        let of = |k: usize| self.errors.get(k).copied().unwrap_or(error);
        Some(match after {
            Some(&(at, loss)) => {
                let (low, high) = (of(before.0), of(at));
                let share = if high > low { (error - low) / (high - low) } else { 1.0 };
                before.1 + (loss - before.1) * share
            }
            // Past the last measurement the loss goes on in proportion to the error.
            None if of(before.0) > 0.0 => before.1 * error / of(before.0),
            None => before.1 + error,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::LossCurve;

    #[test]
    fn measured_losses_are_met_and_the_layers_error_shapes_the_rest() {
        let errors = [0.0, 0.1, 0.2, 0.6, 1.0];
        let curve = LossCurve::new(8, &errors, &[(4, 2.0), (6, 0.5)]);
        let at: Vec<f64> = (4..=9).rev().filter_map(|n| curve.at(n)).collect();
        assert_eq!(at, [0.0, 0.0, 0.25, 0.5, 1.25, 2.0]);
        assert_eq!((curve.at(3), curve.least()), (None, 4));
    }

    #[test]
    fn a_loss_that_is_no_number_is_never_nothing() {
        let errors = [0.0, 0.1, 0.2, 0.6, 1.0];
        for bad in [f64::NAN, f64::INFINITY] {
            let curve = LossCurve::new(8, &errors, &[(7, 0.5), (6, bad), (5, 0.7)]);
            assert_eq!((curve.at(7), curve.at(6), curve.at(5)), (Some(0.5), None, None));
            assert_eq!(curve.least(), 7);
        }
    }

    #[test]
    fn a_group_that_goes_loses_what_was_measured_of_that() {
        let curve = LossCurve::new(8, &[0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8], &[(1, 2.0)]);
        assert_eq!((curve.at(0), curve.at(1)), (None, Some(2.0)));
        let gone = curve.or_gone(0.5);
        assert_eq!((gone.at(0), gone.at(1), gone.at(8)), (Some(0.5), Some(2.0), Some(0.0)));
        assert_eq!(gone.clone().or_gone(f64::NAN).at(0), None);
        assert_eq!(gone.never_gone().at(0), None);
    }

    #[test]
    fn losses_never_fall_as_more_goes() {
        let curve = LossCurve::new(4, &[0.0, 1.0, 2.0, 3.0], &[(3, 0.5), (2, 0.2)]);
        assert_eq!(curve.at(2), Some(0.5));
        assert_eq!(curve.at(1), Some(0.75));
        assert_eq!(LossCurve::new(4, &[0.0, 1.0, 2.0], &[]).at(2), Some(2.0));
    }
}
