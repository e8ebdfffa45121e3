//! What the registry says of one operator.

use super::super::constant_channels::{FoldingInput, FoldingRule, Levels};
use super::super::context::{DependencyBuilder, RuleResult};
use super::super::moments::{ChannelMoments, MomentsInput, MomentsRule};
use super::super::patch::Patch;
use super::super::zeros::{ZeroInput, ZeroRule, as_first};
use crate::Result;
use crate::onnx::Graph;
use crate::onnx::proto::NodeProto;
use crate::ops::scalar::{Scalar, ScalarFn};

/// Relates the axes of a node.
pub type DependencyRule = fn(&mut DependencyBuilder) -> RuleResult;
/// Makes a node's attributes and integer inputs follow the new axes.
pub type PatchRule = fn(&mut Patch) -> Result<()>;

/// What is done with the channels at an operator, for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// Has widths of its own: weights are cut and grown.
    Layer,
    /// Follows what its neighbours do, with its index map.
    Follow,
    /// Keeps the axes it mixes; the others follow.
    Partial,
}

/// Which output elements an element of the first input changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Others too, or that is not known.
    Others,
    /// Its own only; an activation or a scaling of channels, defined for every number. Further inputs are parameters.
    Own,
}

/// How an operator takes inputs of unequal extents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operands {
    /// By rules of its own, or that is not known.
    Own,
    /// Any input is repeated along axes of extent 1, as in NumPy, and each element is computed alike whether inputs were repeated
    /// before or not.
    Broadcast,
}

/// What a CPU provider does with its blocked layout at an operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlockedLayout {
    /// It may be left.
    Left,
    /// The operator runs in it.
    Kept,
    /// The operator runs in it and mostly as part of the layer in front.
    Fused,
}

/// An activation that a provider runs as part of the layer in front.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum FusedActivation {
    /// None that is told apart.
    No,
    /// Named by its operator.
    Plain,
    /// Named by its operator and `alpha`, with this default.
    Alpha(f32),
}

/// The sign of an output.
#[derive(Clone, Copy)]
pub enum Sign {
    /// Any, or that is not known.
    Any,
    /// Never negative.
    NonNegative,
    /// Never negative where the first input is not.
    AsInput,
    /// Never negative where this says so of a node.
    OfNode(fn(&Graph, &NodeProto) -> bool),
}

/// What an operator makes of zeros.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AtZero {
    /// A finite number, or the operator's rule sees to it.
    Finite,
    /// No finite number: its channels cannot grow.
    Infinite,
    /// A finite number, as of most others, but not of all: a square root, a power, what overflows soon.
    FiniteThere,
}

/// One operator of the registry.
pub struct OpSpec {
    /// The operator's type.
    pub name: &'static str,
    /// Relates the axes.
    pub dependencies: DependencyRule,
    /// Rewrites attributes, where any depend on widths.
    pub patch: Option<PatchRule>,
    /// For the table of operators.
    pub policy: Policy,
    /// For the table of operators.
    pub note: &'static str,
    /// Which elements an element changes.
    pub reach: Reach,
    /// How inputs of unequal extents are taken.
    pub operands: Operands,
    /// Its part in a provider's blocked layout.
    pub layout: BlockedLayout,
    /// Whether a provider fuses it.
    pub fused: FusedActivation,
    /// The sign of the output.
    pub sign: Sign,
    /// What is made of zeros.
    pub at_zero: AtZero,
    /// When the output is zero at new channels; without, by `scalar`, else that is not known.
    pub zeros: Option<ZeroRule>,
    /// The function of one number that it is.
    pub scalar: Option<Scalar>,
    /// How known numbers are passed on; nothing is known behind it without.
    pub folding: Option<FoldingRule>,
    /// How moments are passed on; without, by `scalar`, else nothing is known behind it.
    pub moments: Option<MomentsRule>,
}

