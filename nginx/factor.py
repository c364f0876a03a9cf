"""One of the conditions of reuse, with the causes that decide it: a verdict is made of several."""

from dataclasses import dataclass

from nginx.pool_share import ReuseShare


@dataclass(frozen=True, slots=True)
class Factor:
    """Whether one condition of reuse (the pool, the request, the answer) holds; None if that is unknown."""

    holds: bool | None
    causes: tuple[str, ...] = ()
    """Why, each with the file and line of what decides; empty where nothing is to be said."""
    share: ReuseShare | None = None
    """How much is reused, where the factor holds for a part of the requests."""
    depends_on: tuple[str, ...] = ()
    """The directives that decide, where that is unknown."""
