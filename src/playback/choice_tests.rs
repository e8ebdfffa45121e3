//! What frames take.

use super::{Choice, Chooser, Step};
use crate::video::{CHANGED, FrameInput, Manifest, Role, StageTiles, VERSION};

/// 100 tiles of the frame, and a second stage of 25, with steps of 10, 20 and 40 % of them.
fn chooser(plain: bool) -> Chooser {
    let stage = |tiles| StageTiles {
        name: String::new(),
        tiles,
        computed: tiles,
    };
    let dense = Manifest {
        version: VERSION,
        role: Role::Dense,
        share: 1.0,
        threshold: 0.0,
        frame_threshold: 0.0,
        frame: FrameInput {
            input: "x".to_owned(),
            shape: vec![1, 1, 10, 10],
            tile: [1, 1],
            halo: [0, 0],
            tiles: [10, 10],
            cell: [1, 1],
            change: "change".to_owned(),
        },
        limit: 0.5,
        states: Vec::new(),
        stages: vec![stage(100), stage(25)],
        changed: CHANGED.to_owned(),
        ratio: 0.0,
        set: String::new(),
    };
    let step = |share: f64| Step {
        share,
        computed: vec![(100.0 * share) as usize, (25.0 * share).ceil() as usize + 1],
        ratio: 0.1 + share / 2.0,
    };
    Chooser::new(&dense, vec![step(0.4), step(0.1), step(0.2)], plain)
}

fn quiet(chooser: &mut Chooser, changed: usize) -> Choice {
    let choice = chooser.choose(changed, 100);
    chooser.left(choice, &[0, 0], changed);
    choice
}

#[test]
fn the_smallest_step_that_holds_the_change_is_taken() {
    let mut chooser = chooser(true);
    let shares: Vec<f64> = chooser.steps().iter().map(|s| s.share).collect();
    assert_eq!(shares, [0.1, 0.2, 0.4]);
    assert!(!chooser.has_states());
    assert_eq!(quiet(&mut chooser, 100), Choice::Dense);
    assert!(chooser.has_states());
    // One tile of each run is refreshed.
    for (changed, step) in [(0, 0), (9, 0), (10, 1), (19, 1), (20, 2), (39, 2)] {
        assert_eq!(quiet(&mut chooser, changed), Choice::Tiles(step), "{changed}");
    }
    // No step holds it, and it is below the limit.
    assert_eq!(quiet(&mut chooser, 45), Choice::Dense);
    assert_eq!(quiet(&mut chooser, 3), Choice::Tiles(0));
}

#[test]
fn one_cut_is_computed_whole_and_where_all_goes_on_changing_the_model_runs_without_states() {
    let mut own = chooser(true);
    let taken: Vec<Choice> = [100, 2, 90, 2, 90, 90, 90, 2, 2].map(|n| quiet(&mut own, n)).into();
    let (p, d, t) = (Choice::Plain, Choice::Dense, Choice::Tiles(0));
    assert_eq!(taken, [d, t, d, t, d, p, p, d, t]);
    let mut none = chooser(false);
    let taken: Vec<Choice> = [100, 90, 90, 2].map(|n| quiet(&mut none, n)).into();
    assert_eq!(taken, [d, d, d, t]);
    none.reset();
    assert_eq!(quiet(&mut none, 0), d);
}

#[test]
fn what_was_left_counts_for_the_next_frames() {
    let mut own = chooser(true);
    quiet(&mut own, 100);
    let choice = own.choose(5, 100);
    assert_eq!(choice, Choice::Tiles(0));
    // The second stage had to compute 4 + 8 tiles for five of the frame.
    own.left(choice, &[0, 8], 5);
    assert!(own.is_behind());
    let next = own.choose(0, 100);
    assert_eq!(next, Choice::Tiles(2));
    own.left(next, &[0, 0], 0);
    // It is expected to need as many again.
    assert_eq!(own.choose(4, 100), Choice::Tiles(2));
    // And forgotten in time.
    for _ in 0..200 {
        own.left(Choice::Tiles(2), &[0, 0], 4);
    }
    assert_eq!(own.choose(4, 100), Choice::Tiles(0));
    own.left(Choice::Tiles(0), &[60, 0], 4);
    assert_eq!(own.choose(4, 100), Choice::Dense);
    assert!(!own.is_behind());
}

#[test]
fn files_that_are_not_exact_have_some_tiles_wait() {
    let mut own = chooser(true);
    own.exact = false;
    quiet(&mut own, 100);
    let choice = own.choose(5, 100);
    // As many as the second stage computes in a run of this step: the step stays.
    own.left(choice, &[0, 4], 5);
    assert_eq!(own.choose(5, 100), choice);
    own.left(choice, &[0, 2], 5);
    assert_eq!(own.choose(5, 100), Choice::Tiles(0));
    // More than that tells that change spreads.
    own.left(choice, &[0, 8], 5);
    assert_ne!(own.choose(5, 100), Choice::Tiles(0));
}

#[test]
fn the_same_frame_goes_on_until_the_whole_model_is_cheaper() {
    let mut own = chooser(true);
    quiet(&mut own, 100);
    let choice = own.choose(5, 100);
    own.left(choice, &[0, 3], 5);
    let mut done = own.cost(choice);
    assert_eq!(own.again(done), Choice::Tiles(0));
    done += own.cost(Choice::Tiles(0));
    own.left(Choice::Tiles(0), &[0, 9], 0);
    // What was done is done: 9 tiles want the largest step once.
    assert_eq!(own.again(done), Choice::Tiles(2));
    done += own.cost(Choice::Tiles(2));
    assert!((done - 0.6).abs() < 1e-9);
    own.left(Choice::Tiles(2), &[0, 9], 0);
    // Once more would take as long as the whole, which is the last run in any case.
    assert_eq!(own.again(done + 0.1), Choice::Dense);
    assert!(!own.is_behind() && own.has_states());
}

#[test]
fn files_that_were_not_timed_run_few_times_for_a_frame() {
    let mut own = chooser(true);
    own.steps.iter_mut().for_each(|step| step.ratio = 0.0);
    quiet(&mut own, 100);
    let mut choice = own.choose(5, 100);
    let (mut done, mut runs) = (own.cost(choice), 1);
    while choice != Choice::Dense {
        own.left(choice, &[0, 1], 5);
        choice = own.again(done);
        done += own.cost(choice);
        runs += 1;
    }
    assert_eq!(runs, 3);
    assert!(done < 2.0, "{done}");
}

#[test]
fn what_a_stage_above_had_left_is_not_blamed_on_the_frame() {
    let mut own = chooser(true);
    quiet(&mut own, 100);
    // Three tiles of the first stage wait; what they change comes up in the second one a frame later.
    own.left(Choice::Tiles(0), &[3, 0], 5);
    own.left(Choice::Tiles(0), &[0, 20], 1);
    own.left(Choice::Tiles(2), &[0, 0], 0);
    assert_eq!(own.choose(1, 100), Choice::Tiles(0));
}
