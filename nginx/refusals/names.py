"""Find directives whose names are those of nginx with a slip: two letters in turn, one too many, one too few.

Which modules an nginx has is not known here, so that a name that is far from all of nginx's is left alone.
"""

import re
from collections.abc import Iterator, Mapping
from functools import cache

from nginx.refusals.directive_table import known_directives

_ABOUT_CONNECTIONS = re.compile("(?:proxy|fastcgi|grpc|uwsgi|scgi|memcached)_|keepalive|upstream$|location$")
"""Only these are looked for; others are the business of nginx itself."""
_SHORTEST, _LONGEST = 8, 64
"""Shorter names of other modules may be near to one of nginx's by chance; none of nginx's is longer."""


def misspelt(name: str) -> str | None:
    """Return the directive that an unknown name was meant to be; None if it is known, or near to none."""
    if name in known_directives() or not _SHORTEST <= len(name) <= _LONGEST:
        return None
    near = (known for variant in _variants(name) for known in _by_variant().get(variant, ()))
    return next((known for known in near if _is_slip(name, known)), None)


def _variants(name: str) -> Iterator[str]:
    """Yield a name, and what is left of it without each of its letters."""
    yield name
    yield from (name[:at] + name[at + 1 :] for at in range(len(name)))


@cache
def _by_variant() -> Mapping[str, list[str]]:
    """Return the directives that are looked for, by their variants."""
    found: dict[str, list[str]] = {}
    for known in filter(_ABOUT_CONNECTIONS.match, known_directives()):
        for variant in _variants(known):
            found.setdefault(variant, []).append(known)
    return found


def _without_common_start(one: str, other: str) -> tuple[str, str]:
    pairs = enumerate(zip(one, other, strict=False))
    start = next((at for at, (a, b) in pairs if a != b), min(len(one), len(other)))
    return one[start:], other[start:]


def _is_slip(name: str, known: str) -> bool:
    """Return whether two names differ by one letter, or by two in turn."""
    one, other = _without_common_start(name, known)
    one, other = _without_common_start(one[::-1], other[::-1])
    return max(len(one), len(other)) == 1 or (len(one) == len(other) == 2 and one == other[::-1])
