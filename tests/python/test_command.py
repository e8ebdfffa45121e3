"""The command that the package installs."""

import subprocess
import sys
from pathlib import Path

import onnxruntime
from onnx import TensorProto, helper

import snapprune
from snapprune import _runtime

COMMAND = str(Path(sys.executable).parent / "snapprune")


def run(*args, **given):
    return subprocess.run([COMMAND, *map(str, args)], capture_output=True, text=True, **given)


def test_it_is_the_same_version():
    assert run("--version").stdout.split() == ["snapprune", snapprune.__version__]


def test_it_finds_the_onnx_runtime_of_its_environment(tmp_path):
    done = run("doctor", "--db", tmp_path / "l.db", cwd=tmp_path, env={"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"})
    assert done.returncode == 0, done.stdout + done.stderr
    assert onnxruntime.__version__ in done.stdout and str(Path(onnxruntime.__file__).parent) in done.stdout


def test_of_several_libraries_the_newest_is_taken(tmp_path, monkeypatch):
    capi = tmp_path / "capi"
    (capi / "libonnxruntime.so.99").mkdir(parents=True)
    for version in ("1.9.0", "1.31.1", "1.4.0"):
        (capi / f"libonnxruntime.so.{version}").touch()
    monkeypatch.setattr(_runtime, "_package", lambda: str(tmp_path / "__init__.py"))
    assert _runtime.library() == str(capi / "libonnxruntime.so.1.31.1")


def test_a_package_in_the_current_folder_is_not_its_environments(tmp_path):
    for package in ("onnxruntime", "snapprune", "numpy"):
        (tmp_path / package).mkdir()
        (tmp_path / package / "__init__.py").write_text("raise SystemExit('planted')")
    capi = tmp_path / "onnxruntime" / "capi"
    capi.mkdir()
    (capi / "libonnxruntime.so.1.99.9").write_bytes(b"planted")
    given = {"cwd": tmp_path, "env": {"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}}
    done = run("doctor", **given)
    assert done.returncode == 0 and onnxruntime.__version__ in done.stdout, done.stdout + done.stderr
    # Workers are processes of their own.
    model = Path(__file__).parents[2] / "models" / "shapes96.onnx"
    done = run("zoo", model, "--out", "out", "--cpu", "--threads", 1, "--phase", "collect", **given)
    assert done.returncode == 0, done.stdout + done.stderr


def test_it_inspects_a_model(models):
    done = run("inspect", models / "shapes96.onnx")
    assert done.returncode == 0 and "groups" in done.stdout


def test_errors_set_the_exit_status():
    done = run("/nowhere.onnx")
    assert done.returncode == 2 and "/nowhere.onnx" in done.stderr and "→" in done.stderr


def test_python_m_works_too():
    done = subprocess.run([sys.executable, "-m", "snapprune", "--version"], capture_output=True, text=True)
    assert done.stdout.startswith("snapprune ")


def test_the_command_is_told_once_however_it_is_called(tmp_path):
    def value(name):
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 4])

    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", [value("x")], [value("y")])
    model, page = tmp_path / "model.onnx", tmp_path / "page.html"
    model.write_bytes(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString())
    for called in ([COMMAND], [sys.executable, "-m", "snapprune"]):
        done = subprocess.run([*called, model, "--cpu", "--threads", "1", "--report", page], capture_output=True, text=True)
        assert done.returncode == 1 and "no convolutions" in done.stdout, done.stdout + done.stderr
        text = page.read_text()
        assert "snapprune model.onnx --cpu" in text
        assert "snapprune snapprune" not in text and "-m snapprune" not in text
        page.unlink()


def test_plain_onnx_runtime_registers_the_custom_operators():
    options = onnxruntime.SessionOptions()
    options.register_custom_ops_library(snapprune.custom_ops_library())
