"""Templates of configurations: turns their expressions into unknown variables, line by line as they were."""

from __future__ import annotations

import re

VARIABLE = "template"

_EXPRESSION = re.compile(r"\{\{(?![\s-]*\})[^{}\n;]*\}\}|<%=.*?%>", re.DOTALL)
_STATEMENT = re.compile(r"\{%.*?%\}|\{#.*?#\}|<%.*?%>|\{\{[-/#!^][^{}]*\}\}", re.DOTALL)
_COMMENT = re.compile(r"^[ \t]*#.*$", re.MULTILINE)
_LANGUAGES = (("<%", "ERB"), ("{%", "Jinja"), ("{{", "Jinja, Helm or Go"))


def language(text: str) -> tuple[str, int] | None:
    """Returns a template's language and the line of its first expression; None if the text is no template."""
    if "{{" not in text and "{%" not in text and "<%" not in text:
        return None
    visible = _COMMENT.sub(lambda match: " " * len(match[0]), text)
    found = [match for match in (_EXPRESSION.search(visible), _STATEMENT.search(visible)) if match]
    if not found:
        return None
    first = min(found, key=lambda match: match.start())
    name = next(name for mark, name in _LANGUAGES if first[0].startswith(mark) or mark == "{{")
    return name, text.count("\n", 0, first.start()) + 1


def rendered(text: str) -> str:
    """Returns the text without statements, its expressions as `${template}`; lines stay where they are."""
    text = _EXPRESSION.sub(lambda match: f"${{{VARIABLE}}}" + _breaks(match[0]), text)
    return _STATEMENT.sub(lambda match: _breaks(match[0]), text)


def _breaks(text: str) -> str:
    return "\n" * text.count("\n")
