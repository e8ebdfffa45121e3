#!/usr/bin/env bash
# Installs a wheel of snapprune into a clean environment of each Python named, with ONNX Runtime from the package index, and tries it:
#     test_wheel.sh WHEEL 3.10 3.13          (or paths: /opt/python/bin/python3)
# Run it from the root of the repository, whose models and tests it takes.
set -euo pipefail
wheel=$(realpath "$1")
root=$PWD
shift
# What is tried finds nothing but its own environment.
unset ORT_DYLIB_PATH VIRTUAL_ENV CONDA_PREFIX PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# The interpreter of a version: on the path, of pyenv, or known to uv.
python_of() {
    local found
    if [[ $1 == */* ]]; then
        echo "$1"
    elif "python$1" -c '' 2> /dev/null; then
        command -v "python$1"
    elif found=$(compgen -G "${PYENV_ROOT:-$HOME/.pyenv}/versions/$1.*/bin/python"); then
        tail -n 1 <<< "$found"
    elif ! uv python find "$1" 2> /dev/null; then
        echo "there is no Python $1 here: install it, or name others with PYTHONS" >&2
        return 1
    fi
}

for version in "$@"; do
    python=$(python_of "$version")
    environment=$work/python-${version##*/}
    rm -rf "$environment"
    "$python" -m venv "$environment"
    bin=$environment/bin
    "$bin/pip" install --quiet --disable-pip-version-check --only-binary :all: "$wheel[cpu,test]"
    # Away from the repository, so that nothing of it is imported.
    mkdir -p "$work/try"
    cd "$work/try"
    export XDG_CACHE_HOME=$work/cache
    "$bin/python" --version
    "$bin/python" -m snapprune --version
    "$bin/snapprune" doctor --db latency.db
    "$bin/snapprune" inspect "$root/models/shapes96_misaligned.onnx" | tail -n 1
    # 1: nothing was measured to be faster on this machine.
    status=0
    "$bin/snapprune" "$root/models/shapes96_misaligned.onnx" --cpu --threads 1 --staircases 0s --db latency.db -o faster.onnx || status=$?
    case $status in
        0) "$bin/snapprune" verify "$root/models/shapes96_misaligned.onnx" faster.onnx ;;
        1) ;;
        *) exit "$status" ;;
    esac
    "$bin/python" -m pytest -q -p no:cacheprovider --rootdir "$root" "$root/tests/python/test_command.py" "$root/tests/python/test_plans.py"
    cd "$root"
    rm -rf "$work/try" "$environment"
done
echo "the wheel works in Python $*"
