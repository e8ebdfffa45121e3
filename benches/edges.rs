//! How well few probes find the steps, and how well the cost model chooses.
//!
//! `cargo bench --bench edges -- MODEL.onnx...`: on an idle machine, CPU, one thread; every width of each distinct
//! convolution from half its own to 4/3 of it, against the tenth of them that the search may probe.
//! `cargo bench --bench edges -- PROFILE.json...`: the cost model fitted to all profiles but one network's, judged there.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::collections::BTreeMap;
use std::path::Path;

use snapprune::device::{CpuDevice, Device, Runtime, ShapeOptions};
use snapprune::optimize::open;
use snapprune::profile::{
    CostModel, Database, Prober, Problem, Profile, Record, fastest_from, find_edges, layers, median, regret,
};

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let of = |end: &str| args.iter().filter(|a| a.ends_with(end)).cloned().collect::<Vec<_>>();
    if !of(".onnx").is_empty() {
        few_probes(&of(".onnx"));
    }
    if !of(".json").is_empty() {
        cost_model(&of(".json"));
    }
}

fn few_probes(models: &[String]) {
    let runtime = Runtime::load(None).expect("ONNX Runtime");
    let device = CpuDevice::new(runtime.clone(), 1);
    let database = Database::default_path().map(|p| Database::open(&p).unwrap());
    let mut prober = Prober::new(&device, database);
    let mut problems: Vec<Problem> = Vec::new();
    for path in models {
        let opened = open(Path::new(path), &runtime, &ShapeOptions::default()).expect("a model");
        let graph = opened.graph().unwrap();
        for layer in layers(&graph, &opened.analysis) {
            let p = layer.problem;
            if (24..=160).contains(&p.cout) && (p.groups == 1 || p.is_depthwise()) && !problems.contains(&p) {
                problems.push(p);
            }
        }
    }
    let every = problems.len().div_ceil(24).max(1);
    let (mut probes, mut exhaustive) = (0, 0);
    let mut regrets = Vec::new();
    let mut records = Vec::new();
    println!("| problem | widths | probed | from | chosen | best | regret |\n|---|---|---|---|---|---|---|");
    for p in problems.iter().step_by(every) {
        let at = |w: usize| p.at(if p.is_depthwise() { w } else { p.cin }, w);
        let widths: Vec<usize> = (p.cout / 2..=p.cout * 4 / 3).collect();
        let all: Vec<Problem> = widths.iter().map(|&w| at(w)).collect();
        prober.require(&all, &|_, _| {}).unwrap();
        records.extend(all.iter().map(|p| prober.get(p).unwrap().clone()));
        let time = |w: usize| {
            let s = prober.get(&at(w)).unwrap().summary();
            (s.median, s.half_width())
        };
        let budget = widths.len() / 10;
        // Where a tenth of the channels was pruned away, as by a tool that counts FLOPs.
        let from = (p.cout * 9 / 10) | 1;
        let known = find_edges(&widths, &[from], budget, &mut |w| {
            Ok(w.iter().map(|&w| time(w)).collect())
        })
        .unwrap();
        let chosen = fastest_from(&known, from).unwrap();
        let best = *widths
            .iter()
            .filter(|&&w| w >= from)
            .min_by(|a, b| time(**a).0.total_cmp(&time(**b).0))
            .unwrap();
        // Fresh times of the two in one session: the least of many noisy times is too low.
        let mut fresh = Prober::new(&device, None);
        fresh.require(&[at(chosen), at(best)], &|_, _| {}).unwrap();
        let again = |w: usize| fresh.get(&at(w)).unwrap().summary().median;
        let lost = again(chosen) / again(best) - 1.0;
        probes += known.len();
        exhaustive += widths.len();
        regrets.push(lost);
        println!(
            "| {}{}→{} at {:?} k{:?} {} | {} | {} | {from} | {chosen} | {best} | {:.1} % |",
            if p.is_depthwise() { "depthwise " } else { "" },
            p.cin,
            p.cout,
            p.space,
            p.kernel,
            p.activation,
            widths.len(),
            known.len(),
            100.0 * lost
        );
    }
    let worst = regrets.iter().copied().fold(0.0, f64::max);
    println!(
        "{} problems; {probes} probes of {exhaustive} ({:.1} %); regret: mean {:.2} %, worst {:.1} %, over 3 %: {}",
        regrets.len(),
        100.0 * probes as f64 / exhaustive as f64,
        100.0 * regrets.iter().sum::<f64>() / regrets.len() as f64,
        100.0 * worst,
        regrets.iter().filter(|&&r| r > 0.03).count()
    );
    let all: Vec<&Record> = records.iter().collect();
    judge(
        "cost model, fitted and judged here",
        &CostModel::fit(&device.info().name, 1, &all),
        &all,
    );
}

fn cost_model(files: &[String]) {
    let mut by_network: BTreeMap<String, Vec<Record>> = BTreeMap::new();
    let mut device = String::new();
    for file in files {
        let name = Path::new(file).file_stem().unwrap().to_string_lossy().into_owned();
        let network = name.split("_b").next().unwrap().replace("_f16", "");
        let profile = Profile::read(Path::new(file)).unwrap();
        device = profile.device.name;
        by_network.entry(network).or_default().extend(profile.records);
    }
    let every: Vec<&Record> = by_network.values().flatten().collect();
    for (network, records) in &by_network {
        let overhead: Vec<&Record> = by_network
            .iter()
            .filter(|(n, _)| *n != network)
            .flat_map(|(_, r)| r)
            .collect();
        let own: Vec<&Record> = records.iter().collect();
        judge(
            &format!("{network}, fitted to the others"),
            &CostModel::fit(&device, 132, &overhead),
            &own,
        );
    }
    let model = CostModel::fit(&device, 132, &every);
    judge("all, fitted to all", &model, &every);
    println!("{}", serde_json::to_string(&model).unwrap());
}

fn judge(what: &str, model: &CostModel, records: &[&Record]) {
    let r = regret(model, records);
    let share = |limit: f64| 100.0 * r.each.iter().filter(|&&x| x <= limit).count() as f64 / r.each.len().max(1) as f64;
    println!(
        "{what}: {} staircases, {} choices; regret mean {:.2} %, median {:.2} %, within 3 %: {:.0} %; error of times: median {:.1} %",
        r.latency_steps,
        r.each.len(),
        100.0 * r.each.iter().sum::<f64>() / r.each.len().max(1) as f64,
        100.0 * median(&r.each),
        share(0.03),
        100.0 * median(&r.errors)
    );
}
