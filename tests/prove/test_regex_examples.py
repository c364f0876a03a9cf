"""Texts that a pattern matches: nginx's regular expressions are kept to their plainest examples."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.prove.regex_examples import MAX_SEARCHED, examples

PIECES = st.sampled_from(
    ["a", "[bc]", "(d|e)", "x?", "y+", "z*", r"\d", "[^f]", "(?:g|hh){2}", ".", r"\.", "[^/]"]
)


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        (r"^/(api|v1)/x$", ["/api/x", "/v1/x"]),
        (r"\.php$", [".php"]),
        (r"^/clients/[1-5]/(a|b)", ["/clients/1/a", "/clients/1/b"]),
        (r"^(?!/admin)/", ["/"]),
        (r"(", []),
        (r"(*UTF8)a", []),
        (r"^a(?=b)$", []),
    ],
)
def test_examples(pattern: str, found: list[str]) -> None:
    assert examples(pattern)[: len(found)] == found or not found
    assert bool(examples(pattern)) == bool(found)


@given(st.lists(PIECES, min_size=1, max_size=6).map("".join))
def test_an_example_matches(pattern: str) -> None:
    found = examples(f"(?<name>{pattern})")
    assert found
    assert all(re.search(pattern, text) for text in found)


@pytest.mark.parametrize("pattern", ["((a{900}){900}){900}", "(a+)+$" * 20, "(" * 200 + "a" + ")" * 200])
def test_a_hostile_pattern_costs_little(pattern: str) -> None:
    began_s = time.process_time()
    found = examples(pattern)
    assert time.process_time() - began_s < 5
    assert all(len(text) < 10_000 for text in found)
    assert MAX_SEARCHED < 64
