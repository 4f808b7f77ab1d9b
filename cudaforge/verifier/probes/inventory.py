"""What lies in the image: its size, files that are there twice, and the Pythons that one could mean."""

import glob
import hashlib
import json
import os
import stat
import subprocess
import time
from typing import Dict, Iterator, List, Tuple

from cudaforge.verifier.probes import software

_LARGE = 1024 * 1024
_MOST_FILES = 1000000
_SECONDS = 20.0
_SAMPLE = 64 * 1024
_LISTED = 20
_MOST_PYTHONS = 24
_ASK_SECONDS = 10
_PLACES = (
    "/opt/venv/bin/python",
    "/opt/conda/bin/python",
    "/opt/conda/envs/*/bin/python",
    "/*/venv/bin/python",
    "/*/.venv/bin/python",
    "/venv/bin/python",
    "/.venv/bin/python",
    "/opt/*/bin/python3",
    "/usr/local/bin/python3",
    "/usr/bin/python3",
    "/root/*conda*/bin/python",
    "/home/*/*conda*/bin/python",
    "/home/*/.venv/bin/python",
    "/home/*/venv/bin/python",
    "/usr/local/bin/python3.[0-9]*",
    "/usr/bin/python3.[0-9]*",
)
_QUESTION = "import json, sys; print(json.dumps([sys.version.split()[0], sys.path]))"


def measure_files() -> Dict[str, object]:
    """Bytes of the image's files, and large files that are the same as others."""
    until = time.monotonic() + _SECONDS
    total = count = 0
    large: Dict[int, List[str]] = {}
    seen = set()
    is_whole = True
    for path, status in _walk("/", os.stat("/").st_dev):
        count += 1
        if count > _MOST_FILES or time.monotonic() > until:
            is_whole = False
            break
        if status.st_nlink > 1:
            if status.st_ino in seen:
                continue
            seen.add(status.st_ino)
        # A hole is no byte of an image: what is allocated counts, in blocks of 512 bytes.
        total += min(status.st_size, status.st_blocks * 512)
        if status.st_size >= _LARGE:
            large.setdefault(status.st_size, []).append(path)
    doubles = sorted(_doubles(large, until), reverse=True)
    return {
        "bytes": total,
        "files": count,
        "whole": is_whole,
        "double_bytes": sum(size for size, _ in doubles),
        "doubles": [{"bytes": size, "paths": paths[:_LISTED]} for size, paths in doubles[:_LISTED]],
    }


def find_pythons() -> List[Dict[str, object]]:
    """Pythons by their places, those on PATH first, each with its version and its distributions."""
    found: List[Dict[str, object]] = []
    seen = set()
    for path in _candidates():
        key = (os.path.realpath(os.path.dirname(path)), os.path.realpath(path))
        if key in seen or not os.access(path, os.X_OK) or len(found) >= _MOST_PYTHONS:
            continue
        seen.add(key)
        try:
            said = subprocess.run(
                [path, "-B", "-c", _QUESTION],
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                stdin=subprocess.DEVNULL,
                timeout=_ASK_SECONDS,
                check=False,
                cwd="/",
            ).stdout
            version, directories = json.loads(said.decode("utf-8", "replace").strip().splitlines()[-1])
            paths = [str(directory) for directory in directories if directory]
        except (OSError, ValueError, IndexError, TypeError, subprocess.SubprocessError):
            continue
        if not any(known["directories"] == paths for known in found):
            found.append(
                {
                    "path": path,
                    "version": str(version),
                    "directories": paths,
                    "distributions": software.list_distributions(paths),
                }
            )
    for python in found:
        del python["directories"]
    return found


def _candidates() -> Iterator[str]:
    for directory in os.environ.get("PATH", "").split(":"):
        for name in ("python3", "python"):
            yield os.path.join(directory or "/", name)
    for place in _PLACES:
        yield from sorted(glob.glob(place))


def _walk(top: str, device: int) -> "Iterator[Tuple[str, os.stat_result]]":
    """Regular files of one file system. Links are not followed, so that no loop of them matters."""
    waiting = [top]
    while waiting:
        try:
            entries = os.scandir(waiting.pop())
        except OSError:
            continue
        with entries:
            for entry in entries:
                try:
                    status = entry.stat(follow_symlinks=False)
                except OSError:
                    continue
                if status.st_dev != device:
                    continue
                if stat.S_ISDIR(status.st_mode):
                    waiting.append(entry.path)
                elif stat.S_ISREG(status.st_mode):
                    yield entry.path, status


def _doubles(large: Dict[int, List[str]], until: float) -> "Iterator[Tuple[int, List[str]]]":
    """Bytes too many, and the files that have them."""
    for size, paths in large.items():
        groups: Dict[str, List[str]] = {}
        for path in paths if len(paths) > 1 and time.monotonic() < until else ():
            try:
                groups.setdefault(sample(path, size), []).append(path)
            except OSError:
                continue
        for group in groups.values():
            if len(group) > 1:
                yield size * (len(group) - 1), sorted(group)


def sample(path: str, size: int) -> str:
    """A digest over parts of a file: of files of one size, it tells apart what was built differently."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        for place in sorted({0, max(0, size // 2 - _SAMPLE), max(0, size - _SAMPLE)}):
            file.seek(place)
            digest.update(file.read(_SAMPLE))
    return digest.hexdigest()
