"""Plain values for plain options, without what typer loads for the others.

typer has pydantic turn every text into its parameter's type, and pydantic alone takes as long to load as
everything else that `cudaforge resolve` needs. A text, a path and a list of texts need none of it. Whatever
is not plain is still typer's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

_CONVERTERS: Mapping[object, Callable[[Any], object]] = {
    str: str,
    Path: Path,
    list[str]: tuple,
    int: int,
    bool: bool,
}
_TAKEN_AS_THEY_ARE: Mapping[object, type | tuple[type, ...]] = {
    str: str,
    Path: (str, Path),
    list[str]: (list, tuple),
    int: int,  # a default; what was written goes the long way, which checks its range
    bool: bool,
}


class PlainCommand(TyperCommand):
    """A command whose plain parameters are converted without pydantic."""

    def get_params(self, ctx: Any) -> list[Any]:  # noqa: ANN401 -- typer does not export its type
        """The parameters, as typer asks for them before it reads the command line."""
        return _converted_plainly(super().get_params(ctx))


class PlainGroup(TyperGroup):
    """A group of commands, likewise."""

    def get_params(self, ctx: Any) -> list[Any]:  # noqa: ANN401 -- typer does not export its type
        """The parameters, as typer asks for them before it reads the command line."""
        return _converted_plainly(super().get_params(ctx))


def _converted_plainly(parameters: list[Any]) -> list[Any]:
    for parameter in parameters:
        descriptor = getattr(parameter, "type_descriptor", None)
        if descriptor is not None and descriptor.annotation in _CONVERTERS:
            # typer makes the slow one where none is set: an older or newer typer is at worst slower.
            parameter._runtime_param = _Plain(descriptor)  # noqa: SLF001
    return parameters


class _Plain:
    """Stands where typer keeps a parameter's conversion."""

    def __init__(self, descriptor: Any) -> None:  # noqa: ANN401 -- typer does not export its type
        self._descriptor = descriptor

    def coerce(self, value: Any, param: Any, ctx: Any) -> object:  # noqa: ANN401 -- typer's signature
        """The value as the command's function takes it. Raises what typer raises for a wrong one."""
        annotation = self._descriptor.annotation
        if value is None:
            return () if annotation == list[str] else None
        if annotation is Path and not str(value):
            # Path("") is the current directory; a shell writes it for a variable that is not set.
            raise typer.BadParameter("the path is empty", ctx=ctx, param=param)
        if isinstance(value, _TAKEN_AS_THEY_ARE[annotation]):
            return _CONVERTERS[annotation](value)
        from typer._coercion import build_runtime_param

        return build_runtime_param(self._descriptor).coerce(value, param=param, ctx=ctx)
