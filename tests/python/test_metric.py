"""A metric of the user's own, and the labels that it gets."""

import json
import threading
from pathlib import Path

import numpy
import pytest

import snapprune
from snapprune._data import labels_file
from snapprune._metric import Metric
from snapprune._work import contents


@pytest.fixture
def folders(tmp_path):
    """Two runs of two samples, the second of which has one of the first run's again: `whole` is by samples, `found` is not."""
    for name, shift in [("outputs", 0.0), ("original", 100.0)]:
        (tmp_path / name).mkdir()
        whole = numpy.arange(8, dtype=numpy.float32) + shift
        whole.tofile(tmp_path / name / "0.bin")
        numpy.arange(9, dtype=numpy.int64).tofile(tmp_path / name / "1.bin")
        outputs = [
            {"name": "whole", "dtype": "float32", "file": "0.bin", "shapes": [[2, 2], [2, 2]]},
            {"name": "found", "dtype": "int64", "file": "1.bin", "shapes": [[1, 3], [2, 3]]},
        ]
        runs = [{"samples": 2, "repeated": 0}, {"samples": 2, "repeated": 1}]
        (tmp_path / name / "outputs.json").write_text(json.dumps({"outputs": outputs, "runs": runs}))
    (tmp_path / "samples").mkdir()

    def with_labels(labels):
        (tmp_path / "samples" / "samples.json").write_text(json.dumps({"labels": labels, "images": []}))
        return [str(tmp_path / name) for name in ("outputs", "original", "samples")]

    return with_labels


def test_outputs_hold_each_sample_once_or_are_lists_of_runs(folders):
    def judge(outputs, original, labels):
        assert outputs["whole"].tolist() == [[0, 1], [2, 3], [6, 7]] and labels is None
        assert [part.tolist() for part in outputs["found"]] == [[[0, 1, 2]], [[3, 4, 5], [6, 7, 8]]]
        outputs["whole"][0, 0] = 5
        return original["whole"].sum()

    assert Metric(judge)(*folders(None)) == pytest.approx(600 + 19)
    assert Metric(lambda outputs: len(outputs))(*folders(None)) == 2.0


def test_labels_come_as_arrays(folders, tmp_path):
    got = []

    def judge(outputs, **more):
        got.append(more["labels"])
        return 1

    box = {"class": 3, "x": 1.0, "y": 2.0, "width": 3.0, "height": 4.0, "crowd": True}
    numpy.array([0, 1, 65535], numpy.uint16).tofile(tmp_path / "samples" / "masks.bin")
    for labels in [{"classes": [3, 1]}, {"texts": ["a"]}, {"boxes": [[box], []], "categories": ["cat"]}, {"masks": [1, 1, 3]}]:
        Metric(judge)(*folders(labels))
    classes, texts, boxes, masks = got
    assert classes.tolist() == [3, 1] and texts == ["a"] and masks.tolist() == [[[0, 1, 65535]]]
    assert boxes[0]["boxes"].tolist() == [[1, 2, 3, 4]] and boxes[0]["classes"].tolist() == [3] and boxes[0]["crowd"].tolist() == [True]
    assert boxes[1]["boxes"].shape == (0, 4)


@pytest.mark.parametrize("found", [None, float("nan"), float("inf"), "much", [1, 2]])
def test_what_is_no_number_is_refused(folders, found):
    with pytest.raises(ValueError, match="judge gave"):

        def judge(outputs):
            return found

        Metric(judge)(*folders(None))


def test_a_function_judges_both_models_on_the_calling_thread(models, recorded, images, tmp_path):
    threads = set()

    def accuracy(outputs, labels):
        threads.add(threading.get_ident())
        (classes,) = outputs.values()
        return (classes.argmax(1) == labels).mean()

    def job(metric, **more):
        return snapprune.optimize(
            models / "shapes96_misaligned.onnx", profile=recorded, db=tmp_path / "own.db", progress=False,
            eval=images, mean=[0.5], std=[0.5], metric=metric, dynamic="off", **more,
        )  # fmt: skip

    report = job(accuracy).report
    assert report.metric["name"] == "accuracy" and report.metric["original"] == pytest.approx(report.top1["original"])
    assert report.metric["static"] == pytest.approx(report.top1["static"])
    assert threads == {threading.get_ident()}
    with pytest.raises(ZeroDivisionError):
        job(lambda outputs: 1 / 0)
    with pytest.raises(ValueError, match="nan"):
        job(lambda outputs: numpy.nan)
    with pytest.raises(TypeError, match="FILE.py:function"):
        job(3)
    file = tmp_path / "own.py"
    file.write_text("def judge(outputs, labels):\n    return len(labels)\n")
    assert job(f"{file}:judge").report.metric["static"] == len(images[1])


def test_images_are_prepared_as_the_arguments_say(models, recorded, images, tmp_path):
    def sizes(outputs, images):
        assert images[0]["geometry"]["resized"] == [96, 48] and images[0]["geometry"]["offset"] == [0, 24]
        return 1

    result = snapprune.optimize(
        models / "shapes96_misaligned.onnx", profile=recorded, db=tmp_path / "own.db", progress=False, dynamic="off", metric=sizes,
        eval=images[0][:, :48], resize="letterbox", pad_value=0, channels="bgr", layout="nchw", pixel_range="-1..1",
    )  # fmt: skip
    assert result.report.metric["original"] == 1
    with pytest.raises(snapprune.errors.UsageError, match="resize"):
        snapprune.optimize(models / "shapes96_misaligned.onnx", profile=recorded, eval=images[0], resize="squeeze", progress=False)


def test_texts_become_a_file(tmp_path):
    assert labels_file("some.json", tmp_path) == "some.json"
    with open(labels_file(["a b", "é"], tmp_path), encoding="utf-8") as file:
        assert file.read() == "a b\né\n"
    with pytest.raises(snapprune.errors.UsageError, match="line breaks"):
        labels_file(["a\nb"], tmp_path)


def test_a_metric_goes_elsewhere_with_the_modules_beside_it_that_it_imports(tmp_path: Path):
    for name, text in {
        "own.py": "import json\nimport helper\nfrom parts.inner import x\n\ndef score(outputs):\n    import late\n    return 1.0\n",
        "helper.py": "from deeper import y\n",
        "deeper.py": "y = 1\nimport own\n",
        "late.py": "this is no Python",
        "other.py": "",
        "json.txt": "",
        "parts/__init__.py": "",
        "parts/inner.py": "x = 1\n",
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    found = [Path(path).relative_to(tmp_path).as_posix() for path, _ in contents(str(tmp_path / "own.py"))]
    assert found == ["own.py", "deeper.py", "helper.py", "late.py", "parts/__init__.py", "parts/inner.py"]
    assert [name for name, _ in contents(str(tmp_path / "json.txt"))] == [str(tmp_path / "json.txt")]
