"""Templates of messages on the wire: heads, bodies in chunks, and the markers that make them differ.

In a template `@d@` stands for a digit, `@n@` for six and `@x@` for sixteen hexadecimal ones, so that
requests and responses differ from one another while their lengths stay.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from functools import cache

VARIANTS = 2000
"""Different requests of a shape, and as many different responses."""

Pieces = tuple[bytes, ...]
"""A message, or its template, in the pieces that its sender writes one after the other."""


@cache
def _marked(number: int) -> tuple[bytes, bytes]:
    digits = b"%06d" % number
    return digits, hashlib.blake2b(digits, digest_size=8).hexdigest().encode()


def fill(template: bytes, number: int) -> bytes:
    """Return the message of this number."""
    digits, hexadecimal = _marked(number)
    filled = template.replace(b"@n@", digits).replace(b"@x@", hexadecimal)
    return filled.replace(b"@d@", digits[-1:])


def variants(template: Pieces) -> Iterator[Pieces]:
    """Yield all messages of a template."""
    for number in range(VARIANTS):
        yield tuple(fill(piece, number) for piece in template)


def head(*lines: str) -> bytes:
    """Return the template of a head."""
    return "\r\n".join((*lines, "", "")).encode()


def message(*lines: str, body: bytes = b"") -> bytes:
    """Return the template of a head and its body; `@length@` is how long the body will be."""
    length = str(len(fill(body, 0))).encode()
    return head(*lines).replace(b"@length@", length) + body


def chunk(data: bytes) -> bytes:
    """Return the template of a chunk; without data it is the last."""
    return b"%x\r\n%b\r\n" % (len(fill(data, 0)), data)
