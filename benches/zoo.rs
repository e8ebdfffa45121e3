//! How a zoo's planning grows with the number of models: variants of given networks with random widths, on a made-up device
//! that computes sixteen channels at a time.
//!
//! `cargo bench --bench zoo -- COUNT,COUNT... MODEL.onnx...`: for every count a zoo of so many variants (the same ones first),
//! planning only; seconds per model in each phase, and the largest memory of the driver and of a worker.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use serde_json::Value;
use snapprune::channels::ChannelChange;
use snapprune::device::{CpuDevice, Device, Runtime, ShapeOptions};
use snapprune::onnx::encode;
use snapprune::optimize::open;
use snapprune::profile::{Database, Problem, Record, RecordFacts};
use snapprune::rewrite::rewrite;

/// Writes variants with between half and all of each group's channels.
fn variants(models: &[String], count: usize, folder: &Path, runtime: &Runtime) {
    let opened: Vec<_> = models
        .iter()
        .map(|m| open(Path::new(m), runtime, &ShapeOptions::default()).unwrap())
        .collect();
    for k in 0..count {
        let (mut random, opened) = (fastrand::Rng::with_seed(k as u64), &opened[k % models.len()]);
        let mut change = ChannelChange::default();
        for group in opened
            .analysis
            .groups
            .iter()
            .filter(|g| g.constraint.is_none() && g.classes.len() >= 8)
        {
            change
                .removed
                .extend(&group.classes[random.usize(group.classes.len() / 2..=group.classes.len())..]);
        }
        let graph = opened.graph().unwrap();
        let made = rewrite(&opened.proto, &graph, &opened.analysis, &change, &[]).unwrap();
        std::fs::write(folder.join(format!("v{k:04}.onnx")), encode(&made)).unwrap();
    }
}

/// A time for every problem: in blocks of sixteen channels, double off the blocks.
fn made_up(problem: Problem) -> Record {
    let off = if problem.cin.is_multiple_of(16) && problem.cout.is_multiple_of(16) {
        1.0
    } else {
        2.0
    };
    let area: usize = problem.space.iter().chain(&problem.kernel).product();
    let blocks = (problem.cin.div_ceil(16) * problem.cout.div_ceil(16)) as f64 / problem.groups as f64;
    Record {
        samples: vec![off * blocks * area as f64 * 1e-6; 5],
        problem,
        facts: RecordFacts::default(),
    }
}

/// A phase of the zoo: its seconds, the largest memory of the driver in MiB, and that of its workers.
fn phase(phase: &str, models: &[PathBuf], out: &Path, db: &Path) -> (f64, f64, f64) {
    let start = Instant::now();
    let list = out.with_extension("jsonl");
    let rows: String = models
        .iter()
        .map(|m| format!("{{\"model\": \"{}\"}}\n", m.display()))
        .collect();
    std::fs::write(&list, rows).unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_snapprune"))
        .arg("zoo")
        .arg(&list)
        .arg("--out")
        .arg(out)
        .arg("--db")
        .arg(db)
        .args(["--cpu", "--threads", "1", "--plan-only", "--quiet", "--phase", phase])
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let (mut driver, mut worker) = (0.0f64, 0.0f64);
    while child.try_wait().unwrap().is_none() {
        driver = driver.max(memory(child.id()));
        let children = std::fs::read_to_string(format!("/proc/{0}/task/{0}/children", child.id())).unwrap_or_default();
        let own = children.split_whitespace().filter_map(|c| c.parse().ok());
        // Threads of the driver start the workers.
        let threads = std::fs::read_dir(format!("/proc/{}/task", child.id()))
            .into_iter()
            .flatten()
            .flatten();
        let all = threads.filter_map(|t| std::fs::read_to_string(t.path().join("children")).ok());
        let all: Vec<u32> = all
            .flat_map(|t| t.split_whitespace().filter_map(|c| c.parse().ok()).collect::<Vec<_>>())
            .collect();
        worker = own.chain(all).map(memory).fold(worker, f64::max);
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    (start.elapsed().as_secs_f64(), driver, worker)
}

/// The largest memory that a process has had, MiB.
fn memory(process: u32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let peak = status.lines().find_map(|l| l.strip_prefix("VmHWM:"));
    peak.and_then(|l| l.split_whitespace().next()?.parse::<f64>().ok())
        .unwrap_or(0.0)
        / 1024.0
}

fn main() {
    let words: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with("--")).collect();
    let Some((counts, models)) = words.split_first().filter(|(_, models)| !models.is_empty()) else {
        println!("no counts and models named; nothing measured");
        return;
    };
    let counts: Vec<usize> = counts.split(',').map(|c| c.parse().expect("a count")).collect();
    let runtime = Runtime::load(None).expect("ONNX Runtime");
    let folder = tempfile::tempdir().unwrap();
    let most = counts.iter().copied().max().unwrap_or(0);
    variants(models, most, folder.path(), &runtime);
    let files: Vec<PathBuf> = (0..most).map(|k| folder.path().join(format!("v{k:04}.onnx"))).collect();
    let device = CpuDevice::new(runtime, 1).info().clone();
    println!(
        "| models | problems | distinct | asked for | read, s a model | choose, s a model | plan, s a model | driver MiB | worker MiB |"
    );
    println!("|---|---|---|---|---|---|---|---|---|");
    for count in counts {
        let (out, db) = (
            folder.path().join(format!("out{count}")),
            folder.path().join(format!("{count}.db")),
        );
        let own = &files[..count];
        let read = phase("collect", own, &out, &db);
        let mut database = Database::open(&db).unwrap();
        for file in own {
            let name = file.with_extension("json");
            let text = std::fs::read_to_string(out.join("problems").join(name.file_name().unwrap())).unwrap();
            let stored: Value = serde_json::from_str(&text).unwrap();
            let problems: Vec<Problem> =
                serde_json::from_value(stored["collected"]["needs"]["problems"].clone()).unwrap();
            let records: Vec<Record> = problems.into_iter().map(made_up).collect();
            database.store(&device, &records).unwrap();
        }
        drop(database);
        let choose = phase("profile", own, &out, &db);
        let plan = phase("apply", own, &out, &db);
        let report: Value = serde_json::from_str(&std::fs::read_to_string(out.join("zoo.json")).unwrap()).unwrap();
        assert_eq!(report["totals"]["pending"], 0, "{}", report["totals"]);
        let counted: Value =
            serde_json::from_str(&std::fs::read_to_string(out.join("counts/0-of-1.json")).unwrap()).unwrap();
        let each = |t: f64| t / count as f64;
        println!(
            "| {count} | {} | {} | {} | {:.3} | {:.3} | {:.3} | {:.0} | {:.0} |",
            counted["needed"],
            counted["distinct"],
            counted["known"],
            each(read.0),
            each(choose.0),
            each(plan.0),
            read.1.max(choose.1).max(plan.1),
            read.2.max(choose.2).max(plan.2)
        );
    }
}
