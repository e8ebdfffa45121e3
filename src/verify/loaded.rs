//! Models that stay loaded between benchmarks.

use std::collections::HashMap;
use std::sync::Arc;

use super::entry::Entry;
use super::race::race;
use crate::Result;
use crate::device::{
    CpuFallback, Loading, ModelRun, NamedTensor, NodeTime, SessionHelpers, TimedSession, Timer, load_all,
};

/// Sessions of one timer on the same inputs, by their models' hash: making one on a GPU takes longer than its runs.
#[derive(Default)]
pub struct Loaded {
    sessions: HashMap<blake3::Hash, Box<dyn TimedSession>>,
    /// What the nodes of a model take, by the hash of the model that names them.
    node_times: Option<(blake3::Hash, Vec<NodeTime>)>,
    /// Who loads models beside this process.
    helpers: Option<Arc<dyn SessionHelpers>>,
}

impl Loaded {
    /// The same with others that load models beside this process, where several are to be loaded.
    #[must_use]
    pub fn helped_by(self, helpers: Option<Arc<dyn SessionHelpers>>) -> Self {
        Self { helpers, ..self }
    }

    /// Lets the helpers go, with all that stayed loaded; whether there were any.
    pub fn without_helpers(&mut self) -> bool {
        self.sessions.clear();
        self.helpers.take().is_some()
    }

    /// Keeps a session of a model.
    pub fn keep(&mut self, model: &[u8], session: Box<dyn TimedSession>) {
        self.sessions.insert(blake3::hash(model), session);
    }

    /// Keeps what a model's nodes take.
    pub fn keep_node_times(&mut self, model: &[u8], times: Vec<NodeTime>) {
        self.node_times = Some((blake3::hash(model), times));
    }

    /// What a model's nodes take, if a session of it told so.
    pub fn node_times(&self, model: &[u8]) -> Option<Vec<NodeTime>> {
        let (of, times) = self.node_times.as_ref()?;
        (*of == blake3::hash(model)).then(|| times.clone())
    }

    /// Times models side by side for about `seconds`; ratios are to the first. The first and the fastest of the others stay loaded.
    ///
    /// # Errors
    /// When a model cannot be loaded or a run fails.
    pub fn race(
        &mut self,
        timer: &dyn Timer,
        models: &[&[u8]],
        inputs: &[NamedTensor],
        seconds: f64,
    ) -> Result<Vec<Entry>> {
        let mut sessions = self.take(timer, models, inputs, 0)?;
        let entries = race(&mut sessions, seconds)?;
        let fastest = (1..entries.len()).min_by(|&a, &b| entries[a].ratio().total_cmp(&entries[b].ratio()));
        for (k, (model, session)) in models.iter().zip(sessions).enumerate() {
            if k == 0 || Some(k) == fastest {
                self.keep(model, session);
            }
        }
        Ok(entries)
    }

    /// The sessions of these models, if all stayed loaded; none stays.
    pub fn leave(&mut self, models: &[&[u8]]) -> Option<Vec<Box<dyn TimedSession>>> {
        let left = models.iter().map(|m| self.sessions.remove(&blake3::hash(m))).collect();
        self.sessions.clear();
        left
    }

    /// Sessions of models, in their order: those that stayed loaded, and the others loaded together, the first one from the `here`-th on by
    /// this process and the rest by helpers, if there are any. Nothing stays.
    ///
    /// # Errors
    /// When a model cannot be loaded.
    pub(super) fn take(
        &mut self,
        timer: &dyn Timer,
        models: &[&[u8]],
        inputs: &[NamedTensor],
        here: usize,
    ) -> Result<Vec<Box<dyn TimedSession>>> {
        let kept: Vec<Option<Box<dyn TimedSession>>> =
            models.iter().map(|m| self.sessions.remove(&blake3::hash(m))).collect();
        // What is not run takes no memory.
        self.sessions.clear();
        let missing: Vec<usize> = (0..models.len()).filter(|&k| kept[k].is_none()).collect();
        let own = missing.iter().find(|&&k| k >= here).or(missing.first());
        let loadings: Vec<Loading> = missing
            .iter()
            .map(|k| Loading {
                timer,
                run: ModelRun {
                    model: models[*k],
                    inputs,
                },
                watched: false,
                helpers: self.helpers.as_deref().filter(|_| own != Some(k)),
            })
            .collect();
        let mut loaded = load_all(&loadings, CpuFallback::Allowed).into_iter();
        let mut sessions = Vec::new();
        for session in kept {
            sessions.extend(match session {
                Some(session) => Some(session),
                None => loaded.next().transpose()?,
            });
        }
        Ok(sessions)
    }
}
