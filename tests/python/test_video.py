"""Frames through the files of a video."""

import functools
import threading

import numpy as np
import pytest

import snapprune

pytest.importorskip("onnx")
import onnxruntime  # noqa: E402
import video_files  # noqa: E402
from snapprune._video_choice import FrameTiles  # noqa: E402

SIDE, BAND = video_files.SIDE, video_files.BAND


@pytest.fixture
def exact(tmp_path):
    return video_files.write(tmp_path, 0.0)


def frames(*changes):
    """A frame, and others of which some rows are new."""
    random = np.random.default_rng(1)
    frame = random.normal(0, 1, video_files.FRAME).astype(np.float32)
    yield frame.copy()
    for rows in changes:
        frame[:, :, rows] = random.normal(0, 1, frame[:, :, rows].shape)
        yield frame.copy()


@functools.cache
def session(folder):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(folder / "bands.onnx", options, providers=["CPUExecutionProvider"])


def want(folder, frame):
    return session(folder).run(None, {"image": frame})[0]


def roles(video):
    return [played.role for played in video.log]


def test_exact_files_give_the_models_outputs_whatever_changes(exact):
    video = snapprune.Video(exact)
    # Row 4 is a part of the second band and of the first one's halo.
    shown = list(frames([5], [4], [], range(SIDE), [15], [1, 9, 14], []))
    for frame, outputs in zip(shown, video(shown)):
        assert list(outputs) == ["classes"]
        np.testing.assert_allclose(outputs["classes"], want(exact, frame), atol=1e-5)
    assert roles(video) == ["dense", "tiles", "tiles", "tiles", "dense", "tiles", "tiles", "tiles"]
    assert [8 * played.changed for played in video.log] == [8, 1, 2, 0, 8, 2, 3, 0]
    assert [played.computed for played in video.log] == [1, 0.25, 0.5, 0.25, 1, 0.5, 0.5, 0.25]
    assert all(played.runs == 1 and played.left in ((), (0,)) and played.ms > 0 for played in video.log)


def test_exact_files_run_again_until_nothing_is_left(tmp_path):
    folder = video_files.write(tmp_path, 0.0, counts=(1, 2), halo=0)
    video = snapprune.Video(folder)
    shown = list(frames([5], [4], [3, 12], []))
    for frame, outputs in zip(shown, video(shown)):
        np.testing.assert_allclose(outputs["classes"], want(folder, frame), atol=1e-5)
    # Row 4 is a part of two bands, rows 3 and 12 of four: that they need more than it seems is known by then.
    assert [(p.role, p.runs) for p in video.log] == [("dense", 1), ("tiles", 1), ("tiles", 2), ("dense", 1), ("tiles", 1)]
    assert all(played.left in ((), (0,)) for played in video.log)


def test_while_all_goes_on_changing_the_model_runs_without_states(exact):
    video = snapprune.Video(exact)
    every = range(SIDE)
    shown = list(frames(every, every, every, [5], [5]))
    for frame, outputs in zip(shown, video(shown)):
        np.testing.assert_allclose(outputs["classes"], want(exact, frame), atol=1e-5)
    assert roles(video) == ["dense", "plain", "plain", "plain", "dense", "tiles"]
    (exact / "bands.onnx").rename(exact / "other.onnx")
    without = snapprune.Video(exact)
    list(without(shown))
    assert roles(without) == ["dense", "dense", "dense", "dense", "tiles", "tiles"]
    named = snapprune.Video(exact / "bands.snap.video-25.onnx", original=exact / "other.onnx")
    list(named(shown))
    assert roles(named) == roles(video)


def test_change_below_the_threshold_waits_and_never_adds_up(tmp_path):
    folder = video_files.write(tmp_path, 0.5)
    video = snapprune.Video(folder)
    first = next(frames())
    outputs = list(video([first, first + 0.2, first + 0.4, first + 0.6]))
    np.testing.assert_array_equal(outputs[1]["classes"].shape, outputs[0]["classes"].shape)
    # The reference is what was computed, so small steps in one direction are change in the end; the first band was refreshed in turn.
    assert [played.changed for played in video.log] == [1, 0, 0, 7 / 8]
    np.testing.assert_allclose(outputs[3]["classes"], want(folder, first + 0.6), atol=1e-5)


def test_what_is_left_is_computed_with_the_frames_that_follow(tmp_path):
    folder = video_files.write(tmp_path, 0.5, counts=(1, 4), halo=0)
    video = snapprune.Video(folder)
    first = next(frames())
    second = first.copy()
    second[:, :, 7] += 3
    outputs = [o["classes"] for o in video([first, second, second, second])]
    # Row 7 is a part of the second band and of the third one's halo, and one run computes one of them.
    assert [played.left for played in video.log] == [(), (1,), (0,), (0,)]
    assert np.abs(outputs[1] - want(folder, second)).max() > 0.1
    np.testing.assert_allclose(outputs[2], want(folder, second), atol=1e-5)
    # A second band is expected with the next change like that.
    third = second.copy()
    third[:, :, 15] += 3
    video.frame(third)
    assert (video.log[1].computed, video.log[-1].computed, video.log[-1].left) == (0.125, 0.5, (0,))


