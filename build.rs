//! Compiles `proto/onnx.proto` to Rust with protox, so that no `protoc` is needed, and passes on which ONNX Runtime the Python package asks for.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=proto/onnx.proto");
    println!("cargo:rerun-if-changed=pyproject.toml");
    let project = std::fs::read_to_string("pyproject.toml")?;
    for (extra, variable) in [("cpu", "SNAPPRUNE_ONNXRUNTIME"), ("gpu", "SNAPPRUNE_ONNXRUNTIME_GPU")] {
        let start = format!("{extra} = [\"");
        let line = project
            .lines()
            .find_map(|l| l.strip_prefix(start.as_str())?.strip_suffix("\"]"));
        let package = line.ok_or(format!("pyproject.toml has no line {start}...\"]"))?;
        println!("cargo:rustc-env={variable}={package}");
    }
    let files = protox::compile(["onnx.proto"], ["proto"])?;
    // Weights are parts of the file as it was read, not copies.
    prost_build::Config::new()
        .bytes([".onnx.TensorProto.raw_data"])
        .compile_fds(files)?;
    Ok(())
}
