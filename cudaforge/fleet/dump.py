"""What `nvidia-smi -q -x` prints on a machine: its driver and its GPUs.

A dump comes from elsewhere and is trusted in nothing: no entity is declared or expanded, nothing outside is
loaded. Its format: an element `nvidia_smi_log` with one `driver_version`, and one `gpu` for each GPU, whose
`product_name` is what the driver calls it; a GPU that is divided (MIG) is there as a whole.
"""

from __future__ import annotations

from typing import NoReturn
from xml.parsers import expat

from cudaforge.declaration.text import find_refused_character
from cudaforge.display import show
from cudaforge.errors import InputError, Location, Problem
from cudaforge.records import record
from cudaforge.versions import InvalidVersion, Version

MAX_BYTES = 8 * 1024 * 1024
"""Some 100 GPUs with all their clocks."""
_ROOT = "nvidia_smi_log"
_DRIVER = (_ROOT, "driver_version")
_GPU = (_ROOT, "gpu")
_PRODUCT = (*_GPU, "product_name")
_TEXT_MAX = 255
_REMEDY = "write it anew: nvidia-smi -q -x > FILE, one file for each machine"


@record()
class Dump:
    """What one machine has."""

    driver: str
    gpus: tuple[str, ...]
    """Each product once, in the order of the dump."""


def parse_dump(data: bytes, name: str) -> Dump:
    """The machine that a dump describes. `name` is the file in messages.

    Raises InputError, with the line where there is one, for anything that `nvidia-smi -q -x` does not print.
    """
    return _Reader(name).read(data)


class _Reader:
    def __init__(self, name: str) -> None:
        self._name = name
        self._path: list[str] = []
        self._text: list[str] = []
        self._driver: str | None = None
        self._gpus: list[str] = []
        self._has_product = False
        # The standard library's: it loads nothing from outside, and entities end where they are declared.
        self._parser = expat.ParserCreate()
        self._parser.EntityDeclHandler = self._entity
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self._characters

    def read(self, data: bytes) -> Dump:
        try:
            self._parser.Parse(data, True)  # noqa: FBT003 -- expat takes no keyword
        except expat.ExpatError as error:
            self._fail(f"not XML: {expat.errors.messages[error.code]}", line=error.lineno)
        except (LookupError, ValueError):  # an encoding that Python does not know, or of several bytes
            self._fail("an encoding that cannot be read")
        if self._driver is None or not self._gpus:
            self._fail(f"the dump tells of no {'driver' if self._driver is None else 'GPU'}", line=None)
        return Dump(driver=self._driver, gpus=tuple(dict.fromkeys(self._gpus)))

    def _place(self) -> tuple[str, ...]:
        """Where the reader is; empty below everything that matters."""
        return tuple(self._path) if len(self._path) <= len(_PRODUCT) else ()

    def _entity(self, *_: object) -> None:
        self._fail("the dump declares an entity, which nvidia-smi never does")

    def _start(self, tag: str, _: object) -> None:
        if not self._path and tag != _ROOT:
            self._fail(f"element {show(tag)} where '{_ROOT}' is expected")
        self._path.append(tag)
        self._text = []
        if self._place() == _GPU:
            self._has_product = False

    def _characters(self, text: str) -> None:
        if self._place() in (_DRIVER, _PRODUCT):
            self._text.append(text)

    def _end(self, _: str) -> None:
        place = self._place()
        self._path.pop()
        if place == _DRIVER:
            self._driver = self._written()
            try:
                Version(self._driver)
            except InvalidVersion:
                self._fail(f"{show(self._driver)} is no driver version")
        elif place == _PRODUCT:
            self._gpus.append(self._written())
            self._has_product = True
        elif place == _GPU and not self._has_product:
            self._fail("a GPU without a product_name")

    def _written(self) -> str:
        text = " ".join("".join(self._text).split(" ")).strip()
        found = find_refused_character(text)
        if found is not None or not text or len(text) > _TEXT_MAX:
            what = f"contains {found}" if found else f"is longer than {_TEXT_MAX} characters"
            self._fail(f"the text {what if text else 'is empty'}")
        return text

    def _fail(self, what: str, *, line: int | None = 0) -> NoReturn:
        """Raise the problem, at the reader's line unless another is given."""
        if line == 0:
            line = self._parser.CurrentLineNumber
        where = Location(file=self._name, line=line)
        raise InputError(Problem(what=what, where=where, remedy=_REMEDY))
