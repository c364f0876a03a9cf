"""Templates of configurations: turns their expressions into unknown variables, line by line as they were.

What a template renders to depends on values that are not here. Its statements are taken out, so that both
branches of a condition are read; where that leaves no whole configuration, only the first branch is.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

VARIABLE = "template"

# {{ ... }} of Jinja, Go, Helm and mustache; {% ... %} and {# ... #} of Jinja; <% ... %> of ERB and EJS.
_MARK = re.compile(
    r"\{\{(?P<braces>-?[ \t]*/\*.*?\*/[^{}]*|(?![\s-]*\})[^{}]*)\}\}"
    r"|\{%(?P<percent>.*?)%\}|\{\#.*?\#\}|<%(?P<angle>.*?)%>",
    re.DOTALL,
)
_COMMENT = re.compile(r"^[ \t]*#.*$", re.MULTILINE)
_OPENS = re.compile(
    r"(?:if|unless|case|for|range|with|define|block|macro|call|filter)\b|.*\bdo(?:\s*\|.*\|)?$"
)
_TURNS = re.compile(r"(?:else|elif|elsif)\b")
_CLOSES = re.compile(r"end\w*\b|\}")
# In double braces a statement is told by its first word or sign; everything else is an expression.
_STATEMENT = re.compile(
    r"(?:if|else|end|range|with|define|template|block|break|continue)\b|\$\w+\s*:?=(?!=)|[/#!^>]"
)
_VALUE = re.compile(r"(?!end\b|else\b|if\b)[\w.@$]+(?:\[[^\]]*\]|\([^()]*\)|\.\w+)*\s*")
_LANGUAGES = (("<%", "ERB or EJS"), ("{%", "Jinja"), ("{#", "Jinja"), ("{{", "Jinja, Helm or Go"))


@dataclass(frozen=True, slots=True)
class _Mark:
    """One marked piece of a template: where it stands, and what it says if it is a statement."""

    start: int
    end: int
    statement: str | None


def language(text: str) -> tuple[str, int] | None:
    """Returns a template's language and the line of its first expression; None if the text is no template."""
    if "{{" not in text and "{%" not in text and "<%" not in text:
        return None
    first = _MARK.search(_COMMENT.sub(lambda match: " " * len(match[0]), text))
    if first is None:
        return None
    name = next(name for mark, name in _LANGUAGES if first[0].startswith(mark))
    return name, text.count("\n", 0, first.start()) + 1


def renderings(text: str) -> list[str]:
    """Returns what a template may render to, likeliest first; lines stay where they are.

    The first has all branches of all conditions, the second only the first branch of each. Expressions
    are `${template}` in both.
    """
    marks = [_mark(match, text) for match in _MARK.finditer(text)]
    return [_without(text, marks, []), _without(text, marks, _later_branches(marks))]


def _mark(match: re.Match[str], text: str) -> _Mark:
    start, end = match.span()
    if (angle := match["angle"]) is not None:
        is_value = angle.startswith("=") or (angle[:1] == "-" and _VALUE.fullmatch(angle[1:]) is not None)
        return _Mark(start, end, None if is_value else angle.strip(" \t\n-"))
    if (braces := match["braces"]) is not None:
        said = braces.strip(" \t\n-")
        return _Mark(start, end, said if _STATEMENT.match(said) or _is_alone(text, start, end) else None)
    return _Mark(start, end, (match["percent"] or "").strip(" \t\n-+"))


def _is_alone(text: str, start: int, end: int) -> bool:
    """Tells whether an expression is all that stands in its lines: it renders to whole directives."""
    before = text[text.rfind("\n", 0, start) + 1 : start]
    after, _, following = text[end:].partition("\n")
    return not before.strip() and not after.strip() and not following.lstrip().startswith((";", "{"))


def _later_branches(marks: list[_Mark]) -> list[tuple[int, int]]:
    """Returns the stretches of text between an `else` of a condition and its end."""
    found: list[tuple[int, int]] = []
    turned: list[int | None] = []
    for mark in marks:
        said = mark.statement or ""
        if _CLOSES.match(said) and turned:
            start = turned.pop()
            if start is not None:
                found.append((start, mark.start))
        elif _TURNS.match(said) and turned:
            turned[-1] = turned[-1] or mark.end
        elif _OPENS.match(said):
            turned.append(None)
    return found


def _without(text: str, marks: list[_Mark], dropped: list[tuple[int, int]]) -> str:
    """Returns the text without statements and without the dropped stretches, but with their line breaks."""
    pieces = [(mark.start, mark.end, mark.statement is None) for mark in marks]
    pieces += [(start, end, False) for start, end in dropped]
    kept: list[str] = []
    position = 0
    for start, end, is_value in sorted(pieces, key=lambda piece: (piece[0], -piece[1])):
        if end <= position:
            continue  # inside a stretch that was dropped
        kept.append(text[position:start])
        kept.append(f"${{{VARIABLE}}}" if is_value else "")
        kept.append("\n" * text.count("\n", start, end))
        position = end
    return "".join((*kept, text[position:]))
