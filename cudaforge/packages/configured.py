"""What pip and uv are configured with on this machine.

pip's own files are read the way pip reads them, since uv does not. Of uv's files it is only asked which
settings they make: uv reads them itself.
"""

from __future__ import annotations

import configparser
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from cudaforge.errors import Location, Problem, SurroundingsError
from cudaforge.records import record

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_SECTIONS = ("global", "install")
_OFF = frozenset(("", "0", "false", "no", "off"))


@record()
class Setting:
    """The value of one setting, and the variable or file that it comes from."""

    value: str
    origin: str

    @property
    def words(self) -> tuple[str, ...]:
        """The value as a list: both pip and uv separate by white space."""
        return tuple(self.value.split())

    @property
    def is_on(self) -> bool:
        """The value as a switch."""
        return self.value.strip().lower() not in _OFF


def read_pip_settings(environ: Mapping[str, str], *, prefix: Path) -> dict[str, Setting]:
    """pip's settings by their long option (`extra-index-url`): its files, then its variables.

    `prefix` is that of the Python environment whose `pip.conf` counts.
    """
    sections: dict[str, dict[str, Setting]] = {section: {} for section in _SECTIONS}
    for file in _pip_files(environ, prefix=prefix):
        for section, name, setting in _read_pip_file(file):
            sections[section][name] = setting
    # A later file goes before an earlier one, but [install] before [global] in whichever file.
    settings = {name: setting for section in _SECTIONS for name, setting in sections[section].items()}
    for name, value in environ.items():
        if name.startswith("PIP_") and value:
            settings[name[4:].lower().replace("_", "-")] = Setting(value=value, origin=name)
    return settings


def read_uv_keys(environ: Mapping[str, str]) -> frozenset[str]:
    """Which of `index-url`, `extra-index-url`, `find-links`, `index-strategy`, `no-index` uv's files set."""
    keys: set[str] = set()
    for file in _uv_files(environ):
        try:
            document = tomllib.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue  # uv itself says what is wrong with its file
        for table in (document, document.get("pip")):
            if isinstance(table, dict):
                keys.update(key for key in table if isinstance(key, str))
        indexes = document.get("index")
        for index in indexes if isinstance(indexes, list) else ():
            is_default = isinstance(index, dict) and index.get("default") is True
            keys.add("index-url" if is_default else "extra-index-url")
    return frozenset(keys)


def find_uv_setting(environ: Mapping[str, str], key: str) -> Setting | None:
    """A text that uv's files set at their top; the user's file goes before the system's."""
    for file in _uv_files(environ):
        try:
            value = tomllib.loads(file.read_text(encoding="utf-8")).get(key)
        except (OSError, ValueError):
            continue
        if isinstance(value, str) and value:
            return Setting(value=value, origin=str(file))
    return None


def home_directory(environ: Mapping[str, str]) -> Path:
    """The user's home, from `HOME` or else the system's accounts."""
    home = environ.get("HOME")
    return Path(home) if home else Path(os.path.expanduser("~"))  # noqa: PTH111 -- expanduser never raises


def _pip_files(environ: Mapping[str, str], *, prefix: Path) -> Iterator[Path]:
    named = environ.get("PIP_CONFIG_FILE")
    if named == os.devnull:
        return
    home = home_directory(environ)
    for directory in reversed((environ.get("XDG_CONFIG_DIRS") or "/etc/xdg").split(os.pathsep)):
        yield Path(directory) / "pip" / "pip.conf"
    yield Path("/etc/pip.conf")
    yield home / ".pip" / "pip.conf"
    yield Path(environ.get("XDG_CONFIG_HOME") or home / ".config") / "pip" / "pip.conf"
    yield prefix / "pip.conf"
    if named:
        yield Path(named)


def _read_pip_file(file: Path) -> Iterator[tuple[str, str, Setting]]:
    parser = configparser.RawConfigParser()
    try:
        parser.read_string(file.read_text(encoding="utf-8"), source=str(file))
    except OSError:
        return
    except (configparser.Error, UnicodeDecodeError) as error:
        raise SurroundingsError(
            Problem(
                what="pip's configuration file cannot be read",
                where=Location(file=str(file)),
                because=(str(error).splitlines()[0],),
                remedy="correct the file, or set PIP_CONFIG_FILE to another one",
            )
        ) from None
    for section in _SECTIONS:
        for key, value in parser.items(section) if parser.has_section(section) else ():
            name = key.removeprefix("--").replace("_", "-")
            yield section, name, Setting(value=value, origin=str(file))


def _uv_files(environ: Mapping[str, str]) -> Iterator[Path]:
    if environ.get("UV_NO_CONFIG", "").lower() not in _OFF:
        return
    if environ.get("UV_CONFIG_FILE"):
        yield Path(environ["UV_CONFIG_FILE"])
        return
    home = home_directory(environ)
    yield Path(environ.get("XDG_CONFIG_HOME") or home / ".config") / "uv" / "uv.toml"
    for directory in (environ.get("XDG_CONFIG_DIRS") or "/etc/xdg").split(os.pathsep):
        yield Path(directory) / "uv" / "uv.toml"
    yield Path("/etc/uv/uv.toml")
