//! Values that stay with ONNX Runtime between the parts of a model that are run one after another.

use std::borrow::Cow;

use half::{bf16, f16};
use ort::memory::{AllocationDevice, AllocatorType, MemoryInfo, MemoryType};
use ort::session::{Session, SessionInputValue, SessionOutputs};
use ort::value::{DynValue, TensorElementType, ValueType};

use super::foreign::ForeignCall;
use super::runtime::tensors;
use super::stop::Stop;
use super::values::{NamedTensor, from_value, names, shape, to_value};
use crate::error::{ErrorCode, SessionError};
use crate::onnx::{Dtype, Tensor};
use crate::{Error, Result};

/// A value in ONNX Runtime's memory: on the host, or where a device keeps it for the next model to read.
#[derive(Debug)]
pub struct DeviceTensor(DynValue);

impl DeviceTensor {
    /// A tensor as a held value.
    ///
    /// # Errors
    /// When ONNX Runtime has no such type.
    pub fn new(name: &str, tensor: &Tensor) -> Result<Self> {
        Ok(Self(to_value(name, tensor)?))
    }

    /// Extents; empty for what is no tensor.
    pub fn dims(&self) -> Vec<usize> {
        shape(&self.0).unwrap_or_default()
    }

    /// The element type, for floats and integers that models pass around.
    pub fn dtype(&self) -> Option<Dtype> {
        let ValueType::Tensor { ty, .. } = self.0.dtype() else {
            return None;
        };
        Some(match ty {
            TensorElementType::Float32 => Dtype::Float,
            TensorElementType::Float64 => Dtype::Double,
            TensorElementType::Float16 => Dtype::Float16,
            TensorElementType::Bfloat16 => Dtype::Bfloat16,
            TensorElementType::Int64 => Dtype::Int64,
            TensorElementType::Int32 => Dtype::Int32,
            TensorElementType::Int16 => Dtype::Int16,
            TensorElementType::Int8 => Dtype::Int8,
            TensorElementType::Uint8 => Dtype::Uint8,
            TensorElementType::Uint16 => Dtype::Uint16,
            TensorElementType::Bool => Dtype::Bool,
            _ => return None,
        })
    }

    /// Whether it holds floats, here or in a device's memory.
    pub fn is_float(&self) -> bool {
        let dtype = self.dtype();
        dtype.is_some_and(|d| matches!(d, Dtype::Float | Dtype::Float16 | Dtype::Bfloat16 | Dtype::Double))
    }

    /// The values as float32, borrowed where they are; `None` for other than floats, and in a device's memory.
    pub fn floats(&self) -> Option<Cow<'_, [f32]>> {
        if let Ok((_, data)) = self.0.try_extract_tensor::<f32>() {
            return Some(Cow::Borrowed(data));
        }
        if let Ok((_, data)) = self.0.try_extract_tensor::<f16>() {
            return Some(Cow::Owned(data.iter().map(|v| v.to_f32()).collect()));
        }
        if let Ok((_, data)) = self.0.try_extract_tensor::<bf16>() {
            return Some(Cow::Owned(data.iter().map(|v| v.to_f32()).collect()));
        }
        let (_, data) = self.0.try_extract_tensor::<f64>().ok()?;
        Some(Cow::Owned(data.iter().map(|&v| v as f32).collect()))
    }

    /// The values to write to; `None` for other than float32, and in a device's memory.
    pub fn floats_mut(&mut self) -> Option<&mut [f32]> {
        self.0.try_extract_tensor_mut::<f32>().ok().map(|(_, data)| data)
    }

    /// A copy as a tensor of ours; `None` for what is no tensor of numbers, and in a device's memory.
    pub fn tensor(&self) -> Option<Tensor> {
        from_value(&self.0)
    }
}

fn missing(output: &str) -> Error {
    Error::Session(SessionError::new(
        ErrorCode::GenericFailure,
        format!("output '{output}' is missing"),
    ))
}

/// The outputs of a run by name, in the order that is given.
fn named(order: Vec<String>, outputs: &mut SessionOutputs) -> Result<Vec<(String, DeviceTensor)>> {
    let held = order.into_iter().map(|name| {
        let value = outputs.remove(&name);
        let value = value.ok_or_else(|| missing(&name))?;
        Ok((name, DeviceTensor(value)))
    });
    held.collect()
}

