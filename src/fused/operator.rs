//! The operators as ONNX Runtime sees them.

use std::ffi::c_void;

use ort::memory::AllocationDevice;
use ort::operator::{
    BoxedKernel, ComputeContext, KernelContext, Operator, OperatorDomain, OperatorInput, OperatorOutput,
};
use ort::value::{DynTensorRef, DynTensorRefMut, DynValue, TensorElementType, ValueRef};

use super::cpu::{Sink, filled};
use super::cuda::Addresses;
use super::layout::Layout;
use super::{DOMAIN, cpu, cuda};

/// Both operators on both providers.
///
/// # Errors
/// When ONNX Runtime refuses them.
pub fn domain() -> ort::Result<OperatorDomain> {
    let mut domain = OperatorDomain::new(DOMAIN)?;
    for provider in [None, Some("CUDAExecutionProvider")] {
        for adds in [false, true] {
            domain = domain.add(TileConv { adds, provider })?;
        }
    }
    Ok(domain)
}

struct TileConv {
    adds: bool,
    provider: Option<&'static str>,
}

fn refuse<T>(what: &str) -> ort::Result<T> {
    Err(ort::Error::new(what))
}

impl Operator for TileConv {
    type Kernel<'attr> = BoxedKernel<'attr>;

    fn name(&self) -> &str {
        if self.adds { "TileConvAdd" } else { "TileConv" }
    }

    fn execution_provider_type(&self) -> Option<&str> {
        self.provider
    }

    fn inputs(&self) -> impl IntoIterator<Item = OperatorInput> {
        let float = || OperatorInput::required(TensorElementType::Float32);
        let mut all = vec![
            float(),
            float(),
            float(),
            OperatorInput::required(TensorElementType::Int64),
        ];
        if self.adds {
            all.extend([float(), float()]);
        }
        all
    }

    fn outputs(&self) -> impl IntoIterator<Item = OperatorOutput> {
        [OperatorOutput::required(TensorElementType::Float32)]
    }

    fn create_kernel<'attr>(&self, context: &KernelContext<'attr>) -> ort::Result<Self::Kernel<'attr>> {
        let ints: Vec<i64> = context
            .get("layout")
            .ok_or_else(|| ort::Error::new("the layout is missing"))?;
        let Some(layout) = Layout::of_ints(&ints) else {
            return refuse("the layout makes no sense");
        };
        let adds = self.adds;
        Ok(Box::new(move |context: &ComputeContext| {
            compute(&layout, adds, context)
        }))
    }
}

fn compute(layout: &Layout, adds: bool, context: &ComputeContext) -> ort::Result<()> {
    let input = |at: usize| -> ort::Result<ValueRef<'_>> {
        context.input(at)?.ok_or_else(|| ort::Error::new("an input is missing"))
    };
    let values: Vec<ValueRef> = (0..if adds { 6 } else { 4 }).map(input).collect::<ort::Result<_>>()?;
    let dims = |v: &DynValue| -> Vec<i64> { v.dtype().tensor_shape().map(|s| s.to_vec()).unwrap_or_default() };
    let chosen = dims(&values[3]);
    let [samples, keep] = chosen[..] else {
        return refuse("the choice of tiles must be samples × tiles");
    };
    let x = if layout.from_tiles { samples * keep } else { samples };
    let [inputs, outputs] = layout.channels;
    let mut wanted = vec![
        vec![x, inputs, layout.source[0], layout.source[1]],
        vec![layout.kernel[0] * layout.kernel[1], inputs, outputs],
        vec![outputs],
        chosen.clone(),
    ];
    let map = vec![samples, outputs, layout.map[0], layout.map[1]];
    if adds {
        wanted.extend([map.clone(), vec![outputs]]);
    }
    if values.iter().zip(&wanted).any(|(v, w)| dims(v) != *w) {
        return refuse("an input's extents are not those of the layout");
    }
    let shape = if adds {
        map
    } else {
        vec![samples * keep, outputs, layout.tile[0], layout.tile[1]]
    };
    let Some(y) = context.output(0, shape)? else {
        return refuse("there is no output");
    };
    let mut y: DynTensorRefMut = y.downcast()?;
    if y.memory_info().allocation_device() != AllocationDevice::CUDA {
        return on_cpu(layout, adds, &values, keep as usize, &mut y);
    }
    let address = |at: usize| -> ort::Result<*const c_void> {
        let tensor: DynTensorRef = values[at].view().downcast()?;
        Ok(tensor.data_ptr())
    };
    let added = if adds { Some((address(4)?, address(5)?)) } else { None };
    let at = Addresses {
        x: address(0)?,
        weights: address(1)?,
        bias: address(2)?,
        chosen: address(3)?,
        added,
        y: y.data_ptr().cast_mut(),
    };
    let stream = context.stream()?.map_or(std::ptr::null_mut(), |s| s.as_ptr());
    cuda::run(layout, at, samples as usize, keep as usize, stream.cast()).map_err(ort::Error::new)
}

fn on_cpu(layout: &Layout, adds: bool, values: &[ValueRef], keep: usize, y: &mut DynTensorRefMut) -> ort::Result<()> {
    let floats = |at: usize| values[at].try_extract_tensor::<f32>().map(|(_, v)| v);
    let (x, weights, bias) = (floats(0)?, floats(1)?, floats(2)?);
    let (_, chosen) = values[3].try_extract_tensor::<i64>()?;
    let (_, out) = y.try_extract_tensor_mut::<f32>()?;
    if adds {
        let other = floats(4)?;
        filled(layout, other, floats(5)?, out);
        cpu::run(layout, x, weights, bias, chosen, keep, &mut Sink::Maps(out, other));
    } else {
        cpu::run(layout, x, weights, bias, chosen, keep, &mut Sink::Tiles(out));
    }
    Ok(())
}
