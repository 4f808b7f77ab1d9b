"""Environment variables of an image: which names are taken, and which values must not be in an image."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial

from cudaforge.declaration.kinds import (
    ANY_STRING,
    BOOL,
    BadValue,
    Kind,
    Mistake,
    attempt,
    bad,
    text_kind,
    type_name,
)
from cudaforge.declaration.text import has_credentials
from cudaforge.records import record

_SECRET = re.compile(
    r"(.*_)?(TOKEN|SECRET|SECRET_KEY|SECRET_ACCESS_KEY|API_?KEY|PRIVATE_KEY|CREDENTIALS?|PASSWD)"
    r"|.*PASSWORD.*|.*_SECRET_.*",
    re.IGNORECASE,
)
_RESERVED = (
    (re.compile(r"PATH"), "it leads to the image's own Python environment"),
    (re.compile(r"VIRTUAL_ENV|PYTHONHOME"), "it leads to the image's own Python environment"),
    (re.compile(r"LD_LIBRARY_PATH|LD_PRELOAD"), "it can load another CUDA than the one that was resolved"),
    (re.compile(r"NVIDIA_.*"), "the NVIDIA container runtime reads it to decide what the container sees"),
    (re.compile(r"CUDA_.*"), "it changes which GPUs and which CUDA the frameworks see"),
)
NAME = text_kind(r"[A-Za-z_][A-Za-z0-9_]*", allowed="letters, digits and '_', not starting with a digit")
_ENTRY_KEYS = ("value", "override")


@record()
class Variable:
    """One variable. `override` says that a reserved or secret-looking name is meant."""

    value: str
    override: bool


def _read_environment(value: object) -> Mapping[str, Variable]:
    if not isinstance(value, Mapping):
        bad(f"{type_name(value)} where a table is expected", 'for example { HF_HOME = "/data/hf" }')
    mistakes: list[Mistake] = []
    variables: dict[str, Variable] = {}
    for name, entry in value.items():
        read = attempt(partial(_read_variable, name), entry, at=(name,), mistakes=mistakes)
        if read is not None:
            variables[name] = read
    if mistakes:
        raise BadValue(*mistakes)
    return variables


def _read_variable(name: str, entry: object) -> Variable:
    NAME.read(name)
    if isinstance(entry, Mapping):
        variable = _read_entry(entry)
    else:
        variable = Variable(value=ANY_STRING.read(entry), override=False)
    _check(name, variable)
    return variable


def _read_entry(entry: Mapping[str, object]) -> Variable:
    unknown = [key for key in entry if key not in _ENTRY_KEYS]
    if unknown or "value" not in entry:
        bad("a table with other keys than 'value' and 'override'", '{ value = "...", override = true }')
    return Variable(value=ANY_STRING.read(entry["value"]), override=BOOL.read(entry.get("override", False)))


def _check(name: str, variable: Variable) -> None:
    """Refuse secrets and taken names. No message quotes the value."""
    if has_credentials(variable.value):
        bad(
            "a user name or password in an address would stay readable in the image",
            "give it when the container starts, or name it in `secrets` and read it in a step of `run`",
        )
    if variable.override:
        return
    if variable.value and _SECRET.fullmatch(name):
        bad(
            "the name says that the value is a secret, and it would stay readable in the image",
            "give it when the container starts, or name it in `secrets` for a step of `run`; "
            'if it is no secret: { value = "...", override = true }',
        )
    for pattern, reason in _RESERVED:
        if pattern.fullmatch(name):
            bad(f"{name} is reserved: {reason}", 'if you mean it: { value = "...", override = true }')


ENVIRONMENT = Kind(
    read=_read_environment,
    schema={
        "type": "object",
        "propertyNames": NAME.schema,
        "additionalProperties": {
            "anyOf": [
                {"type": "string"},
                {
                    "type": "object",
                    "properties": {
                        "value": {"type": "string"},
                        "override": {
                            "type": "boolean",
                            "description": "Set a reserved or secret-looking name on purpose.",
                        },
                    },
                    "required": ["value"],
                    "additionalProperties": False,
                },
            ]
        },
    },
)
