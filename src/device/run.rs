//! A loaded model as a function.

use super::values::NamedTensor;
use crate::Result;

/// A model that is loaded: outputs of inputs.
pub type Run<'m> = Box<dyn FnMut(&[NamedTensor]) -> Result<Vec<NamedTensor>> + 'm>;
