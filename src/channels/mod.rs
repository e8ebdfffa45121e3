//! Which channels are free to go: the axes of a graph that must change together.
//!
//! Every index of every axis of every value is an element. Each operator says which elements are
//! one (its index map); the classes of that relation are the channels, and classes with the same
//! footprint form a [`Group`], the unit of planning. What is not known locks the elements it
//! touches, with a reason. A plan then says how many channels a group loses or gains, and
//! [`IndexRemaps`] gives the new order of every axis.

mod analyze;
mod context;
mod dependency_graph;
mod groups;
mod index_remap;
mod macs;
mod ops;
mod supported;
mod symbolic_shapes;

pub use analyze::{Analysis, Shapes, analyze};
pub use context::{Patch, input_value};
pub use dependency_graph::{Constraint, DependencyGraph, Role, Use, Value, ValueId};
pub use groups::Group;
pub use index_remap::{AxisRemap, ChannelChange, IndexRemaps, IndexSource};
pub use macs::node_macs;
pub use ops::{OpSpec, Policy, find};
pub use supported::{registered_ops, supported_ops_table};
