"""Find directives whose names are those of nginx with a slip: two letters in turn, one too many, one too few.

Which modules an nginx has is not known here, so that a name that is far from all of nginx's is left alone.
"""

import re
from collections.abc import Iterator
from functools import cache

from nginx.refusals.directive_table import known_directives

_ABOUT_CONNECTIONS = re.compile(
    r"(?:proxy|fastcgi|grpc|uwsgi|scgi|memcached)_|keepalive|upstream$|location$|least_"
)
"""Only these are looked for; others are the business of nginx itself."""
_SHORTEST, _LONGEST = 8, 64
"""Shorter names of other modules may be near to one of nginx's by chance; none of nginx's is longer."""


@cache
def misspelt(name: str) -> str | None:
    """Return the directive that an unknown name was meant to be; None if it is known, or near to none."""
    if name in known_directives() or not _SHORTEST <= len(name) <= _LONGEST or not name.isascii():
        return None
    meant = (each for each in _slips(name) if each in known_directives())
    return next((each for each in meant if _ABOUT_CONNECTIONS.match(each)), None)


def _slips(name: str) -> Iterator[str]:
    """Yield what may have been meant by a name, each with another slip mended."""
    letters = "abcdefghijklmnopqrstuvwxyz_0123456789"
    for at in range(len(name)):
        before, behind = name[:at], name[at + 1 :]
        yield before + behind
        if behind:
            yield before + behind[0] + name[at] + behind[1:]
        for letter in letters:
            yield before + letter + behind
            yield before + letter + name[at:]
    yield from (name + letter for letter in letters)
