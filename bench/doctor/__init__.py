"""The doctor: what this machine can do for the laboratory, and what to change.

It reads (facts.py), judges (judging.py) and names remedies; nothing is changed, and nothing printed, here.
"""

from __future__ import annotations

from bench.doctor.facts import Facts, read
from bench.doctor.judging import Check, Status, checks

__all__ = ["Check", "Facts", "Status", "checks", "examine", "read"]


def examine() -> list[Check]:
    """Return what this machine can do, each thing with its remedy."""
    return list(checks(read()))
