//! What makes times worse than they could be.

/// A way of timing that the user may want to change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remark {
    /// More threads than cores: ONNX Runtime counts the machine's cores, also in a container that has a share of them.
    Crowded {
        /// Threads within a node.
        threads: usize,
        /// Cores that this process may use.
        cores: usize,
        /// Who chose the number of threads.
        chosen: ThreadChoice,
    },
}

/// Who chose a number of threads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ThreadChoice {
    /// ONNX Runtime, as nobody else did.
    Runtime,
    /// The caller.
    Caller,
}

impl std::fmt::Display for Remark {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self::Crowded { threads, cores, chosen } = self;
        match chosen {
            ThreadChoice::Runtime => write!(
                f,
                "ONNX Runtime takes {threads} threads where this process may use {cores} core(s)"
            ),
            ThreadChoice::Caller => write!(f, "{threads} threads share {cores} core(s)"),
        }?;
        write!(
            f,
            ", which makes times long and noisy: deploy with intra_op_num_threads={cores}, and time with as many"
        )
    }
}
