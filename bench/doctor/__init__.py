"""The doctor: what this machine can do for the laboratory, and what to change.

It reads (facts.py), checks (checks.py) and names remedies; nothing is changed, and nothing printed, here.
"""

from bench.doctor.checks import Check, Status, check_machine
from bench.doctor.facts import read_facts

__all__ = ["Check", "Status", "examine"]


def examine() -> list[Check]:
    """Return what this machine can do, each thing with its remedy."""
    return list(check_machine(read_facts()))
