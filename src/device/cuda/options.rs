//! Options of the CUDA provider.

use ort::ep::CUDA;
use ort::ep::cuda::ConvAlgorithmSearch;
use serde::{Deserialize, Serialize};

/// How cuDNN picks a convolution's algorithm.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum CudnnAlgo {
    /// The most thorough way: cuDNN's own model of their times, and trying all of a transposed convolution's.
    #[default]
    Exhaustive,
    /// cuDNN's quick heuristics.
    Heuristic,
    /// Takes the default one.
    Default,
}

impl CudnnAlgo {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Exhaustive => "exhaustive",
            Self::Heuristic => "heuristic",
            Self::Default => "default",
        }
    }
}

/// Options of the CUDA provider that times depend on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CudaOptions {
    /// How cuDNN picks algorithms.
    pub algo: CudnnAlgo,
    /// Convolutions in channels-last layout.
    pub nhwc: bool,
    /// float32 products in TF32.
    pub tf32: bool,
    /// Models captured once as CUDA graphs and replayed.
    pub graph: bool,
}

impl Default for CudaOptions {
    fn default() -> Self {
        Self {
            algo: CudnnAlgo::Exhaustive,
            nhwc: false,
            tf32: true,
            graph: false,
        }
    }
}

impl CudaOptions {
    /// Other settings that give the same outputs up to rounding: the layout of convolutions, and graph capture.
    pub fn variants(self) -> Vec<Self> {
        let mut found = Vec::new();
        for (nhwc, graph) in [(false, false), (true, false), (false, true), (true, true)] {
            let variant = Self { nhwc, graph, ..self };
            if variant != self {
                found.push(variant);
            }
        }
        found
    }

    /// How these differ from `other`, as provider options.
    pub fn difference(self, other: Self) -> Vec<String> {
        let switch = |on: bool| if on { 1 } else { 0 };
        let layout = (self.nhwc != other.nhwc).then(|| format!("prefer_nhwc={}", switch(self.nhwc)));
        let graph = (self.graph != other.graph).then(|| format!("enable_cuda_graph={}", switch(self.graph)));
        layout.into_iter().chain(graph).collect()
    }

    /// The provider's options for GPU `index`, with the search of these options.
    pub(super) fn provider(&self, index: usize) -> CUDA {
        self.provider_with(
            index,
            match self.algo {
                CudnnAlgo::Exhaustive => ConvAlgorithmSearch::Exhaustive,
                CudnnAlgo::Heuristic => ConvAlgorithmSearch::Heuristic,
                CudnnAlgo::Default => ConvAlgorithmSearch::Default,
            },
        )
    }

    /// The same without a long search.
    pub(super) fn provider_at_once(&self, index: usize) -> CUDA {
        self.provider_with(index, ConvAlgorithmSearch::Heuristic)
    }

    fn provider_with(&self, index: usize, search: ConvAlgorithmSearch) -> CUDA {
        CUDA::default()
            .with_device_id(index as i32)
            .with_conv_algorithm_search(search)
            .with_prefer_nhwc(self.nhwc)
            .with_tf32(self.tf32)
    }
}
