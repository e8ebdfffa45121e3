"""A plug-in that never answers, or late, in a process of its own: the job is given up, and the process can go on and end."""

import shutil
import signal
import subprocess
import sys
import time

import pytest

SOURCE = """
#include <fcntl.h>
#include <unistd.h>
__attribute__((constructor)) static void c(void) {
    close(open(SIGN, O_CREAT | O_WRONLY, 0600));
    while (access(ANSWER, F_OK)) usleep(10000);
}
"""
# Tells that the process ended as usual.
ENDING = """
#include <fcntl.h>
#include <unistd.h>
__attribute__((destructor)) static void d(void) { close(open(SIGN, O_CREAT | O_WRONLY, 0600)); }
"""

JOB = """
import sys
import snapprune
def job(**where):
    try:
        snapprune.optimize(sys.argv[1], db=sys.argv[2] + "/l.db", progress=False, **where)
    except BaseException as error:
        print(type(error).__name__, error, flush=True)
job(ep_library=sys.argv[2] + "/libnever.so", ep_name="NeverExecutionProvider", ep_timeout=sys.argv[3])
job(cpu=True, threads=1)
"""
END = """
sys.exit(7)
"""
LATER = """
import ctypes, pathlib, time
pathlib.Path(sys.argv[2], "answer").touch()
ctypes.CDLL(sys.argv[2] + "/libending.so")
end = time.monotonic() + 60
while time.monotonic() < end:
    try:
        snapprune.optimize(sys.argv[1], db=sys.argv[2] + "/l.db", progress=False, cpu=True, threads=1, time_budget="1s")
        print("came back", flush=True)
        break
    except snapprune.errors.DeviceError as error:
        assert "still at work" in str(error), error
        time.sleep(0.05)
"""


def build(source, sign, library):
    library.with_suffix(".c").write_text(source)
    paths = [f'-DSIGN="{sign}"', f'-DANSWER="{library.parent / "answer"}"']
    subprocess.run(["cc", "-shared", "-fPIC", *paths, "-o", library, library.with_suffix(".c")], check=True)


def run(models, tmp_path, code, patience):
    """A process as soon as the library holds it up."""
    sign = tmp_path / "there"
    build(SOURCE, sign, tmp_path / "libnever.so")
    words = [sys.executable, "-c", code, models / "shapes96_misaligned.onnx", tmp_path, patience]
    # A process that was started in the background ignores the signal unless it is told otherwise.
    process = subprocess.Popen(
        words, stdout=subprocess.PIPE, text=True, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler)
    )
    while not sign.exists():
        assert process.poll() is None
        time.sleep(0.05)
    return process


def said_by(process, seconds):
    try:
        return process.communicate(timeout=seconds)[0]
    finally:
        process.kill()



linux = pytest.mark.skipif(
    not sys.platform.startswith("linux") or not shutil.which("cc"), reason="a library is built for Linux"
)


@linux
@pytest.mark.parametrize("interrupted", [False, True])
def test_a_plugin_that_never_answers_is_left_behind(models, tmp_path, interrupted):
    process = run(models, tmp_path, JOB + END, "5m" if interrupted else "1s")
    if interrupted:
        process.send_signal(signal.SIGINT)
    said = said_by(process, 20)
    first, *rest = said.splitlines()
    assert first.startswith("KeyboardInterrupt" if interrupted else "DeviceError the plug-in"), said
    assert "a new process" in " ".join(rest), said
    assert process.returncode == 7, "the status is the process's own"


@linux
def test_a_plugin_that_answers_late_is_no_longer_left_behind(models, tmp_path):
    build(ENDING, tmp_path / "ended", tmp_path / "libending.so")
    process = run(models, tmp_path, JOB + LATER + END, "1s")
    said = said_by(process, 120)
    assert "a new process" in said and said.splitlines()[-1] == "came back", said
    assert process.returncode == 7
    assert (tmp_path / "ended").exists(), "the process ends as it does otherwise"
