//! Shapes of inputs that do not fit the model, or have to be given.

/// A dimension that the file leaves open and nobody set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AssumedDim {
    /// The axis of the input.
    pub axis: usize,
    /// The dimension's symbol; empty where it has none.
    pub symbol: String,
    /// The size that was assumed.
    pub size: usize,
}

impl std::fmt::Display for AssumedDim {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.symbol.as_str() {
            "" => write!(f, "axis {} is open, {} was assumed", self.axis, self.size),
            symbol => write!(f, "'{symbol}' is open, {} was assumed", self.size),
        }
    }
}

/// An input with dimensions that were assumed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AssumedInput {
    /// The input's name.
    pub name: String,
    /// Its shape, as assumed.
    pub dims: Vec<usize>,
    /// What was assumed of it; not empty.
    pub assumed: Vec<AssumedDim>,
}

/// A model that does not run at the shapes that were assumed for what it leaves open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SymbolicShapes {
    /// The model's file, where it is known.
    pub model: Option<String>,
    /// The inputs whose shapes were assumed.
    pub inputs: Vec<AssumedInput>,
    /// Why it does not run.
    pub what: String,
}

impl std::fmt::Display for SymbolicShapes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some(model) = &self.model {
            write!(f, "{model}: ")?;
        }
        for input in &self.inputs {
            let assumed: Vec<String> = input.assumed.iter().map(AssumedDim::to_string).collect();
            write!(f, "input '{}': {}; ", input.name, assumed.join(", "))?;
        }
        write!(f, "the model does not run so ({})", self.what)
    }
}

/// A shape that was asked for and that the model does not have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ShapeError {
    /// No input is called so.
    #[error("the model has no input '{name}'; the inputs are {}", inputs.join(", "))]
    UnknownInput {
        /// The name given.
        name: String,
        /// The model's inputs.
        inputs: Vec<String>,
    },
    /// The file gives no shape, and nobody else does.
    #[error("input '{input}' has no shape in the file")]
    Missing {
        /// The input.
        input: String,
    },
    /// The shape given has another number of axes.
    #[error("the shape of input '{input}' must have {rank} dimensions")]
    Rank {
        /// The input.
        input: String,
        /// Its number of axes.
        rank: usize,
    },
    /// The file fixes the axis.
    #[error("input '{input}': axis {axis} is fixed at {size} in the model")]
    FixedAxis {
        /// The input.
        input: String,
        /// The axis.
        axis: usize,
        /// Its size in the file.
        size: usize,
    },
    /// No symbolic dimension is called so.
    #[error("the model has no symbolic dimension '{symbol}'; the symbolic dimensions are: {}", if symbols.is_empty() {
        "none".to_owned()
    } else {
        symbols.join(", ")
    })]
    UnknownSymbol {
        /// The name given.
        symbol: String,
        /// The model's symbols.
        symbols: Vec<String>,
    },
    /// The file fixes the batch.
    #[error("a batch of {batch}: the model's batch is fixed; export it with a symbolic batch")]
    FixedBatch {
        /// The batch asked for.
        batch: usize,
    },
    /// No memory holds such an input.
    #[error("input '{input}' of shape {dims:?} has more elements than fit into memory")]
    TooLarge {
        /// The input.
        input: String,
        /// Its shape.
        dims: Vec<usize>,
    },
}
