# Two commands: `make demo` and `make test`. Both set up ONNX Runtime in .venv first.

ORT := onnxruntime==1.31.1
VENV := .venv/.onnxruntime-1.31.1
MODEL := models/shapes96_off_stair.onnx
OUT := target/demo/shapes96.onnx

.PHONY: demo test check ops

$(VENV):
	python3 -m venv .venv
	.venv/bin/pip install --quiet --disable-pip-version-check $(ORT)
	touch $@

demo: $(VENV)
	cargo build --release
	mkdir -p target/demo
	target/release/snapprune inspect $(MODEL)
	target/release/snapprune $(MODEL) --cpu --threads 1 -o $(OUT)
	target/release/snapprune bench $(MODEL) $(OUT) --cpu --threads 1

test: $(VENV)
	cargo test

check: $(VENV)
	cargo fmt --check
	cargo clippy --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --no-deps

# Writes SUPPORTED-OPS.md anew.
ops: $(VENV)
	SNAPPRUNE_UPDATE=1 cargo test --test supported_ops
