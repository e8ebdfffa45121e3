"""The command that the package installs."""

import subprocess
import sys
from pathlib import Path

import onnxruntime

import snapprune

COMMAND = str(Path(sys.executable).parent / "snapprune")


def run(*args, **given):
    return subprocess.run([COMMAND, *map(str, args)], capture_output=True, text=True, **given)


def test_it_is_the_same_version():
    assert run("--version").stdout.split() == ["snapprune", snapprune.__version__]


def test_it_finds_the_onnx_runtime_of_its_environment(tmp_path):
    done = run("doctor", "--db", tmp_path / "l.db", cwd=tmp_path, env={"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"})
    assert done.returncode == 0, done.stdout + done.stderr
    assert onnxruntime.__version__ in done.stdout and str(Path(onnxruntime.__file__).parent) in done.stdout


def test_it_inspects_a_model(models):
    done = run("inspect", models / "shapes96.onnx")
    assert done.returncode == 0 and "groups" in done.stdout


def test_errors_set_the_exit_status():
    done = run("/nowhere.onnx")
    assert done.returncode == 2 and "/nowhere.onnx" in done.stderr and "→" in done.stderr


def test_python_m_works_too():
    done = subprocess.run([sys.executable, "-m", "snapprune", "--version"], capture_output=True, text=True)
    assert done.stdout.startswith("snapprune ")


def test_plain_onnx_runtime_registers_the_custom_operators():
    options = onnxruntime.SessionOptions()
    options.register_custom_ops_library(snapprune.custom_ops_library())
