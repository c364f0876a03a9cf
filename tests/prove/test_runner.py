"""Proofs end to end: real nginx, real backends, and what their connections did."""

from __future__ import annotations

from functools import cache

import pytest

from bench.prove.nginx_process import ClientProtocol
from bench.prove.proof import LocationResult
from bench.prove.requests import parse
from nginx import versions
from tests.proving import KEPT, any_nginx, every_version, needs_nginx, prove, prove_last

APP = "upstream app { server 10.0.0.1; server 10.0.0.2; keepalive 4; }"
pytestmark = needs_nginx

# A location, and whether it reuses on every version.
REUSED, NOT = "reused", "not reused"
PROTOCOLS = {
    "HTTP": (f"proxy_pass http://app; {KEPT}", REUSED),
    "TLS": (f"proxy_pass https://app; {KEPT}", REUSED),
    "TLS, verified": (f"proxy_pass https://app; {KEPT} proxy_ssl_verify on;", REUSED),
    "gRPC": ("grpc_pass app;", REUSED),
    "gRPC over TLS": ("grpc_pass grpcs://app;", REUSED),
    "FastCGI": ("fastcgi_pass app; fastcgi_keep_conn on;", REUSED),
    "FastCGI, told to close": ("fastcgi_pass app;", NOT),
    "memcached": ("set $memcached_key k; memcached_pass app;", REUSED),
    "uwsgi": ("uwsgi_pass app;", NOT),
    "uwsgi over TLS": ("uwsgi_pass suwsgi://app;", NOT),
    "SCGI": ("scgi_pass app;", NOT),
}


@cache
def together(table: str, version: str) -> dict[str, LocationResult]:
    """Prove all rows of a table at once, each in a server of its own."""
    rows = TABLES[table]
    found = prove(f"{MAP} {APP} {' '.join(f'server {{ {row} }}' for row in rows.values())}", version)
    assert found.rejection is None, found.rejection
    assert found.witnesses is not None
    # A row may hold a location that only leads to the one it is about: that is the last of its server.
    last = {result.location.server.number: result for result in found.results}
    return dict(zip(rows, last.values(), strict=True))


@every_version
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_protocols(protocol: str, version: str) -> None:
    found = together("protocols", version)[protocol]
    assert found.measured is not None, found.unreached
    assert found.measured.verdict == found.predicted.answer == PROTOCOLS[protocol][1]
    assert found.agrees
    assert set(found.measured.statuses) == {200}


@every_version
def test_http2_upstream(version: str) -> None:
    text = f"{APP} server {{ location / {{ proxy_pass http://app; proxy_http_version 2; }} }}"
    found = prove(text, version)
    if versions.parse(version) < versions.HTTP2_UPSTREAM:
        assert 'x:1: invalid value "2"' in str(found.rejection)
    else:
        assert found.is_sound


@every_version
@pytest.mark.parametrize(("close", "sides"), [("at-once", None), ("linger:200", "nginx"), ("never", "nginx")])
def test_who_closes_first_depends_on_the_backend(close: str, sides: str | None, version: str) -> None:
    text = "server { location / { proxy_pass http://a; proxy_set_header Connection close; } }"
    found = prove_last(text, version, backend_close=close)
    assert found.predicted.closes_first == "race"
    assert found.measured is not None
    assert sum(found.measured.closed_first.values()) >= found.measured.connections
    if sides is not None:
        assert found.measured.closed_first == {"nginx": 9, "backend": 0}


