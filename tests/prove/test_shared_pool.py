"""Locations that share a pool and speak different versions of HTTP, by traffic; answers without a body."""

from __future__ import annotations

import pytest

from nginx import versions
from tests import needs
from tests.proving import KEPT, nginx_programs, prove

NEW = [each for each in nginx_programs() if versions.parse(each) >= versions.HTTP2_UPSTREAM]
pytestmark = needs.unless(bool(NEW), "nginx@wheel")

H1 = f"location /h1 {{ proxy_pass http://app; {KEPT} }}"
H2 = "location /h2 { proxy_pass http://app; proxy_http_version 2; }"
GRPC = "location /rpc { grpc_pass app; }"

# An upstream {}, its locations, and whether requests fail.
MIXED = {
    "HTTP/1.1 and HTTP/2, one pool": ("keepalive 4;", H1 + H2, True),
    "HTTP/1.1 and gRPC, one pool": ("keepalive 4;", H1 + GRPC, True),
    "pools of their own": ("keepalive 4 local;", H1 + H2, False),
    "no pool": ("keepalive 0;", H1 + H2, False),
}


# Each request that gets the other version's bytes costs its client a time-out.
@pytest.mark.parametrize(
    "name", [pytest.param(each, marks=[pytest.mark.long] if row[2] else []) for each, row in MIXED.items()]
)
def test_versions_that_share_a_pool(name: str) -> None:
    """NK030: nginx does not compare the version of a pooled connection."""
    lines, locations, fails = MIXED[name]
    found = prove(f"upstream app {{ server a; {lines} }} server {{ {locations} }}", NEW[-1])
    assert all(each.shared_pool is not None for each in found.results)
    assert [len(each.shared_pool.others) for each in found.results if each.shared_pool] == [1, 1]
    assert any(each.failures for each in found.results) is fails
    assert found.is_sound is not fails


@pytest.mark.parametrize("locations", [H1, H2, H2 + GRPC, H1 + "location / { proxy_pass http://app; }"])
def test_one_version_needs_no_test(locations: str) -> None:
    found = prove(f"upstream app {{ server a; keepalive 4; }} server {{ {locations} }}", NEW[-1])
    assert all(each.shared_pool is None for each in found.results)


def test_answers_without_a_body_over_http2() -> None:
    """They are counted apart, ended in both ways; one of them keeps nothing."""
    (found,) = prove(f"upstream app {{ server a; keepalive 4; }} server {{ {H2} }}", NEW[-1]).results
    verdicts = {name: each.verdict for name, each in found.bodiless.items()}
    ways = ("", " ended by a DATA frame")
    assert set(verdicts) == {f"{answer}{way}" for answer in ("empty 200", "204", "HEAD") for way in ways}
    # What the head ends is kept or not, by when nginx reads it.
    assert verdicts["204 ended by a DATA frame"] == verdicts["HEAD ended by a DATA frame"] == "not reused"
