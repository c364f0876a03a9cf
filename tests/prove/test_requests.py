"""Requests that may reach a location: its path, its host, what its conditions need, what users pass."""

from __future__ import annotations

import pytest

from bench.errors import PlanError
from bench.prove.inventory import build_inventory
from bench.prove.requests import Request, candidates, parse
from tests.proving import model

PASS = "proxy_pass http://a;"


def first(text: str, given: tuple[Request, ...] = ()) -> str:
    found = build_inventory(model(text))
    return str(candidates(found.locations[-1], found, given)[0])


@pytest.mark.parametrize(
    ("server", "request_"),
    [
        (f"location / {{ {PASS} }}", "GET http://bench.example/"),
        (f"location = /one {{ {PASS} }}", "GET http://bench.example/one"),
        (f"location /a/ {{ location ~ \\.php$ {{ {PASS} }} }}", "GET http://bench.example/a/index.php"),
        (f"location ~ ^/v(?<n>\\d+)/x {{ {PASS} }}", "GET http://bench.example/v1/x"),
        (f"location ~* ^/(One|two)$ {{ {PASS} }}", "GET http://bench.example/One"),
        (f'location "/with space" {{ {PASS} }}', "GET http://bench.example/with%20space"),
        (f"server_name www.x.example y; location / {{ {PASS} }}", "GET http://www.x.example/"),
        (f"server_name _ *.x.example; location / {{ {PASS} }}", "GET http://www.x.example/"),
        (f"server_name .x.example; location / {{ {PASS} }}", "GET http://www.x.example/"),
        (f"server_name ~^(?<s>[a-z]+)\\.x\\.example$; location / {{ {PASS} }}", "GET http://a.x.example/"),
        (f"listen 443 ssl; location / {{ {PASS} }}", "GET https://bench.example/"),
        (f"listen 80; listen 443 ssl; location / {{ {PASS} }}", "GET http://bench.example/"),
        (f"location / {{ if ($request_method = PUT) {{ {PASS} }} }}", "PUT http://bench.example/"),
        ("location / { proxy_pass http://$arg_to; }", "GET http://bench.example/?to=bench.example"),
        ("location / { proxy_pass $arg_to; }", "GET http://bench.example/?to=http://bench.example/"),
        ("location / { proxy_pass $http_s://app; }", "GET http://bench.example/ S: http"),
        (f"location ~ ^(.+\\.php)(.*)$ {{ {PASS} }}", "GET http://bench.example/a.php"),
        (f"location / {{ limit_except GET HEAD {{ {PASS} }} }}", "POST http://bench.example/"),
        (f"location / {{ if ($http_x_beta) {{ {PASS} }} }}", "GET http://bench.example/ X-Beta: 1"),
        (f"location / {{ if ($arg_v = 2) {{ {PASS} }} }}", "GET http://bench.example/?v=2"),
        (f"location / {{ if ($cookie_ab ~ ^b) {{ {PASS} }} }}", "GET http://bench.example/ Cookie: ab=b"),
        (f"location / {{ if ($uri ~ ^/in/[0-9]+$) {{ {PASS} }} }}", "GET http://bench.example/in/1"),
        (f"location / {{ if ($host = x.example) {{ {PASS} }} }}", "GET http://x.example/"),
        ("location / { grpc_pass a; }", "POST http://bench.example/"),
        (f"location / {{ proxy_method HEAD; {PASS} }}", "HEAD http://bench.example/"),
    ],
)
def test_the_likeliest_request(server: str, request_: str) -> None:
    assert first(f"server {{ {server} }}") == request_


def test_conditions_are_followed_through_maps() -> None:
    maps = "map $uri $known { default 0; ~^/clients/[1-5]/(a|b) 1; } map $known $go { 1 yes; }"
    assert first(f"{maps} server {{ location / {{ if ($go = yes) {{ {PASS} }} }} }}").endswith("/clients/1/a")


@pytest.mark.parametrize(
    ("condition", "request_"),
    [
        ("if ($http_user_agent = '') { return 403; }", "GET http://bench.example/ User-Agent: bench"),
        ("if ($request_method != PUT) { return 405; }", "PUT http://bench.example/"),
        ("limit_except POST { proxy_pass http://b; }", "POST http://bench.example/"),
        ("if ($arg_a ~ ^$) { rewrite ^ /b last; }", "GET http://bench.example/?a=bench"),
    ],
)
def test_conditions_that_would_lead_elsewhere_are_avoided(condition: str, request_: str) -> None:
    found = build_inventory(model(f"server {{ location / {{ {PASS} {condition} }} }}"))
    assert request_ in [str(each) for each in candidates(found.locations[0], found, ())]


def test_a_named_location_is_tried_through_those_that_lead_to_it() -> None:
    text = f"server {{ location /app {{ try_files $uri @a; }} location @a {{ {PASS} }} }}"
    found = build_inventory(model(text))
    tried = [str(each) for each in candidates(found.locations[0], found, ())]
    assert tried[0] == "GET http://bench.example/app"
    assert any(each.endswith("/bench-internal-1") for each in tried)


def test_a_given_request_comes_first() -> None:
    given = parse("PUT /x?y=1 Host: www.example X-A: one two X-B:3")
    assert given.fields == (("X-A", "one two"), ("X-B", "3"))
    assert first(f"server {{ location / {{ {PASS} }} }}", (given,)) == (
        "PUT http://www.example/x?y=1 X-A: one two X-B: 3"
    )


@pytest.mark.parametrize(
    "text", ["", "GET", "GET x", "get /", "GET /\u00fc", "GET / nonsense", "GET / A: \x01"]
)
def test_nonsense_is_misuse(text: str) -> None:
    with pytest.raises(PlanError, match="--request"):
        parse(text)


@pytest.mark.parametrize(
    ("listen", "client", "first_is_http2", "are_http2"),
    [
        ("listen 80;", "auto", False, {False}),
        ("listen 443 ssl http2;", "auto", True, {True, False}),
        ("http2 on; listen 443 ssl;", "auto", True, {True, False}),
        ("http2 off; listen 443 ssl;", "auto", False, {False}),
        ("listen 80;", "2", True, {True}),
        ("listen 443 ssl http2;", "1.1", False, {False}),
    ],
)
def test_clients_speak_what_the_listener_says(
    listen: str, client: str, first_is_http2: bool, are_http2: set[bool]
) -> None:
    found = build_inventory(model(f"server {{ {listen} location / {{ {PASS} }} }}"))
    wanted = candidates(found.locations[0], found, [], client)
    assert wanted[0].is_http2 is first_is_http2
    assert {request.is_http2 for request in wanted} == are_http2
