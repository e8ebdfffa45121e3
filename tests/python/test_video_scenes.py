"""The script that draws sequences says truly what changes in them."""

import subprocess
import sys
from pathlib import Path

import numpy as np

SCRIPT = Path(__file__).parents[2] / "models" / "video_scenes.py"


def drawn(out, *flags):
    command = [sys.executable, SCRIPT, out, "--size", "96x64", "--frames", "12", *flags]
    subprocess.run([str(word) for word in command], check=True, capture_output=True)
    if out.suffix != ".npz":
        out = out.with_name(f"{out.name}_truth.npz")
    with np.load(out) as data:
        return dict(data)


def differs(frames):
    """Which tiles of 16 x 16 pixels differ from the frame before."""
    away = (frames[1:] != frames[:-1]).any(axis=3)
    return away.reshape(len(away), 4, 16, 6, 16).any(axis=(2, 4))


def test_what_is_said_to_change_is_what_changes(tmp_path):
    made = drawn(tmp_path / "still.npz", "--changed", "0.05", "--cuts", "6")
    assert made["images"].shape == (12, 64, 96, 3) and made["changed"].shape == (12, 4, 6)
    np.testing.assert_array_equal(made["changed"][1:], differs(made["images"]))
    assert made["changed"][0].all() and made["changed"][6].all()
    rest = np.delete(made["changed"], [0, 6], axis=0)
    assert 0.02 < rest.mean() < 0.5
    # All that changes lies in or around the objects.
    for k in (1, 2, 3):
        away = (made["images"][k] != made["images"][k - 1]).any(axis=2)
        for left, top, width, height in np.concatenate([made["boxes"][k], made["boxes"][k - 1]]):
            away[top : top + height, left : left + width] = False
        assert not away.any()


def test_the_same_seed_gives_the_same_frames_and_flags_do_what_they_say(tmp_path):
    first = drawn(tmp_path / "a.npz", "--noise", "2", "--seed", "5")
    np.testing.assert_array_equal(first["images"], drawn(tmp_path / "b.npz", "--noise", "2", "--seed", "5")["images"])
    assert (first["images"] != drawn(tmp_path / "c.npz", "--noise", "2", "--seed", "6")["images"]).any()
    still = drawn(tmp_path / "d.npz", "--pause", "1")
    assert not still["changed"][1:].any() and (still["images"] == still["images"][0]).all()
    noisy = drawn(tmp_path / "e.npz", "--pause", "1", "--noise", "3")["images"].astype(float)
    assert 2.5 < (noisy[1:] - noisy[:-1]).std() / 2**0.5 < 3.5
    light = drawn(tmp_path / "f.npz", "--pause", "1", "--drift", "9")["images"].astype(float).mean(axis=(1, 2, 3))
    assert 6 < np.ptp(light) / 2 < 9.5
    for flags in (["--restless"], ["--shake", "4", "--pause", "1"]):
        assert drawn(tmp_path / "g.npz", *flags)["changed"].mean() > 0.7, flags


def test_a_folder_of_frames_holds_the_same_pixels(tmp_path):
    array = drawn(tmp_path / "a.npz")
    truth = drawn(tmp_path / "frames")
    names = sorted(p.name for p in (tmp_path / "frames").iterdir())
    assert names == [f"{k:06}.png" for k in range(12)]
    np.testing.assert_array_equal(truth["boxes"], array["boxes"])
    assert (tmp_path / "frames" / names[0]).read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
