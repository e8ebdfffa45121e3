//! A metric of the user's own judges every model.

use super::{done, models, report, zoo};
use crate::common::command::{model, python};
use crate::common::recorded::profile;

#[test]
fn a_function_of_a_file_judges_all_models_and_its_failure_is_told_with_where_it_failed() {
    let folder = tempfile::tempdir().unwrap();
    let (models, profile) = (models(folder.path(), &["one", "two"]), profile(folder.path()));
    let file = folder.path().join("own.py");
    let code = "def first(outputs, labels):\n    (classes,) = outputs.values()\n    return float((classes.argmax(1) == labels).mean())\n\n\
        def inner(outputs):\n    return 1 / 0\n\ndef fails(outputs):\n    return inner(outputs)\n";
    std::fs::write(&file, code).unwrap();
    let judged = |function: &str| {
        let out = folder.path().join(function);
        let metric = format!("{}:{function}", file.display());
        let samples = model("shapes96_eval.npz").display().to_string();
        let mut zoo = zoo(&models, &out, &profile, &["--metric", &metric, "--eval", &samples]);
        zoo.env("SNAPPRUNE_PYTHON", python());
        let (code, said) = done(zoo);
        (code, said, report(&out))
    };
    let (code, said, told) = judged("first");
    assert_eq!(code, Some(0), "{said}");
    for row in told["models"].as_array().unwrap() {
        let metric = &row["numbers"]["metric"];
        assert_eq!(metric["name"], "first", "{row}");
        let [before, after] = ["original", "static"].map(|k| metric[k].as_f64().unwrap());
        assert!(before > 0.0 && (before - after).abs() < 1e-9, "{row}");
    }
    let (code, said, told) = judged("fails");
    assert_eq!(code, Some(3), "{said}");
    for row in told["models"].as_array().unwrap() {
        let why = row.to_string();
        assert!(why.contains("ZeroDivisionError"), "{row}");
    }
}
