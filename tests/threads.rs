//! Jobs side by side in one process, from its very first session on.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::command::model;
use snapprune::device::{Runtime, ShapeOptions};
use snapprune::optimize::open;

#[test]
fn threads_may_begin_at_the_same_time() {
    let start = std::sync::Barrier::new(8);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                start.wait();
                let runtime = Runtime::load(None).unwrap();
                open(&model("shapes96.onnx"), &runtime, &ShapeOptions::default()).unwrap();
            });
        }
    });
}