# Locations that take more than a path
REACHED = {
    "named": f"location / {{ try_files $uri @a; }} location @a {{ proxy_pass http://app; {KEPT} }}",
    "named, for errors only": (
        f"location / {{ return 200; }} location @a {{ proxy_pass http://app; {KEPT} }}"
        " location /x { error_page 502 = @a; return 502; }"
    ),
    "internal": f"location /i {{ internal; proxy_pass http://app; {KEPT} }} location / {{ return 204; }}",
    "internal, by pattern": f"location ~ ^/i/(.*) {{ internal; proxy_pass http://app/$1; {KEPT} }}",
    "regular expression": f"location ~ ^/v(?<n>\\d+)/ {{ proxy_pass http://app; {KEPT} }}",
    "nested": f"location /a/ {{ location ~ \\.(php|cgi)$ {{ proxy_pass http://app; {KEPT} }} }}",
    "in an if": f"location / {{ {KEPT} if ($arg_x = 1) {{ proxy_pass http://app; break; }} return 404; }}",
    "behind a map": (f"location / {{ {KEPT} if ($known) {{ proxy_pass http://app; break; }} return 404; }}"),
    "in limit_except": f"location / {{ {KEPT} limit_except GET {{ proxy_pass http://app; }} }}",
    "over TLS only": (
        f"listen 443 ssl; if ($scheme = http) {{ return 301 https://$host; }}"
        f" location / {{ proxy_pass http://app; {KEPT} }}"
    ),
    "a host by pattern": (
        "server_name ~^(?<who>[a-z]+)\\.x\\.example$; "
        f"location / {{ if ($who = '') {{ return 404; }} proxy_pass http://app; {KEPT} }}"
    ),
    "behind a limit": (
        f"location / {{ limit_req zone=z; auth_basic x; deny all; proxy_pass http://app; {KEPT} }}"
    ),
    "files only": f"location ~ \\.php$ {{ try_files $uri =404; proxy_pass http://app; {KEPT} }}",
    "files only, by a condition": (
        f"location /f {{ if (!-f $document_root$uri) {{ return 404; }} proxy_pass http://app; {KEPT} }}"
    ),
    "from a cache": f"location / {{ proxy_cache c; proxy_cache_valid 1h; proxy_pass http://app; {KEPT} }}",
}
MAP = "map $uri $known { default 0; ~^/clients/[1-5]/(a|b) 1; }"


@every_version
@pytest.mark.parametrize("name", REACHED)
def test_locations_are_reached(name: str, version: str) -> None:
    found = together("reached", version)[name]
    assert found.measured is not None, found.unreached
    assert found.agrees
    assert (found.measured.connections, found.measured.requests) == (1, 9)


@every_version
def test_an_unreached_location_is_reported_and_request_helps(version: str) -> None:
    passing = "location / { if ($both = ab) { proxy_pass http://app; break; } return 404; }"
    text = f"{APP} server {{ set $both $http_a$http_b; {passing} }}"
    found = prove_last(text, version)
    assert found.measured is None
    assert "requests reached it; the likeliest got status 404; pass one with --request" in found.unreached
    assert prove_last(text, version, given=[parse("GET / A: a B: b")]).agrees


@every_version
def test_locations_that_share_a_pool_are_proven_apart(version: str) -> None:
    text = (
        f"{APP} server {{ location /good {{ proxy_pass http://app; {KEPT} }}"
        " location /bad { proxy_pass http://app; proxy_set_header Connection close; } }"
    )
    found = prove(text, version)
    assert [(o.measured and o.measured.connections) for o in found.results] == [1, 9]
    assert found.is_sound


# A location of subrequests, and one that sends them.
SUBREQUESTS = {
    "auth_request": (
        "= /auth { internal; proxy_pass http://app; }",
        "location / { auth_request /auth; proxy_pass http://app; }",
    ),
    "mirror": (
        "= /copy { internal; proxy_pass http://app; }",
        "location / { mirror /copy; proxy_pass http://app; }",
    ),
    "auth_request, not internal": (
        "^~ /auth { proxy_pass http://app; }",
        "auth_request /auth/it; location / { proxy_pass http://app; }",
    ),
    "mirror, by pattern": (
        "~ ^/copies { internal; proxy_pass http://app; }",
        "location / { mirror /copies/x; proxy_pass http://app; }",
    ),
}


