# Three commands: `make demo`, `make test` and `make check`. Each sets up what it needs under .venv and target.

ORT := onnxruntime==1.31.1
VENV := .venv/.onnxruntime-1.31.1
MODEL := models/shapes96_off_stair.onnx
OUT := target/demo/shapes96.onnx

.PHONY: demo test test-rust test-python check ops

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

test: test-rust test-python

test-rust: $(VENV)
	cargo test

# The wheel, installed into an environment that has nothing else.
test-python:
	rm -rf target/python target/wheels
	python3 -m venv target/python
	MATURIN_PEP517_ARGS="--profile dev" target/python/bin/pip wheel --quiet --disable-pip-version-check --no-deps -w target/wheels .
	target/python/bin/pip install --quiet --disable-pip-version-check "$$(ls target/wheels/*.whl)[cpu,ray,test]"
	cd target && python/bin/python -m pytest -q -p no:cacheprovider --rootdir .. ../tests/python

check: $(VENV)
	cargo fmt --check
	cargo clippy --all-targets --features python -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --no-deps

# Writes SUPPORTED-OPS.md anew.
ops: $(VENV)
	SNAPPRUNE_UPDATE=1 cargo test --test supported_ops
