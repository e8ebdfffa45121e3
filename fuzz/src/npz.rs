use std::io::Write;

use snapprune::data::{Dataset, Scaling};
use snapprune::device::InputSpec;
use snapprune::onnx::Dtype;

/// Whatever the bytes of an .npz: it is refused, or its samples are of the input's extents.
pub fn npz(bytes: &[u8]) {
    let Ok(mut file) = Scratch::file() else { return };
    if file.write_all(bytes).is_err() {
        return;
    }
    let spec = InputSpec {
        name: "image".to_owned(),
        dims: vec![1, 3, 4, 4],
        dtype: Dtype::Float,
        open: vec![0],
        assumed: vec![],
    };
    if let Ok(data) = Dataset::read(&Scratch::path(), &[spec], Scaling::default()) {
        for k in 0..data.runs().min(3) {
            for (_, tensor) in data.run(k).inputs {
                assert_eq!(tensor.dims[1..], [3, 4, 4]);
                assert_eq!(tensor.bytes.len(), tensor.len() * 4);
            }
        }
    }
}

/// One file for this process.
struct Scratch;

impl Scratch {
    fn path() -> std::path::PathBuf {
        std::env::temp_dir().join(format!("snapprune-fuzz-{}.npz", std::process::id()))
    }

    fn file() -> std::io::Result<std::fs::File> {
        std::fs::File::create(Self::path())
    }
}