@every_version
@pytest.mark.parametrize("lines", SUBREQUESTS)
def test_a_subrequests_connection_is_kept_only_without_a_body(lines: str, version: str) -> None:
    """The body of a response to a subrequest is not read by nginx, which cannot keep its connection."""
    inside, outside = SUBREQUESTS[lines]
    found = prove(f"{APP} server {{ {KEPT} {outside} location {inside} }}", version)
    (whole, asked) = found.results
    assert whole.measured is not None
    assert asked.measured is not None, asked.unreached
    assert (whole.measured.connections, whole.measured.requests, whole.measured.other_requests) == (1, 9, 9)
    assert asked.request is not None
    assert asked.request.is_subrequest
    assert (asked.measured.verdict, asked.measured.requests) == ("not reused", 9)
    assert {name: each.verdict for name, each in asked.bodiless.items()} == {
        "empty 200": "reused",
        "204": "reused",
    }


# Clients

LISTENING = {
    "nothing said": ("listen 80;", False),
    "HTTP/2 with TLS": ("listen 443 ssl http2;", True),
    "HTTP/2 without": ("listen 80 http2;", True),
    "HTTP/2, since 1.25.1": ("listen 443 ssl; http2 on;", True),
}


@every_version
@pytest.mark.parametrize("client", ["auto", "1.1", "2"])
@pytest.mark.parametrize("listening", LISTENING)
def test_the_verdict_holds_for_clients_of_either_version(
    listening: str, client: ClientProtocol, version: str
) -> None:
    listens, is_http2 = LISTENING[listening]
    closed = "proxy_http_version 1.1; proxy_set_header Connection close;"
    text = (
        f"{APP} upstream rpc {{ server a; keepalive 4; }}"
        f" server {{ {listens} location / {{ proxy_pass http://app; {KEPT} }}"
        f" location /rpc {{ grpc_pass rpc; }} location /short {{ proxy_pass http://app; {closed} }} }}"
    )
    found = prove(text, version, client=client)
    assert found.is_sound
    wanted = {"auto": is_http2, "1.1": False, "2": True}[client]
    assert [each.request and each.request.is_http2 for each in found.results] == [wanted] * 3
    assert [each.measured and each.measured.verdict for each in found.results] == [REUSED, REUSED, NOT]
    assert [each.measured and set(each.measured.statuses) for each in found.results] == [{200}] * 3


# What variables lead to
VARIABLE = {
    "an upstream": (f"set $to app; proxy_pass http://$to; {KEPT}", REUSED),
    "an address": (f"set $to 10.0.0.1:81; proxy_pass http://$to; {KEPT}", NOT),
    "a whole URL": (f"set $to http://10.0.0.1/x; proxy_pass $to; {KEPT}", NOT),
    "a URI only": (f"proxy_pass http://app$request_uri; {KEPT}", REUSED),
    "the request's host": (f"proxy_pass http://$http_host; {KEPT}", NOT),
    "a scheme": (f"set $s https; proxy_pass $s://app; {KEPT}", REUSED),
    "an address of the client's": ("proxy_pass http://$arg_to/x;", NOT),
    "a URL of the client's": ("proxy_pass $arg_to;", NOT),
    "a socket": ("fastcgi_pass unix:/run/$http_host.sock; fastcgi_keep_conn on;", NOT),
}


@every_version
@pytest.mark.parametrize("name", VARIABLE)
def test_variable_targets(name: str, version: str) -> None:
    found = together("variable", version)[name]
    assert found.measured is not None, found.unreached
    assert found.measured.verdict == VARIABLE[name][1]
    assert found.predicted.answer in {"depends", VARIABLE[name][1]}


TABLES = {
    "protocols": {name: f"location / {{ {lines} }}" for name, (lines, _) in PROTOCOLS.items()},
    "reached": REACHED,
    "variable": {name: f"location / {{ {lines} }}" for name, (lines, _) in VARIABLE.items()},
}


# What nginx rejects

REJECTED = {
    "keepalive no_number": ("x:1", 'invalid value "no_number"'),
    "keepalive 4; fair": ("x:1", 'unknown directive "fair"'),
}


@every_version
@pytest.mark.parametrize("lines", REJECTED)
def test_a_rejection_is_quoted_with_the_users_line(lines: str, version: str) -> None:
    place, message = REJECTED[lines]
    found = prove(
        f"upstream app {{ server a; {lines}; }} server {{ location / {{ proxy_pass http://app; }} }}", version
    )
    assert found.rejection is not None
    assert (str(found.rejection.place), message in found.rejection.message) == (place, True)
    assert not found.is_sound


