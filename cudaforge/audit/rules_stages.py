"""Findings about what one stage takes from another."""

from __future__ import annotations

from cudaforge.audit.scene import Scene
from cudaforge.audit.state import Image, Python
from cudaforge.codes import Code

_DIRECTORIES = {"image": "/usr/local/bin", "distro": "/usr/bin", "added": "/usr/bin"}


def check(scene: Scene) -> None:
    """A virtual environment holds a link to the Python that it was made of, and not that Python."""
    base, image = scene.base, scene.image
    if not base.is_known or base.contents or base.framework_image is not None or image.conda is not None:
        return
    used = {id(one.python) for one in image.installs}
    for venv, path, line in image.moved:
        parent = venv.parent
        if base.python is not None and parent is not None and parent.provider == "distro":
            continue  # the large images of Python have that of Debian, too
        if parent is None or id(venv) not in used or _has(image, parent):
            continue
        scene.error(
            Code.PYTHON_MISSING,
            line,
            f"the environment {path} starts {_DIRECTORIES[parent.provider]}/python{parent.minor} of the "
            f"stage it was made in, and this image does not have it",
            base.source,
            advice="start both stages from the same base, or install that Python here, too",
        )


def _has(image: Image, python: Python) -> bool:
    """Whether the same Python is in the image at the same place, or may be."""
    directory = _DIRECTORIES.get(python.provider)
    if directory is None or python.minor is None or python.path is not None:
        return True
    place = f"{directory}/python{python.minor}"
    if image.may_have(place) or any(link.startswith(f"{directory}/python") for link in image.links):
        return True
    for one in image.programs.values():
        is_there = _DIRECTORIES.get(one.provider, directory) == directory and one.path is None
        if is_there and one.minor in (python.minor, None):
            return True
    return False
