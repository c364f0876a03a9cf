"""Which shapes meet which loads, and what ours may cost at most there. Values only."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tests.perf.pairs import Target
from tests.perf.shapes import SHAPES, Shape

PLAIN = "plain"
FEW, MANY = 64, 2000
"""Client connections."""
USER_TARGET = Target(1.7)
"""Of the user time, beside that of the plain GET."""
OTHER_TARGETS = {"envoy": Target(1.0), "caddy": Target(1.0)}


@dataclass(frozen=True, slots=True)
class Load:
    """How a shape is sent, and which shapes are unless others are asked for."""

    name: str
    is_short: bool = False
    """Whether each exchange has an upstream connection of its own."""
    closes: bool = False
    """Whether the upstream closes first, after its response."""
    connections: int = FEW
    loop: str = ""
    """The event loop of ours; nothing: what it takes by itself."""
    shapes: tuple[str, ...] = ()
    """Nothing: all."""
    with_others: bool = False
    """Whether HAProxy, Envoy and Caddy take part."""

    def __str__(self) -> str:
        mode = "keepalive"
        if self.is_short:
            mode = f"short, {'upstream' if self.closes else 'proxy'} closes"
        loop = f", {self.loop}" if self.loop else ""
        return f"{self.connections} connections, {mode}{loop}"


_SOME = (PLAIN, "browser", "node", "post", "chunked", "304", "uvicorn", "runserver")
_FEWER = (PLAIN, "browser", "post", "chunked")
LOADS = {
    load.name: load
    for load in (
        Load("keepalive", with_others=True),
        Load("short", is_short=True, shapes=_SOME),
        Load("closing", is_short=True, closes=True, shapes=_SOME),
        Load("2000", connections=MANY, shapes=_FEWER),
        Load("2000-short", is_short=True, connections=MANY, shapes=(PLAIN,)),
        Load("2000-closing", is_short=True, closes=True, connections=MANY, shapes=(PLAIN,)),
        Load("asyncio", loop="asyncio", shapes=_SOME),
        Load("asyncio-short", is_short=True, loop="asyncio", shapes=(PLAIN, "browser")),
        Load("asyncio-closing", is_short=True, closes=True, loop="asyncio", shapes=(PLAIN, "browser")),
        Load("asyncio-2000", connections=MANY, loop="asyncio", shapes=(PLAIN,)),
    )
}


@dataclass(frozen=True, slots=True)
class Case:
    """A shape under a load."""

    shape: Shape
    load: Load

    def __str__(self) -> str:
        return f"{self.shape.name}, {self.load}"

    @property
    def of_nginx(self) -> Target | None:
        """Return the target of the ratio to nginx, where one was set."""
        load, is_plain = self.load, self.shape.name == PLAIN
        if load.loop:
            return None
        if load.connections == MANY:
            return Target(1.0) if is_plain and not load.is_short else None
        if load.is_short:
            return Target(1.6 if load.closes else 1.25)
        return Target(1.25 if is_plain else 1.4)

    @property
    def has_user_target(self) -> bool:
        """Return whether its user time is held beside the plain GET's."""
        load = self.load
        return self.shape.name != PLAIN and not load.is_short and load.connections == FEW


def cases(load: Load, names: Sequence[str]) -> Iterator[Case]:
    """Yield the plain GET under a load, and then the shapes called `names`, or those of the load."""
    chosen = names or load.shapes or tuple(SHAPES)
    for shape in SHAPES.values():
        # Where the server closes by itself, the proxy cannot be the first.
        can = not (load.is_short and not load.closes and shape.closes)
        if can and (shape.name == PLAIN or shape.name in chosen):
            yield Case(shape, load)