/// A run with all values bound; `memory`: where outputs stay that are not to come to this machine's memory.
fn bound<'m>(
    session: &mut Session,
    stop: &Stop,
    inputs: &[(&str, &DeviceTensor)],
    values: &mut [InPlace],
    memory: &dyn Fn(&str) -> Option<&'m MemoryInfo<'static>>,
) -> Result<Vec<(String, DeviceTensor)>> {
    let _call = stop.enter(ForeignCall::Model)?;
    let host = MemoryInfo::new(AllocationDevice::CPU, 0, AllocatorType::Device, MemoryType::Default)?;
    let mut binding = session.create_binding()?;
    for (name, value) in inputs {
        binding.bind_input(*name, &value.0)?;
    }
    for own in values.iter_mut() {
        binding.bind_input(own.input, &own.value.0)?;
        binding.bind_output(own.output, &mut own.value.0)?;
    }
    let mut order = names(session.outputs());
    order.retain(|name| values.iter().all(|own| own.output != name));
    for name in &order {
        binding.bind_output_to_device(name.as_str(), memory(name).unwrap_or(&host))?;
    }
    let mut outputs = session.run_binding(&binding)?;
    named(order, &mut outputs)
}

/// A value that a run reads and writes in the same memory.
#[derive(Debug)]
pub struct InPlace<'v> {
    /// The input that reads it.
    pub input: &'v str,
    /// The output that writes it.
    pub output: &'v str,
    /// The value, which a run of this device made.
    pub value: &'v mut DeviceTensor,
}

/// A loaded model whose inputs and outputs stay with ONNX Runtime.
#[derive(Debug)]
pub struct Runner {
    session: Session,
    stop: Stop,
    /// The device's own memory.
    memory: Option<MemoryInfo<'static>>,
}

impl Runner {
    pub(super) fn new(session: Session, stop: &Stop) -> Self {
        Self {
            session,
            stop: stop.clone(),
            memory: None,
        }
    }

    /// The same on GPU `index`, in whose memory outputs may stay.
    pub(super) fn on_gpu(self, index: usize) -> Result<Self> {
        let memory = MemoryInfo::new(
            AllocationDevice::CUDA,
            index as i32,
            AllocatorType::Device,
            MemoryType::Default,
        )?;
        Ok(Self {
            memory: Some(memory),
            ..self
        })
    }

    /// Names of the outputs, in the order of the file.
    pub fn output_names(&self) -> Vec<String> {
        names(self.session.outputs())
    }

    /// Runs once; every output with its name, in the order of the file.
    ///
    /// # Errors
    /// When the run fails.
    pub fn run(&mut self, inputs: &[(&str, &DeviceTensor)]) -> Result<Vec<(String, DeviceTensor)>> {
        let _call = self.stop.enter(ForeignCall::Model)?;
        let values: Vec<(String, SessionInputValue)> =
            inputs.iter().map(|(n, v)| ((*n).to_owned(), (&v.0).into())).collect();
        let order = names(self.session.outputs());
        let mut outputs = self.session.run(values)?;
        named(order, &mut outputs)
    }

    /// The same; outputs that `stays` names are left in the device's own memory, if it has one: other models of the device read them there.
    ///
    /// # Errors
    /// When the run fails.
    pub fn run_staying(
        &mut self,
        inputs: &[(&str, &DeviceTensor)],
        stays: &dyn Fn(&str) -> bool,
    ) -> Result<Vec<(String, DeviceTensor)>> {
        let order = names(self.session.outputs());
        let Some(memory) = self.memory.as_ref().filter(|_| order.iter().any(|n| stays(n))) else {
            return self.run(inputs);
        };
        let memory = |name: &str| stays(name).then_some(memory);
        bound(&mut self.session, &self.stop, inputs, &mut [], &memory)
    }

    /// The same, with values that it writes where it reads them, which are none of the outputs then. The model must read none of them once it is
    /// written. After an error they hold anything.
    ///
    /// # Errors
    /// When the run fails, or a value is none that a run made.
    pub fn run_in_place(
        &mut self,
        inputs: &[(&str, &DeviceTensor)],
        values: &mut [InPlace],
        stays: &dyn Fn(&str) -> bool,
    ) -> Result<Vec<(String, DeviceTensor)>> {
        let memory = |name: &str| self.memory.as_ref().filter(|_| stays(name));
        bound(&mut self.session, &self.stop, inputs, values, &memory)
    }

    /// Runs once on tensors of ours.
    ///
    /// # Errors
    /// When the run fails.
    pub fn run_tensors(&mut self, inputs: &[NamedTensor]) -> Result<Vec<NamedTensor>> {
        Ok(tensors(super::runtime::run(&mut self.session, inputs, &self.stop)?))
    }
}
