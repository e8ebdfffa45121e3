"""The package as a user calls it, from an environment that it was installed into."""

import _thread
import json
import pickle
import signal
import threading
import time
from pathlib import Path

import numpy
import onnx
import onnxruntime
import pytest

import snapprune

QUICK = dict(cpu=True, threads=1, staircases="0s", progress=False)


def outputs(model, feeds):
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    return session.run(None, feeds)


@pytest.fixture(scope="session")
def result(models, recorded, tmp_path_factory):
    """Of a recorded device, so that there is a faster model whatever this machine is."""
    db = tmp_path_factory.mktemp("db") / "own.db"
    return snapprune.optimize(str(models / "shapes96_misaligned.onnx"), profile=recorded, db=db, progress=False)


def test_the_package_is_the_installed_one():
    assert "site-packages" in snapprune.__file__
    assert (Path(snapprune.__file__).parent / "py.typed").is_file()


def test_what_comes_back_of_this_machine_agrees_with_the_report(models, db):
    result = snapprune.optimize(models / "shapes96_misaligned.onnx", db=db, **QUICK)
    assert result.faster == (result.model is not None) == (result.report.declined is None)
    assert not result.faster or result.report.ratio + result.report.ratio_noise < 1
    assert result.report.device["kind"] == "cpu"


def test_the_new_model_computes_the_same(result, models):
    assert result.model is not None and result.report.declined is None
    feeds = {"image": numpy.random.default_rng(0).standard_normal((1, 3, 96, 96), dtype=numpy.float32)}
    before = outputs(str(models / "shapes96_misaligned.onnx"), feeds)
    after = outputs(result.model, feeds)
    assert len(before) == len(after)
    for a, b in zip(before, after):
        numpy.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)
    onnx.checker.check_model(result.proto, full_check=True)


def test_the_report_is_typed(result):
    moved = [g for g in result.report.groups if g.width_after != g.width_before]
    assert moved and all(g.action in ("grow", "prune") and g.reason for g in moved)
    steps_of = result.report.latency_steps
    assert steps_of and steps_of[0].share >= steps_of[-1].share
    steps = next(iter(steps_of[0].curves.values()))
    assert [s.cout for s in steps] == sorted(s.cout for s in steps) and all(s.ms > 0 for s in steps)
    assert result.report.device["name"] == "A GPU elsewhere" and result.report.gates == []
    assert "declined=None" in repr(result) and len(repr(result)) < 300


def test_a_notebook_shows_the_page(result):
    shown = result._repr_html_()
    assert shown.startswith("<iframe") and "shapes96_misaligned.onnx" in shown
    assert "<script" not in result.report.html and result.report.html.startswith("<!doctype html>")


def test_results_are_saved_side_by_side(result, tmp_path):
    files = result.save(tmp_path / "new.onnx")
    assert [f.name for f in files] == ["new.onnx", "new.json", "new.html"]
    assert (tmp_path / "new.onnx").read_bytes() == result.model
    assert json.loads((tmp_path / "new.json").read_text()) == result.report.data
    assert {f.name for f in tmp_path.iterdir()} == {f.name for f in files}
    assert pickle.loads(pickle.dumps(result)).model == result.model


def test_weights_may_go_into_a_file_beside_the_model(result, tmp_path):
    files = result.save(tmp_path / "new.onnx", save_as_external_data=True, external_data_threshold=4096)
    own, data, *reports = files
    assert own.name == "new.onnx" and data.name.startswith("new.onnx.") and data.suffix == ".data"
    assert [f.suffix for f in reports] == [".json", ".html"]
    assert own.stat().st_size < len(result.model) / 2 < data.stat().st_size
    read, whole = onnx.load(own), result.proto
    values = [{t.name: onnx.numpy_helper.to_array(t) for t in m.graph.initializer} for m in (read, whole)]
    assert values[0].keys() == values[1].keys()
    assert all((values[0][name] == value).all() for name, value in values[1].items())
    with pytest.raises(snapprune.Error):
        result.save(tmp_path / "no/such/folder/new.onnx", save_as_external_data=True)


def test_bytes_and_messages_are_models_too(models, db, recorded):
    path = models / "shapes96_misaligned.onnx"
    message = onnx.load(path)
    before = message.SerializeToString()
    by_message = snapprune.optimize(message, profile=recorded, db=db, progress=False)
    by_bytes = snapprune.optimize(path.read_bytes(), profile=recorded, db=db, progress=False)
    assert message.SerializeToString() == before, "the message that came in is never touched"
    for made in (by_message, by_bytes):
        assert made.report.data["model"]["blake3"]
        assert [i.name for i in made.proto.graph.input] == [i.name for i in message.graph.input]


