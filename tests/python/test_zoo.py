"""Zoos from Python: here, with models in object stores, and on a Ray cluster that loses a node."""

import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

import snapprune

NAMES = ["a/m0", "a/m1", "m2", "m3", "m4", "m5", "m6", "m7"]


@pytest.fixture(scope="module")
def zoo(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with models, all of them one with misaligned widths."""
    folder = tmp_path_factory.mktemp("zoo")
    data = (models / "shapes96_misaligned.onnx").read_bytes()
    for name in NAMES:
        file = folder / f"{name}.onnx"
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(data)
    return folder


def written(folder: Path) -> dict[str, bytes]:
    return {name: (folder / f"{name}.snap.onnx").read_bytes() for name in NAMES}


@pytest.fixture(scope="module")
def here(zoo: Path, recorded: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What the zoo gives on this machine."""
    out = tmp_path_factory.mktemp("here")
    steps: list[str] = []
    done = snapprune.zoo(zoo, out, profile=recorded, jobs=2, progress=lambda step, *_: steps.append(step) if step else None)
    assert done.code == 0 and done.skipped == 0, done
    assert done.report["totals"]["written"] == len(NAMES) == len(done.models)
    assert "optimizing models" in steps
    assert "8 written" in repr(done) and "a/m0" in done._repr_html_()
    again = snapprune.zoo(zoo, out, profile=recorded, progress=False)
    assert again.skipped == len(NAMES)
    return written(out)


def test_wrong_use_is_told_before_anything_begins(zoo: Path, tmp_path: Path) -> None:
    with pytest.raises(snapprune.errors.UsageError, match="--bach"):
        snapprune.zoo(zoo, tmp_path / "out", bach=3, progress=False)
    with pytest.raises(ValueError, match="'local' or 'ray'"):
        snapprune.zoo(zoo, tmp_path / "out", engine="dask", progress=False)
    assert not (tmp_path / "out").exists()


def test_models_and_results_in_an_object_store(zoo: Path, recorded: str, here: dict[str, bytes], tmp_path, monkeypatch) -> None:
    fsspec = pytest.importorskip("fsspec")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    store = fsspec.filesystem("memory")
    for name in ["a/m0", "m2"]:
        store.pipe(f"/zoo/{name}.onnx", (zoo / f"{name}.onnx").read_bytes())
    run = lambda: snapprune.zoo("memory://zoo", "memory://out", profile=recorded, progress=False)  # noqa: E731
    assert run().code == 0
    for name in ["a/m0", "m2"]:
        assert store.cat(f"/out/{name}.snap.onnx") == here[name]
    assert {"zoo.html", "zoo.json", "zoo.csv"} <= {p.rsplit("/", 1)[-1] for p in store.ls("/out", detail=False)}
    # A machine that has seen nothing of it goes on from what lies in the store; a new model is done, and it alone.
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "other"))
    store.pipe("/zoo/m2.onnx", (zoo / "m2.onnx").read_bytes() + b"")
    done = run()
    assert done.code == 0 and done.skipped == 1


def test_a_ray_cluster_that_loses_a_node(zoo: Path, recorded: str, here: dict[str, bytes], tmp_path: Path) -> None:
    ray = pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    try:
        cluster.add_node(num_cpus=1)
        lost = cluster.add_node(num_cpus=1)
        cluster.wait_for_nodes()
        out = tmp_path / "out"

        def kill() -> None:
            # In the middle: some models are finished, others under way.
            while not over.is_set() and len(list(out.glob("**/*.snap.onnx"))) < 2:
                time.sleep(0.02)
            cluster.remove_node(lost, allow_graceful=False)

        over = threading.Event()
        killer = threading.Thread(target=kill)
        killer.start()
        try:
            done = snapprune.zoo(zoo, out, engine="ray", address=cluster.address, profile=recorded, progress=False)
        finally:
            over.set()
            killer.join()
        assert len([n for n in ray.nodes() if n["Alive"]]) == 2
        assert done.code == 0, done.models
        assert written(out) == here
        # Nothing is begun twice by the driver; what was lost was begun again by Ray.
        assert [m["attempts"] for m in done.models] == [1] * len(NAMES)
        assert snapprune.zoo(zoo, out, engine="ray", profile=recorded, progress=False).skipped == len(NAMES)
        # Times go to the worker and come back.
        db = tmp_path / "latency.db"
        timed = snapprune.zoo(
            zoo / "m2.onnx", tmp_path / "timed", engine="ray", cpu=True, threads=1, phase=["collect", "profile"], db=db, progress=False
        )
        assert timed.report["totals"]["probes"]["timed"] > 10
        assert len(snapprune._native.times(str(db)).splitlines()) == timed.report["totals"]["probes"]["timed"]
    finally:
        ray.shutdown()
        cluster.shutdown()


def test_the_command(zoo: Path, recorded: str, here: dict[str, bytes], tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = [sys.executable, "-m", "snapprune.zoo", f"file://{zoo}/m2.onnx", "--out", str(out), "--profile", recorded]
    done = subprocess.run(command, capture_output=True, text=True)
    if "fsspec" in done.stderr:
        pytest.skip("no fsspec here")
    assert done.returncode == 0, done.stderr
    assert "m2: " in done.stdout
    assert (out / "m2.snap.onnx").read_bytes() == here["m2"]
    wrong = subprocess.run([*command, "--bach", "3"], capture_output=True, text=True)
    assert wrong.returncode == 2 and "--bach" in wrong.stderr
