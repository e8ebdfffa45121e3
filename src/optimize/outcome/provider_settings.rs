//! Ways to run the provider, and what the model takes with each.

use serde::{Deserialize, Serialize};

/// What the model as it is takes with some settings of the provider.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProviderSettings {
    /// The settings, as provider options.
    pub options: Vec<String>,
    /// Milliseconds a run, the median; `None` where the model does not run so.
    pub ms: Option<f64>,
    /// That over what it takes with the settings as given.
    pub ratio: Option<f64>,
    /// Why it does not run so.
    pub failed: Option<String>,
    /// Whether these are the settings that all else was measured with.
    pub chosen: bool,
}

impl ProviderSettings {
    /// What the model takes so, in words.
    pub fn text(&self) -> String {
        let name = self.name();
        let chosen = if self.chosen { ", used" } else { "" };
        match (self.ms, self.ratio, &self.failed) {
            (Some(ms), Some(ratio), _) => format!("{name}: {ms:.3} ms, {ratio:.2} of the settings given{chosen}"),
            (_, _, Some(why)) => format!("{name}: does not run ({why})"),
            _ => format!("{name}: not measured"),
        }
    }

    /// The settings in words.
    pub fn name(&self) -> String {
        match self.options.is_empty() {
            true => "as given".to_owned(),
            false => self.options.join(", "),
        }
    }
}
