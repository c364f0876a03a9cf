"""The page about the rules of `bench check`: each with its examples and how it was proven."""

from __future__ import annotations

from collections.abc import Iterator

from docs.site import markdown
from nginx.report import rules as report
from nginx.rules import CATALOGUE, Rule

_HEAD = """\
# Rules of `bench check`

`bench check --rules` lists them, `bench check --explain NK005` prints one. NK rules are about connections
to servers, CK rules about those of clients, NX rules about the text. "Proven by nginx itself" means that a
test runs nginx, before and since 1.29.7, with the examples or with texts of its own. It sends requests and
counts connections, or it looks at what the rule is about: fields, statuses, who closes, what nginx refuses.

"""


def build() -> str:
    """Return the page."""
    rules = sorted(CATALOGUE.values(), key=lambda rule: rule.id)
    table = markdown.format_table(
        ("rule", "severity", "what it finds"),
        ((f"[{rule.id}](#{_slug(rule)})", str(rule.severity), _format_text(rule.summary)) for rule in rules),
    )
    return _HEAD + table + "".join(f"\n{''.join(_parts(rule))}" for rule in rules)


def _slug(rule: Rule) -> str:
    return f"{rule.id}-{rule.name}".lower()


def _parts(rule: Rule) -> Iterator[str]:
    """Yield what `bench check --explain` prints of a rule, its configurations as blocks."""
    _, *paragraphs = report.format_rule(rule).rstrip("\n").split("\n\n")
    yield f"## {rule.id} {rule.name}\n\nSeverity: {rule.severity}.\n"
    for is_config, lines in _group(paragraphs):
        text = "\n\n".join(lines)
        if is_config:
            block = "\n".join(line.removeprefix("    ") for line in text.split("\n"))
            language = "text" if "{{" in block else "nginx"  # a template is no configuration yet
            yield f"\n```{language}\n{block}\n```\n"
        else:
            yield f"\n{_format_text(text)}\n"


def _group(paragraphs: list[str]) -> Iterator[tuple[bool, list[str]]]:
    """Yield each paragraph; those of one configuration that follow each other together."""
    block: list[str] = []
    for each in paragraphs:
        if each.startswith("    "):
            block.append(each)
            continue
        if block:
            yield True, block
            block = []
        yield False, [each]
    if block:
        yield True, block


def _format_text(text: str) -> str:
    """Return a text whose names of directives with underscores and stars stay as they are."""
    pieces = text.split("`")
    outside = [
        piece.replace("*", "\\*").replace("<", "&lt;") if index % 2 == 0 else f"`{piece}`"
        for index, piece in enumerate(pieces)
    ]
    return "".join(outside)
