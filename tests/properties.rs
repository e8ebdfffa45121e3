//! What holds for every graph: generated graphs, random plans.
//!
//! `SNAPPRUNE_CASES=10000 cargo test --release --test properties` runs more of them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use crate::common;

use common::graphs::drawn;
use common::{Case, cpu, difference};
use proptest::prelude::*;
use snapprune::channels::ChannelChange;
use snapprune::device::Executor;
use snapprune::onnx::encode;
use snapprune::onnx::proto::ModelProto;

fn cases() -> u32 {
    std::env::var("SNAPPRUNE_CASES")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(300)
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: cases(),
        failure_persistence: None,
        max_shrink_iters: 60,
        ..ProptestConfig::default()
    })]

    #[test]
    fn generated_graphs_keep_their_promises(seed in any::<u64>(), steps in 1usize..14) {
        keeps_promises(seed, steps)?;
    }

    #[test]
    fn removing_zeroed_channels_changes_nothing(seed in any::<u64>(), steps in 1usize..12) {
        removes_what_was_grown(seed, steps)?;
    }
}

/// Drawn graphs that once went wrong.
const FOUND: [(u64, usize); 2] = [(16_880_817_876_852_904_607, 6), (5_009_771_794_614_933_369, 6)];

#[test]
fn graphs_that_once_went_wrong_keep_their_promises() {
    for (seed, steps) in FOUND {
        keeps_promises(seed, steps).unwrap();
        removes_what_was_grown(seed, steps).unwrap();
    }
}

/// Growth keeps the outputs, pruning equals masking, both together as well.
fn keeps_promises(seed: u64, steps: usize) -> Result<(), TestCaseError> {
    let model = drawn(seed, steps);
    let case = Case::new(&model).map_err(TestCaseError::fail)?;
    let same = case.apply(&ChannelChange::default()).map_err(TestCaseError::fail)?;
    prop_assert_eq!(encode(&same), encode(&model));

    let before = case.run(&model, seed).map_err(TestCaseError::fail)?;
    let plain = |m: &ModelProto| {
        cpu()
            .outputs_plain(&encode(m), &case.inputs(seed))
            .map_err(|e| TestCaseError::fail(e.to_string()))
    };
    let grown = case.apply(&case.grow_all(0.4)).map_err(TestCaseError::fail)?;
    let after = case.run(&grown, seed).map_err(TestCaseError::fail)?;
    let growth = difference(&before, &after, &plain(&model)?);
    prop_assert!(growth.beyond_rounding < 1e-4, "growth: {:?}", growth);

    let change = case.prune_all(0.3, &mut fastrand::Rng::with_seed(seed));
    let masked = case.masked(&change.removed);
    let want = case.run(&masked, seed).map_err(TestCaseError::fail)?;
    let pruned = case.apply(&change).map_err(TestCaseError::fail)?;
    let got = case.run(&pruned, seed).map_err(TestCaseError::fail)?;
    let pruning = difference(&want, &got, &plain(&masked)?);
    prop_assert!(pruning.beyond_rounding < 1e-4, "pruning: {:?}", pruning);

    // Growing what was pruned, and both at once.
    let mut both = change.clone();
    for (class, extra) in case.grow_all(0.2).added {
        if !both.removed.contains(&class) {
            both.added.insert(class, extra);
        }
    }
    let mixed = case.apply(&both).map_err(TestCaseError::fail)?;
    let got = case.run(&mixed, seed).map_err(TestCaseError::fail)?;
    let mixing = difference(&want, &got, &plain(&masked)?);
    prop_assert!(mixing.beyond_rounding < 1e-4, "pruning and growth: {:?}", mixing);
    Ok(())
}

/// What a grown model got is found removable, and taking it out changes nothing.
fn removes_what_was_grown(seed: u64, steps: usize) -> Result<(), TestCaseError> {
    let model = drawn(seed, steps);
    let case = Case::new(&model).map_err(TestCaseError::fail)?;
    // Growth makes channels that are exactly zero; taking others of the template's group out of a
    // grown model must leave it as it was grown: grow, look again, remove what is removable.
    let grown = case.apply(&case.grow_all(0.5)).map_err(TestCaseError::fail)?;
    let again = Case::new(&grown).map_err(TestCaseError::fail)?;
    let graph = snapprune::onnx::Graph::new(grown.graph.as_ref().unwrap()).unwrap();
    let spare = snapprune::plan::removable(&graph, &again.analysis);
    let counts = spare
        .classes
        .iter()
        .map(|(&g, list)| {
            let all = again.analysis.groups[g].classes.len();
            (g, all - list.len().min(all - 1))
        })
        .collect();
    let plan = snapprune::plan::Plan {
        counts,
        ..Default::default()
    };
    let (change, folds) = plan.change(&again.analysis, &spare);
    let shrunk = snapprune::rewrite::rewrite(&grown, &graph, &again.analysis, &change, &folds)
        .map_err(|e| TestCaseError::fail(e.to_string()))?;
    let before = case.run(&model, seed).map_err(TestCaseError::fail)?;
    let plain = cpu()
        .outputs_plain(&encode(&model), &case.inputs(seed))
        .map_err(|e| TestCaseError::fail(e.to_string()))?;
    let after = case.run(&shrunk, seed).map_err(TestCaseError::fail)?;
    let removal = difference(&before, &after, &plain);
    prop_assert!(removal.beyond_rounding < 1e-4, "removal: {:?}", removal);
    let free = |class: &u32| {
        case.analysis
            .groups
            .iter()
            .any(|g| g.constraint.is_none() && g.classes.contains(class))
    };
    let added = case.grow_all(0.5).added.keys().filter(|c| free(c)).count();
    prop_assert!(
        added == 0 || !change.removed.is_empty(),
        "nothing of what was grown was found removable"
    );
    Ok(())
}
