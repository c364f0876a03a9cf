"""Format a rule with its examples, and the list of all rules."""

import re
import textwrap
from collections.abc import Iterable, Iterator

from nginx import tree
from nginx.idle_times import format_time
from nginx.rules import CATALOGUE, CheckSettings, Rule
from nginx.tree import Directive

_WIDTH = 80
_SPACE = re.compile(r"[ \t\r\n]+")
"""What separates words in nginx's eyes; a no-break space does not."""


def format_rule(rule: Rule) -> str:
    """Return a rule with its reasons and a configuration on either side of it."""
    parts = [f"{rule.id} {rule.name} ({rule.severity})", rule.summary]
    if rule.explanation:
        parts.append(rule.explanation)
    if not rule.unproven:
        parts.append("Proven by nginx itself, before and since 1.29.7.")
    else:
        parts.append(f"Not proven by nginx in the tests: {rule.unproven}.")
    if rule.bad.strip():
        shown = shown_with(rule)
        parts.append(f"Flagged {shown}:\n\n{_format_config(rule.bad)}")
        parts.append(f"Not flagged {shown}:\n\n{_format_config(rule.good)}")
    return "\n\n".join(parts) + "\n"


def shown_with(rule: Rule) -> str:
    """Return for what the examples of a rule are judged: a version, options, and what a probe measured."""
    return ", ".join((f"on nginx {rule.shown_on}", *_given(rule.shown_with)))


def _given(settings: CheckSettings) -> Iterator[str]:
    """Yield the settings that are not as by default, as somebody gives them."""
    flags = {
        "--backend-idle": settings.backend_idle_s and format_time(settings.backend_idle_s),
        "--backend-max-connections": settings.backend_max_connections,
        "--workers": settings.workers,
        "--concurrency": settings.concurrency,
    }
    yield from (f"with {flag} {value}" for flag, value in flags.items() if value is not None)
    for each in settings.measured:
        after = f"{each.requests} requests" if each.requests is not None else "each response"
        yield f"where --probe {each.address} saw a close after {after}"
    if settings.known is not None:
        yield "with the directives of the nginx that is installed"


def format_rules() -> str:
    """Return the ids of all rules, each with its severity and its title, in the order of the ids."""
    lines = []
    for rule in sorted(CATALOGUE.values(), key=lambda rule: rule.id):
        head = f"{rule.id:<6} {rule.severity!s:<6} "
        lines.append(
            textwrap.fill(rule.summary, _WIDTH, initial_indent=head, subsequent_indent=" " * len(head))
        )
    return "\n".join(lines) + "\n"


def _format_config(text: str) -> str:
    """Return a configuration with one directive a line; a template, or what nginx would refuse, as it is."""
    read = tree.parse(text, "example")
    if read.problems or read.template:
        return textwrap.indent(text.rstrip(), "    ")
    return "\n".join(_format_lines(text, read.directives, "    "))


def _format_lines(text: str, directives: Iterable[Directive], indent: str) -> Iterator[str]:
    for each in directives:
        words = " ".join(_SPACE.split(text[each.start : each.args_end]))
        if each.block is None:
            yield f"{indent}{words};"
        else:
            yield f"{indent}{words} {{"
            yield from _format_lines(text, each.block, indent + "    ")
            yield f"{indent}}}"