/// An operator of which only the axes are known.
pub(super) const fn op(
    name: &'static str,
    dependencies: DependencyRule,
    patch: Option<PatchRule>,
    policy: Policy,
    note: &'static str,
) -> OpSpec {
    OpSpec {
        name,
        dependencies,
        patch,
        policy,
        note,
        reach: Reach::Others,
        operands: Operands::Own,
        layout: BlockedLayout::Left,
        fused: FusedActivation::No,
        sign: Sign::Any,
        at_zero: AtZero::Finite,
        zeros: None,
        scalar: None,
        folding: None,
        moments: None,
    }
}

impl OpSpec {
    pub(super) const fn pointwise(self) -> Self {
        Self {
            reach: Reach::Own,
            ..self
        }
    }

    pub(super) const fn broadcasts(self) -> Self {
        Self {
            operands: Operands::Broadcast,
            ..self
        }
    }

    pub(super) const fn layout(self, layout: BlockedLayout) -> Self {
        Self { layout, ..self }
    }

    pub(super) const fn fused(self, fused: FusedActivation) -> Self {
        Self { fused, ..self }
    }

    pub(super) const fn sign(self, sign: Sign) -> Self {
        Self { sign, ..self }
    }

    pub(super) const fn infinite_at_zero(self) -> Self {
        Self {
            at_zero: AtZero::Infinite,
            ..self
        }
    }

    pub(super) const fn finite_at_zero_only(self) -> Self {
        Self {
            at_zero: AtZero::FiniteThere,
            ..self
        }
    }

    pub(super) const fn zeros(self, rule: ZeroRule) -> Self {
        Self {
            zeros: Some(rule),
            ..self
        }
    }

    pub(super) const fn scalar(self, f: fn(f64) -> f64) -> Self {
        Self {
            scalar: Some(Scalar::Fixed(f)),
            ..self
        }
    }

    pub(super) const fn scalar_of(self, f: fn(&Graph, &NodeProto) -> Option<ScalarFn>) -> Self {
        Self {
            scalar: Some(Scalar::OfNode(f)),
            ..self
        }
    }

    /// Known numbers go through the function of one number, which must be exact.
    pub(super) const fn folds(self) -> Self {
        Self {
            folding: Some(FoldingRule::Scalar),
            ..self
        }
    }

    pub(super) const fn folding(self, rule: fn(&FoldingInput) -> Option<Levels>) -> Self {
        Self {
            folding: Some(FoldingRule::Rule(rule)),
            ..self
        }
    }

    pub(super) const fn moments(self, rule: fn(&MomentsInput) -> Option<ChannelMoments>) -> Self {
        Self {
            moments: Some(MomentsRule::First(rule)),
            ..self
        }
    }

    pub(super) const fn moments_of_each(self, rule: fn(&MomentsInput) -> Option<Vec<Option<ChannelMoments>>>) -> Self {
        Self {
            moments: Some(MomentsRule::Each(rule)),
            ..self
        }
    }

    /// Moments of a node's outputs, in order.
    pub fn moments_of(&self, input: &MomentsInput) -> Option<Vec<Option<ChannelMoments>>> {
        match self.moments {
            Some(MomentsRule::First(rule)) => Some(vec![rule(input)]),
            Some(MomentsRule::Each(rule)) => rule(input),
            None => {
                let f = self.scalar?.function(input.graph, input.node)?;
                Some(vec![Some(input.input(0)?.map(&*f))])
            }
        }
    }

    /// Whether a node's first output is exactly zero at new channels.
    pub fn keeps_zero(&self, graph: &Graph, input: &ZeroInput) -> bool {
        match self.zeros {
            Some(rule) => rule(input),
            None => {
                let f = self.scalar.and_then(|s| s.function(graph, input.node));
                as_first(input) && f.is_some_and(|f| f(0.0) == 0.0)
            }
        }
    }

    /// Known numbers of a node's first output.
    pub fn levels_of(&self, input: &FoldingInput) -> Option<Levels> {
        match self.folding? {
            FoldingRule::Rule(rule) => rule(input),
            FoldingRule::Scalar => {
                let f = self.scalar?.function(input.graph, input.node)?;
                let one = |level: Option<f32>| level.map(|v| f(f64::from(v)) as f32);
                Some(input.input(0).into_iter().map(one).collect())
            }
        }
    }
}
