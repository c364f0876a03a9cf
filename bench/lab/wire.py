"""What one end of a wire is: a value that whoever lays wires (links.py) and whoever plans them share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Wire:
    """One end of a wire: its interface, the addresses on it and the networks behind it."""

    interface: str
    addresses: Sequence[str]
    prefix: int
    routes: Sequence[str] = ()
