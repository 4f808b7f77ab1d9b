"""Images are locked in parallel: what the threads share has to be ready for more than one."""

import subprocess
import sys

ASK = """\
import sys
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

from cudaforge.packages.uv import python_tag_platform

sys.setswitchinterval(1e-6)
start = Barrier(8)


def ask(number):
    start.wait()
    return python_tag_platform("linux/amd64", "2.36")


with ThreadPoolExecutor(8) as pool:
    print(*set(pool.map(ask, range(8))))
"""


def test_uv_is_found_by_several_threads_at_once():
    """In a process of its own: only the first call of a process finds `sysconfig` empty."""
    done = subprocess.run(
        [sys.executable, "-c", ASK], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("x86_64-manylinux_2_")
