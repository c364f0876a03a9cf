"""What a server {} is called in a report."""

from __future__ import annotations

import pytest

from nginx.check import check


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ("", ""),
        ("listen 8080;", "*:8080"),
        ("server_name a.example;", "a.example:80"),
        ("listen 80; listen [::]:80; listen 443 ssl; server_name a.example b.example;", "a.example:80,443"),
        ("listen 10.0.0.1:81 default_server; server_name _;", "*:81"),
        ("listen 10.0.0.1; listen localhost; listen [::1];", "*:80"),
        ("listen unix:/run/n.sock; server_name '';", "*:unix:/run/n.sock"),
    ],
)
def test_server_name(lines: str, expected: str) -> None:
    found = check("x", ["1.31.4"], text=f"server {{ {lines} location / {{ proxy_pass http://a; }} }}")
    assert [each.server for each in found.locations] == [expected]
    assert found.locations[0].heading == f"{expected} location /".strip()


def test_a_pass_in_no_server_has_no_server() -> None:
    found = check("x", ["1.31.4"], text="location / { proxy_pass http://a; }")
    assert [each.heading for each in found.locations] == ["location /"]
