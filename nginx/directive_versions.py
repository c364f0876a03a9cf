"""Know which version of nginx a directive or a parameter came with, and date the advice that names it."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from nginx import tree, versions
from nginx.model import Model
from nginx.tree import Directive
from nginx.versions import Version

_MODULES = ("proxy", "fastcgi", "uwsgi", "scgi", "memcached", "grpc")
_WITH_RATE = ("proxy", "fastcgi", "uwsgi", "scgi")
_SNIPPET = re.compile(r"`([^`]+)`")


@dataclass(frozen=True, slots=True)
class Requirement:
    """The version that a directive (with an argument, if any) came with; `within` names its block."""

    since: Version
    name: str
    within: str = ""
    argument: str = ""
    """The argument that it is about; one that ends with `=` is a prefix."""
    has_rule: bool = False
    """A rule of its own reports it."""

    def covers(self, line: Directive, within: str) -> bool:
        """Return whether a line in a block needs this version."""
        if line.name != self.name or within != self.within:
            return False
        return not self.argument or any(map(self._is_argument, line.args))

    def _is_argument(self, arg: str) -> bool:
        return arg.startswith(self.argument) if self.argument.endswith("=") else arg == self.argument


REQUIREMENTS = (
    Requirement(versions.POOL, "keepalive", "upstream"),
    Requirement(versions.POOL, "proxy_http_version"),
    Requirement(versions.POOL, "fastcgi_keep_conn"),
    Requirement(versions.POOL_LIMITS, "keepalive_requests", "upstream"),
    Requirement(versions.POOL_LIMITS, "keepalive_timeout", "upstream"),
    Requirement(versions.POOL_TIME, "keepalive_time"),
    Requirement(versions.POOL_TIME, "keepalive_time", "upstream"),
    Requirement(versions.parse("1.9.0"), "zone", "upstream"),
    Requirement(versions.RESOLVE, "server", "upstream", "resolve"),
    Requirement(versions.RESOLVE, "resolver", "upstream"),
    Requirement(versions.HTTP2_UPSTREAM, "proxy_http_version", "", "2"),
    Requirement(versions.parse("1.25.1"), "http2"),
    Requirement(versions.parse("1.25.0"), "http3"),
    *(Requirement(versions.parse("1.15.6"), f"{module}_socket_keepalive") for module in _MODULES),
    *(Requirement(versions.parse("1.7.7"), f"{module}_limit_rate") for module in _WITH_RATE),
    Requirement(versions.parse("1.27.4"), "keepalive_min_timeout"),
    Requirement(versions.parse("1.29.3"), "add_header_inherit"),
    Requirement(versions.parse("1.29.3"), "add_trailer_inherit"),
    Requirement(versions.POOL_BY_DEFAULT, "keepalive", "upstream", "local"),
    Requirement(versions.POOL_BY_DEFAULT, "keepalive", "upstream", "0", has_rule=True),
    Requirement(versions.parse("1.11.5"), "server", "upstream", "max_conns="),
)


def lines_too_new(model: Model, version: Version) -> Iterator[tuple[Requirement, Directive]]:
    """Yield the lines that came with a later version, unless a rule of their own reports them."""
    for needed in REQUIREMENTS:
        if version >= needed.since or needed.has_rule:
            continue
        if needed.within == "upstream":
            blocks = [list(upstream.directive.children(needed.name)) for upstream in model.upstreams]
        else:
            blocks = [level.all(needed.name) for level in model.levels]
        yield from (
            (needed, line) for block in blocks for line in block if needed.covers(line, needed.within)
        )


def dated(advice: str, oldest: Version, within: str) -> str:
    """Return an advice with the version that each of its lines came with, where `oldest` is older.

    Args:
        advice: the text; directives and parameters stand in backticks.
        oldest: the oldest version that the configuration is judged for.
        within: the block that a line belongs into which names no other: `upstream`, or "".
    """

    def add_version(match: re.Match[str]) -> str:
        since = _since(match[1], within)
        is_dated = f"since {since}" in advice or advice[match.end() :].startswith(" (since ")
        if since is None or since <= oldest or is_dated:
            return match[0]
        return f"{match[0]} (since {since})"

    return _SNIPPET.sub(add_version, advice)


@lru_cache(maxsize=1024)
def _since(snippet: str, within: str) -> Version | None:
    """Return the latest version that something in a snippet came with; None if it was always there."""
    if any(snippet == each.argument for each in REQUIREMENTS if each.argument.isalpha()):
        return max(each.since for each in REQUIREMENTS if each.argument == snippet)
    closed = snippet if snippet.endswith((";", "}")) else f"{snippet};"
    found = set(_needed(tree.parse(closed, "advice").directives, within))
    return max(found, default=None)


def _needed(lines: tuple[Directive, ...], within: str) -> Iterator[Version]:
    for line in lines:
        block = within if line.name.startswith(("keepalive", "server", "resolver", "zone")) else ""
        yield from (each.since for each in REQUIREMENTS if each.covers(line, block))
        yield from _needed(line.block or (), line.name if line.name == "upstream" else "")
