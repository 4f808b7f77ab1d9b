"""Plain values for plain options, without what typer loads for the others, and in words of our own.

typer has pydantic turn every text into its parameter's type, and pydantic alone takes as long to load as
everything else that `cudaforge resolve` needs. A text, a path, a number and a list of texts need none of it.
Whatever is not plain is still typer's. An option with one value that is given twice is refused: typer would
take the last without a word.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from typer.core import TyperCommand, TyperGroup
from typer.exceptions import TyperException

from cudaforge.display import show
from cudaforge.errors import InputError, Location, Problem

_CONVERTERS: Mapping[object, Callable[[Any], object]] = {
    str: str,
    Path: Path,
    list[str]: tuple,
    int: int,
    bool: bool,
}
_COMMAND_LINE = "command line"
# What a 64-bit number can be is far more than any option takes.
_NUMBER = re.compile(r"[+-]?[0-9]{1,18}")
_TAKEN_AS_THEY_ARE: Mapping[object, type | tuple[type, ...]] = {
    str: str,
    Path: (str, Path),
    list[str]: (list, tuple),
    int: int,
    bool: bool,
}


class PlainCommand(TyperCommand):
    """A command whose plain parameters are converted without pydantic."""

    def get_params(self, ctx: Any) -> list[Any]:  # noqa: ANN401 -- typer does not export its type
        """The parameters, as typer asks for them before it reads the command line."""
        return _converted_plainly(super().get_params(ctx))

    def make_parser(self, ctx: Any) -> Any:  # noqa: ANN401 -- typer does not export its type
        """What reads the command line. It raises InputError for an option that has one value and is given
        twice, and says of what it cannot read which command it was for."""
        parser = super().make_parser(ctx)
        parse = parser.parse_args

        def parse_args(args: list[str]) -> tuple[Any, list[str], list[Any]]:
            try:
                found, rest, order = parse(args)
            except TyperException as error:
                error.__dict__["ctx"] = getattr(error, "ctx", None) or ctx
                raise
            if not ctx.resilient_parsing:
                _refuse_repeated(order)
            return found, rest, order

        parser.parse_args = parse_args  # type: ignore[method-assign]  # typer has no hook there
        return parser


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


def _refuse_repeated(order: Sequence[Any]) -> None:
    """`order` has the parameters as they were given. A flag that is given twice says the same twice."""
    single = [one for one in order if one.param_type_name == "option" and not (one.multiple or one.is_flag)]
    repeated = dict.fromkeys(one for one in single if single.count(one) > 1)
    if repeated:
        raise InputError(
            Problem(
                what=f"{_name(one)} is given more than once, and has one value",
                where=Location(file=_COMMAND_LINE, key=_name(one)),
                remedy="leave all but one out",
            )
            for one in repeated
        )


def _name(parameter: Any) -> str:  # noqa: ANN401 -- typer does not export its type
    """A parameter as the user knows it: `--jobs`, or `FILE` of an argument."""
    if parameter.param_type_name == "option":
        return str(max(parameter.opts, key=len))
    return str(parameter.make_metavar(None) if parameter.metavar is None else parameter.metavar)


def _number(text: str, parameter: Any, info: Any) -> int:  # noqa: ANN401 -- typer does not export its types
    """Raises InputError for what is no whole number, or one out of bounds."""
    number = int(text) if _NUMBER.fullmatch(text) else None
    least, most = info.min, info.max
    is_within = number is not None and (least is None or number >= least) and (most is None or number <= most)
    if number is None or not is_within:
        allowed = f"from {least} to {most}" if most is not None else f"of at least {least}"
        raise _wrong(
            parameter,
            f"{show(text)} is no whole number{'' if least is None else f' {allowed}'}",
            f"for example {_name(parameter)} {1 if least is None else least}",
        )
    return number


def _wrong(parameter: Any, what: str, remedy: str) -> InputError:  # noqa: ANN401 -- typer does not export its type
    name = _name(parameter)
    where = Location(file=_COMMAND_LINE, key=name)
    return InputError(Problem(what=f"{name}: {what}", where=where, remedy=remedy))


class _Plain:
    """Stands where typer keeps a parameter's conversion."""

    def __init__(self, descriptor: Any) -> None:  # noqa: ANN401 -- typer does not export its type
        self._descriptor = descriptor

    def coerce(self, value: Any, param: Any, ctx: Any) -> object:  # noqa: ANN401 -- typer's signature
        """The value as the command's function takes it. Raises InputError, or what typer raises, for a wrong
        one."""
        annotation = self._descriptor.annotation
        if value is None:
            return () if annotation == list[str] else None
        if annotation is Path and not str(value):
            # Path("") is the current directory; a shell writes it for a variable that is not set.
            raise _wrong(param, "the path is empty", f"name one; see {ctx.command_path} --help")
        if annotation is int and isinstance(value, str):
            return _number(value, param, self._descriptor.parameter_info)
        if isinstance(value, _TAKEN_AS_THEY_ARE[annotation]):
            return _CONVERTERS[annotation](value)
        from typer._coercion import build_runtime_param

        return build_runtime_param(self._descriptor).coerce(value, param=param, ctx=ctx)
