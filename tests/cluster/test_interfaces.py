"""The interface on which a scheduler listens: by name or address, and never all of them."""

from __future__ import annotations

import pytest

from bench.cluster import interfaces
from bench.errors import PlanError

KNOWN = {"lo": ["127.0.0.1", "::1"], "eth0": ["fd00::5", "10.0.0.5"], "eth1": ["fd01::5"]}
CHOICE = "lo (127.0.0.1), eth0 (fd00::5), eth1 (fd01::5)"


@pytest.mark.parametrize(
    ("name", "address"),
    [
        ("eth0", "10.0.0.5"),
        ("eth1", "fd01::5"),
        ("10.0.0.5", "10.0.0.5"),
        ("fd00:0::5", "fd00::5"),
        ("lo", "127.0.0.1"),
        ("127.0.0.3", "127.0.0.3"),
    ],
)
def test_an_interface_has_an_address(name: str, address: str) -> None:
    assert interfaces.address_of(name, KNOWN) == address


@pytest.mark.parametrize("name", ["eth2", "10.0.0.6", "", "localhost", "10.0.0.5:8786"])
def test_an_interface_that_is_not_here(name: str) -> None:
    with pytest.raises(PlanError) as raised:
        interfaces.address_of(name, KNOWN)
    assert str(raised.value) == (
        f"--interface {name}: this machine has no such interface or address; name one of {CHOICE}"
    )


@pytest.mark.parametrize("name", ["0.0.0.0", "::"])
def test_all_interfaces_are_refused(name: str) -> None:
    with pytest.raises(PlanError) as raised:
        interfaces.address_of(name, KNOWN)
    assert str(raised.value) == (
        f"--interface {name}: the scheduler executes code, and is not to be reached over every interface;"
        f" name one: {CHOICE}"
    )


def test_this_machine_has_a_loopback_interface() -> None:
    assert ["127.0.0.1" in listed for listed in interfaces.addresses().values()].count(True) == 1
