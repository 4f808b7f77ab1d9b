"""Conditions of the shell are decided where all of them is known, and only there."""

from __future__ import annotations

import re

import pytest

from cudaforge.audit.dockerfile import Piece
from cudaforge.audit.shell import read_commands

SCOPE = {"A": "1", "EMPTY": "", "OPEN": None, "TARGETARCH": "arm64"}
GOES, MAY, NEVER = "goes", "may", "never"


def fate(text: str, *, newlines: bool = False) -> str:
    """What becomes of the command `hit` in a shell text."""
    pieces = [Piece(line=number, text=line) for number, line in enumerate(text.split("\n"), 1)]
    for command in read_commands(pieces, SCOPE, newlines=newlines):
        if command.name == "hit":
            return GOES if command.is_certain else MAY
    return NEVER


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("hit", GOES),
        ("true && hit", GOES),
        ("false && hit", NEVER),
        ("false || hit", GOES),
        ("true || hit", NEVER),
        ("program && hit", GOES),
        ("program || hit", MAY),
        ("program || other && hit", GOES),
        ('[ -n "$A" ] && hit', GOES),
        ('[ -n "$EMPTY" ] && hit', NEVER),
        ('[ -n "$OPEN" ] && hit', MAY),
        ('[ -n "$NOWHERE" ] && hit', MAY),
        ('[ -n "$OPEN" ] && hit; other', MAY),
        ('[ -n "$OPEN" ] && other; hit', GOES),
        ('[ -z "$OPEN" ] || hit', MAY),
        ('[ -z "$EMPTY" ] || hit', NEVER),
        ('test "$A" = 1 && hit', GOES),
        ('test "$A" != 1 && hit', NEVER),
        ("[ ! -z $A ] && hit", GOES),
        ("! [ -z $A ] && hit", GOES),
        ("[[ $A == [0-9] ]] && hit", GOES),
        ("[ $A = [0-9] ] && hit", NEVER),
        ("[ $A -ge 2 ] && hit", NEVER),
        ("[ $A -lt 2 ] && hit", GOES),
        ("[ $A -lt 2 -a $A -gt 5 ] && hit", MAY),
        ("[ -f /etc/os-release ] && hit", MAY),
        ("[ -f /etc/os-release ] || other && hit", GOES),
        ('[ "$(uname -m)" = aarch64 ] && hit', GOES),
        ("[ `uname -m` = x86_64 ] && hit", NEVER),
        ('[ "$(dpkg --print-architecture)" = arm64 ] && hit', GOES),
        ('[ "$(nproc)" = 4 ] && hit', MAY),
        ("if [ $A = 1 ]; then hit; fi", GOES),
        ("if [ $A = 2 ]; then hit; fi", NEVER),
        ("if [ $A = 2 ]; then other; else hit; fi", GOES),
        ("if [ $A = 2 ]; then a; elif [ $A = 1 ]; then hit; else b; fi", GOES),
        ("if [ $A = 1 ]; then a; elif [ $A = 1 ]; then hit; else b; fi", NEVER),
        ('if [ "$OPEN" ]; then a; elif [ $A = 1 ]; then hit; fi', MAY),
        ('if [ "$OPEN" ]; then a; elif [ $A = 2 ]; then hit; fi', NEVER),
        ('if [ "$OPEN" ]; then a; else hit; fi', MAY),
        ('if [ "$OPEN" ]; then a; fi; hit', GOES),
        ("if program; then hit; fi", MAY),
        ("if ! [ $A = 2 ]; then hit; fi", GOES),
        ("if [ $A = 1 ] && [ -z $EMPTY ]; then hit; fi", GOES),
        ("if [ $A = 2 ]; then if [ $A = 1 ]; then hit; fi; fi", NEVER),
        ("case $A in 2) a;; 1) hit;; esac", GOES),
        ("case $A in 1|2) hit;; *) a;; esac", GOES),
        ("case $A in 1) a;; *) hit;; esac", NEVER),
        ('case "$OPEN" in 1) a;; *) hit;; esac', MAY),
        ("case $A in 2) a;; esac; hit", GOES),
        ("for one in a b; do hit; done", MAY),
        ("for one in a b; do a; done; hit", GOES),
        ("B=2 && [ $B = 2 ] && hit", GOES),
        ('if [ "$OPEN" ]; then B=2; fi; [ "$B" = 2 ] && hit', MAY),
        ("if [ $A = 2 ]; then A=3; fi; [ $A = 1 ] && hit", GOES),
    ],
)
def test_a_command_runs_where_its_conditions_say_so(text, says) -> None:
    assert fate(text) == says
    assert fate(re.sub("(?<!;); ", "\n", text), newlines=True) == says


def test_an_open_condition_is_named() -> None:
    pieces = [Piece(line=1, text='[ "$OPEN" = yes ] && hit')]
    (hit,) = (one for one in read_commands(pieces, SCOPE) if one.name == "hit")
    assert hit.condition == '[ "$OPEN" = yes ]'


@pytest.mark.parametrize(
    "text", ["if", "case", "case $A in", "esac", "fi; fi", "if then else fi", "[ && ]", "! !"]
)
def test_what_is_no_shell_ends(text) -> None:
    assert fate(f"{text}\nhit", newlines=True) in (GOES, MAY, NEVER)
