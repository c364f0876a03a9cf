"""What a worker offers: how many parts of each role it takes at a time, which Dask calls resources. Pure."""

from collections.abc import Mapping

ROLES = ("client", "proxy", "backend")
_MOST = 64

Offers = Mapping[str, int]
"""Role -> parts of it; a role that is missing is not offered."""


def parse_part(text: str) -> tuple[str, int]:
    """Return the role and the number of ROLE=K; ValueError where `text` is none."""
    role, equals, count = text.partition("=")
    if role not in ROLES or not equals:
        raise ValueError(f"{text!r} is not ROLE=K with ROLE one of {', '.join(ROLES)}")
    if not (count.isascii() and count.isdecimal() and len(count) < 4 and int(count) <= _MOST):
        raise ValueError(f"{text!r}: {count!r} is not a number from 0 to {_MOST}")
    return role, int(count)


def collect(parts: list[tuple[str, int]]) -> Offers:
    """Return the offers of a worker; ValueError where a role comes twice, or nothing is offered."""
    found: dict[str, int] = {}
    for role, count in parts:
        if role in found:
            raise ValueError(f"{role} is given twice")
        found[role] = count
    if not any(found.values()):
        raise ValueError("no role is left to a worker; give it one at least")
    return {role: count for role, count in found.items() if count}


def parse(text: str) -> Offers:
    """Return the offers that ROLE=K,... names; ValueError where it names none."""
    return collect([parse_part(part) for part in text.split(",")])
