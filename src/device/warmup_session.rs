//! The first session of a process.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;

use ort::environment::{Environment, ThreadManager};
use ort::logging::LogLevel;
use ort::session::Session;

use super::on_cpu::on_cpu;
use crate::Result;
use crate::onnx::encode;
use crate::onnx::proto::tensor_shape_proto::{Dimension, dimension::Value as Dim};
use crate::onnx::proto::{
    GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorShapeProto, TypeProto, ValueInfoProto, type_proto,
};

/// Counts the threads that a session asks for.
struct Counting(Arc<AtomicUsize>);

impl ThreadManager for Counting {
    type Thread = JoinHandle<()>;

    fn create(&self, work: impl FnOnce() + Send + 'static) -> ort::Result<Self::Thread> {
        self.0.fetch_add(1, Ordering::Relaxed);
        std::thread::Builder::new()
            .spawn(work)
            .map_err(|e| ort::Error::new(e.to_string()))
    }

    fn join(thread: Self::Thread) -> ort::Result<()> {
        thread
            .join()
            .map_err(|_| ort::Error::new("a thread of ONNX Runtime panicked"))
    }
}

/// Makes one session with our operators and no wish as to its threads, and drops it; how many threads work within a node, the one
/// that asks for a run among them. ONNX Runtime enters the name of their domain into a table of the process when
/// the first session asks for it, and two sessions that do so at the same time get in each other's way.
///
/// # Errors
/// When ONNX Runtime cannot make a session at all.
pub(super) fn first_session(environment: &Environment) -> Result<usize> {
    let made = Arc::new(AtomicUsize::new(0));
    let builder = Session::builder(environment)?
        .with_log_level(LogLevel::Fatal)?
        .with_operators(crate::fused::domain()?)?
        .with_inter_threads(1)?
        .with_thread_manager(Counting(made.clone()))?;
    on_cpu(environment, builder)?.commit_from_memory(&encode(&smallest()))?;
    Ok(1 + made.load(Ordering::Relaxed))
}

/// One value that is passed on.
fn smallest() -> ModelProto {
    let one = Dimension {
        value: Some(Dim::DimValue(1)),
        ..Dimension::default()
    };
    let tensor = type_proto::Tensor {
        elem_type: Some(1),
        shape: Some(TensorShapeProto { dim: vec![one] }),
    };
    let value = |name: &str| ValueInfoProto {
        name: Some(name.to_owned()),
        r#type: Some(TypeProto {
            value: Some(type_proto::Value::TensorType(tensor.clone())),
            ..TypeProto::default()
        }),
        ..ValueInfoProto::default()
    };
    ModelProto {
        ir_version: Some(8),
        opset_import: vec![OperatorSetIdProto {
            domain: Some(String::new()),
            version: Some(13),
        }],
        graph: Some(GraphProto {
            name: Some("first".to_owned()),
            node: vec![NodeProto {
                op_type: Some("Identity".to_owned()),
                input: vec!["x".to_owned()],
                output: vec!["y".to_owned()],
                ..NodeProto::default()
            }],
            input: vec![value("x")],
            output: vec![value("y")],
            ..GraphProto::default()
        }),
        ..ModelProto::default()
    }
}
