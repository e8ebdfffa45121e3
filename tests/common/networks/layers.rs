//! What the networks are built of.

use snapprune::onnx::{Attributes, Dtype, Tensor};

use super::super::net::Net;
use super::Variant;

/// A convolution, padded to keep its extents but for the stride.
pub(super) struct Conv {
    name: String,
    cin: usize,
    cout: usize,
    kernel: usize,
    stride: usize,
    pad: usize,
    groups: usize,
    activation: &'static str,
    /// Whether some of its channels may be dead.
    inner: bool,
}

impl Conv {
    pub fn new(name: impl Into<String>, cin: usize, cout: usize, kernel: usize) -> Self {
        Self {
            name: name.into(),
            cin,
            cout,
            kernel,
            stride: 1,
            pad: kernel / 2,
            groups: 1,
            activation: "",
            inner: false,
        }
    }

    pub fn stride(self, stride: usize) -> Self {
        Self { stride, ..self }
    }

    pub fn unpadded(self) -> Self {
        Self { pad: 0, ..self }
    }

    pub fn depthwise(self) -> Self {
        Self {
            groups: self.cin,
            ..self
        }
    }

    pub fn inner(self) -> Self {
        Self { inner: true, ..self }
    }

    pub fn then(self, activation: &'static str) -> Self {
        Self { activation, ..self }
    }
}

pub(super) struct Builder {
    pub net: Net,
    pub variant: Variant,
}

impl Builder {
    pub fn wide(&self, width: usize) -> usize {
        let (n, d) = self.variant.share;
        (width * n).div_ceil(d)
    }

    /// A width within a block.
    pub fn inner(&self, width: usize) -> usize {
        match self.variant.dead {
            true => self.wide(width) * 5 / 4,
            false => self.wide(width),
        }
    }

    fn dtype(&self) -> Dtype {
        match self.variant.half {
            true => Dtype::Float16,
            false => Dtype::Float,
        }
    }

    fn tensor(&mut self, dims: &[usize], values: &[f32]) -> String {
        let mut tensor = Tensor::from_f32(dims.to_vec(), values);
        if self.variant.half {
            tensor.dtype = Dtype::Float16;
            let bytes = values.iter().flat_map(|v| half::f16::from_f32(*v).to_le_bytes());
            tensor.bytes = bytes.collect::<Vec<u8>>().into();
        }
        self.net.constant(&tensor)
    }

    pub fn input(&mut self, channels: usize, side: usize) -> String {
        let dtype = self.dtype();
        self.net.input_of("image", dtype, &[1, channels, side, side])
    }

    /// Adds a convolution, all of its attributes written, with the activation behind it.
    pub fn conv(&mut self, x: &str, c: &Conv) -> String {
        let inner = c.cin / c.groups;
        let taps = inner * c.kernel * c.kernel;
        let scale = 1.7 / (taps as f32).sqrt();
        let alive = match self.variant.dead && c.inner {
            true => c.cout - c.cout / 3,
            false => c.cout,
        };
        let random = &mut self.net.random;
        let mut draw =
            |n: usize, scale: f32| -> Vec<f32> { (0..n).map(|_| scale * (2.0 * random.f32() - 1.0)).collect() };
        let (mut weights, mut bias) = (draw(c.cout * taps, scale), draw(c.cout, 0.3));
        weights[alive * taps..].fill(0.0);
        bias[alive..].fill(0.0);
        let w = self.tensor(&[c.cout, inner, c.kernel, c.kernel], &weights);
        let b = self.tensor(&[c.cout], &bias);
        let y = self.net.node("Conv", &[x, &w, &b], |n| {
            n.name = Some(c.name.clone());
            n.set_ints("strides", vec![c.stride as i64; 2]);
            n.set_ints("pads", vec![c.pad as i64; 4]);
            n.set_ints("dilations", vec![1, 1]);
            n.set_int("group", c.groups as i64);
        });
        match c.activation {
            "" => y,
            "Clip" => {
                let (low, high) = (self.tensor(&[], &[0.0]), self.tensor(&[], &[6.0]));
                self.net.node("Clip", &[&y, &low, &high], |_| {})
            }
            other => self.net.node(other, &[&y], |_| {}),
        }
    }

    pub fn add_relu(&mut self, a: &str, b: &str) -> String {
        let sum = self.net.node("Add", &[a, b], |_| {});
        self.net.node("Relu", &[&sum], |_| {})
    }

    pub fn pool(&mut self, x: &str, pad: i64) -> String {
        self.net.node("MaxPool", &[x], |n| {
            n.set_ints("kernel_shape", vec![3, 3]);
            n.set_ints("strides", vec![2, 2]);
            n.set_ints("pads", vec![pad; 4]);
        })
    }

    pub fn head(&mut self, x: &str, width: usize) {
        let x = self.net.node("GlobalAveragePool", &[x], |_| {});
        let x = self.net.node("Flatten", &[&x], |_| {});
        let scale = 1.7 / (width as f32).sqrt();
        let values: Vec<f32> = (0..10 * width)
            .map(|_| scale * (2.0 * self.net.random.f32() - 1.0))
            .collect();
        let w = self.tensor(&[10, width], &values);
        let x = self.net.node("Gemm", &[&x, &w], |n| n.set_int("transB", 1));
        self.net.output(&x);
    }

    pub fn stem(&mut self) -> String {
        let x = self.input(3, 32);
        let cout = self.wide(64);
        let x = self.conv(&x, &Conv::new("stem", 3, cout, 7).stride(2).then("Relu"));
        self.pool(&x, 1)
    }
}
