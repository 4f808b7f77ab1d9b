"""`python -m cudaforge` and the console script."""

from __future__ import annotations

import gc
import os
import sys

_INTERRUPTED = (130, 143)
_MANY_OBJECTS = 50_000


def main() -> None:
    """Run the command line and exit with its code."""
    _open_missing_streams()
    # Little of what a command makes is garbage before it ends: looking for some takes a tenth of its time.
    gc.set_threshold(_MANY_OBJECTS, 20, 20)
    if sys.argv[1:] == ["--version"]:
        _print_version()
    try:
        from cudaforge.cli.main import run_command_line

        code = run_command_line(sys.argv[1:])
    except KeyboardInterrupt:
        # Before the command line listens to signals itself.
        sys.stderr.write("error: interrupted\n")
        code = _INTERRUPTED[0]
    _flush()
    if code in _INTERRUPTED or _is_alone():
        # Everything is cleaned up. Taking the interpreter apart would only take time, and after an interrupt
        # a thread that waits for a silent network would keep the process alive.
        os._exit(code)
    sys.exit(code)


def _is_alone() -> bool:
    """Whether no other thread has anything left to do."""
    threading = sys.modules.get("threading")
    return threading is None or threading.active_count() == 1


def _print_version() -> None:
    """What scripts ask often needs no command line."""
    from cudaforge import __version__

    try:
        sys.stdout.write(f"cudaforge {__version__}\n")
        sys.stdout.flush()
    except OSError:
        return  # the command line says what is wrong with the stream
    sys.exit(0)


def _flush() -> None:
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except OSError:
        return


def _open_missing_streams() -> None:
    """Started with a standard stream closed (`>&-`), write nowhere instead of into the next file opened."""
    for number in (0, 1, 2):
        if not _is_open(number):
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number: this one
    sys.stdout = sys.stdout or os.fdopen(1, "w", closefd=False)
    sys.stderr = sys.stderr or os.fdopen(2, "w", closefd=False)


def _is_open(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:
        return False
    return True


if __name__ == "__main__":
    main()