def test_an_aligned_model_is_left_alone(shared, db, tmp_path):
    result = snapprune.optimize(shared / "models/trained/resnet20_cifar10.onnx", db=db, **QUICK)
    assert result.model is None and not result.faster and result.report.declined
    assert [f.suffix for f in result.save(tmp_path / "none.onnx")] == [".json", ".html"]


def test_progress_comes_to_a_function(models, db):
    told = []
    snapprune.optimize(
        models / "shapes96.onnx", db=db, **{**QUICK, "progress": lambda *step: told.append(step)}
    )
    steps = [step for step, _, _ in told if step]
    assert "timing widths" in steps
    assert all(0 <= done <= total for _, done, total in told)


def test_what_progress_raises_comes_out(models, db):
    def fails(*_):
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        snapprune.optimize(models / "shapes96.onnx", db=db, **{**QUICK, "progress": fails})


def test_other_threads_go_on_meanwhile(models, tmp_path):
    ticks, done = [], threading.Event()

    def tick():
        while not done.is_set():
            ticks.append(None)
            time.sleep(0.02)

    thread = threading.Thread(target=tick)
    thread.start()
    try:
        snapprune.optimize(models / "shapes96.onnx", db=tmp_path / "own.db", **QUICK)
    finally:
        done.set()
        thread.join()
    assert len(ticks) > 20, "the lock was held"


def test_ctrl_c_ends_it_and_keeps_what_was_measured(models, tmp_path):
    # A process that was started in the background ignores the signal unless it is told otherwise.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    # Amid the measuring, also where everything takes longer: a job that times nothing says how long it takes to get there.
    began = time.monotonic()
    snapprune.optimize(models / "shapes96.onnx", db=tmp_path / "none.db", time_budget=0, **QUICK)
    timer = threading.Timer(1.0 + 2 * (time.monotonic() - began), _thread.interrupt_main)
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        for _ in range(20):
            snapprune.optimize(models / "shapes96.onnx", db=tmp_path / "own.db", seed=1, **{**QUICK, "staircases": 60})
    timer.join()
    signal.signal(signal.SIGINT, before)
    assert (tmp_path / "own.db").is_file()
    # The process can go on with other jobs.
    assert snapprune.optimize(models / "shapes96.onnx", db=tmp_path / "own.db", **QUICK).report.data["probes"]["reused"] > 0


@pytest.mark.parametrize(
    ("given", "error", "says"),
    [
        (dict(model=b"no model"), snapprune.errors.ModelError, "model.onnx: not an ONNX model"),
        (dict(model="/nowhere.onnx"), OSError, "/nowhere.onnx"),
        (dict(target_latency="fast"), ValueError, "0.7x"),
        (dict(keep=["nothing"]), snapprune.errors.UsageError, "inspect"),
        (dict(calib=numpy.zeros((2, 2), numpy.float32), target_macs=0.9), snapprune.errors.UsageError, "shape"),
        (dict(calib=[], target_macs=0.9), snapprune.errors.UsageError, "no samples"),
        (dict(ort_lib="/nowhere.so"), RuntimeError, "/nowhere.so"),
        (dict(profile=__file__), snapprune.errors.UsageError, "not a profile"),
    ],
)
def test_errors_are_exceptions_that_say_what_to_do(models, db, given, error, says):
    with pytest.raises(error, match=says) as raised:
        snapprune.optimize(**{"model": models / "shapes96.onnx", "db": db, **QUICK, **given})
    assert isinstance(raised.value, snapprune.Error)


def test_what_is_no_model_is_a_type_error():
    with pytest.raises(TypeError, match="path, bytes"):
        snapprune.optimize(42)


def test_a_message_without_its_weights_needs_their_folder(models, tmp_path, db):
    path = tmp_path / "m.onnx"
    onnx.save_model(onnx.load(models / "shapes96.onnx"), path, save_as_external_data=True, location="w.bin", size_threshold=0)
    bare = onnx.load(path, load_external_data=False)
    with pytest.raises(snapprune.errors.UsageError, match="external_data_dir"):
        snapprune.optimize(bare, cpu=True, threads=1, db=db, progress=False)
    found = snapprune.profile(bare, cpu=True, threads=1, step=4096, db=db, external_data_dir=tmp_path, progress=False)
    assert found.latency_steps
