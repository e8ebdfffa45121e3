//! Stretches of one channel on an axis.

/// A stretch of adjacent indices of an axis that belong to one channel.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Run {
    /// The channel.
    pub channel: u32,
    /// First index.
    pub start: usize,
    /// Past the last index.
    pub end: usize,
}

impl Run {
    /// Its number of indices.
    pub fn len(self) -> usize {
        self.end - self.start
    }
}

/// The runs of an axis, given the channel of each index.
pub(super) fn runs(channels: &[u32]) -> Vec<Run> {
    let mut found: Vec<Run> = Vec::new();
    for (i, &channel) in channels.iter().enumerate() {
        match found.last_mut() {
            Some(run) if run.channel == channel => run.end = i + 1,
            _ => found.push(Run {
                channel,
                start: i,
                end: i + 1,
            }),
        }
    }
    found
}
