"""The files that other tools read of this project are what those tools expect."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path

import jsonschema
import yaml

ROOT = Path(__file__).parents[2]


def test_the_action_is_what_github_takes() -> None:
    """Held against the schema of action metadata that check-jsonschema brings along."""
    schemas = files("check_jsonschema") / "builtin_schemas" / "vendor"
    schema = json.loads((schemas / "github-actions.json").read_text("utf-8"))
    jsonschema.validate(yaml.safe_load((ROOT / "action.yml").read_text("utf-8")), schema)


def test_the_hook_is_what_pre_commit_takes() -> None:
    from pre_commit.clientlib import load_manifest

    (hook,) = load_manifest(str(ROOT / ".pre-commit-hooks.yaml"))
    assert hook["id"] == "cudaforge-audit"
    assert hook["language"] == "python"
