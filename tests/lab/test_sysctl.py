"""What a host's settings mean, without a namespace."""

from __future__ import annotations

import pytest

from bench.lab import sysctl


@pytest.mark.parametrize(
    ("value", "are_loopback", "reuses"),
    [("0", True, False), ("1", False, True), ("1", True, True), ("2", False, False), ("2", True, True)],
)
def test_ports_in_time_wait_are_taken_again_everywhere_or_on_loopback_only(
    value: str, are_loopback: bool, reuses: bool
) -> None:
    """Documentation/networking/ip-sysctl.rst: 0 is never, 1 for all addresses, 2 for loopback."""
    assert sysctl.reuses_ports(value, are_loopback) is reuses
