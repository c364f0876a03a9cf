"""Passes of stream {}: a connection for each session, whatever its upstream holds."""

from __future__ import annotations

import pytest

from nginx.check import check

SERVER = "server { listen 8000; proxy_pass db; }"


def sessions(text: str) -> list[tuple[int, str, str]]:
    """Return line, target and reason of each location that is not reused because of sessions."""
    found = check("x", ["1.22.1", "1.31.4"], text=text)
    verdicts = [(each, verdict) for each in found.locations for verdict in each.verdicts.values()]
    return [
        (each.place.line, each.target, verdict.reason)
        for each, verdict in verdicts
        if verdict.answer == "not reused" and "session" in verdict.reason
    ]


@pytest.mark.parametrize(
    "text",
    [
        f"events {{}} stream {{ upstream db {{ server a:1; server b:1; }} {SERVER} }}",
        f"stream {{ {SERVER} }}",
        f"upstream db {{ server a:1; }} {SERVER}",
        "events {} stream { map $ssl_preread_server_name $t { default db; } "
        "server { listen 1; ssl_preread on; proxy_pass $t; } }",
        f"http {{ upstream db {{ server a; keepalive 4; }} }} stream {{ {SERVER} }}",
    ],
)
def test_a_connection_for_each_session(text: str) -> None:
    first, second = sessions(text)
    assert "port" in first[2]
    assert first == second


def test_over_a_socket_file_no_port_is_at_stake() -> None:
    text = "stream { upstream db { server unix:/run/db.sock; } server { listen 1; proxy_pass db; } }"
    assert [("socket file" in reason, "port" in reason) for _, _, reason in sessions(text)] == [
        (True, False)
    ] * 2


def test_the_upstreams_of_http_and_stream_are_apart() -> None:
    text = f"""http {{
        upstream db {{ server a; keepalive 4; }}
        server {{ location / {{ proxy_pass http://db; }} }}
    }}
    stream {{ upstream db {{ server b; }} {SERVER} }}"""
    found = check("x", ["1.31.4"], text=text)
    assert [each.verdicts["1.31.4"].answer for each in found.locations] == ["reused", "not reused"]


def test_a_server_of_http_does_not_pass_itself() -> None:
    assert not sessions(f"http {{ {SERVER} }}")


def test_udp_leaves_no_time_wait() -> None:
    (location,) = check("x", ["1.22.1"], text=f"stream {{ {SERVER.replace('8000', '53 udp')} }}").locations
    verdict = location.verdicts["1.22.1"]
    assert (verdict.answer, verdict.closes_first) == ("not reused", None)
    assert "times out" in verdict.reason


@pytest.mark.parametrize(
    "text",
    [
        f"events {{}} stream {{ upstream db {{ server a:1; }} {SERVER} }}",
        f"events {{}} stream {{ upstream db {{ server a:1; }} {SERVER} }} "
        "http { upstream app { server a; } server { location / { proxy_pass http://app; } } }",
        "events {} stream { server { listen 1; proxy_pass $ssl_preread_server_name:443; } } "
        "http { server { location / { return 204; } } }",
        "events {} stream { server { listen 1; proxy_pass app:5432; } } "
        "http { upstream app { server a; } server { location / { proxy_pass http://app; } } }",
    ],
)
def test_what_holds_for_http_is_not_said_of_stream(text: str) -> None:
    found = check("x", ["1.22.1"], text=text)
    assert "error" not in {str(finding.severity) for finding in found.findings}


def test_nginx_refuses_a_pool_in_stream() -> None:
    text = f"events {{}} stream {{ upstream db {{ server a:1; keepalive 4; }} {SERVER} }}"
    messages = [finding.message for finding in check("x", ["1.22.1"], text=text).findings]
    assert '[emerg] "keepalive" directive is not allowed here' in messages
