use std::path::PathBuf;

use super::{PythonMetric, ScoreRequest, UserMetric};
use crate::device::{Limit, Stop};

/// What comes of a metric in a file with these contents.
fn failing(code: &str, score: bool) -> String {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("own.py");
    std::fs::write(&file, code).unwrap();
    let metric = PythonMetric::of(&format!("{}:judge", file.display())).unwrap();
    assert_eq!(metric.name(), "judge");
    let stop = Stop::default();
    let nowhere = || PathBuf::from("/nowhere");
    let asked = ScoreRequest {
        outputs: nowhere(),
        original: nowhere(),
        samples: nowhere(),
    };
    let found = match score {
        true => metric.score(&asked, &Limit::default()).map(|_| ()),
        false => metric.prepare(&stop),
    };
    found.unwrap_err().to_string()
}

#[test]
fn a_metric_that_cannot_be_loaded_ends_the_job_with_its_traceback() {
    let said = failing("print('loud')\nraise RuntimeError('nothing here')", false);
    assert!(
        said.contains("own.py:judge failed") && said.contains("line 2") && said.contains("nothing here"),
        "{said}"
    );
    assert!(failing("def other(): pass", false).contains("has no function judge"));
    assert!(failing("def judge(:", false).contains("SyntaxError"));
    let said = failing("import os\nos._exit(3)", false);
    assert!(
        said.contains("ended its Python process") && said.contains('3'),
        "{said}"
    );
    assert!(failing("import sys\nsys.exit('bye')", false).contains("SystemExit: bye"));
    // What it is asked for is not there.
    assert!(failing("def judge(outputs): return 1.0", true).contains("Traceback"));
}

#[test]
fn metrics_are_named_by_file_and_function() {
    let said = |text: &str| PythonMetric::of(text).unwrap_err().to_string();
    assert!(said("metric.py").contains("FILE.py:function"));
    assert!(said(":judge").contains("FILE.py:function") && said("a.py:").contains("FILE.py:function"));
    assert!(said("a.py:judge()").contains("FILE.py:function"));
    assert!(said("/nowhere/a.py:judge").contains("not there"));
}

#[test]
fn a_job_that_is_stopped_does_not_wait_for_its_metric() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("own.py");
    std::fs::write(&file, "import time\ntime.sleep(600)").unwrap();
    let metric = PythonMetric::of(&format!("{}:judge", file.display())).unwrap();
    let stop = Stop::default();
    let asked = stop.clone();
    let waiting = std::thread::spawn(move || metric.prepare(&asked).is_err());
    stop.request();
    assert!(waiting.join().unwrap());
}

#[test]
fn what_a_metric_started_ends_with_it_when_the_time_is_up() {
    let folder = tempfile::tempdir().unwrap();
    let (file, started) = (folder.path().join("own.py"), folder.path().join("pid"));
    let code = format!(
        "import subprocess, time\n\ndef judge(outputs):\n    return 1.0\n\nchild = subprocess.Popen(['sleep', '600'])\n\
         open({started:?}, 'w').write(str(child.pid))\n"
    );
    std::fs::write(&file, code).unwrap();
    let metric = PythonMetric::of(&format!("{}:judge", file.display())).unwrap();
    metric.prepare(&Stop::default()).unwrap();
    let child = std::fs::read_to_string(&started).unwrap();
    // Reaped by nobody but the machine's first process, it may stay as a name: what it is tells whether it runs.
    let runs = || std::fs::read_to_string(format!("/proc/{child}/stat")).is_ok_and(|s| !s.contains(") Z "));
    assert!(runs() || !std::path::Path::new("/proc/self").exists());
    let past = Limit::new(Stop::default(), Some(std::time::Instant::now()));
    let nowhere = || PathBuf::from("/nowhere");
    let asked = ScoreRequest {
        outputs: nowhere(),
        original: nowhere(),
        samples: nowhere(),
    };
    let said = metric.score(&asked, &past).unwrap_err().to_string();
    assert!(said.contains("time budget was up"), "{said}");
    let gone = (0..100).any(|_| {
        std::thread::sleep(std::time::Duration::from_millis(20));
        !runs()
    });
    assert!(gone, "{child} goes on");
}
