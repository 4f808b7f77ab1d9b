"""A picture of a command's output: text on standard input, an SVG on standard output.

cudaforge up -f FILE 2>&1 | python tools/picture.py 'cudaforge up -f FILE' > docs/up.svg

Build steps are left out: on a terminal they are bars that go away. The SVG names no address.
"""

from __future__ import annotations

import io
import re
import sys

from rich.console import Console
from rich.text import Text

_STEP = re.compile(r"^\S+: (\[|exporting )")
_STYLES = (
    (re.compile(r"^-[- ]+$|^\S+: (?=verifying|finished|built)", re.MULTILINE), "bright_black"),
    (re.compile(r"trained on .*$|(?<=: )built in .*$", re.MULTILINE), "green"),
    (re.compile(r"NOT OK.*$|(?<=: )failed.*$", re.MULTILINE), "red"),
)
_FONT_FACE = re.compile(r"\s*@font-face \{.*?\}", re.DOTALL)
_COMMENT = re.compile(r"\s*<!--.*?-->", re.DOTALL)
_FONTS = 'ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", monospace'


def make_picture(command: str, output: str) -> str:
    """The SVG of a terminal in which the command has printed the output."""
    lines = [f"$ {command}", *(line for line in output.splitlines() if _STEP.match(line) is None)]
    text = Text("\n".join(lines))
    text.stylize("bold", 0, len(lines[0]))
    for pattern, style in _STYLES:
        text.highlight_regex(pattern, style)
    width = max(len(line) for line in lines) + 1
    console = Console(record=True, width=width, file=io.StringIO(), force_terminal=True)
    console.print(text, soft_wrap=True)
    # rich draws a dark window with its own frame, which reads on light and on dark pages.
    svg = console.export_svg(title="", unique_id="cudaforge")
    svg = _COMMENT.sub("", _FONT_FACE.sub("", svg)).replace("Fira Code, monospace", _FONTS)
    return re.sub(r"[ \t]+$", "", svg, flags=re.MULTILINE)


if __name__ == "__main__":
    sys.stdout.write(make_picture(sys.argv[1], sys.stdin.read()))