def test_a_camera_may_write_into_the_same_array(exact):
    video = snapprune.Video(exact)
    buffer = np.empty(video_files.FRAME, np.float32)
    for frame in frames(range(SIDE), range(SIDE), [3], [3], []):
        buffer[:] = frame
        np.testing.assert_allclose(video.frame(buffer)["classes"], want(exact, frame), atol=1e-5)


def test_streams_over_the_same_sessions_do_not_mix(exact):
    one = snapprune.Video(exact, log_frames=2)
    two = one.another()
    seen = {}

    def play(name, video, seed):
        random = np.random.default_rng(seed)
        seen[name] = []
        frame = random.normal(0, 1, video_files.FRAME).astype(np.float32)
        for k in range(30):
            frame[:, :, k % SIDE] = random.normal(0, 1, (1, 1, SIDE))
            seen[name].append(np.abs(video.frame(frame)["classes"] - want(exact, frame)).max())

    threads = [threading.Thread(target=play, args=(k, v, k)) for k, v in enumerate((one, two))]
    [t.start() for t in threads]
    [t.join() for t in threads]
    assert [len(errors) for errors in seen.values()] == [30, 30] and max(map(max, seen.values())) < 1e-5
    assert len(one.log) == 2
    one.reset()
    one.frame(np.zeros(video_files.FRAME, np.float32))
    assert roles(one)[-1] == "dense" and one.log[-1].changed == 1


def test_what_cannot_be_played_is_told(exact, tmp_path_factory):
    video = snapprune.Video(exact)
    with pytest.raises(snapprune.errors.UsageError, match="a frame is 'image' of the shape"):
        video.frame(np.zeros((1, 1, 8, 8), np.float32))
    with pytest.raises(snapprune.errors.UsageError, match="no files of a video"):
        snapprune.Video(tmp_path_factory.mktemp("empty"))
    with pytest.raises(snapprune.errors.UsageError, match="video-dense.onnx"):
        snapprune.Video(exact / "other.onnx")
    (exact / "bands.onnx").replace(exact / "bands.snap.video-50.onnx")
    with pytest.raises(snapprune.errors.ModelError, match="video-50"):
        snapprune.Video(exact)


def test_nothing_grows_over_many_frames(exact):
    resource = pytest.importorskip("resource")
    video = snapprune.Video(exact, log_frames=100)
    random = np.random.default_rng(3)
    frame = random.normal(0, 1, video_files.FRAME).astype(np.float32)
    for k in range(3000):
        frame[:, :, random.integers(SIDE)] = random.normal(0, 1, (1, 1, SIDE))
        outputs = video.frame(frame)
        if k == 500:
            before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 4096
    np.testing.assert_allclose(outputs["classes"], want(exact, frame), atol=1e-5)


def tiles_of(shape, tile, halo, tiles, cell):
    return FrameTiles({"shape": shape, "tile": tile, "halo": halo, "tiles": tiles, "cell": cell}, 0.5)


def test_tiles_are_counted_alike_by_some_rows_and_by_all():
    grid = tiles_of([1, 2, 24, 25], [5, 7], [1, 2], [5, 4], [1, 1])
    random = np.random.default_rng(2)
    before = np.zeros((1, 2, 24, 25), np.float32)

    def changed(frame):
        return grid.changed(grid.differences(frame, before))

    for spots in (0, 1, 3, 40):
        frame = before.copy()
        frame.reshape(-1)[random.integers(0, frame.size, spots)] = 1
        want = 0
        for row in range(5):
            for column in range(4):
                top, left = min(5 * row, 19), min(7 * column, 18)
                want += frame[0, :, max(top - 1, 0) : top + 6, max(left - 2, 0) : left + 9].any()
        assert changed(frame) == want
        assert grid.changed_of_some(frame, grid.some(before)) <= want
    frame[0, 0, 3, 3] = np.nan
    assert grid.changed(grid.differences(frame, frame)) >= 1
    assert grid.changed_of_some(np.full_like(before, 1), grid.some(before).copy()) == grid.count


def test_what_changed_is_taken_over_with_its_cell_and_so_is_a_tile_in_turn():
    grid = tiles_of([1, 2, 8, 8], [4, 4], [0, 0], [2, 2], [2, 2])
    frame = (0.1 + np.arange(128, dtype=np.float32) / 1000).reshape(1, 2, 8, 8)
    frame[0, 1, 5, 1], frame[0, 0, 0, 7] = -3, np.nan
    reference = np.zeros((1, 2, 8, 8), np.float32)
    cells = grid.differences(frame, reference)
    assert cells.shape == (4, 4) and cells[2, 0] == 3 and cells[0, 3] == np.float32(1e20) and 0 < cells[0, 0] < 0.5
    cells = grid.take(frame, reference, cells, 7)
    taken = np.zeros((4, 4), bool)
    taken[2, 0] = taken[0, 3] = taken[2:, 2:] = True
    assert ((cells != 0) == taken).all()
    np.testing.assert_array_equal(reference, np.where(taken.repeat(2, 0).repeat(2, 1), frame, 0))
