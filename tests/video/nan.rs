//! Frames with places that hold no number, which come and go.

use super::exact::{plain, strided};
use super::play::Files;

#[test]
fn places_without_a_number_are_computed_as_they_come_and_go() {
    let mut net = plain(64, 64);
    let x = strided(&mut net, "image", 3, 8, 2);
    let x = net.node("Relu", &[&x], |_| {});
    let x = net.conv(&x, 8, 8, 3, 1);
    let x = net.node("Relu", &[&x], |_| {});
    let x = net.conv(&x, 8, 8, 3, 1);
    net.output(&x);
    let model = net.model();
    for weight in [1e-9, 1e-6] {
        let files = Files::new(&model, weight, 0.1);
        let (apart, seen) = files.apart_with(7, &mut |frame, random| {
            let side = 64 * 64;
            match frame.iter().position(|v| v.is_nan()) {
                Some(at) => frame[at] = 0.5,
                None => frame[random.usize(0..3 * side)] = f32::NAN,
            }
        });
        assert!(seen > 100, "{seen} values are no numbers");
        assert!(apart <= 1e-5, "{apart}");
    }
}
