//! Residual blocks and plain chains of convolutions: where work can be left out.

use std::collections::HashSet;

use super::excite::Excite;
use super::layer::BranchLayer;

/// A part of a branch.
#[derive(Clone, Debug, PartialEq)]
pub enum BranchStep {
    /// A convolution.
    Conv(BranchLayer),
    /// Nodes that change every element alone, from one value to another.
    Pointwise(Vec<usize>),
    /// A squeeze-and-excite module, which looks at the whole map; convolutions of the branch stand before and behind it.
    Excite(Box<Excite>),
}

impl BranchStep {
    /// The convolution, if it is one.
    pub fn layer(&self) -> Option<&BranchLayer> {
        match self {
            Self::Conv(layer) => Some(layer),
            Self::Pointwise(_) | Self::Excite(_) => None,
        }
    }

    /// The last node, if it is no convolution.
    pub(super) fn last_of_others(&self) -> Option<usize> {
        match self {
            Self::Conv(_) => None,
            Self::Pointwise(list) => list.last().copied(),
            Self::Excite(module) => Some(module.product),
        }
    }
}

/// A residual block, `output = act(other + branch(input))`, or a plain chain, `output = branch(input)`.
#[derive(Clone, Debug, PartialEq)]
pub struct Block {
    /// Name for people: that of the addition, or of the chain's last convolution.
    pub name: String,
    /// What the branch reads, and its channels, rows and columns.
    pub input: String,
    /// Channels, rows and columns of the input.
    pub input_dims: [usize; 3],
    /// Whether the input is never negative.
    pub positive: bool,
    /// The branch, front to back.
    pub steps: Vec<BranchStep>,
    /// What the branch makes.
    pub branch: String,
    /// The other addend; `None` of a plain chain.
    pub other: Option<String>,
    /// Index of the addition, or of the last node of a plain chain.
    pub end: usize,
    /// Index of the activation behind the addition, if the addition has no other reader.
    pub activation: Option<usize>,
    /// What the block makes.
    pub output: String,
    /// Channels, rows and columns of the output.
    pub output_dims: [usize; 3],
    /// The batch, where the file fixes it.
    pub batch: Option<usize>,
}

impl Block {
    /// The convolutions of the branch, front to back.
    pub fn layers(&self) -> Vec<&BranchLayer> {
        self.steps.iter().filter_map(BranchStep::layer).collect()
    }

    /// Index of the next convolution behind a step that is not depthwise: it reads the channels that the step makes. The
    /// step's own behind the last.
    pub fn consumer(&self, step: usize) -> usize {
        let mixes = |s: &usize| self.steps[*s].layer().is_some_and(|l| !l.is_depthwise());
        (step + 1..self.steps.len()).find(mixes).unwrap_or(step)
    }

    /// The squeeze-and-excite modules between a step and the convolution that reads its channels.
    pub fn excited(&self, step: usize) -> impl Iterator<Item = &Excite> {
        let between = self.steps.iter().take(self.consumer(step)).skip(step + 1);
        between.filter_map(|step| match step {
            BranchStep::Excite(module) => Some(module.as_ref()),
            _ => None,
        })
    }

    /// Whether a part of it looks at the whole map.
    pub fn is_excited(&self) -> bool {
        self.steps.iter().any(|s| matches!(s, BranchStep::Excite(_)))
    }

    /// Every node that a gate takes the place of.
    pub fn nodes(&self) -> HashSet<usize> {
        let mut nodes: HashSet<usize> = self.activation.into_iter().chain([self.end]).collect();
        for step in &self.steps {
            match step {
                BranchStep::Conv(l) => nodes.extend([l.node]),
                BranchStep::Pointwise(list) => nodes.extend(list),
                BranchStep::Excite(module) => nodes.extend(module.nodes()),
            }
        }
        nodes
    }

    /// The last of the nodes.
    pub fn last(&self) -> usize {
        self.activation.unwrap_or(self.end)
    }

    /// Rows and columns before each step and behind the last.
    pub fn shape(&self) -> Vec<[usize; 2]> {
        let mut all = vec![[self.input_dims[1], self.input_dims[2]]];
        for step in &self.steps {
            let before = all[all.len() - 1];
            all.push(match step {
                BranchStep::Conv(l) => [0, 1].map(|a| l.spec.output_size(a, before[a]).unwrap_or(0)),
                BranchStep::Pointwise(_) | BranchStep::Excite(_) => before,
            });
        }
        all
    }

    /// Multiply-accumulates of the branch for one sample.
    pub fn macs(&self) -> u64 {
        let shape = self.shape();
        let steps = self.steps.iter().zip(&shape[1..]);
        steps.filter_map(|(step, e)| Some(step.layer()?.macs(*e))).sum()
    }
}