@every_version
def test_what_this_nginx_does_not_know_is_left_out_where_that_changes_nothing(version: str) -> None:
    unknown = "secure_link_md5 x; random_unknown on; more_set_headers 'X: y'; add_header X $geoip_org;"
    text = f"{APP} server {{ {unknown} location / {{ slice 1m; userid on; proxy_pass http://app; {KEPT} }} }}"
    found = prove(text, version)
    assert found.is_sound
    assert "random_unknown" in {change.what for change in found.changes}
    assert "$geoip_org" in {change.what for change in found.changes}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("server { location / { proxy_pass http://a } }", "not terminated"),
        ("server { location / { proxy_pass http://{{ host }}; } }", "template"),
        ("upstream a { server b; } server { location / { proxy_pass http://a:80; } }", "may not have a port"),
    ],
)
def test_what_cannot_run_is_not_run(text: str, message: str) -> None:
    found = prove(text, any_nginx().version)
    assert found.rejection is not None
    assert message in str(found.rejection)
    assert all(each.measured is None for each in found.results)


@pytest.mark.parametrize(
    "condition",
    ['$http_x = "a\nb"', "$http_x = \u00fc", "$uri = /\u00fc\u4e2d", "$host = \u00fc", "$arg_x = 'a b'"],
)
def test_what_no_request_may_hold_is_no_failure(condition: str) -> None:
    lines = f"if ({condition}) {{ proxy_pass http://app; break; }} return 404;"
    found = prove_last(f"{APP} server {{ location / {{ {lines} }} }}", any_nginx().version)
    assert found.measured is not None or "requests reached it" in found.unreached


# What was left out and may decide: nothing is proven.
LEFT_OUT = {
    "a pool of its own": ("server a; ntlm;", "", ["ntlm"]),
    "behind keepalive": ("server a; keepalive 4; vnswrr;", "", ["vnswrr"]),
    "two": ("server a; jdomain x; mruby_upstream_keepalive 4;", "", ["jdomain", "mruby_upstream_keepalive"]),
    "servers that change": (
        "server a; keepalive 4;",
        "location /x { dyups_interface; }",
        ["dyups_interface"],
    ),
    "health checks": ("server a; keepalive 4; check interval=5000;", "", []),
}


@pytest.mark.parametrize("name", LEFT_OUT)
def test_without_a_line_that_may_decide_nothing_is_proven(name: str) -> None:
    lines, beside, names = LEFT_OUT[name]
    text = f"upstream app {{ {lines} }} server {{ location / {{ proxy_pass http://app; {KEPT} }} {beside} }}"
    found = prove(text, any_nginx().version)
    (result,) = found.results
    assert result.measured is not None
    assert [line.name for line in result.left_out] == names
    assert all(f"{each} (x:1)" in result.not_proven for each in names)
    assert (found.is_sound, result.is_proven) == (not names, not names)
    assert result.disagreement is None


# A whole configuration, and what its last location got.
WITHOUT_RESOLVER = {
    "a name": ("set $to data.example; proxy_pass http://$to:8080/;", "no resolver defined"),
    "the client's": ("proxy_pass http://$http_host;", "no resolver defined"),
    "an address": ("set $to 10.0.0.1; proxy_pass http://$to:8080/;", ""),
    "an IPv6 address": ("set $to [2001:db8::1]; proxy_pass http://$to;", ""),
    "an upstream": ("set $to app; proxy_pass http://$to;", ""),
    "a name with a resolver": ("resolver 127.0.0.1; set $to data.example; proxy_pass http://$to:8080/;", ""),
}


@every_version
@pytest.mark.parametrize("name", WITHOUT_RESOLVER)
def test_a_name_that_nginx_cannot_resolve_is_not_resolved_here(name: str, version: str) -> None:
    lines, why = WITHOUT_RESOLVER[name]
    text = f"events {{ }} http {{ {APP} server {{ location / {{ {lines} }} }} }}"
    found = prove_last(text, version)
    assert (found.measured is None) is bool(why)
    assert why in found.unreached
