"""One of the conditions of reuse, with the causes that decide it: a verdict is made of several.

Connections are reused where there is a pool, where the request leaves the connection open, and where nginx
reads the answer to its end. One condition that does not hold decides, and its causes are the reason; else
one that is unknown does. Where all hold, the smallest share decides whether that is so for each request.
"""

from dataclasses import dataclass

from nginx.pool_share import ReuseShare


@dataclass(frozen=True, slots=True)
class Factor:
    """One condition of reuse: the pool, the request, or the answer."""

    holds: bool | None
    """None if that is unknown."""
    causes: tuple[str, ...] = ()
    """Why, each with the file and line of what decides.

    Empty where there are none to give.
    """
    share: ReuseShare | None = None
    """How much is reused, where the factor holds for a part of the requests."""
    depends_on: tuple[str, ...] = ()
    """The directives that decide, where that is unknown."""
