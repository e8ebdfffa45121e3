//! Products of many rows on a GPU: cuBLAS, in float32.

use std::sync::Arc;

use cudarc::cublas::sys::{self, cublasOperation_t as Operation};
use cudarc::cublas::{CudaBlas, Gemm, GemmConfig};
use cudarc::driver::CudaStream;

use super::foreign::ForeignCall;
use super::stop::Stop;
use crate::{Error, Result};

/// Some columns of row-major rows.
#[derive(Clone, Copy, Debug)]
pub struct Rows<'a> {
    /// All values.
    pub values: &'a [f32],
    /// Values of a whole row.
    pub width: usize,
    /// The first column.
    pub first: usize,
    /// Columns.
    pub columns: usize,
}

/// A device that multiplies faster than this machine's cores.
pub trait Products {
    /// Σ aᵀb over `count` rows: columns of `a` × columns of `b`, column-major.
    ///
    /// # Errors
    /// When the device fails or has no memory left, or it is asked to stop.
    fn products(&self, a: Rows, b: Rows, count: usize) -> Result<Vec<f32>>;
}

/// cuBLAS on a stream.
pub(super) struct CudaProducts {
    stop: Stop,
    blas: CudaBlas,
    stream: Arc<CudaStream>,
}

impl CudaProducts {
    /// `None` where cuBLAS cannot be loaded.
    pub(super) fn new(stream: Arc<CudaStream>, stop: &Stop) -> Option<Self> {
        // SAFETY: only tries to open the library.
        if !unsafe { sys::is_culib_present() } {
            return None;
        }
        let blas = CudaBlas::new(stream.clone()).ok()?;
        let stop = stop.clone();
        Some(Self { stop, blas, stream })
    }
}

fn failed(error: &dyn std::fmt::Display) -> Error {
    Error::device(format!("cuBLAS: {error}"))
}

fn small(n: usize) -> Result<i32> {
    i32::try_from(n).map_err(|e| failed(&e))
}

impl Products for CudaProducts {
    fn products(&self, a: Rows, b: Rows, count: usize) -> Result<Vec<f32>> {
        if count == 0 || a.columns == 0 || b.columns == 0 {
            return Ok(vec![0.0; a.columns * b.columns]);
        }
        let _call = self.stop.enter(ForeignCall::Model)?;
        let upload = |values: &[f32]| self.stream.clone_htod(values).map_err(|e| failed(&e));
        let left = upload(a.values)?;
        let same = std::ptr::eq(a.values, b.values);
        let right = if same { None } else { Some(upload(b.values)?) };
        let size = a.columns * b.columns;
        let mut product = self.stream.alloc_zeros::<f32>(size).map_err(|e| failed(&e))?;
        // Row-major rows are column-major with a row for each column.
        let config = GemmConfig {
            transa: Operation::CUBLAS_OP_N,
            transb: Operation::CUBLAS_OP_T,
            m: small(a.columns)?,
            n: small(b.columns)?,
            k: small(count)?,
            alpha: 1.0f32,
            lda: small(a.width)?,
            ldb: small(b.width)?,
            beta: 0.0,
            ldc: small(a.columns)?,
        };
        let (x, y) = (left.slice(a.first..), right.as_ref().unwrap_or(&left).slice(b.first..));
        // SAFETY: the last row read ends within each upload, and the product has `size` places.
        unsafe { self.blas.gemm(config, &x, &y, &mut product) }.map_err(|e| failed(&e))?;
        self.stream.clone_dtoh(&product).map_err(|e| failed(&e))
    }
}
