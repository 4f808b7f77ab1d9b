"""Which commands there are. Only the module of the command that was asked for is imported."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module

import typer

from cudaforge import __version__
from cudaforge.cli.plain import PlainCommand, PlainGroup

COMMANDS = {
    "init": "cudaforge.cli.start",
    "schema": "cudaforge.cli.start",
    "resolve": "cudaforge.cli.decide",
    "explain": "cudaforge.cli.decide",
    "matrix": "cudaforge.cli.decide",
    "lock": "cudaforge.cli.decide",
    "outdated": "cudaforge.cli.move",
    "upgrade": "cudaforge.cli.move",
    "diff": "cudaforge.cli.move",
    "vendor": "cudaforge.cli.vendor",
    "render": "cudaforge.cli.make",
    "build": "cudaforge.cli.make",
    "verify": "cudaforge.cli.make",
    "up": "cudaforge.cli.make",
    "run": "cudaforge.cli.run",
    "explain-error": "cudaforge.cli.explain_error",
    "gate": "cudaforge.cli.gate",
    "report": "cudaforge.cli.evidence",
    "doctor": "cudaforge.cli.host",
    "clean": "cudaforge.cli.host",
    "audit": "cudaforge.cli.audit",
}
DATA_COMMANDS = {
    "list": ("cudaforge.cli.data", "list_subjects"),
    "show": ("cudaforge.cli.data", "show"),
    "check": ("cudaforge.cli.data", "check"),
    "update": ("cudaforge.cli.data_update", "update"),
    "measure": ("cudaforge.cli.data_measure", "measure"),
}
DATA_SUMMARY = "The facts: look at them, and prove that they agree."
SUMMARY = "GPU container images that are known to work: declare, resolve, lock, render, build, verify."
_PASSES_ARGUMENTS_ON = ("run",)


def build_app(arguments: Sequence[str]) -> typer.Typer:
    """The application for these arguments: with the one command that they name, or with all."""
    app = typer.Typer(
        name="cudaforge",
        cls=PlainGroup,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        add_completion=True,
    )
    app.callback(help=SUMMARY)(_global_options)
    asked = [word for word in arguments if not word.startswith("-")]
    for name in _those(asked[:1], (*COMMANDS, "data")):
        if name == "data":
            app.add_typer(_data_app(asked[1:]), name=name, help=DATA_SUMMARY)
            continue
        app.command(name, cls=PlainCommand, context_settings=_settings(name))(_function(COMMANDS[name], name))
    return app


def _data_app(asked: Sequence[str]) -> typer.Typer:
    app = typer.Typer(cls=PlainGroup, rich_markup_mode=None, no_args_is_help=True)
    for name in _those(asked[:1], tuple(DATA_COMMANDS)):
        app.command(name, cls=PlainCommand)(_function(*DATA_COMMANDS[name]))
    return app


def _those(asked: Sequence[str], names: Sequence[str]) -> Sequence[str]:
    """The one name that is asked for, or all: only what is needed is imported."""
    return asked if asked and asked[0] in names else names


def _settings(name: str) -> dict[str, object]:
    return {"ignore_unknown_options": True} if name in _PASSES_ARGUMENTS_ON else {}


def _show_version(is_asked: bool) -> None:  # noqa: FBT001 -- the signature of typer's callbacks
    if is_asked:
        from cudaforge.cli.output import write_text

        write_text(f"cudaforge {__version__}")
        raise typer.Exit


def _function(module: str, name: str) -> Callable[..., int]:
    function: Callable[..., int] = getattr(import_module(module), name.replace("-", "_"))
    return function


def _global_options(
    *,
    version: bool = typer.Option(
        False, "--version", help="Show the version and exit.", is_eager=True, callback=_show_version
    ),
    debug: bool = typer.Option(False, "--debug", help="Show the traceback of an error. May stand anywhere."),
) -> None:
    """Options that stand before the command."""
