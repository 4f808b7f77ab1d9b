"""The regular expressions that patterns may use: simple ones, whose search takes time linear in the text.

Python's engine backtracks. It cannot do so for long where every repetition is bounded and none holds another:
what follows one start of a match is then looked at a bounded number of times, whatever the text is. Unbounded
repetitions are written as people know them and get a bound here.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from cudaforge.diagnosis.model import Search

if sys.version_info >= (3, 11):
    from re import _constants as _sre
    from re import _parser
else:
    import sre_constants as _sre
    import sre_parse as _parser

WIDEST = 120
"""What `*` and `+` stand for at most, in characters."""
MOST_WAYS = 30_000
"""In so many ways at most an expression may go on behind one start."""
SHORTEST_LITERAL = 5
_SMALL = 8
_CATEGORIES = {
    _sre.CATEGORY_DIGIT: r"\d",
    _sre.CATEGORY_NOT_DIGIT: r"\D",
    _sre.CATEGORY_SPACE: r"\s",
    _sre.CATEGORY_NOT_SPACE: r"\S",
    _sre.CATEGORY_WORD: r"\w",
    _sre.CATEGORY_NOT_WORD: r"\W",
}
_LINE_HEAD = (
    r"^(?:(?:\w[\w.]{0,80}(?:error|exception|warning|interrupt)|error|fatal|docker|e|failed|reason)[:=]? )"
    r"{0,3}'?"
)
_LINE_END = r"'?[.!]{0,3}$"


class InvalidExpression(ValueError):
    """An expression that patterns may not use. The message says why."""


def read_search(pattern: str, *, is_line: bool = False) -> Search:
    """The expression in the form that is used. Raises InvalidExpression."""
    try:
        parsed = _parts(pattern)
    except re.error as error:
        raise InvalidExpression(f"{pattern!r} is no regular expression: {error}") from error
    if pattern != _lowered(pattern):
        raise InvalidExpression(f"{pattern!r} has capital letters: texts are looked at in lower case")
    if '"' in pattern or "`" in pattern:
        raise InvalidExpression(f"{pattern!r} has a quotation mark that is not ': texts have that one alone")
    _check_parts(pattern, parsed)
    regex = bounded(pattern)
    regex = f"{_LINE_HEAD}(?:{regex}){_LINE_END}" if is_line else regex
    ways = _ways(_parts(regex))
    if ways > MOST_WAYS:
        raise InvalidExpression(
            f"{pattern!r} can go on in {ways} ways behind one start: use fewer repetitions"
        )
    literals = tuple(dict.fromkeys(_literals(parsed)))
    if not literals or any(len(one.strip()) < SHORTEST_LITERAL for one in literals):
        raise InvalidExpression(
            f"{pattern!r} must hold a text of {SHORTEST_LITERAL} characters that is always there, in each "
            "alternative"
        )
    return Search(regex=regex, literals=literals, is_line=is_line)


def _parts(pattern: str) -> list[Any]:
    parsed: Any = _parser.parse(pattern)
    return list(parsed)


def bounded(pattern: str) -> str:
    """The expression with a bound to each `*` and `+` outside a character class."""
    made, position, in_class = [], 0, False
    while position < len(pattern):
        character = pattern[position]
        if character == "\\":
            made.append(pattern[position : position + 2])
            position += 2
            continue
        if character == "[" and not in_class:
            in_class = True
        elif character == "]" and in_class and pattern[position - 1] != "[":
            in_class = False
        if character in "*+" and not in_class:
            made.append(f"{{{'01'[character == '+']},{WIDEST}}}")
        else:
            made.append(character)
        position += 1
    return "".join(made)


def _lowered(pattern: str) -> str:
    """With the capital letters of classes (`\\S`) and of group names kept."""
    return re.sub(
        r"\\.|\(\?P<|[^\\(]+|\(", lambda part: part[0] if part[0][0] in "\\(" else part[0].lower(), pattern
    )


def _check_parts(pattern: str, parsed: Sequence[Any], *, around: int = 1) -> None:
    """`around` is how often what is around these parts is repeated at most."""
    for operator, argument in parsed:
        if operator in (_sre.MAX_REPEAT, _sre.MIN_REPEAT):
            _, most, inner = argument
            if around > 1 and most > 1 and max(around, most) > _SMALL:
                raise InvalidExpression(f"{pattern!r} has a repetition within a repetition")
            _check_parts(pattern, inner, around=max(around, int(most)))
        elif operator is _sre.SUBPATTERN:
            _check_parts(pattern, argument[3], around=around)
        elif operator is _sre.BRANCH:
            for branch in argument[1]:
                _check_parts(pattern, branch, around=around)
        elif operator in (_sre.ASSERT, _sre.ASSERT_NOT):
            _check_parts(pattern, argument[1], around=around)
        elif operator not in (_sre.LITERAL, _sre.NOT_LITERAL, _sre.IN, _sre.ANY, _sre.AT):
            raise InvalidExpression(f"{pattern!r} uses {operator}, which patterns do without")


def _ways(parts: Sequence[Any], behind: Sequence[Any] = ()) -> int:
    """In how many ways the parts can be matched behind one start, at most; `behind` stands behind them. A
    repetition that the next character ends has one: giving characters back helps it nothing."""
    ways = 1
    for number, (operator, argument) in enumerate(parts):
        rest = [*parts[number + 1 :], *behind]
        if operator in (_sre.MAX_REPEAT, _sre.MIN_REPEAT):
            least, most, inner = argument
            spread = int(most) - least
            is_wide = spread > _SMALL and rest and not _ends(inner, rest)
            ways *= (spread + 1 if is_wide else 1) * _ways(inner, rest if most == 1 else inner)
        elif operator is _sre.SUBPATTERN:
            ways *= _ways(argument[3], rest)
        elif operator in (_sre.ASSERT, _sre.ASSERT_NOT):
            ways *= _ways(argument[1])
        elif operator is _sre.BRANCH:
            ways *= max(_ways(branch, rest) for branch in argument[1])
    return ways


def _ends(repeated: Sequence[Any], rest: Sequence[Any]) -> bool:
    """Whether what stands behind a repetition begins with a character that it cannot take."""
    firsts = _firsts(rest)
    if len(repeated) != 1 or not firsts:
        return False
    operator, argument = repeated[0]
    if operator is _sre.NOT_LITERAL:
        return firsts == {argument}
    if operator is not _sre.IN:
        return False
    is_negated = argument[0][0] is _sre.NEGATE
    return all(_is_in(argument[is_negated:], first) == is_negated for first in firsts)


def _firsts(parts: Sequence[Any]) -> frozenset[int]:
    """The characters that the parts may begin with; empty where these are many, or none need be there."""
    if not parts:
        return frozenset()
    operator, argument = parts[0]
    if operator is _sre.LITERAL:
        return frozenset((argument,))
    if operator is _sre.IN and all(kind is _sre.LITERAL for kind, _ in argument):
        return frozenset(value for _, value in argument)
    if operator is _sre.SUBPATTERN:
        return _firsts([*argument[3], *parts[1:]])
    if operator is _sre.BRANCH:
        each = [_firsts([*branch, *parts[1:]]) for branch in argument[1]]
        return frozenset().union(*each) if all(each) else frozenset()
    if operator in (_sre.MAX_REPEAT, _sre.MIN_REPEAT):
        inner, behind = _firsts(argument[2]), _firsts(parts[1:])
        if argument[0] > 0:
            return inner
        return inner | behind if inner and behind else frozenset()
    return frozenset()


def _is_in(members: Sequence[Any], character: int) -> bool:
    for operator, argument in members:
        if operator is _sre.LITERAL and argument == character:
            return True
        if operator is _sre.RANGE and argument[0] <= character <= argument[1]:
            return True
        if operator is _sre.CATEGORY and re.match(_CATEGORIES[argument], chr(character)):
            return True
    return False


def _literals(parsed: Sequence[Any]) -> list[str]:
    """Texts of which one is in everything that matches: the longest that must be there, or one for each
    alternative; empty where there is none."""
    choices = [[run] for run in _runs(parsed)]
    for operator, argument in parsed:
        if operator is _sre.SUBPATTERN:
            choices.append(_literals(argument[3]))
        elif operator is _sre.BRANCH:
            each = [_literals(branch) for branch in argument[1]]
            choices.append([one for found in each for one in found] if all(each) else [])
        elif operator in (_sre.MAX_REPEAT, _sre.MIN_REPEAT) and argument[0] > 0:
            choices.append(_literals(argument[2]))
    return max((one for one in choices if one), key=lambda one: min(map(len, one)), default=[])


def _runs(parsed: Sequence[Any]) -> Iterator[str]:
    run = ""
    for operator, argument in parsed:
        if operator is _sre.LITERAL:
            run += chr(argument)
            continue
        if run:
            yield run
        run = ""
    if run:
        yield run
