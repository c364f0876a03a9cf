"""Read templates (Jinja, Go, Helm, ERB, EJS): their expressions become unknown variables.

What a template renders to depends on values that are not here. Its statements are removed, so that both
branches of a condition are read; where that leaves no whole configuration, only the first branch is.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

VARIABLE = "template"
_MOST_BRANCHES = 8
LINES = "lines that the template fills in"
"""The file that lines which are filled in are read as."""

# {{ ... }} of Jinja, Go, Helm and mustache, in which texts may hold braces; {% ... %} and {# ... #} of Jinja;
# <% ... %> of ERB and EJS; [[ ... ]] of Go with other delimiters: with spaces, unlike [[:alpha:]]; %{if ...}
# of Terraform, whose values are ${...}; [% ... %] of the Template Toolkit.
_INNER = r"""(?>[^{}"`]+|"(?:[^"\\\n]|\\.)*+"|`[^`]*`|["`])*+"""
_TAG = re.compile(
    r"\{\{\{(?P<triple>[^{}]*)\}\}\}"
    r"|\{\{(?P<braces>-?[ \t]*/\*.*?\*/[^{}]*|(?![\s-]*\})" + _INNER + r")\}\}"
    r"|\[\[(?P<brackets>-?\s[^\[\]]*\s-?)\]\]"
    r"|%\{(?P<terraform>~?\s*(?:if|else|endif|for|endfor)\b[^{}]*)\}|\[%(?P<toolkit>.*?)%\]"
    r"|\{%(?P<percent>.*?)%\}|\{\#.*?\#\}|<%(?P<angle>.*?)%>",
    re.DOTALL,
)
_COMMENT = re.compile(r"^[ \t]*#.*$", re.MULTILINE)
_OPENING = re.compile(
    r"(?:if|unless|case|for|range|with|define|block|macro|call|filter|IF|UNLESS|FOREACH|BLOCK)\b"
    r"|.*\bdo(?:\s*\|.*\|)?$"
)
_ELSE = re.compile(r"(?:else|elif|elsif)\b", re.IGNORECASE)
_CLOSING = re.compile(r"end\w*\b|\}", re.IGNORECASE)
_OF_TOOLKIT = re.compile(r"(?:IF|UNLESS|ELSE|ELSIF|END|FOREACH|SET|INCLUDE|PROCESS|BLOCK|#)(?!\w)")
_CONDITION = re.compile(r"(?:if|unless|with)\b", re.IGNORECASE)
# In double braces the first word or sign shows a statement; everything else is an expression.
_STATEMENT = re.compile(
    r"(?:if|else|end|range|with|define|template|block|break|continue)\b|\$\w+\s*:?=(?!=)|[/#!^>]"
)
_WHOLE = re.compile(
    r"[ \t]+(?:(?:proxy|fastcgi|grpc|uwsgi|scgi|memcached)_\w+|upstream|server|location)\s+[^;\s]"
)
_FILLS = re.compile(
    r"(?:include|template|tpl)\b|(?!(?:if|else|end|range|with|define|block|break|continue)\b)[.$]?\w[\w.]*[^=]*$"
)
_VALUE = re.compile(r"(?!end\b|else\b|if\b)[\w.@$]+(?:\[[^\]]*\]|\([^()]*\)|\.\w+)*\s*")
# What envsubst, autoconf, CMake and other programs fill in; ${name} is a variable where nginx takes one.
_PLACEHOLDER = re.compile(
    r"\$\{\w[^}]*(?:\}|$)|\$[A-Z][A-Z0-9_]*\b|@\w+@|__\w+__|%%?[A-Z]\w*%%?|\$\(\w+\)|<[A-Z_]+>", re.ASCII
)
_LANGUAGES = (
    ("<%", "ERB or EJS"),
    ("{%", "Jinja"),
    ("{#", "Jinja"),
    ("{{", "Jinja, Helm or Go"),
    ("[[", "Go"),
    ("%{", "Terraform"),
    ("[%", "Template Toolkit"),
)


@dataclass(frozen=True, slots=True)
class _Tag:
    """One tag of a template, and where it stands."""

    start: int
    end: int
    statement: str | None
    """Its text if it is a statement; None for a value."""
    fills_lines: bool = False
    """Whether it renders to whole directives."""


def language(text: str) -> tuple[str, int] | None:
    """Return a template's language and the line of its first expression; None if the text is no template."""
    if not any(mark in text for mark in ("{{", "{%", "<%", "[[", "%{", "[%")):
        return None
    first = _TAG.search(_COMMENT.sub(lambda match: " " * len(match[0]), text))
    if first is None:
        return None
    name = next(name for mark, name in _LANGUAGES if first[0].startswith(mark))
    return name, text.count("\n", 0, first.start()) + 1


def has_placeholder(words: Iterable[str]) -> bool:
    """Return whether one of a directive's words is filled in before nginx reads it."""
    return any(_PLACEHOLDER.search(word) is not None for word in words)


def renderings(text: str) -> list[str]:
    """Return what a template may render to, likeliest first; lines stay where they are.

    The first has all branches of all conditions, the second only the first branch of each. Expressions
    are `${template}` in both.
    """
    tags = [_without_lines(_tag(match, text), text) for match in _TAG.finditer(text)]
    return [_render(text, tags, []), _render(text, tags, _later_branches(tags))]


def conditional_renderings(text: str) -> list[str]:
    """Return what a template renders to where each condition holds, and where none does; [] without any.

    Of a condition that holds this is its first branch, of others the `else`, or nothing. Then come the
    `elif` branches, each beside the first branches of what has fewer. What loops repeat stays in all.
    """
    tags = [_tag(match, text) for match in _TAG.finditer(text)]
    dropped = _first_branches(tags)
    if not dropped:
        return []
    chains = list(_chains(tags))
    most = min(_MOST_BRANCHES, max((count for _, count in chains), default=0))
    others = [_render(text, tags, _all_but(chains, number)) for number in range(1, most)]
    return [_render(text, tags, _later_branches(tags)), _render(text, tags, dropped), *others]


def _tag(match: re.Match[str], text: str) -> _Tag:
    start, end = match.span()
    if (angle := match["angle"]) is not None:
        is_value = angle.startswith("=") or (
            angle[:1] == "-" and _VALUE.fullmatch(angle.strip(" \t\n-")) is not None
        )
        return _Tag(start, end, None if is_value else angle.strip(" \t\n-"))
    if match["triple"] is not None:
        return _Tag(start, end, None)
    if (toolkit := match["toolkit"]) is not None:
        inner = toolkit.strip(" \t\n-+=~")
        return _Tag(start, end, inner if _OF_TOOLKIT.match(inner) else None)
    if (terraform := match["terraform"]) is not None:
        return _Tag(start, end, terraform.strip(" \t\n~"))
    braces = match["braces"] if match["brackets"] is None else match["brackets"]
    if braces is not None:
        inner = braces.strip(" \t\n-")
        is_statement = _STATEMENT.match(inner) or _is_alone(text, start, end)
        if inner.startswith("template") and _is_within_directive(text, start):
            is_statement = False
        fills_lines = _FILLS.match(inner) is not None and _begins_directive(text, start)
        return _Tag(start, end, inner if is_statement else None, fills_lines)
    inner = (match["percent"] or "").strip(" \t\n-+")
    return _Tag(start, end, inner, inner.startswith("include ") and _begins_directive(text, start))


def _without_lines(tag: _Tag, text: str) -> _Tag:
    """Return a tag that stands before a whole directive as a statement: what it renders to are lines too."""
    if tag.statement is not None or _is_within_directive(text, tag.start):
        return tag
    if _is_alone(text, tag.start, tag.end) or _WHOLE.match(text, tag.end):
        return _Tag(tag.start, tag.end, "", _begins_directive(text, tag.start))
    return tag


def _is_alone(text: str, start: int, end: int) -> bool:
    """Return whether an expression is all that stands in its lines: it renders to whole directives."""
    before = text[text.rfind("\n", 0, start) + 1 : start]
    after, _, following = text[end:].partition("\n")
    return not before.strip() and not after.strip() and not following.lstrip().startswith((";", "{"))


def _begins_directive(text: str, start: int) -> bool:
    """Return whether no directive is open where a tag stands."""
    before = text[:start].rstrip()
    return before.endswith((";", "{", "}", "%>", "]]")) or before.rpartition("\n")[2].lstrip().startswith("#")


def _is_within_directive(text: str, start: int) -> bool:
    """Return whether the beginning of a directive stands before a tag, in the same line."""
    before = text[text.rfind("\n", 0, start) + 1 : start].rstrip()
    return bool(before) and not before.endswith((";", "{", "}"))


def _later_branches(tags: list[_Tag]) -> list[tuple[int, int]]:
    """Return the stretches of text between an `else` of a condition and its end."""
    found: list[tuple[int, int]] = []
    else_at: list[int | None] = []
    for tag in tags:
        statement = tag.statement or ""
        if _CLOSING.match(statement) and else_at:
            start = else_at.pop()
            if start is not None:
                found.append((start, tag.start))
        elif _ELSE.match(statement) and else_at:
            else_at[-1] = else_at[-1] or tag.end
        elif _OPENING.match(statement):
            else_at.append(None)
    return found


def _replacement(tag: _Tag) -> str:
    """Return what stands for a tag: lines that are filled in are read as a file that is missing."""
    if tag.statement is None:
        return f"${{{VARIABLE}}}"
    return f'include "{LINES}";' if tag.fills_lines else ""


def _first_branches(tags: list[_Tag]) -> list[tuple[int, int]]:
    """Return the stretches of text between a condition and its `else`, or its end where it has none."""
    found: list[tuple[int, int]] = []
    opened: list[tuple[int, int | None] | None] = []
    for tag in tags:
        statement = tag.statement or ""
        if _CLOSING.match(statement) and opened:
            condition = opened.pop()
            if condition is not None:
                found.append((condition[0], condition[1] or tag.start))
        elif _ELSE.match(statement) and opened:
            if opened[-1] is not None:
                opened[-1] = (opened[-1][0], tag.start if statement.strip().lower() == "else" else None)
        elif _OPENING.match(statement):
            opened.append((tag.end, None) if _CONDITION.match(statement) else None)
    return found


def _chains(tags: list[_Tag]) -> Iterator[tuple[list[tuple[int, int]], int]]:
    """Yield the branches of each condition as stretches of text, and how many there are besides an `else`."""
    opened: list[list[_Tag]] = []
    for tag in tags:
        statement = tag.statement or ""
        if _CLOSING.match(statement) and opened:
            parts = opened.pop()
            bounds = zip(parts, [*parts[1:], tag], strict=True)
            branches = [(each.end, following.start) for each, following in bounds]
            has_else = (parts[-1].statement or "").strip().lower() == "else"
            if _CONDITION.match(parts[0].statement or ""):
                yield branches, len(branches) - has_else
        elif _ELSE.match(statement) and opened:
            opened[-1].append(tag)
        elif _OPENING.match(statement):
            opened.append([tag])


def _all_but(chains: Iterable[tuple[list[tuple[int, int]], int]], number: int) -> list[tuple[int, int]]:
    """Return all branches but one of each condition: the one of that number, or the first if it has fewer."""
    found: list[tuple[int, int]] = []
    for branches, count in chains:
        kept = number if number < count else 0
        found += branches[:kept] + branches[kept + 1 :]
    return found


def _render(text: str, tags: list[_Tag], dropped: list[tuple[int, int]]) -> str:
    """Return the text without statements and without the dropped stretches, but with their line breaks."""
    pieces = [(tag.start, tag.end, _replacement(tag)) for tag in tags]
    pieces += [(start, end, "") for start, end in dropped]
    kept: list[str] = []
    position = 0
    for start, end, replacement in sorted(pieces, key=lambda piece: (piece[0], -piece[1])):
        if end <= position:
            continue  # inside a stretch that was dropped
        kept.append(text[position:start])
        kept.append(replacement)
        kept.append("\n" * text.count("\n", start, end))
        position = end
    return "".join((*kept, text[position:]))
