"""`python -m cudaforge` and the console script."""

from __future__ import annotations

import contextlib
import os
import sys

_INTERRUPTED = (130, 143)


def main() -> None:
    """Run the command line and exit with its code."""
    try:
        from cudaforge.cli.main import run_command_line

        code = run_command_line(sys.argv[1:])
    except KeyboardInterrupt:
        # Before the command line listens to signals itself.
        sys.stderr.write("error: interrupted\n")
        code = _INTERRUPTED[0]
    if code in _INTERRUPTED:
        with contextlib.suppress(OSError):
            sys.stdout.flush()
            sys.stderr.flush()
        # Everything is cleaned up; a thread that waits for a silent network would keep the process alive.
        os._exit(code)
    sys.exit(code)


if __name__ == "__main__":
    main()
