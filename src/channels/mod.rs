//! Which channels are free to go: the axes of a graph that must change together.
//!
//! The channel dependency graph holds every index of every axis of every value. Each operator says which axis indices stay
//! or go together (its index map); such a set is a channel, and channels with the same footprint form a [`Group`], the unit
//! of planning. What is not known constrains the axes it touches, with a reason. A plan then says how many channels a group loses or gains, and
//! [`IndexRemaps`] gives the new order of every axis.

mod analyze;
mod branches;
mod broadcasts;
pub mod constant_channels;
mod context;
mod dependency_graph;
mod end_growth;
mod extents;
mod groups;
mod held_numbers;
mod index_remap;
mod macs;
pub mod moments;
mod ops;
mod patch;
mod runs;
mod supported;
mod symbolic_shapes;
mod zeros;

pub use analyze::{Analysis, Shapes, analyze};
pub use branches::Branch;
pub use broadcasts::gone_with;
pub use dependency_graph::{Constraint, DependencyGraph, Role, Use, Value, ValueId, input_value};
pub use groups::{Group, NewChannels};
pub use index_remap::{AxisRemap, ChannelChange, IndexRemaps, IndexSource};
pub use macs::node_macs;
pub use ops::{BlockedLayout, FusedActivation, OpSpec, Operands, Policy, Reach, like, never_negative, spec_of};
pub use patch::Patch;
pub use supported::{registered_ops, supported_ops_table};
