"""The normal form of a text, in which the same message always reads alike.

Colours, log prefixes, quoting, escapes of JSON, frames drawn with lines and white space are taken away. What
remains keeps its words, their order and its lines.
"""

from __future__ import annotations

import re

from cudaforge.records import record

# A run of backslashes is looked at from its beginning alone: else each is a beginning of its own.
_SLASHES = r"(?<!\\)\\{1,16}"
_ESCAPE = rf"(?:\x1b|{_SLASHES}(?:u001[bB]|x1[bB]|033|e(?=\[)))"
_ANSI = re.compile(
    rf"{_ESCAPE}(?:\[[0-9;?:]{{0,40}}[ -/]?[@-~]|\][^\x07\x1b\n]{{0,200}}(?:\x07|\x1b\\))|\x9b[0-9;]{{0,40}}m"
)
_ESCAPED = re.compile(rf"{_SLASHES}(?:([\"'`/])|(r\\{{1,16}}n|[nr])|t)")
_LEVEL = r"(?:error|err|warning|warn|info|fatal|critical|debug|notice|trace)"
_PREFIX = re.compile(
    r"^(?:[ \t\r>*|\u2500-\u257f\u25b6\u00d7]+"
    r"|\{'(?:log|msg|message|line)': ?'"
    r"|\[?\d{4}[-/]\d\d[-/]\d\d[t ]\d\d:\d\d:\d\d(?:[.,]\d{1,9})?(?: ?(?:z|utc|[+-]\d\d:?\d\d))?\]?[:,]?"
    r"|\[?\d\d:\d\d:\d\d(?:[.,]\d{1,9})?\]?:?(?=[ \t])"
    r"|(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec) [ \d]\d \d\d:\d\d:\d\d [\w.-]{1,80} "
    r"[\w.@/-]{1,80}(?:\[\d{1,9}\])?:"
    r"|[iwef]\d{4} \d\d:\d\d:\d\d\.\d{1,9} +\d{1,9} [^\s\]]{1,120}\]"
    r"|[iwef] (?:tensorflow|external|xla|third_party)/[^\s\]]{1,160}\]"
    r"|##\[[a-z]{1,20}\]|::[a-z]{1,20}(?: [^:\n]{0,200})?::"
    r"|#\d{1,5}(?: \d{1,6}\.\d{1,4})?(?=[ \t])"
    r"|[\w.-]{1,80} +\|(?=[ \t])"
    r"|\[(?:[ \d.]{1,20}|[^\]\[\s']{1,80})\]:?(?=[ \t])"
    r"|\[rank\d{1,5}\]:"
    r"|\d{1,5}:(?=[ \t])|\d\d[oe][+ ](?=[ \t]?)"
    r"|\([\w.-]{1,60} (?:rank=\d{1,5} )?pid=\d{1,9}(?:, ip=[\d.]{1,20})?\)"
    r"|(?:stdout|stderr) [fp](?=[ \t])"
    rf"|(?:time=\S{{1,40}}|level={_LEVEL}|msg=)[ \t]*"
    r")+",
    re.MULTILINE | re.IGNORECASE,
)
_FRAME_END = re.compile(r"(?<![ \t])[ \t]{0,200}[\u2502\u2503][ \t\r]*$", re.MULTILINE)
_CHARACTERS = {
    **dict.fromkeys(map(ord, '\u201c\u201d\u201e\u00ab\u00bb\u2018\u2019\u201a\u2032\u00b4"'), "'"),
    **dict.fromkeys(map(ord, "\u2010\u2011\u2012\u2013\u2212"), "-"),
    **dict.fromkeys(map(ord, "\u200b\u200c\u200d\u2060\ufeff\u00ad\0")),
    ord("`"): "'",
    0x2028: "\n",
    0x2029: "\n",
    ord("\v"): "\n",
    ord("\f"): "\n",
    ord("\x85"): "\n",
}
_ENTITIES = (
    ("&quot;", "'"),
    ("&#34;", "'"),
    ("&#39;", "'"),
    ("&#x27;", "'"),
    ("&lt;", "<"),
    ("&gt;", ">"),
    ("&amp;", "&"),
)
_NARROWEST = 40


@record(kw_only=False)
class Normal:
    """A text in its normal form. All have the same length: a place in one is that place in the others."""

    shown: str
    """As one line, in the case that it was written in."""
    flat: str
    """As one line, in lower case: expressions are looked for here."""
    lines: str
    """With its line ends, in lower case."""


def normal_form(text: str) -> Normal:
    """The normal form of a text."""
    lines = "\n".join([" ".join(line.split()) for line in _plain(text).split("\n")])
    lowered = lines.lower()
    if len(lowered) != len(lines):  # some letters have no single lower-case one
        lines = lowered
    return Normal(lines.replace("\n", " "), lowered.replace("\n", " "), lowered)


def unwrapped(text: str) -> str:
    """The text with the lines joined that were broken at the edge of a terminal, within words too: those of
    the greatest length that there is. The same text where there are none."""
    lines = text.split("\n")
    widest = max(map(len, lines))
    if widest < _NARROWEST:
        return text
    return "".join(line if len(line) == widest else line + "\n" for line in lines)


def _plain(text: str) -> str:
    if "\x1b" in text or "\x9b" in text or "\\" in text:
        text = _ANSI.sub("", text)
    if "\\" in text:
        text = _ESCAPED.sub(_unescaped, text)
    if "&" in text:
        for entity, character in _ENTITIES:
            text = text.replace(entity, character)
    if text.isascii():
        text = (
            text.replace('"', "'").replace("`", "'").replace("\0", "").replace("\v", "\n").replace("\f", "\n")
        )
    else:
        text = text.translate(_CHARACTERS)
        text = _FRAME_END.sub("", text)
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    return _PREFIX.sub("", text)


def _unescaped(match: re.Match[str]) -> str:
    if match[1]:
        return "'" if match[1] != "/" else "/"
    return "\n" if match[2] else " "
