//! Helper processes that hold whole models of a job on a GPU.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::helper::{Helper, Opening};
use super::helper_message::{Answer, Request};
use super::tensor_file::{read_tensors, write_tensors};
use crate::device::{ModelRun, NamedTensor, SessionHelpers, Stop, TimedSession};
use crate::{Error, Result};

/// How long a helper may take to load a model, or to run it.
const PATIENCE: Duration = Duration::from_secs(120);

/// Processes that hold a model each. They are started when they are needed, serve again when their model is let go, and end with this value
/// and the sessions that came of it.
pub(super) struct SessionProcesses {
    opening: Opening,
    pool: Arc<Pool>,
}

/// Those that hold no model now, and how many do.
#[derive(Default)]
struct Pool {
    idle: Mutex<Vec<Helper>>,
    at_work: AtomicUsize,
}

impl SessionProcesses {
    /// None is started yet.
    pub fn new(opening: Opening) -> Self {
        Self {
            opening,
            pool: Arc::default(),
        }
    }
}

impl SessionHelpers for SessionProcesses {
    fn prepare(&self, run: ModelRun) -> Result<Box<dyn TimedSession>> {
        if self.pool.at_work.fetch_add(1, Ordering::Relaxed) >= self.opening.count {
            self.pool.at_work.fetch_sub(1, Ordering::Relaxed);
            return Err(Error::device("all helper processes are at work".to_owned()));
        }
        let mut session = Remote {
            helper: None,
            pool: self.pool.clone(),
            stop: self.opening.stop.clone(),
            repeats: 1,
            gives_outputs: false,
        };
        let idle = self.pool.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let helper = match idle {
            Some(helper) => helper,
            None => {
                let helper = self.opening.start()?;
                self.opening.check(&helper, Instant::now() + PATIENCE)?;
                helper
            }
        };
        session.helper = Some(helper);
        let folder = tempfile::tempdir().map_err(|e| Error::file(std::env::temp_dir(), e))?;
        let [model, inputs] = ["model", "inputs"].map(|name| folder.path().join(name));
        std::fs::write(&model, run.model).map_err(|e| Error::file(&model, e))?;
        write_tensors(&inputs, run.inputs)?;
        session.ask(&Request::LoadModel { model, inputs })?;
        Ok(Box::new(session))
    }
}

/// A session in another process.
struct Remote {
    /// The process; `None` once it failed.
    helper: Option<Helper>,
    pool: Arc<Pool>,
    stop: Stop,
    repeats: usize,
    gives_outputs: bool,
}

impl Remote {
    /// What a run takes in milliseconds, where one was asked for.
    fn ask(&mut self, what: &Request) -> Result<f64> {
        let Some(mut helper) = self.helper.take() else {
            return Err(Error::device("a helper process is gone".to_owned()));
        };
        helper.ask(what)?;
        match helper.answer(Instant::now() + PATIENCE, &self.stop)? {
            Answer::Done {
                ms,
                repeats,
                gives_outputs,
            } => {
                (self.repeats, self.gives_outputs) = (repeats, gives_outputs);
                self.helper = Some(helper);
                Ok(ms)
            }
            other => Err(other.unexpected()),
        }
    }
}

impl TimedSession for Remote {
    fn run(&mut self) -> Result<f64> {
        let repeats = self.repeats;
        self.ask(&Request::Run { repeats })
    }

    fn first_run(&mut self) -> Result<()> {
        self.ask(&Request::FirstRun).map(drop)
    }

    fn settle(&mut self) -> Result<()> {
        self.ask(&Request::Settle).map(drop)
    }

    fn repeats(&self) -> usize {
        self.repeats
    }

    fn set_repeats(&mut self, repeats: usize) {
        self.repeats = repeats.max(1);
    }

    fn gives_outputs(&self) -> bool {
        self.gives_outputs
    }

    fn outputs(&mut self, tensors: &[NamedTensor]) -> Result<Vec<NamedTensor>> {
        let folder = tempfile::tempdir().map_err(|e| Error::file(std::env::temp_dir(), e))?;
        let [inputs, outputs] = ["inputs", "outputs"].map(|name| folder.path().join(name));
        write_tensors(&inputs, tensors)?;
        self.ask(&Request::Outputs {
            inputs,
            outputs: outputs.clone(),
        })?;
        read_tensors(&outputs)
    }
}

impl Drop for Remote {
    fn drop(&mut self) {
        self.pool.at_work.fetch_sub(1, Ordering::Relaxed);
        let Some(mut helper) = self.helper.take() else { return };
        if helper.ask(&Request::Unload).is_ok() {
            self.pool
                .idle
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(helper);
        }
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use crate::onnx::Tensor;

    /// A process that does what a script says; two at most.
    fn processes(script: &str) -> SessionProcesses {
        SessionProcesses::new(Opening::of_script(script, &Stop::default()))
    }

    /// Answers as a helper does: a run takes as many milliseconds as the process has loaded models, and outputs are the inputs.
    const ANSWERS: &str = r#"read open; echo '{"Opened":{"stack":"onnxruntime 1.31.1 cuda"}}'; loaded=0
        while read line; do
            case "$line" in
                *Unload*) continue ;;
                *LoadModel*) loaded=$((loaded + 1)) ;;
                *Outputs*) cp $(echo "$line" | sed 's/.*"inputs":"\([^"]*\)","outputs":"\([^"]*\)".*/\1 \2/') ;;
            esac
            echo '{"Done":{"ms":'$loaded',"repeats":3,"gives_outputs":true}}'
        done"#;

    fn run(inputs: &[NamedTensor]) -> ModelRun<'_> {
        ModelRun {
            model: b"a model",
            inputs,
        }
    }

    #[test]
    fn a_process_holds_a_model_and_serves_again() {
        let inputs = [("x".to_owned(), Tensor::from_f32(vec![2], &[1.0, 2.0]))];
        let helpers = processes(ANSWERS);
        let mut first = helpers.prepare(run(&inputs)).unwrap();
        let second = helpers.prepare(run(&inputs)).unwrap();
        assert!(helpers.prepare(run(&inputs)).is_err());
        first.first_run().and_then(|()| first.settle()).unwrap();
        assert_eq!((first.run().unwrap(), first.repeats()), (1.0, 3));
        let outputs = first.outputs(&inputs).unwrap();
        assert!(first.gives_outputs() && outputs[0].1.bytes == inputs[0].1.bytes);
        drop(second);
        let mut third = helpers.prepare(run(&inputs)).unwrap();
        assert_eq!(third.run().unwrap(), 2.0);
        assert_eq!(first.run().unwrap(), 1.0);
    }

    #[test]
    fn one_that_fails_does_not_serve_again() {
        let failing = r#"read open; echo '{"Opened":{"stack":"onnxruntime 1.31.1 cuda"}}'; read load
            echo '{"Failed":"out of memory"}'; read more"#;
        let helpers = processes(failing);
        for _ in 0..3 {
            let said = helpers.prepare(run(&[])).err().unwrap();
            assert!(said.to_string().contains("out of memory"), "{said}");
        }
        assert!(helpers.pool.idle.lock().unwrap().is_empty());
        assert_eq!(helpers.pool.at_work.load(Ordering::Relaxed), 0);
    }
}
