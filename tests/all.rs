//! The integration tests, one file a topic, in one binary: each binary more would be linked with everything that the crate depends on.
//!
//! `cargo test --test all planning::` runs one topic. What needs a process of its own (`threads`, `fuzzing`) has one.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

mod answers;
mod architecture;
mod branches;
mod broadcasts;
mod cli;
mod dependencies;
mod distill;
mod docs;
mod dynamic;
mod end_growth;
mod external_data;
mod faults;
mod field;
mod format;
mod gates;
mod gpu;
mod latency_model;
mod machine;
mod malformed;
mod memory;
mod narrow;
mod operators;
mod oracle;
mod page;
mod pictures;
mod planning;
mod playback;
mod plugin;
mod profiles;
mod properties;
mod refit;
mod reparametrize;
mod requantize;
mod requantize_quantizers;
mod roofline;
mod samples;
mod shares;
mod simulated;
mod stored_plans;
mod supported_ops;
mod terminal;
mod unanswered;
mod unread;
mod video;
mod weights_beside;
mod zoo;
mod zoo_channels;

/// A file that is named nowhere would not be run.
#[test]
fn every_file_is_part_of_a_binary() {
    let here = include_str!("all.rs");
    let cargo = include_str!("../Cargo.toml");
    for file in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests")).unwrap() {
        let name = file.unwrap().file_name().into_string().unwrap();
        if let Some(name) = name.strip_suffix(".rs") {
            let own = cargo.contains(&format!("[[test]]\nname = \"{name}\"\n"));
            assert!(
                own || here.contains(&format!("\nmod {name};\n")),
                "tests/all.rs does not name {name}"
            );
        }
    }
}
