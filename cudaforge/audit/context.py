"""Files of the build context, as a step of the build sees them in the image."""

from __future__ import annotations

from collections.abc import Sequence

from cudaforge.audit.state import Image, ReadFile, normal_path


def in_context(image: Image, value: str, mounts: Sequence[str]) -> str | None:
    """The path in the build context of a file in the image."""
    place = image.place(value)
    for mount in mounts:
        settings = dict(part.partition("=")[::2] for part in mount.removeprefix("--mount=").split(","))
        target = settings.get("target") or settings.get("dst") or settings.get("destination") or ""
        inside = normal_path(target if target.startswith("/") else f"{image.workdir}/{target}")
        source = settings.get("source") or settings.get("src") or ""
        if "from" not in settings and (place == inside or place.startswith(f"{inside.rstrip('/')}/")):
            return f"{source}{place[len(inside) :]}".strip("/")
    return image.in_context(value)


class NestedFiles:
    """Reads a requirements file, and those that it names where they are in the image, too."""

    def __init__(self, image: Image, value: str, path: str, read: ReadFile, mounts: Sequence[str]) -> None:
        self._image, self._path, self._read, self._mounts = image, path, read, mounts
        self._place = image.place(value).rpartition("/")[0]
        self.missing: dict[str, str] = {}
        """Files that are not in the image: from their names in the context to their places in the image."""

    def read(self, path: str) -> str | None:
        """The text of a file, named as it lies in the context from the first one on."""
        if path == self._path or path.startswith("/"):
            return self._read(path)
        directory = self._path.rpartition("/")[0]
        inside = path.removeprefix(f"{directory}/") if directory else path
        place = normal_path(f"{self._place}/{inside}")
        found = in_context(self._image, place, self._mounts)
        if found is None and not self._image.may_have(place):
            self.missing[path] = place
        return self._read(found) if found is not None else None
