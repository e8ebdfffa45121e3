//! A plan as a point of the loss and what it uses.

/// A plan on the curve.
#[derive(Clone, Debug, PartialEq)]
pub struct ParetoPoint {
    /// The option chosen for each variable.
    pub choice: Vec<usize>,
    /// Predicted loss.
    pub loss: f64,
    /// What it uses.
    pub used: f64,
}
