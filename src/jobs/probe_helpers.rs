//! Helper processes that time the layers of a job on a GPU.

use std::cell::RefCell;
use std::time::{Duration, Instant};

use super::helper::{Helper, Opening};
use super::helper_message::{Answer, Request};
use crate::Result;
use crate::profile::{ProbeHelpers, Problem, Record};

/// How long a helper may take for its part.
const PATIENCE: Duration = Duration::from_secs(120);

/// Processes that load probes at the same time as one another. They are started when they are first needed, and end with this value.
pub(super) struct HelperProcesses {
    opening: Opening,
    helpers: RefCell<Vec<Helper>>,
}

impl HelperProcesses {
    /// None is started yet.
    pub fn new(opening: Opening) -> Self {
        Self {
            opening,
            helpers: RefCell::default(),
        }
    }
}

impl ProbeHelpers for HelperProcesses {
    fn measure(&self, sessions: &[Vec<Problem>]) -> Result<Vec<Record>> {
        let (opening, mut helpers) = (&self.opening, self.helpers.borrow_mut());
        let mut parts: Vec<Vec<Vec<Problem>>> = vec![Vec::new(); opening.count.min(sessions.len())];
        let count = parts.len().max(1);
        for (k, session) in sessions.iter().enumerate() {
            parts[k % count].push(session.clone());
        }
        let end = Instant::now() + PATIENCE;
        let known = helpers.len();
        while helpers.len() < parts.len() {
            helpers.push(opening.start()?);
        }
        for helper in &helpers[known..] {
            opening.check(helper, end)?;
        }
        for (helper, part) in helpers.iter_mut().zip(parts) {
            helper.ask(&Request::Load(part))?;
        }
        let at_work = &mut helpers[..count];
        for helper in at_work.iter_mut() {
            match helper.answer(end, &opening.stop)? {
                Answer::Loaded => {}
                other => return Err(other.unexpected()),
            }
        }
        let mut records = Vec::new();
        for helper in at_work {
            helper.ask(&Request::Time)?;
            match helper.answer(end, &opening.stop)? {
                Answer::Timed(timed) => records.extend(timed),
                other => return Err(other.unexpected()),
            }
        }
        Ok(records)
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use crate::Error;
    use crate::device::Stop;

    /// Processes that do what a script says, with the lines that they are asked in.
    fn helpers(script: &str, stop: &Stop) -> HelperProcesses {
        HelperProcesses::new(Opening::of_script(script, stop))
    }

    /// Answers as a helper does, one session with one problem at a time, after a line of a library that writes where it should not.
    const ANSWERS: &str = r#"read open; case "$open" in *libonnxruntime.so*) ;; *) exit 1 ;; esac
        echo '{"Opened":{"stack":"onnxruntime 1.31.1 cuda"}}'
        while read load; do
            echo "cuDNN says hello"; echo '"Loaded"'; read time
            echo "$load" | sed 's/^{"Load":\[\[\(.*\)\]\]}$/{"Timed":[{"problem":\1,"samples":[1.5]}]}/'
        done"#;

    #[test]
    fn sessions_are_shared_between_processes_that_go_on() {
        let helpers = helpers(ANSWERS, &Stop::default());
        for couts in [[8, 16], [24, 32]] {
            let sessions = couts.map(|c| vec![Problem::plain(16, c, 8)]);
            let records = helpers.measure(&sessions).unwrap();
            let widths: Vec<usize> = records.iter().map(|r| r.problem.cout).collect();
            assert_eq!(widths, couts);
            assert!(records.iter().all(|r| r.samples == [1.5]));
        }
        assert_eq!(helpers.helpers.borrow().len(), 2);
    }

    #[test]
    fn a_helper_that_fails_goes_or_hangs_is_an_error() {
        let sessions = [8, 16].map(|c| vec![Problem::plain(16, c, 8)]);
        let other = r#"echo '{"Opened":{"stack":"onnxruntime 1.30.0 cuda"}}'; read open; read load"#;
        let said = helpers(other, &Stop::default()).measure(&sessions).unwrap_err();
        assert!(said.to_string().contains("1.30.0"), "{said}");
        let failing = r#"echo '{"Opened":{"stack":"onnxruntime 1.31.1 cuda"}}'; read open; read load; echo '{"Failed":"out of memory"}'; read more"#;
        let said = helpers(failing, &Stop::default()).measure(&sessions).unwrap_err();
        assert!(said.to_string().contains("out of memory"), "{said}");
        let said = helpers("exit 0", &Stop::default()).measure(&sessions).unwrap_err();
        assert!(said.to_string().contains("gone"), "{said}");
        let stop = Stop::default();
        let wish = stop.clone();
        let later = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(300));
            wish.request();
        });
        let said = helpers("exec sleep 60", &stop).measure(&sessions);
        assert!(later.join().is_ok() && matches!(said, Err(Error::Stopped)));
    }
}
