//! What is asked of arbitrary bytes. cargo-fuzz calls these functions, and so does a test with the stored corpus.
//!
//! A function returns when the bytes were refused or handled, and panics when a promise was broken.

mod apply;
mod db_import;
#[allow(dead_code)]
#[path = "../../tests/common/graphs.rs"]
mod graphs;
mod inspect;
mod load;
#[allow(dead_code)]
#[path = "../../tests/common/net.rs"]
mod net;
mod npz;
mod plan;

pub use apply::apply;
pub use db_import::db_import;
pub use inspect::inspect;
pub use load::load;
pub use npz::npz;

/// What is asked of bytes.
pub type Device = fn(&[u8]);

/// All targets by their names.
pub const TARGETS: [(&str, Device); 5] = [
    ("load", load),
    ("inspect", inspect),
    ("apply", apply),
    ("npz", npz),
    ("db_import", db_import),
];
