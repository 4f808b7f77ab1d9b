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
    "lock": "cudaforge.cli.decide",
    "render": "cudaforge.cli.make",
    "build": "cudaforge.cli.make",
    "verify": "cudaforge.cli.make",
    "up": "cudaforge.cli.make",
    "run": "cudaforge.cli.run",
}
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
    asked = next((word for word in arguments if not word.startswith("-")), None)
    for name, module in COMMANDS.items():
        if asked in COMMANDS and name != asked:
            continue
        app.command(name, cls=PlainCommand, context_settings=_settings(name))(_function(module, name))
    return app


def _settings(name: str) -> dict[str, object]:
    return {"ignore_unknown_options": True} if name in _PASSES_ARGUMENTS_ON else {}


def _show_version(is_asked: bool) -> None:  # noqa: FBT001 -- the signature of typer's callbacks
    if is_asked:
        from cudaforge.cli.output import write_text

        write_text(f"cudaforge {__version__}")
        raise typer.Exit


def _function(module: str, name: str) -> Callable[..., int]:
    function: Callable[..., int] = getattr(import_module(module), name)
    return function


def _global_options(
    *,
    version: bool = typer.Option(
        False, "--version", help="Show the version and exit.", is_eager=True, callback=_show_version
    ),
    debug: bool = typer.Option(False, "--debug", help="Show the traceback of an error. May stand anywhere."),
) -> None:
    """Options that stand before the command."""
