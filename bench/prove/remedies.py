"""Lines that a newer nginx needs where its defaults are wrong for a server: what may help. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from bench.prove.edited_model import Position, edited, position
from bench.prove.inventory import Location
from bench.prove.proof import LocationResult
from nginx.finding import PlaceJson
from nginx.model import Model
from nginx.tree import Directive, Place
from nginx.upstreams import Upstream

WAS_RUN = "it was run with it"


class AddedLineJson(PlaceJson):
    """A line to add in the JSON of an upgrade."""

    block: str
    text: str
    reason: str


@dataclass(frozen=True, slots=True)
class AddedLine:
    """A line to add to a block."""

    name: str
    args: tuple[str, ...]
    opener: Directive | None
    """The block; None for the top of a snippet."""
    context: str
    """The block as written: `upstream app`."""
    file: str
    reason: str = WAS_RUN
    """Why it is known to help."""

    @property
    def place(self) -> Place:
        """Where the block begins."""
        return self.opener.place if self.opener is not None else Place(self.file, 1)

    def __str__(self) -> str:
        return f"{' '.join((self.name, *self.args))};"

    def to_json(self) -> AddedLineJson:
        """Return the line as plain values."""
        return {
            "file": self.place.file,
            "line": self.place.line,
            "block": self.context,
            "text": str(self),
            "reason": self.reason,
        }


def remedies(result: LocationResult) -> Iterator[list[AddedLine]]:
    """Yield what may mend a location that fails under a newer nginx, the least change first."""
    location, pool = result.location, result.predicted.pool
    upstream, kind = location.upstream, result.kind
    if upstream is not None and pool is not None:
        if kind is not None and kind.idle_s is not None and kind.idle_s > 1:
            yield [_in_upstream(upstream, "keepalive_timeout", f"{_shorter(kind.idle_s)}s")]
        yield [no_pool(upstream)]
    if location.pass_location.protocol == "http" and location.pass_location.http.directive is None:
        yield [_old_version(location)]


def no_pool(upstream: Upstream, reason: str = WAS_RUN) -> AddedLine:
    """Return the line that switches a pool off."""
    return replace(_in_upstream(upstream, "keepalive", "0"), reason=reason)


def _in_upstream(upstream: Upstream, name: str, value: str) -> AddedLine:
    opener = upstream.directive
    return AddedLine(name, (value,), opener, f"upstream {upstream.name}", opener.place.file)


def _shorter(idle_s: float) -> int:
    """Return a whole number of seconds below a server's idle time."""
    return max(1, int(idle_s) - (1 if idle_s <= 10 else 5))


def _old_version(location: Location) -> AddedLine:
    """Return the line that restores what nginx sent before 1.29.7, in a block that takes it."""
    level = location.enclosing_location or location.pass_location.level.enclosing("server")
    opener = None if level is None else level.opener
    context = "http" if level is None else str(level)
    file = location.pass_location.directive.place.file
    return AddedLine("proxy_http_version", ("1.0",), opener, context, file)


def with_lines(model: Model, lines: Sequence[AddedLine]) -> Model:
    """Return the model of a configuration with some lines; they take the place of those of their name."""
    added: dict[Position | None, list[Directive]] = {}
    replaced: list[Directive] = []
    for line in lines:
        where = None if line.opener is None else position(line.opener)
        added.setdefault(where, []).append(Directive(line.name, line.args, line.place))
        if line.opener is not None:
            replaced += line.opener.children(line.name)
    return edited(model, deleted=replaced, added=added)
