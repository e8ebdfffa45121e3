//! Networks made of the layers that the recorded GPU profiles hold, at any share of their widths: random weights, small inputs.

mod layers;

use snapprune::onnx::Attributes;
use snapprune::onnx::proto::ModelProto;

use super::net::Net;
use layers::{Builder, Conv};

/// How a network differs from the one that was recorded.
#[derive(Clone, Copy)]
pub struct Variant {
    /// Numerator and denominator of the share of every width.
    pub share: (usize, usize),
    /// Whether a third of the channels of inner layers is zero, so that they can go without loss; most of these layers are wider
    /// by a quarter then.
    pub dead: bool,
    /// Whether weights and input are float16.
    pub half: bool,
}

/// The network of a profile, by the profile's file stem, and what its inputs' height and width were divided by.
pub fn network(profile: &str, variant: Variant) -> (ModelProto, usize) {
    let mut b = Builder {
        net: Net::new(17, 29),
        variant,
    };
    let scale = match profile {
        p if p.contains("resnet18") => b.resnet18(),
        p if p.contains("resnet50") => b.resnet50(),
        p if p.contains("mobilenet_v2") => b.mobilenet_v2(),
        p if p.contains("squeezenet") => b.squeezenet(),
        p if p.contains("conv256") => b.branches(),
        p => panic!("no network is known for {p}"),
    };
    (b.net.model(), scale)
}

impl Builder {
    fn resnet18(&mut self) -> usize {
        let mut x = self.stem();
        let mut cin = self.wide(64);
        for (stage, width) in [64, 128, 256, 512].into_iter().enumerate() {
            let (inner, cout) = (self.inner(width), self.wide(width));
            for block in 0..2 {
                let first = stage > 0 && block == 0;
                let stride = if first { 2 } else { 1 };
                let name = |what: &str| format!("stage{}.{block}.{what}", stage + 1);
                let y = self.conv(
                    &x,
                    &Conv::new(name("conv1"), cin, inner, 3)
                        .inner()
                        .stride(stride)
                        .then("Relu"),
                );
                let y = self.conv(&y, &Conv::new(name("conv2"), inner, cout, 3));
                if first {
                    x = self.conv(&x, &Conv::new(name("shortcut"), cin, cout, 1).stride(stride));
                }
                x = self.add_relu(&y, &x);
                cin = cout;
            }
        }
        self.head(&x, cin);
        7
    }

    /// Two blocks a stage: all different layers of ResNet-50 are among them.
    fn resnet50(&mut self) -> usize {
        let mut x = self.stem();
        let mut cin = self.wide(64);
        for (stage, width) in [64, 128, 256, 512].into_iter().enumerate() {
            let (inner, cout) = (self.inner(width), self.wide(4 * width));
            for block in 0..2 {
                let stride = if stage > 0 && block == 0 { 2 } else { 1 };
                let name = |what: &str| format!("stage{}.{block}.{what}", stage + 1);
                let y = self.conv(&x, &Conv::new(name("conv1"), cin, inner, 1).inner().then("Relu"));
                let y = self.conv(
                    &y,
                    &Conv::new(name("conv2"), inner, inner, 3)
                        .inner()
                        .stride(stride)
                        .then("Relu"),
                );
                let y = self.conv(&y, &Conv::new(name("conv3"), inner, cout, 1));
                if block == 0 {
                    x = self.conv(&x, &Conv::new(name("shortcut"), cin, cout, 1).stride(stride));
                }
                x = self.add_relu(&y, &x);
                cin = cout;
            }
        }
        self.head(&x, cin);
        7
    }

    fn mobilenet_v2(&mut self) -> usize {
        let mut x = self.input(3, 32);
        let mut cin = self.wide(32);
        x = self.conv(&x, &Conv::new("stem", 3, cin, 3).stride(2).then("Clip"));
        // Expansion, channels, blocks, stride: table 2 of "MobileNetV2: Inverted Residuals and Linear Bottlenecks".
        let table = [
            (1, 16, 1, 1),
            (6, 24, 2, 2),
            (6, 32, 3, 2),
            (6, 64, 4, 2),
            (6, 96, 3, 1),
            (6, 160, 3, 2),
            (6, 320, 1, 1),
        ];
        let mut number = 0;
        let mut base = 32;
        for (expansion, width, blocks, stride) in table {
            let cout = self.wide(width);
            for block in 0..blocks {
                let name = |what: &str| format!("block{number}.{what}");
                let stride = if block == 0 { stride } else { 1 };
                let inner = match expansion {
                    1 => cin,
                    _ => self.inner(base * expansion),
                };
                let mut y = x.clone();
                if expansion > 1 {
                    y = self.conv(&y, &Conv::new(name("expand"), cin, inner, 1).inner().then("Clip"));
                }
                let depthwise = Conv::new(name("depthwise"), inner, inner, 3).stride(stride).depthwise();
                y = self.conv(&y, &depthwise.then("Clip"));
                y = self.conv(&y, &Conv::new(name("project"), inner, cout, 1));
                x = match block {
                    0 => y,
                    _ => self.net.node("Add", &[&x, &y], |_| {}),
                };
                (cin, base) = (cout, width);
                number += 1;
            }
        }
        let cout = self.wide(1280);
        x = self.conv(&x, &Conv::new("last", cin, cout, 1).then("Clip"));
        self.head(&x, cout);
        7
    }

    /// SqueezeNet 1.1 up to its classifier.
    fn squeezenet(&mut self) -> usize {
        let x = self.input(3, 224);
        let mut cin = self.wide(64);
        let mut x = self.conv(&x, &Conv::new("stem", 3, cin, 3).stride(2).unpadded().then("Relu"));
        for (k, width) in [16, 16, 32, 32, 48, 48, 64, 64].into_iter().enumerate() {
            if matches!(k, 0 | 2 | 4) {
                x = self.pool(&x, 0);
            }
            let (narrow, wide) = (self.wide(width), self.wide(4 * width));
            let name = |what: &str| format!("fire{}.{what}", k + 2);
            let s = self.conv(&x, &Conv::new(name("squeeze"), cin, narrow, 1).then("Relu"));
            let a = self.conv(&s, &Conv::new(name("expand1x1"), narrow, wide, 1).inner().then("Relu"));
            let b = self.conv(&s, &Conv::new(name("expand3x3"), narrow, wide, 3).inner().then("Relu"));
            x = self.net.node("Concat", &[&a, &b], |n| n.set_int("axis", 1));
            cin = 2 * wide;
        }
        self.head(&x, cin);
        1
    }

    /// One convolution of 256 channels at many output widths, side by side.
    fn branches(&mut self) -> usize {
        let x = self.input(3, 2);
        let x = self.conv(&x, &Conv::new("stem", 3, 256, 1).then("Relu"));
        for cout in [72, 88, 136, 200, 256, 328, 448, 520, 580, 640, 700, 856, 940, 1000] {
            let at = self.net.graph.node.len();
            let y = self.conv(
                &x,
                &Conv::new(format!("branch{cout}"), 256, cout, 3).inner().then("Relu"),
            );
            // The recorded layer has no other list.
            let attributes = &mut self.net.graph.node[at].attribute;
            attributes.retain(|a| !matches!(a.name(), "strides" | "dilations"));
            self.head(&y, cout);
        }
        7
    }
}
