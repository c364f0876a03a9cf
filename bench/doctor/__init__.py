"""The doctor: what this machine can do for the laboratory, and what to change.

It reads (facts.py), judges (checks.py) and names remedies; nothing is changed, and nothing printed, here.
"""

from __future__ import annotations

from bench.doctor.checks import Check, Status, checks
from bench.doctor.facts import Facts, read

__all__ = ["Check", "Facts", "Status", "checks", "examine", "read"]


def examine() -> list[Check]:
    """Return what this machine can do, each thing with its remedy."""
    return list(checks(read()))
