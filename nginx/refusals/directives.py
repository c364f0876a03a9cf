"""Check each directive against what is known of it: its block, its arguments and whether it repeats."""

from collections.abc import Iterable, Iterator

from nginx.loading.includes import Configuration
from nginx.refusals.directive_table import known_directives
from nginx.refusals.names import misspelt
from nginx.refusals.refusal import Refusal
from nginx.templates import has_placeholder
from nginx.tree import DATA_BLOCKS, Directive

_INNER = {
    ("main", "events"): "events",
    ("main", "http"): "http",
    ("main", "stream"): "stream",
    ("http", "upstream"): "upstream",
    ("http", "server"): "server",
    ("server", "location"): "location",
    ("server", "if"): "if-in-server",
    ("location", "location"): "location",
    ("location", "if"): "if-in-location",
    ("location", "limit_except"): "limit_except",
    ("stream", "upstream"): "upstream-in-stream",
    ("stream", "server"): "server-in-stream",
    ("fragment", "stream"): "stream",
    ("fragment", "upstream"): "upstream",
    ("fragment", "server"): "server",
    ("fragment", "location"): "location",
}
"""The block that a directive opens, by the block around it."""


def find(configuration: Configuration) -> Iterator[Refusal]:
    """Yield the directives that nginx refuses where they stand, or as they are written."""
    if configuration.is_fragment:
        yield from _block(configuration.http, "fragment")
        return
    yield from _block(configuration.main, "main")
    yield from _block(configuration.http, "http")


def _block(directives: Iterable[Directive], block: str) -> Iterator[Refusal]:
    seen: dict[tuple[str, str], Directive] = {}
    for line in directives:
        known = known_directives().get(line.name)
        # A fragment may belong into any block; two of its files may not belong together.
        if known is not None and block != "fragment":
            complaint = None if has_placeholder(line.args) else known.complaint(line, block)
            if complaint is not None:
                yield Refusal(line.place, complaint)
        meant = None if known is not None or line.lua else misspelt(line.name)
        if meant is not None:
            yield Refusal(line.place, f'unknown directive "{line.name}"', f"write {meant}")
        if known is not None and known.once:
            key = (line.name, line.place.file if block == "fragment" else "")
            if key in seen:
                reason = f'"{line.name}" directive is duplicate'
                yield Refusal(line.place, reason, "remove one of them", (seen[key],))
            seen.setdefault(key, line)
        inner = _inner(line, block)
        if inner is not None:
            yield from _block(line.block or (), inner)


def _inner(line: Directive, block: str) -> str | None:
    """Return the block that a line opens; None where it opens none that is known."""
    if line.block is None or line.lua or line.name in DATA_BLOCKS:
        return None
    if block == "fragment" and line.name == "server" and _is_of_stream(line):
        return "server-in-stream"
    return _INNER.get((block, line.name))


def _is_of_stream(server: Directive) -> bool:
    """Return whether a server {} of a fragment belongs to stream {}: it passes without a location."""
    return server.child("proxy_pass") is not None and server.child("location") is None
