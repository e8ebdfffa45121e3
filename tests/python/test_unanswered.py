"""A plug-in that never answers, in a process of its own: the job is given up, and the process can end."""

import shutil
import signal
import subprocess
import sys
import time

import pytest

SOURCE = """
#include <fcntl.h>
#include <unistd.h>
__attribute__((constructor)) static void c(void) { close(open(SIGN, O_CREAT | O_WRONLY, 0600)); for (;;) pause(); }
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
sys.exit(7)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux") or not shutil.which("cc"), reason="a library is built for Linux")
@pytest.mark.parametrize("interrupted", [False, True])
def test_a_plugin_that_never_answers_is_left_behind(models, tmp_path, interrupted):
    sign = tmp_path / "there"
    (tmp_path / "never.c").write_text(SOURCE)
    library = tmp_path / "libnever.so"
    subprocess.run(["cc", "-shared", "-fPIC", f'-DSIGN="{sign}"', "-o", library, tmp_path / "never.c"], check=True)
    words = [sys.executable, "-c", JOB, models / "shapes96_misaligned.onnx", tmp_path, "5m" if interrupted else "1s"]
    # A process that was started in the background ignores the signal unless it is told otherwise.
    process = subprocess.Popen(
        words, stdout=subprocess.PIPE, text=True, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler)
    )
    if interrupted:
        while not sign.exists():
            assert process.poll() is None
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=30)
    first, *rest = said.splitlines()
    assert first.startswith("KeyboardInterrupt" if interrupted else "DeviceError the plug-in"), said
    assert "a new process" in " ".join(rest), said
    assert process.returncode == 7, "the status is the process's own"
