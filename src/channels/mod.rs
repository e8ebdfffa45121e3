//! Which channels are free to go: the axes of a graph that must change together.
//!
//! Every index of every axis of every value is an element. Each operator says which elements are
//! one (its index map); the classes of that relation are the channels, and classes with the same
//! footprint form a [`Group`], the unit of planning. What is not known locks the elements it
//! touches, with a reason. A plan then says how many channels a group loses or gains, and
//! [`Edits`] gives the new order of every axis.

mod analyze;
mod context;
mod coupling;
mod extents;
mod groups;
mod layout;
mod macs;
mod ops;
mod supported;

pub use analyze::{Analysis, Shapes, analyze};
pub use context::{Patch, input_value};
pub use coupling::{Coupling, Lock, Role, Use, Value, ValueId};
pub use groups::Group;
pub use layout::{AxisEdit, ClassChange, Edits, Source};
pub use macs::node_macs;
pub use ops::{OpSpec, Policy, find};
pub use supported::{registered_ops, supported_ops_table};
